"""A filter that draws from codes: two sounds with equal codes cannot be told apart, by anything that leaves."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sottovoce.audio.spectrum import SAMPLE_RATE, SEGMENT_SAMPLES
from sottovoce.errors import ConfigError, ModelError
from sottovoce.methods.codebook.none import Presence
from sottovoce.methods.codebook.training import Encoder
from sottovoce.models.architectures import build
from sottovoce.models.codebook import Codebook
from sottovoce.runtime.export import save_codebook
from sottovoce.runtime.filter import Filter


@pytest.fixture(scope="module")
def folder(codebook_folder) -> Path:
    return codebook_folder


@pytest.fixture(scope="module")
def loaded(folder) -> Filter:
    return Filter.load(folder)


def sound(tones: list[int], seed: int = 0, level: float = 0.1, samples: int = 0) -> np.ndarray:
    """A segment for each tone, of that bin, in noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(SEGMENT_SAMPLES) / SAMPLE_RATE
    parts = [np.sin(2 * np.pi * 50 * tone * time + rng.uniform(0, 6)) for tone in tones]
    wav = np.concatenate(parts) + 0.05 * rng.standard_normal(len(tones) * SEGMENT_SAMPLES)
    return (level * wav)[: samples or None].astype(np.float32)


def test_equal_codes_are_equal_to_the_last_bit(loaded):
    """Another noise, phase, level and length of the last segment: nothing of it passes."""
    only = loaded.permitting(["word"])
    one = sound([10, 10, 10], seed=1)
    other = sound([10, 10, 10], seed=2, level=0.007, samples=2 * SEGMENT_SAMPLES + 14_000)
    assert np.array_equal(only.features(one), only.features(other))
    assert np.array_equal(only.filter(one), only.filter(other))
    assert not np.array_equal(only.features(one), only.features(sound([18, 18, 10])))


def test_what_leaves_are_whole_segments(loaded):
    assert loaded.engine.whole_segments
    for samples in (1, 160, SEGMENT_SAMPLES, SEGMENT_SAMPLES + 1, 50_000):
        whole = -(-samples // SEGMENT_SAMPLES)
        wav = sound([10] * 3, samples=samples)
        assert loaded.features(wav).shape == (161, 128 * whole)
        assert len(loaded.filter(wav)) == SEGMENT_SAMPLES * whole
        assert len(loaded.filter(np.repeat(wav, 3), 48_000)) == 3 * SEGMENT_SAMPLES * whole
    assert len(loaded.filter(np.zeros(0, np.float32))) == 0


@settings(deadline=None, max_examples=10)
@given(st.lists(st.integers(1, 150_000), min_size=1, max_size=8), st.integers(0, 20_000))
def test_any_chunking_gives_the_same_samples(loaded, lengths, more):
    wav = sound([10, 18, 60, 120] * 6, samples=23 * SEGMENT_SAMPLES + more)
    cuts = [cut for cut in np.cumsum(lengths) if cut < len(wav)]
    pieces = np.concatenate(list(loaded.pieces(np.split(wav, cuts))))
    assert np.array_equal(pieces, loaded.filter(wav))


def test_a_long_sound_is_its_segments_in_order(loaded):
    """Across the chunks in which it is worked on, the last segment aligned to the end."""
    wav = sound([10, 18, 60, 120, 10] * 4, samples=19 * SEGMENT_SAMPLES + 777)
    segments = [wav[i * SEGMENT_SAMPLES : (i + 1) * SEGMENT_SAMPLES] for i in range(19)] + [wav[-SEGMENT_SAMPLES:]]
    assert np.array_equal(loaded.features(wav), np.concatenate([*loaded.obfuscate(np.stack(segments))], axis=1))


def test_consent_is_a_switch(loaded):
    words = [sound([10, 10]), sound([18, 18])]
    moods = [words[0] + sound([60, 60]), words[0] + sound([120, 120])]

    def told_apart(permit, pair):
        return not np.array_equal(*[loaded.filter(wav, permit=permit) for wav in pair])

    assert told_apart(["word"], words)
    assert not told_apart(["word"], moods)
    assert told_apart(["mood"], moods)
    assert told_apart(["word", "mood"], words)
    assert not told_apart([], words)
    assert loaded.permitting(["mood"]).permit == ("mood",)
    assert loaded.permitting([]).rate.bits_per_block == 0.0
    assert (loaded.rate.bits_per_block, loaded.rate.block_s) == (2.0 * math.log2(3), 1.28)


def test_constant_blocks_tell_one_answer_and_no_length(loaded):
    constant = loaded.permitting(["word"]).constant(3)
    short, long = sound([18]), sound([18] * 21)
    assert np.array_equal(constant.filter(short), constant.filter(long))
    assert np.array_equal(constant.features(short), np.concatenate([*constant.obfuscate(short[None])], axis=1))
    assert len(constant.filter(short)) == 3 * SEGMENT_SAMPLES
    assert not np.array_equal(constant.filter(short), constant.filter(sound([10])))


def test_a_filter_that_forgets_answers_for_what_was_heard_last(loaded, tiny):
    tones = sound([10] * 6 + [18] * 2)
    segments = tones.reshape(-1, SEGMENT_SAMPLES)
    last = loaded.engine.codes(segments[-1:])[0, 0]
    assert loaded.engine.codes(segments)[-1, 0] != last, "as trained, six blocks weigh more than two"
    assert loaded.forgetting(0.0).engine.codes(segments)[-1, 0] == last
    assert loaded.forgetting(0.5).engine.codes(segments)[-1, 0] == last
    assert tiny.forgetting(0.5) is tiny
    with pytest.raises(ConfigError, match="memory"):
        loaded.forgetting(1.5)


def test_mistakes_are_named(loaded, tiny):
    with pytest.raises(ConfigError, match="no codes for age"):
        loaded.permitting(["age"])
    with pytest.raises(ConfigError, match="cannot change"):
        tiny.permitting(["word"])
    with pytest.raises(ConfigError, match="no codes"):
        tiny.constant(3)
    with pytest.raises(ConfigError, match="expected 1 to"):
        loaded.constant(-1)


def test_an_encoder_of_another_codebook_is_refused(folder, tmp_path):
    book = Codebook.from_bytes((folder / "codebook.npz").read_bytes())
    with pytest.raises(ModelError):
        save_codebook(
            tmp_path / "filter", Encoder([build("compact-recogniser", {"classes": 3})], Presence()), book, 0, 1, {}, {}
        )
