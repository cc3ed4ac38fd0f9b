"""Laws of a filter: neither phase nor level passes, blocks do not matter, lengths stay, and what fails is silent."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sottovoce.audio import segment
from sottovoce.audio.spectrum import BINS, SAMPLE_RATE, SEGMENT_FRAMES, SEGMENT_SAMPLES
from sottovoce.errors import ConfigError, ModelError
from sottovoce.runtime.filter import Filter
from sottovoce.runtime.segments import SegmentEngine

CHUNK_SAMPLES = 16 * SEGMENT_SAMPLES


def noise(samples: int, seed: int = 0) -> np.ndarray:
    """Noise whose loudness and colour change, so that no two segments are alike."""
    rng = np.random.default_rng(seed)
    wav = np.convolve(rng.standard_normal(samples + 4), rng.standard_normal(5), "valid")
    return (0.1 * wav * (1.1 + np.sin(np.arange(samples) / 3000))).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Broken(SegmentEngine):
    """An engine that does `answer` to the spectra it is given."""

    answer: Callable[[np.ndarray], np.ndarray]

    def step(self, inputs, state):
        return self.answer(inputs), state


# Phase


def test_the_sign_of_the_sound_does_not_pass(tiny):
    wav = noise(50_000)
    assert np.array_equal(tiny.filter(wav), tiny.filter(-wav))


def test_the_sign_between_two_parts_does_not_pass(tiny):
    first, second = noise(50_000), noise(50_000, seed=1)
    first[20_000:] = 0.0
    second[:20_641] = 0.0  # more than a window later
    assert np.array_equal(tiny.filter(first + second), tiny.filter(first - second))


# Level


@given(st.floats(0.1, 10.0))
@settings(max_examples=20, deadline=None)
def test_the_level_does_not_pass(tiny, gain):
    wav = noise(50_000)
    assert np.allclose(tiny.features(np.float32(gain) * wav), tiny.features(wav), atol=1e-3)


@pytest.mark.parametrize("power", [-5, -1, 1, 3, 20])
def test_the_level_does_not_pass_exactly(tiny, power):
    """A factor that is a power of two rounds nothing, so not a bit may differ."""
    wav = noise(50_000)
    assert np.array_equal(tiny.filter(np.float32(2.0**power) * wav), tiny.filter(wav))


def test_the_level_of_one_segment_does_not_pass_into_another(tiny):
    wav = noise(4 * SEGMENT_SAMPLES)
    louder = wav.copy()
    louder[SEGMENT_SAMPLES : 2 * SEGMENT_SAMPLES] *= 4.0
    assert np.array_equal(tiny.features(louder), tiny.features(wav))


# Blocks


@given(st.lists(st.integers(0, 400_000), max_size=6), st.sampled_from([400_000, CHUNK_SAMPLES, 5000]))
@settings(max_examples=15, deadline=None)
def test_any_blocks_give_the_same_samples(tiny, cuts, samples):
    wav = noise(samples)
    pieces = list(tiny.pieces(np.split(wav, sorted(min(cut, samples) for cut in cuts))))
    assert np.array_equal(np.concatenate(pieces), tiny.filter(wav))


@given(st.lists(st.integers(0, 60_000), max_size=6), st.sampled_from([8000, 44100]))
@settings(max_examples=10, deadline=None)
def test_any_blocks_give_the_same_samples_at_other_rates(tiny, cuts, sample_rate):
    wav = noise(60_000)
    pieces = list(tiny.pieces(np.split(wav, sorted(cuts)), sample_rate))
    assert np.array_equal(np.concatenate(pieces), tiny.filter(wav, sample_rate))


@pytest.mark.parametrize("samples", [CHUNK_SAMPLES - 1, CHUNK_SAMPLES, CHUNK_SAMPLES + 77, CHUNK_SAMPLES + 70_001])
def test_in_pieces_or_whole_it_is_the_sound_of_the_features(tiny, samples):
    wav = noise(samples)
    assert np.array_equal(tiny.filter(wav), tiny.sound(tiny.features(wav))[:samples])


def test_memory_does_not_grow_with_the_sound(tiny):
    """Nothing but what was given out is taken in: at most one segment, and what is cross-faded, is held."""
    taken = given_out = 0

    def blocks():
        nonlocal taken
        for seed in range(30):
            taken += 50_000
            yield noise(50_000, seed)

    for piece in tiny.pieces(blocks()):
        given_out += len(piece)
        assert taken - given_out <= SEGMENT_SAMPLES + 50_000 + 2000
    assert taken == given_out


# Lengths


@given(st.integers(1, 70_000), st.sampled_from([8000, 16000, 44100, 48000]))
@settings(max_examples=25, deadline=None)
def test_the_length_stays(tiny, samples, sample_rate):
    wav = tiny.filter(noise(samples), sample_rate)
    assert wav.shape == (samples,)
    assert wav.dtype == np.float32
    assert np.abs(wav).max() <= 1.0


@pytest.mark.parametrize("sample_rate", [8000, 16000, 44100, 48000])
@pytest.mark.parametrize("samples", [1, 2, 3, 7])
def test_the_shortest_sounds_keep_their_length(tiny, samples, sample_rate):
    assert tiny.filter(noise(samples), sample_rate).shape == (samples,)


def test_no_sound_gives_no_sound(tiny):
    assert len(tiny.filter(np.zeros(0, np.float32))) == 0


def test_another_rate_out_keeps_the_duration(tiny):
    pieces = list(tiny.pieces([noise(44_101)], 44100, 8000))
    assert sum(map(len, pieces)) == 8000


@pytest.mark.parametrize("samples", [1, 160, 161, SEGMENT_SAMPLES, SEGMENT_SAMPLES + 1, 70_000])
def test_features_have_a_frame_for_every_started_hop(tiny, samples):
    assert tiny.features(noise(samples)).shape == (BINS, -(-samples // 160))


@pytest.mark.parametrize("sample_rate", [0, -1, 3999, 10**6])
def test_a_rate_out_of_range_is_refused(tiny, sample_rate):
    with pytest.raises(ConfigError, match="sample_rate"):
        tiny.filter(noise(100), sample_rate)


# What is strange or fails


def test_silence_gives_the_same_finite_sound_whatever_its_segments(tiny):
    silence = tiny.features(np.zeros(3 * SEGMENT_SAMPLES, np.float32))
    assert np.isfinite(silence).all()
    assert np.array_equal(silence[:, :SEGMENT_FRAMES], silence[:, -SEGMENT_FRAMES:])
    assert np.isfinite(tiny.sound(silence)).all()


def test_digital_silence_is_as_faint_noise(tiny):
    """The network never sees a constant, which instance normalisation would turn into its own rounding errors."""
    silence = np.zeros((1, SEGMENT_SAMPLES), np.float32)
    faint = np.float32(0.002) * np.random.default_rng(0).standard_normal((1, SEGMENT_SAMPLES), dtype=np.float32)
    assert np.allclose(tiny.obfuscate(silence), tiny.obfuscate(faint), atol=1e-3)


@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf, 3e38])
def test_strange_samples_give_finite_sound(tiny, strange):
    wav = noise(50_000)
    wav[30_000:30_005] = strange
    assert np.isfinite(tiny.filter(wav)).all()


def test_features_without_bounds_give_sound_within_full_scale(tiny):
    for value in (1e3, 1e30, -1e30):
        wav = tiny.sound(np.full((BINS, 40), value, np.float32))
        assert np.isfinite(wav).all() and np.abs(wav).max() <= 1.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_segment_whose_spectrum_is_not_finite_is_silent(tiny, bad):
    heard = 0

    def answer(spectra):
        nonlocal heard
        obfuscated = tiny.engine.graph.run(spectra)
        if heard <= 1 < heard + len(spectra):
            obfuscated[1 - heard, 5, 5] = bad
        heard += len(spectra)
        return obfuscated

    wav = replace(tiny, engine=Broken(tiny.config, (), answer)).filter(noise(3 * SEGMENT_SAMPLES))
    assert np.isfinite(wav).all()
    assert np.abs(wav[SEGMENT_SAMPLES + 400 : 2 * SEGMENT_SAMPLES - 400]).max() < 1e-2 * np.abs(wav).max()


def test_an_engine_that_fails_passes_nothing(tiny):
    def answer(spectra):
        raise RuntimeError("out of memory")

    broken = replace(tiny, engine=Broken(tiny.config, (), answer))
    passed = []
    with pytest.raises(ModelError, match="out of memory"):
        passed.extend(broken.pieces([noise(50_000)]))
    assert not passed


def test_what_is_passed_on_comes_from_the_engine_alone(tiny):
    """An engine that always says the same makes every sound of one length the same."""
    constant = replace(tiny, engine=Broken(tiny.config, (), lambda spectra: np.zeros_like(spectra)))
    assert np.array_equal(constant.filter(noise(50_000)), constant.filter(noise(50_000, seed=1)))


def test_segments_are_obfuscated_each_by_itself(tiny):
    segments = segment.cut(noise(20 * SEGMENT_SAMPLES))
    together = tiny.obfuscate(segments)
    for i in (0, 7, 19):
        assert np.allclose(tiny.obfuscate(segments[i : i + 1])[0], together[i], atol=1e-5)


def test_a_device_needs_no_torch():
    program = (
        "import sys, sottovoce.runtime.filter, sottovoce.runtime.files\n"
        "print([name for name in ('torch', 'pydantic', 'scipy', 'safetensors', 'onnx') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_filter_permits_what_it_was_trained_for_and_nothing_else(tiny):
    filter_ = replace(tiny, engine=replace(tiny.engine, permit=("word", "mood")))
    assert filter_.permitting(["mood", "word"]) is filter_
    assert tiny.permitting([]) is tiny
    for tasks in (["word"], [], ["word", "mood", "speaker"]):
        with pytest.raises(ConfigError, match=r"expected word, mood, .* train one with --method codebook\.$"):
            filter_.permitting(tasks)


def test_a_filter_knows_where_it_is_from(filter_folder):
    loaded = Filter.load(str(filter_folder))
    assert loaded.path == filter_folder
    assert loaded.card["permits"] == ["nothing"]
    assert len(loaded.digest) == 64
    assert loaded.filter(noise(100), SAMPLE_RATE).shape == (100,)
