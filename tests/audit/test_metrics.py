"""Numbers with intervals: known answers, and intervals that hold what they promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from sottovoce.audit.metrics import Interval, accuracy, chance, difference

RUNS, SPEAKERS = 300, 30


def right(*words: str) -> np.ndarray:
    """One utterance for each letter: R for right, x for wrong."""
    return np.array([letter == "R" for letter in "".join(words)])


def by_hand(values: np.ndarray, cluster: np.ndarray, draws: int, seed: int) -> tuple[float, float]:
    """The definition: draw as many clusters as there are, with replacement, and take the mean over their utterances."""
    rng, names, means = np.random.default_rng(seed), np.unique(cluster), []
    for _ in range(draws):
        drawn = [values[cluster == name] for name in rng.choice(names, len(names))]
        means.append(np.concatenate(drawn).mean())
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def test_the_score_is_the_share_of_right_guesses():
    assert accuracy(right("RRRx"), np.array([0, 0, 1, 1])).score == 0.75


def test_the_interval_is_that_of_the_literal_bootstrap():
    rng = np.random.default_rng(0)
    cluster = rng.integers(0, 12, 90) * 7  # of different sizes, with gaps between their numbers
    correct = rng.random(90) < 0.3 + 0.03 * (cluster // 7)
    found = accuracy(correct, cluster)
    assert (found.low, found.high) == pytest.approx(by_hand(correct, cluster, 4000, seed=1), abs=0.012)
    other = rng.random(90) < 0.4
    gain = difference(correct, other, cluster)
    values = correct.astype(float) - other
    assert gain.score == pytest.approx(values.mean())
    assert (gain.low, gain.high) == pytest.approx(by_hand(values, cluster, 4000, seed=1), abs=0.012)


@pytest.mark.parametrize("letter", ["R", "x"])
@pytest.mark.parametrize("utterances", [1, 15, 288])
def test_where_all_is_right_or_wrong_the_interval_is_exactly_binomial(letter, utterances):
    found = accuracy(right(letter * utterances), np.arange(utterances) % 5)
    exact = binomtest(utterances if letter == "R" else 0, utterances).proportion_ci(0.95)
    assert found == pytest.approx(Interval(float(letter == "R"), exact.low, exact.high))
    assert found.low < found.high


def test_where_every_cluster_has_the_same_share_the_interval_is_not_a_point():
    found = accuracy(right("Rx" * 20), np.repeat(np.arange(20), 2))
    exact = binomtest(20, 40).proportion_ci(0.95)
    assert found == pytest.approx(Interval(0.5, exact.low, exact.high))


def test_one_cluster_says_nothing_and_falls_back_on_utterances():
    found = accuracy(right("RRRx"), np.zeros(4, int))
    assert found.low < 0.5 < found.score < found.high


@settings(deadline=None, max_examples=30)
@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, 8))
def test_low_score_and_high_are_in_order_and_within_0_and_1(correct, clusters):
    found = accuracy(np.array(correct), np.arange(len(correct)) % clusters)
    assert 0.0 <= found.low <= found.score <= found.high <= 1.0


def test_the_difference_of_one_attacker_from_itself_is_nothing():
    correct = np.random.default_rng(0).random(50) < 0.4
    assert difference(correct, correct.copy(), np.arange(50)) == (0.0, 0.0, 0.0)


def test_the_difference_is_paired():
    """Two attackers that are right on nearly the same utterances differ by little, and surely."""
    first = np.random.default_rng(0).random(400) < 0.5
    second = first.copy()
    second[np.flatnonzero(first)[:20]] = False
    found = difference(first, second, np.arange(400))
    assert found.score == pytest.approx(0.05)
    assert 0.02 < found.low < found.high < 0.08
    reverse = difference(second, first, np.arange(400))
    assert reverse == pytest.approx((-found.score, -found.high, -found.low))


def test_the_same_numbers_come_out_twice():
    correct = np.random.default_rng(0).random(50) < 0.4
    assert accuracy(correct, np.arange(50) % 7) == accuracy(correct, np.arange(50) % 7)


@pytest.mark.parametrize(
    ("labels", "expected"), [([0, 0, 0], 1.0), ([0, 1, 2, 2], 0.5), ([5, 5, 3], 2 / 3), ([4], 1.0)]
)
def test_chance_is_the_best_constant_guess(labels, expected):
    assert chance(np.array(labels)) == pytest.approx(expected)
    assert chance(np.array(labels)) == max(np.mean(np.array(labels) == guess) for guess in range(6))


@pytest.fixture(scope="module")
def simulated() -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Attackers that are right for some speakers more often than for others (0.6 on average), and their clusters."""
    rng, found = np.random.default_rng(0), []
    for _ in range(RUNS):
        cluster = np.repeat(np.arange(SPEAKERS), rng.integers(5, 15, SPEAKERS))
        ease = rng.beta(3, 2, SPEAKERS)[cluster]
        found.append((rng.random(len(cluster)) < ease, rng.random(len(cluster)) < ease, cluster))
    return found


def test_intervals_by_speaker_hold_the_truth_as_often_as_they_say(simulated):
    intervals = [accuracy(correct, cluster) for correct, _, cluster in simulated]
    assert 0.88 < np.mean([found.low <= 0.6 <= found.high for found in intervals]) < 0.99
    by_utterance = [1.96 * np.sqrt(0.24 / len(correct)) for correct, _, _ in simulated]
    held = [abs(found.score - 0.6) <= half for found, half in zip(intervals, by_utterance, strict=True)]
    assert np.mean(held) < 0.85, "else this test could not fail"


def test_intervals_of_a_difference_hold_the_truth_as_often_as_they_say(simulated):
    intervals = [difference(one, other, cluster) for one, other, cluster in simulated]
    assert 0.88 < np.mean([found.low <= 0.0 <= found.high for found in intervals]) < 0.99
