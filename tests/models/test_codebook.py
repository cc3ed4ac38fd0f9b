"""The codebook: what is drawn depends on codes alone, and what is revoked has none."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce.audio.segment import front_end
from sottovoce.errors import ConfigError, ModelError
from sottovoce.models.codebook import SAMPLES, SOUND_SAMPLES, Codebook, nothing, to_8_bits

TASKS = ("mood", "word")
BOTH = TASKS


def codebook(block_segments: int = 1, memory: float = 1.0, seed: int = 0) -> Codebook:
    """Three moods, two words, at two positions."""
    rng = np.random.default_rng(seed)
    sounds = rng.integers(0, 256, (2, 4, 3, SOUND_SAMPLES), dtype=np.uint8)
    sounds[nothing(2)] = 128
    centres = (np.eye(3, dtype=np.float32), np.eye(2, dtype=np.float32))
    return Codebook(TASKS, centres, (0.5, 0.5), sounds, memory, block_segments)


def posteriors(segments: int, seed: int = 0) -> np.ndarray:
    """Log posteriors [S, 7]: three moods and none of them, two words and none of them."""
    rng = np.random.default_rng(seed)
    moods, words = rng.dirichlet(np.ones(3), segments), rng.dirichlet(np.ones(2), segments)
    none = rng.random((2, segments, 1))
    return np.log(np.concatenate([moods, none[0], words, none[1]], axis=1)).astype(np.float32)


def something(rows: list[list[float]]) -> np.ndarray:
    """Log posteriors [S, 7] of rows of three moods and two words, none of which is nothing."""
    return np.log(np.array([[*row[:3], 0.01, *row[3:], 0.01] for row in rows]))


def codes_of(book: Codebook, spoken: np.ndarray, permit=BOTH):
    codes, positions, _ = book.codes(spoken, permit, book.initial_state())
    return codes, positions


def test_codes_are_the_classes_of_the_mean_posterior():
    spoken = something([[0.6, 0.3, 0.1, 0.9, 0.1], [0.1, 0.5, 0.4, 0.2, 0.8], [0.1, 0.1, 0.8, 0.1, 0.9]])
    codes, positions = codes_of(codebook(), spoken)
    assert codes.tolist() == [[1, 1], [2, 1], [3, 2]]  # means: .6 .3 .1 | .35 .4 .25 | .27 .3 .43, and 2 words
    assert positions.tolist() == [0, 1, 1]
    assert codes_of(codebook(memory=0.0), spoken)[0].tolist() == [[1, 1], [2, 2], [3, 2]]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.sampled_from([1, 2, 4]))
def test_any_chunking_gives_the_same_codes(lengths, block):
    book = codebook(block)
    spoken = posteriors(block * sum(lengths))
    whole = codes_of(book, spoken)
    state, parts, first = book.initial_state(), [], 0
    for length in lengths:
        *part, state = book.codes(spoken[first : first + block * length], BOTH, state)
        parts.append(part)
        first += block * length
    for all_at_once, piece_by_piece in zip(whole, zip(*parts, strict=True), strict=True):
        assert np.array_equal(all_at_once, np.concatenate(piece_by_piece))


def test_a_broken_encoder_says_nothing_and_is_forgotten():
    book, spoken = codebook(), something([[0.6, 0.3, 0.1, 0.9, 0.1], [1, 1, 1, 1, 1], [0.1, 0.1, 0.8, 0.1, 0.9]])
    spoken[1] = np.nan
    codes, _ = codes_of(book, spoken)
    assert np.array_equal(codes[0], codes[1])
    assert np.array_equal(codes[2], codes_of(book, spoken[[0, 2]])[0][1])


def test_a_block_of_none_has_the_code_0_and_counts_for_nothing_later():
    """Of each task by itself, in the block alone, and where the probability of none is above the threshold."""
    spoken = something([[0.9, 0.05, 0.05, 0.9, 0.1], [0.01, 0.01, 0.98, 0.9, 0.1], [0.3, 0.4, 0.3, 0.9, 0.1]])
    spoken[1, 3] = np.log(0.51)  # no mood in the second block
    book = codebook()
    assert codes_of(book, spoken)[0].tolist() == [[1, 1], [0, 1], [1, 1]]  # moods: .9 .05 .05 | none | .6 .225 .175
    spoken[1, 3] = np.log(0.49)
    assert codes_of(book, spoken)[0].tolist() == [[1, 1], [3, 1], [3, 1]]
    nothing_at_all = np.full((2, 7), np.log(0.6))
    *_, state = book.codes(nothing_at_all, BOTH, book.initial_state())
    assert book.whole_codes(BOTH, state).tolist() == [[0, 0]]


def test_where_all_codes_are_0_silence_leaves():
    book = codebook()
    drawn = book.draw(np.zeros((2, 2), np.int64), np.array([0, 1]))
    assert not drawn.any()
    assert not any(book.sound(spectrum).any() for spectrum in drawn)


def test_what_is_said_does_not_change_what_was_put_in():
    book = codebook()
    state = book.initial_state()
    book.codes(posteriors(3), BOTH, state)
    assert not state["posteriors"].any()
    assert not state["blocks"].any()


def test_a_block_has_one_code():
    codes, positions = codes_of(codebook(block_segments=4), posteriors(10))
    for start in (0, 4, 8):
        assert len(np.unique(codes[start : start + 4], axis=0)) == 1
    assert positions.tolist() == [0] * 4 + [1] * 6


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_what_is_revoked_cannot_be_told(one, other):
    """Zero bits: whatever its posteriors, what is drawn is the same to the last bit."""
    book = codebook()
    first = posteriors(4)
    second = first.copy()
    first[:, :4], second[:, :4] = posteriors(4, one)[:, :4], posteriors(4, other)[:, :4]
    drawn = [book.draw(*codes_of(book, spoken, ["word"])) for spoken in (first, second)]
    assert np.array_equal(drawn[0], drawn[1])
    nothing = [book.draw(*codes_of(book, posteriors(4, seed), [])) for seed in (one, other)]
    assert np.array_equal(nothing[0], nothing[1])


def test_equal_codes_give_equal_bits_however_many_are_drawn_at_once():
    book = codebook()
    codes, positions = codes_of(book, posteriors(40))
    together = book.draw(codes, positions)
    alone = [book.draw(codes[i : i + 1], positions[i : i + 1])[0] for i in range(40)]
    assert np.array_equal(together, alone)
    assert together.shape == (40, 161, 128)
    assert np.abs(together.mean(axis=(1, 2))).max() < 1e-4
    assert len(np.unique(together, axis=0)) == len(np.unique(np.column_stack([codes, positions]), axis=0))


def test_the_rate_is_bits_per_block():
    assert codebook().bits_per_block(BOTH) == pytest.approx(math.log2(4) + math.log2(3)), "none is a code"
    assert codebook(block_segments=4).bits_per_block(["word"]) == math.log2(3)
    assert codebook().bits_per_block([]) == 0.0


def test_it_comes_back_from_its_file():
    book = codebook(block_segments=2, memory=0.5)
    again = Codebook.from_bytes(book.to_bytes())
    spoken = posteriors(7)
    assert np.array_equal(book.draw(*codes_of(book, spoken)), again.draw(*codes_of(again, spoken)))
    assert (again.tasks, again.memory, again.block_segments, again.none_above) == (TASKS, 0.5, 2, (0.5, 0.5))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", codebook().to_bytes()[:-200]])
def test_a_damaged_file_is_refused(content):
    with pytest.raises(ModelError, match="train the filter again"):
        Codebook.from_bytes(content)


def test_objects_in_a_file_are_never_unpickled(tmp_path):
    np.savez(tmp_path / "bad.npz", tasks=np.array([{"a": 1}], dtype=object), words=np.zeros(1))
    with pytest.raises(ModelError, match="cannot be read"):
        Codebook.from_bytes((tmp_path / "bad.npz").read_bytes())


@pytest.mark.parametrize(
    "change",
    [
        {"tasks": ()},
        {"sounds": np.full((2, 4, 4, SOUND_SAMPLES), 128, np.uint8)},
        {"sounds": np.zeros((2, 4, 3, SOUND_SAMPLES), np.float32)},
        {"sounds": np.full((2, 4, 3, 500), 128, np.uint8)},
        {"sounds": np.full((2, 4, 3, SOUND_SAMPLES), 129, np.uint8)},
        {"sounds": np.full((43, 4, 3, SOUND_SAMPLES), 128, np.uint8)},
        {"none_above": (0.5,)},
        {"none_above": (0.5, math.nan)},
        {"memory": 2.0},
        {"block_segments": 3},
    ],
)
def test_what_does_not_fit_together_is_refused(change):
    with pytest.raises(ModelError):
        replace(codebook(), **change)


def test_unknown_permissions_are_named():
    with pytest.raises(ConfigError, match="no codes for age; it can permit mood, word"):
        codebook().check_permit(["word", "age"])


def test_what_leaves_as_features_is_the_front_end_of_what_leaves_as_sound():
    book = codebook()
    places = np.array(list(np.ndindex(2, 4, 3)))
    spectra = book.draw(places[:, 1:], places[:, 0])
    inner = [book.sound(spectrum)[80:-80] for spectrum in spectra]
    assert np.array_equal(front_end(np.stack(inner)), spectra)
    assert np.array_equal(np.stack([*map(book.sound, spectra)]), book.waves())


def test_8_bits_keep_a_sound_at_any_level():
    """Each sample comes back within half a step, which is 2.2 % or the smallest; silence is exact."""
    samples = np.concatenate([np.geomspace(1e-6, 1.0, 500), [0.0]]).astype(np.float32)
    for sign in (1, -1):
        again = SAMPLES[to_8_bits(sign * samples)]
        assert (np.abs(again - sign * samples) <= 0.0222 * samples + 1.1e-4).all()
        assert again[-1] == 0.0
    assert np.abs(SAMPLES[to_8_bits(np.array([3.0, -3.0], np.float32))]).tolist() == [1.0, 1.0]
