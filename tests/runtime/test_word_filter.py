"""A filter of words: what leaves is a function of its codes, to the last bit."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sottovoce.errors import ConfigError, ModelError
from sottovoce.models.checkpoint import write_folder
from sottovoce.models.digit_codes import BLANK, BLOCK_SAMPLES, encoder_input
from sottovoce.models.digit_encoder import DigitEncoder
from sottovoce.models.word_table import WordTable
from sottovoce.runtime.export import save_words
from sottovoce.runtime.filter import Filter
from sottovoce.runtime.word_filter import BITS_PER_BLOCK, BLOCK_S, Codes, WordFilter


def listen(frames, state):
    """Digit 7 in the block where it gets loud; the level before is the state."""
    loud = int(frames.mean() > 1.0)
    return [7 if loud > state["loud"] else BLANK], {"loud": loud}


@pytest.fixture(params=["even", "steady", "live", "now"])
def filter_(request) -> WordFilter:
    table = WordTable(np.random.default_rng(0).random((10, 161, 8), dtype=np.float32))
    return WordFilter(listen, {"loud": 0}, table, request.param)


def noise(samples: int, seed: int = 0) -> np.ndarray:
    wav = 0.1 * np.random.default_rng(seed).standard_normal(samples).astype(np.float32)
    wav[: samples // 2] *= 1e-3
    return wav


def test_equal_codes_give_equal_samples(filter_):
    one, other = noise(6400), 0.8 * noise(6400, seed=1)
    assert list(filter_.codes([one])) == list(filter_.codes([other])) != [BLANK] * 10
    assert not np.array_equal(one, other)
    assert np.array_equal(filter_.filter(one), filter_.filter(other))


def test_the_length_of_the_last_block_does_not_pass(filter_):
    wav = noise(6400)
    assert np.array_equal(filter_.filter(wav[:6300]), filter_.filter(wav[:5900]))


@pytest.mark.parametrize("size", [1, 100, 640, 641, 5000])
def test_codes_do_not_depend_on_how_the_sound_is_cut(filter_, size):
    wav = noise(6500)
    parts = [wav[i : i + size] for i in range(0, len(wav), size)]
    assert list(filter_.codes(parts)) == list(filter_.codes([wav]))


def test_a_code_is_there_with_the_last_sample_of_its_block(filter_):
    wav = noise(6400)
    pulled = 0

    def microphone():
        nonlocal pulled
        for i in range(0, len(wav), 160):
            pulled += 160
            yield wav[i : i + 160]

    for number, _ in enumerate(filter_.codes(microphone()), start=1):
        assert pulled <= 640 * (number + 1), "held back no longer than until the next block"


def test_the_encoder_gets_the_frames_of_the_whole_sound():
    got = []

    def keep(frames, state):
        got.append(frames)
        return [BLANK], state

    table = WordTable(np.zeros((10, 161, 8), np.float32))
    wav = noise(6400)
    list(WordFilter(keep, {}, table).codes([wav]))
    np.testing.assert_allclose(np.concatenate(got, axis=1), encoder_input(wav), atol=1e-5)


def test_damage_is_silence(filter_):
    wav = noise(6400)
    wav[100:200] = np.nan
    wav[5000] = np.inf
    assert np.isfinite(filter_.filter(wav)).all()


def test_the_bound():
    assert pytest.approx(3.459, abs=0.001) == BITS_PER_BLOCK and BLOCK_S == 0.04


# As a folder, running


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    encoder = DigitEncoder(width=16, hidden=12).eval().requires_grad_(False)
    encoder.output.weight.mul_(20.0)
    place = tmp_path_factory.mktemp("words") / "filter"
    table = WordTable(np.random.default_rng(0).random((10, 161, 8), dtype=np.float32))
    save_words(place, encoder, table, {"permit": ["digits"], "method": "words"})
    return place


@pytest.fixture(scope="module")
def words(folder) -> Filter:
    return Filter.load(folder)


def codes_of(loaded: Filter, wav: np.ndarray) -> list[int]:
    codes = Codes(loaded.engine.encode, loaded.engine.initial_state())
    return [*codes.feed(wav), *codes.flush()]


def test_a_stream_says_what_the_table_draws_from_the_codes(words):
    wav = noise(90_000)
    codes = codes_of(words, wav)
    assert len(set(codes)) > 1
    assert np.abs(words.filter(wav) - words.engine.table.draw(codes, "now")).max() == 0.0


@given(st.lists(st.integers(0, 3000), max_size=8), st.sampled_from([8000, 16000, 44100, 48000]))
@settings(max_examples=20, deadline=None)
def test_any_chunking_gives_the_same_samples(words, cuts, sample_rate):
    wav = noise(40_000)
    stream = words.stream(sample_rate)
    parts = [stream.feed(part) for part in np.split(wav, sorted(cuts))]
    assert np.array_equal(np.concatenate([*parts, stream.flush()]), words.filter(wav, sample_rate))


def test_the_latency_is_40_ms_and_an_impulse_is_heard_exactly_then(words):
    """Of an encoder that says 7 in the block of a click: the word begins in that block, which comes 40 ms later."""
    engine = replace(words.engine, encode=listen, before={"loud": 0})
    stream = replace(words, engine=engine).stream()
    assert stream.latency_samples == BLOCK_SAMPLES - 1 < 0.04 * 16000
    at = 10 * BLOCK_SAMPLES + 100
    wav = np.zeros(9600, np.float32)
    wav[at : at + 100] = 1.0
    heard = []
    for start in range(0, len(wav), 10):
        heard += [(start + 10, sample) for sample in stream.feed(wav[start : start + 10])]
    first = next(i for i, (_, sample) in enumerate(heard) if abs(sample) > 0.01)
    assert 10 * BLOCK_SAMPLES <= first < 11 * BLOCK_SAMPLES
    fed, _ = heard[first]
    assert fed - 10 <= first + stream.latency_samples < fed


def test_consent_is_a_switch_at_the_next_block(words):
    wav = noise(90_000)
    assert np.array_equal(words.filter(wav, permit=[]), words.filter(noise(90_000, seed=5), permit=[]))
    assert words.permitting([]).rate.bits_per_block == 0.0 and words.rate.bits_per_block == BITS_PER_BLOCK
    with pytest.raises(ConfigError, match="no codes for age"):
        words.permitting(["age"])
    stream = words.stream()
    stream.feed(wav[:20_000])
    stream.permitting([])
    assert stream.feed(np.zeros(3000, np.float32)).shape == (3000,)


def test_what_it_does_not_do_is_said(words, tmp_path):
    for ask in (
        lambda: words.features(noise(3000)),
        lambda: words.constant(3),
        lambda: words.engine.codes(noise(3000)[None]),
    ):
        with pytest.raises(ConfigError):
            ask()


def test_words_in_8_bits_are_the_words(words):
    table = WordTable(np.random.default_rng(0).random((10, 161, 8), dtype=np.float32))
    assert np.abs(words.engine.table.spectra - table.spectra).max() < 1 / 255
    for damage in (b"", b"PK", table.to_bytes()[:-20]):
        with pytest.raises(ModelError, match="cannot be read"):
            WordTable.from_bytes(damage)


def test_a_graph_of_another_kind_is_refused(folder, filter_folder, tmp_path):
    files = {name: (folder / name).read_bytes() for name in ("config.json", "words.npz", "filter.onnx")}
    files["filter.onnx"] = (filter_folder / "filter.onnx").read_bytes()
    write_folder(tmp_path / "f", "filter", files, {})
    with pytest.raises(ModelError, match=r"the encoder (takes|gives)"):
        Filter.load(tmp_path / "f")


def test_an_engine_that_fails_lets_nothing_out(words):
    def broken(frames, state):
        raise RuntimeError("out of memory")

    stream = replace(words, engine=replace(words.engine, encode=broken)).stream()
    with pytest.raises(ModelError, match="nothing was passed on"):
        stream.feed(noise(3000))
