"""A filter in 8 bits is a filter like any other, and says how far it is from what it was made of."""

import numpy as np
import pytest
import torch

from sottovoce.audio.spectrum import SEGMENT_SAMPLES
from sottovoce.errors import ConfigError, ModelError
from sottovoce.methods.codebook.none import Presence
from sottovoce.methods.codebook.training import Encoder
from sottovoce.models.architectures import build
from sottovoce.models.checkpoint import read_folder
from sottovoce.models.codebook import SOUND_SAMPLES, Codebook
from sottovoce.models.onnx_graph import packed
from sottovoce.runtime.engine import SCORES, Graph
from sottovoce.runtime.export import encoder_to_onnx, save_codebook
from sottovoce.runtime.filter import Filter
from sottovoce.runtime.quantise import quantise


def test_it_is_nearly_the_same_filter(filter_folder, tmp_path):
    card = quantise(filter_folder, tmp_path / "small")
    segments = np.random.default_rng(0).standard_normal((3, SEGMENT_SAMPLES), dtype=np.float32)
    before, after = (Filter.load(place).obfuscate(segments) for place in (filter_folder, tmp_path / "small"))
    difference = float(np.sqrt(np.square(after - before).mean()))
    assert 0.0 < difference < 0.2
    assert card["deviation"] == pytest.approx(difference, rel=2.0)


def test_the_card_keeps_what_it_said(filter_folder, tmp_path):
    before, after = read_folder(filter_folder, "filter"), quantise(filter_folder, tmp_path / "small")
    changed = {key for key in after if after[key] != before.get(key)}
    assert changed == {"quantised", "deviation", "files"}
    assert read_folder(tmp_path / "small", "filter") == after


def test_what_is_in_8_bits_or_no_filter_is_refused(filter_folder, tmp_path):
    quantise(filter_folder, tmp_path / "small")
    with pytest.raises(ConfigError, match="8 bits already"):
        quantise(tmp_path / "small", tmp_path / "smaller")
    with pytest.raises(ModelError, match="not a folder"):
        quantise(tmp_path / "none", tmp_path / "smaller")


def test_packed_weights_find_the_same_codes():
    torch.manual_seed(0)
    encoder = Encoder([build("compact-recogniser", {"classes": 4})], Presence()).eval()
    graph = encoder_to_onnx(encoder, 5)
    small = packed(graph)
    assert len(small) < len(graph) / 3
    spectra = np.random.default_rng(0).standard_normal((20, 161, 128), dtype=np.float32)
    before, after = (Graph(content, SCORES, (5,)).run(spectra) for content in (graph, small))
    assert 0 < np.abs(np.exp(before) - np.exp(after)).max() < 0.03
    assert (before.argmax(axis=1) == after.argmax(axis=1)).mean() > 0.9


def test_a_codebook_filter_in_8_bits(tmp_path):
    torch.manual_seed(0)
    encoder = Encoder([build("compact-recogniser", {"classes": 2})], Presence())
    sounds = np.full((2, 3, SOUND_SAMPLES), 128, np.uint8)
    book = Codebook(("word",), (np.eye(2, dtype=np.float32),), (0.5,), sounds)
    save_codebook(tmp_path / "filter", encoder, book, 0.6, 0.8, {"permit": ["word"]}, {})
    assert quantise(tmp_path / "filter", tmp_path / "small")["deviation"] < 0.5
    wav = np.random.default_rng(0).standard_normal(50_000).astype(np.float32)
    assert len(Filter.load(tmp_path / "small").filter(wav)) == 3 * SEGMENT_SAMPLES
