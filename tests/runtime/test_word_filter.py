"""A filter of words: what leaves is a function of its codes, to the last bit."""

import numpy as np
import pytest

from sottovoce.models.digit_codes import BLANK, hear
from sottovoce.models.word_table import WordTable
from sottovoce.runtime.word_filter import RATE_BOUND, WordFilter


def listen(frames, state):
    """Digit 7 in the block where it gets loud; the level before is the state."""
    loud = int(frames.mean() > 1.0)
    return [7 if loud > state["loud"] else BLANK], {"loud": loud}


@pytest.fixture(params=["even", "steady", "live"])
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
    np.testing.assert_allclose(np.concatenate(got, axis=1), hear(wav), atol=1e-5)


def test_damage_is_silence(filter_):
    wav = noise(6400)
    wav[100:200] = np.nan
    wav[5000] = np.inf
    assert np.isfinite(filter_.filter(wav)).all()


def test_the_bound():
    assert pytest.approx(86.5, abs=0.05) == RATE_BOUND
