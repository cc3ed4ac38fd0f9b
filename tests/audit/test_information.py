"""Bits that an attacker proves: never more than there are, and nearly all where its scores are good."""

import numpy as np
import pytest

from sottovoce.audit.mutual_information import bits
from sottovoce.audit.results import Interval
from sottovoce.errors import ConfigError

Case = tuple[np.ndarray, np.ndarray, np.ndarray]  # scores, labels, clusters


def entropy(p: float) -> float:
    return float(-p * np.log2(p) - (1 - p) * np.log2(1 - p))


def channel(rng: np.random.Generator, speakers: int, a: float = 2.0, b: float = 8.0) -> Case:
    """A fair bit is heard flipped with probability 0.2 (a beta of the speaker); the attacker takes it for 0.3."""
    speaker = np.repeat(np.arange(speakers), rng.integers(5, 15, speakers))
    labels = rng.integers(0, 2, len(speaker))
    heard = labels ^ (rng.random(len(speaker)) < rng.beta(a, b, speakers)[speaker])
    return np.log(np.where(np.eye(2)[heard] > 0, 0.7, 0.3)).astype(np.float32), labels, speaker


def test_perfect_scores_have_all_the_bits():
    labels = np.arange(400) % 5
    scores = 3.0 * np.eye(5, dtype=np.float32)[labels]
    found = bits(scores, labels, scores, labels, np.arange(400))
    assert np.log2(5) - 0.01 < found.score < np.log2(5)


def test_independent_scores_have_none():
    rng = np.random.default_rng(0)
    for seed in range(20):
        labels = rng.permutation(np.arange(300) % 3)
        scores = rng.standard_normal((300, 3)).astype(np.float32)
        found = bits(scores[150:], labels[150:], scores[:150], labels[:150], np.arange(150), seed)
        assert found.low == 0.0
        assert found.score < 0.01


def test_a_binary_symmetric_channel_has_its_capacity_whatever_the_attacker_thinks_of_it():
    rng = np.random.default_rng(0)
    scores, labels, speaker = channel(rng, 10000)
    speaker //= 20
    validation = channel(rng, 400)
    truth = 1.0 - entropy(0.2)
    assert bits(scores, labels, validation[0], validation[1], speaker).score == pytest.approx(truth, abs=0.015)
    overconfident = 20.0 * scores  # as 0.7 against 0.3 this is worth nothing: wrong in a fifth and sure of it
    assert bits(overconfident, labels, 20.0 * validation[0], validation[1], speaker).score > truth - 0.015
    offset = rng.standard_normal((len(scores), 1)).astype(np.float32)
    moved = bits(scores + offset, labels, validation[0], validation[1], speaker)
    unmoved = bits(scores, labels, validation[0], validation[1], speaker)
    assert dict(moved) == pytest.approx(dict(unmoved), abs=1e-5)


@pytest.mark.parametrize("speakers", [4, 20])
def test_on_average_the_bound_never_exceeds_the_truth(speakers):
    """Also with very few recordings, in which a guess fitted to them would find more bits than there are."""
    rng, found = np.random.default_rng(0), []
    for _ in range(300):
        (scores, labels, speaker), validation = channel(rng, speakers), channel(rng, speakers)
        found.append(bits(scores, labels, validation[0], validation[1], speaker).score)
    assert np.mean(found) < 1.0 - entropy(0.2) + 2 * np.std(found) / np.sqrt(len(found))


def test_intervals_hold_the_bound_as_often_as_they_say():
    """What they are about is what these validation recordings allow to prove; that is found from many others."""
    rng, held = np.random.default_rng(0), []
    known, known_labels, _ = channel(rng, 15)
    scores, labels, speaker = channel(rng, 10000)
    truth = bits(scores, labels, known, known_labels, speaker // 500).score
    for _ in range(300):
        scores, labels, speaker = channel(rng, 25)
        found = bits(scores, labels, known, known_labels, speaker)
        held.append(found.low <= truth <= found.high)
    assert 0.90 <= np.mean(held) < 0.99


def test_a_label_that_never_changes_has_no_bits():
    scores, labels = np.zeros((9, 2), np.float32), np.zeros(9, np.int64)
    assert bits(scores, labels, scores, labels, np.arange(9)) == Interval(score=0.0, low=0.0, high=0.0)


def test_a_class_called_impossible_costs_much_and_breaks_nothing():
    labels = np.arange(60) % 3
    scores = np.where(np.eye(3)[labels] > 0, 0.0, -np.inf).astype(np.float32)
    surprise = labels.copy()
    surprise[:2] = (surprise[:2] + 1) % 3
    found = bits(scores, surprise, scores, labels, np.arange(60))
    assert np.isfinite([*dict(found).values()]).all()
    assert 0.5 < found.score < np.log2(3) - 0.1


def test_without_validation_there_is_nothing_to_fit():
    scores, labels = np.zeros((4, 2), np.float32), np.zeros(4, np.int64)
    with pytest.raises(ConfigError, match="no validation"):
        bits(scores, labels, scores[:0], labels[:0], np.arange(4))
