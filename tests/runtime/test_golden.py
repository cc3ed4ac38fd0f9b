"""Laws of an exported filter: one graph does what the filter does, and what is off is found."""

import io
from dataclasses import replace

import numpy as np
import pytest

from sottovoce.audio.spectrum import SEGMENT_SAMPLES
from sottovoce.errors import ConfigError, ModelError, ParityError
from sottovoce.models.checkpoint import read_folder, write_folder
from sottovoce.runtime import golden
from sottovoce.runtime.export import whole
from sottovoce.runtime.filter import Filter
from sottovoce.runtime.quantise import dynamic, static
from sottovoce.runtime.segments import SegmentEngine


def noise(samples: int, seed: int = 0) -> np.ndarray:
    wav = np.random.default_rng(seed).standard_normal(samples)
    return (0.1 * wav * (1.1 + np.sin(np.arange(samples) / 3000))).astype(np.float32)


def graph_of(loaded: Filter) -> bytes:
    return (loaded.path / "filter.onnx").read_bytes()


@pytest.mark.parametrize("block_segments", [1, 2])
def test_one_graph_says_what_a_codebook_filter_says(codebook, block_segments):
    """Sound in, sound out, over more blocks than it has positions, to rounding."""
    book = replace(codebook.engine.codebook, block_segments=block_segments)
    loaded = replace(codebook, engine=replace(codebook.engine, codebook=book))
    wav = noise(8 * SEGMENT_SAMPLES)
    found = golden.run_whole(whole(loaded, graph_of(loaded)), wav, block_segments)
    assert np.abs(found - loaded.filter(wav)[: len(found)]).max() < 1e-4
    assert len(found) == len(wav) - 80


def test_one_graph_shows_what_an_obfuscator_shows(tiny):
    wav = noise(3 * SEGMENT_SAMPLES)
    found = golden.run_whole(whole(tiny, graph_of(tiny)), wav)
    assert np.abs(found - tiny.obfuscate(wav.reshape(3, -1))).max() < 1e-3


class Other(SegmentEngine):
    """An engine that nothing is known of."""

    def step(self, inputs, state):
        raise NotImplementedError


def test_a_filter_of_another_kind_is_refused(tiny):
    with pytest.raises(ConfigError, match="cannot be one graph"):
        whole(replace(tiny, engine=Other(tiny.config, ())), graph_of(tiny))


@pytest.fixture
def exported(codebook, tmp_path):
    one = whole(codebook, graph_of(codebook))
    files = {name: (codebook.path / name).read_bytes() for name in codebook.card["files"]}
    files |= {golden.WHOLE: one, golden.VECTORS: golden.vectors(codebook, one)}
    write_folder(tmp_path / "out", "filter", files, {"permit": ["word", "mood"]})
    return tmp_path / "out", files


def test_what_was_exported_is_the_same_here(exported):
    folder, files = exported
    assert set(golden.check(folder)) == {"features", "whole"}
    assert max(golden.check(folder).values()) < 0.005
    assert len(files[golden.VECTORS]) < 400_000


@pytest.mark.parametrize("which", ["features", "whole"])
def test_what_is_off_is_found(exported, which):
    folder, files = exported
    kept = dict(np.load(io.BytesIO(files[golden.VECTORS])))
    kept[which] = kept[which] + np.float16(0.1)
    buffer = io.BytesIO()
    np.savez(buffer, **kept)
    write_folder(folder, "filter", {**files, golden.VECTORS: buffer.getvalue()}, {"permit": []})
    with pytest.raises(ParityError, match=f"gives {which} that are off by 0.1"):
        golden.check(folder)


def test_a_folder_without_golden_vectors_is_named(filter_folder):
    with pytest.raises(ModelError, match="holds no golden vectors"):
        golden.check(filter_folder)


def test_the_card_of_a_filter_that_goes_elsewhere_names_its_files(exported):
    assert {golden.WHOLE, golden.VECTORS} <= {*read_folder(exported[0], "filter")["files"]}


def test_8_bits_of_every_kind_are_the_same_graph_but_for_rounding(tiny):
    spectra = np.random.default_rng(0).standard_normal((16, 161, 128), dtype=np.float32)
    graph = graph_of(tiny)
    expected = tiny.engine.graph.run(spectra)
    for small in (dynamic(graph), static(graph, spectra)):
        found = tiny.engine.graph.like(small).run(spectra)
        assert 0 < np.sqrt(np.square(found - expected).mean()) < 0.3
