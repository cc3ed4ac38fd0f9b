"""Laws of a running filter: pieces do not matter, delays are what they are said to be, and nothing is shared."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sottovoce.audio import segment
from sottovoce.audio.blocks import Held, Resampler, lag_samples, regrouped
from sottovoce.audio.spectrum import SEGMENT_SAMPLES
from sottovoce.errors import AudioError, ConfigError, ModelError
from sottovoce.runtime.filter import Filter
from sottovoce.runtime.segments import SegmentEngine

RATES = [8000, 16000, 44100, 48000]


class Through(SegmentEngine):
    """An engine that lets everything through."""

    def front_end(self, segments):
        return segment.full_band(segments)

    def step(self, inputs, state):
        return inputs, state


@pytest.fixture(scope="module", params=["obfuscator", "codebook", "codebook, blocks of 2"])
def filter_(request, tiny, codebook) -> Filter:
    if request.param == "obfuscator":
        return tiny
    if request.param == "codebook":
        return codebook
    book = replace(codebook.engine.codebook, block_segments=2)
    return replace(codebook, engine=replace(codebook.engine, codebook=book))


def noise(samples: int, seed: int = 0) -> np.ndarray:
    wav = np.random.default_rng(seed).standard_normal(samples)
    return (0.1 * wav * (1.1 + np.sin(np.arange(samples) / 3000))).astype(np.float32)


def run(stream, parts) -> np.ndarray:
    return np.concatenate([*(stream.feed(part) for part in parts), stream.flush()])


@given(st.lists(st.integers(0, 50_000), max_size=8), st.sampled_from(RATES), st.sampled_from(RATES), st.integers(0, 4))
@settings(max_examples=25, deadline=None)
def test_any_chunking_gives_the_same_samples(filter_, cuts, sample_rate, output_rate, seconds):
    wav = noise(seconds * sample_rate + 777)
    stream = filter_.stream(sample_rate, output_rate)
    whole = run(stream, [wav])
    assert np.array_equal(run(stream, np.split(wav, sorted(cuts))), whole)
    if output_rate == sample_rate:
        assert np.array_equal(filter_.filter(wav, sample_rate), whole)


@pytest.mark.parametrize("sample_rate", RATES)
def test_hops_of_10_ms_give_the_same_samples(filter_, sample_rate):
    wav, hop = noise(4 * sample_rate), sample_rate // 100
    parts = [wav[i : i + hop] for i in range(0, len(wav), hop)]
    assert np.array_equal(run(filter_.stream(sample_rate), parts), filter_.filter(wav, sample_rate))


@given(st.lists(st.integers(0, 9_000), max_size=12), st.sampled_from(RATES), st.sampled_from(RATES))
@settings(max_examples=25, deadline=None)
def test_as_much_comes_out_as_came_in_before_the_latency(filter_, lengths, sample_rate, output_rate):
    stream = filter_.stream(sample_rate, output_rate)
    taken = given_out = 0
    for length in [*lengths, stream.latency_samples, 1000]:
        given_out += len(stream.feed(noise(length)))
        taken += length
        assert given_out == max(0, (taken - stream.latency_samples) * output_rate // sample_rate)


@given(st.lists(st.tuples(st.integers(0, 9_000), st.booleans()), max_size=12), st.sampled_from(RATES))
@settings(max_examples=25, deadline=None)
def test_consent_that_comes_and_goes_moves_nothing_in_time(codebook, parts, sample_rate):
    stream = codebook.stream(sample_rate)
    taken = given_out = 0
    for length, permitted in [*parts, (stream.latency_samples, True), (1000, False)]:
        stream.permitting(["word"] if permitted else [])
        given_out += len(stream.feed(noise(length)))
        taken += length
        assert given_out == max(0, taken - stream.latency_samples)
    blocks = -(-taken * 16000 // (sample_rate * SEGMENT_SAMPLES))
    assert given_out + len(stream.flush()) == round(blocks * SEGMENT_SAMPLES * sample_rate / 16000)


@pytest.mark.parametrize("at", [0, 20_000, 30_000, 2 * SEGMENT_SAMPLES - 1])
@pytest.mark.parametrize("sample_rate", [8000, 16000, 48000])
def test_an_impulse_comes_out_exactly_after_the_latency(tiny, at, sample_rate):
    """Of a filter that lets everything through: where it is heard, and when that sample comes."""
    stream = replace(tiny, engine=Through(tiny.config, ())).stream(sample_rate)
    at = at * sample_rate // 16000
    wav = np.zeros(6 * sample_rate, np.float32)
    wav[at] = 1.0
    heard, pieces = [], []
    for start in range(0, len(wav), 80):
        pieces.append(stream.feed(wav[start : start + 80]))
        heard += [start + 80] * len(pieces[-1])  # how many samples had come when each sample went out
    sound = np.concatenate(pieces)
    loudest = int(np.abs(sound).argmax())
    assert abs(loudest - at) < 0.02 * sample_rate, "a window's length"
    assert heard[at] - 80 <= at + stream.latency_samples < heard[at]


def test_latencies_are_blocks_and_what_joins_them(tiny, codebook):
    assert codebook.stream().latency_samples == SEGMENT_SAMPLES + 80 - 1
    assert tiny.stream().latency_samples == SEGMENT_SAMPLES + 8 * 160 - 1
    assert codebook.stream(48000).latency_samples > 3 * codebook.stream().latency_samples
    with pytest.raises(ConfigError, match="when the sound is over"):
        _ = codebook.constant(3).stream().latency_samples


def test_a_constant_number_of_blocks_comes_at_the_end(codebook):
    stream = codebook.constant(2).stream()
    assert len(stream.feed(noise(100_000))) == 0
    assert len(stream.flush()) == 2 * SEGMENT_SAMPLES


def test_a_stream_is_new_after_a_flush_or_a_reset(filter_):
    one, other = noise(70_000), noise(50_000, seed=1)
    stream = filter_.stream()
    expected = filter_.filter(one)
    stream.feed(other)
    stream.reset()
    assert np.array_equal(run(stream, [one]), expected)
    assert np.array_equal(run(stream, [one]), expected)


def test_streams_of_one_filter_do_not_hear_each_other(filter_):
    sounds = [noise(90_000, seed) for seed in range(3)]
    streams = [filter_.stream() for _ in sounds]
    found = [[] for _ in sounds]
    for start in range(0, 90_000, 5000):
        for stream, wav, parts in zip(streams, sounds, found, strict=True):
            parts.append(stream.feed(wav[start : start + 5000]))
    for stream, wav, parts in zip(streams, sounds, found, strict=True):
        assert np.array_equal(np.concatenate([*parts, stream.flush()]), filter_.filter(wav))


def test_consent_changes_with_the_next_block(codebook):
    wav = noise(4 * SEGMENT_SAMPLES)
    stream = codebook.stream()
    parts = [stream.feed(wav[: 2 * SEGMENT_SAMPLES + 500])]
    stream.permitting([])
    switched = np.concatenate([*parts, stream.feed(wav[2 * SEGMENT_SAMPLES + 500 :]), stream.flush()])
    before, after = codebook.filter(wav), codebook.filter(wav, permit=[])
    border = 2 * SEGMENT_SAMPLES
    assert np.array_equal(switched[: border - 80], before[: border - 80])
    assert np.array_equal(switched[border + 80 :], after[border + 80 :])
    stream.reset()
    assert np.array_equal(run(stream, [wav]), after), "a reset does not bring consent back"
    with pytest.raises(ConfigError, match="no codes for age"):
        stream.permitting(["age"])


def test_no_sound_gives_no_sound(filter_):
    stream = filter_.stream()
    assert len(stream.feed(np.zeros(0, np.float32))) == 0
    assert len(stream.flush()) == 0


def test_what_is_no_sound_is_refused_and_damage_is_silence(tiny):
    stream = tiny.stream()
    with pytest.raises(AudioError, match="one channel"):
        stream.feed(np.zeros((2, 100), np.float32))
    wav = noise(50_000)
    wav[100:200] = np.nan
    assert np.isfinite(run(stream, [wav])).all()
    with pytest.raises(ConfigError, match="sample_rate"):
        tiny.stream(16000, 100)


def test_an_engine_that_fails_lets_nothing_out(tiny):
    class Broken(Through):
        def step(self, spectra, state):
            raise RuntimeError("out of memory")

    stream = replace(tiny, engine=Broken(tiny.config, ())).stream()
    assert len(stream.feed(noise(1000))) == 0
    with pytest.raises(ModelError, match="nothing was passed on"):
        stream.feed(noise(SEGMENT_SAMPLES))


def test_all_codewords_are_ready_before_sound_passes(codebook):
    """So the time that a block takes does not tell whether anybody has drawn its codeword before."""
    book = replace(codebook.engine.codebook)
    stream = replace(codebook, engine=replace(codebook.engine, codebook=book)).permitting(["word"]).stream()
    ready = book.__dict__["_sounds"]
    assert len(ready) == 3 * 3 * 3 - 2, "of every consent; in three positions silence is one sound"
    stream.permitting([])
    run(stream, [noise(9 * SEGMENT_SAMPLES)])
    assert book.__dict__["_sounds"] is ready


# What a stream is made of


@given(st.lists(st.integers(0, 50), max_size=20), st.integers(1, 40))
@settings(deadline=None)
def test_what_is_held_comes_out_in_order(lengths, size):
    wav = np.arange(sum(lengths), dtype=np.float32)
    parts = np.split(wav, np.cumsum(lengths)[:-1]) if lengths else []
    held, taken = Held(), []
    for part in parts:
        held.put(part)
        taken.append(held.take(size))
    assert held.count == len(wav) - sum(map(len, taken))
    assert np.array_equal(np.concatenate([*taken, held.take(held.count)]), wav) if lengths else True
    blocks = list(regrouped(parts, size))
    assert [len(block) for block in blocks[:-1]] == [size] * (len(blocks) - 1)
    assert sum(map(len, blocks)) == len(wav)


@given(st.integers(4000, 96_000), st.integers(4000, 96_000), st.integers(1, 2000))
@settings(max_examples=20, deadline=None)
def test_a_resampler_is_never_later_than_it_is_said_to_be(from_hz, to_hz, step):
    resampler, given_out = Resampler(from_hz, to_hz), 0
    for fed in range(step, 2 * from_hz, step):
        given_out += len(resampler.feed(np.zeros(step, np.float32)))
        assert fed * to_hz / from_hz - given_out <= lag_samples(from_hz, to_hz)
