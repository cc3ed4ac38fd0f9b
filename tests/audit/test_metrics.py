"""Numbers with intervals: known answers, and intervals that hold what they promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, norm, t
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, mean_absolute_error, r2_score

from sottovoce.audit import metrics
from sottovoce.audit.bootstrap import ratio
from sottovoce.audit.metrics import (
    accuracy,
    balanced_accuracy,
    chance,
    confusion,
    difference,
    people,
    pooled,
    r_squared,
)
from sottovoce.audit.results import Interval
from sottovoce.audit.verdicts import TOLERANCE
from sottovoce.errors import ConfigError

RUNS, SPEAKERS = 300, 30


def three(interval: Interval) -> tuple[float, float, float]:
    return interval.score, interval.low, interval.high


def right(*words: str) -> np.ndarray:
    """One utterance for each letter: R for right, x for wrong."""
    return np.array([letter == "R" for letter in "".join(words)])


def by_hand(values: np.ndarray, labels: np.ndarray, cluster: np.ndarray) -> float:
    """The definition of the jackknife's standard error: leave out one cluster after another."""

    def balanced(kept: np.ndarray) -> float:
        return float(np.mean([values[kept & (labels == one)].mean() for one in np.unique(labels[kept])]))

    names = np.unique(cluster)
    without = np.array([balanced(cluster != name) for name in names])
    everything = balanced(np.ones(len(values), bool))
    return float(np.sqrt((len(names) - 1) / len(names) * ((without - everything) ** 2).sum()))


def test_the_score_is_the_share_of_right_guesses():
    assert accuracy(right("RRRx"), np.array([0, 0, 1, 1])).score == 0.75


def test_the_interval_of_many_recordings_is_that_of_the_literal_jackknife():
    rng = np.random.default_rng(0)
    cluster = rng.integers(0, 40, 2000) * 7  # of different sizes, with gaps between their numbers
    labels = rng.choice(4, 2000, p=[0.1, 0.2, 0.3, 0.4])
    correct = rng.random(2000) < 0.3 + 0.01 * (cluster // 7)
    found, half = balanced_accuracy(correct, labels, cluster), t.ppf(0.975, 39)
    assert found.score == pytest.approx(balanced_accuracy_score(labels, np.where(correct, labels, (labels + 1) % 4)))
    assert found.high - found.low == pytest.approx(2 * half * by_hand(correct, labels, cluster), rel=0.05)
    other = rng.random(2000) < 0.4
    gain, values = difference(correct, other, labels, cluster), correct.astype(float) - other
    assert gain.score == pytest.approx(found.score - balanced_accuracy(other, labels, cluster).score)
    assert gain.high - gain.low == pytest.approx(2 * half * by_hand(values, labels, cluster), rel=0.05)


def test_balanced_accuracy_counts_each_class_alike():
    labels = np.array([0] * 90 + [1] * 10)
    always = labels == 0
    assert balanced_accuracy(always, labels, np.arange(100)).score == pytest.approx(0.5)
    assert accuracy(always, np.arange(100)).score == pytest.approx(0.9)
    assert balanced_accuracy(~always, labels, np.arange(100)).score == pytest.approx(0.5)


@pytest.mark.parametrize("letter", ["R", "x"])
@pytest.mark.parametrize("utterances", [1, 15, 288])
@pytest.mark.parametrize("clusters", [5, 1000])
def test_where_all_is_right_or_wrong_the_interval_is_exactly_binomial_by_cluster(letter, utterances, clusters):
    """However alike the recordings of a cluster are, the clusters are independent."""
    found = accuracy(right(letter * utterances), np.arange(utterances) % clusters)
    independent = min(utterances, clusters)
    exact = binomtest(independent if letter == "R" else 0, independent).proportion_ci(0.95)
    assert three(found) == pytest.approx((float(letter == "R"), exact.low, exact.high), abs=5e-3)
    assert found.low < found.high


def test_where_every_cluster_has_the_same_share_the_interval_is_not_a_point():
    found = accuracy(right("Rx" * 20), np.repeat(np.arange(20), 2))
    exact = binomtest(10, 20).proportion_ci(0.95)
    assert three(found) == pytest.approx((0.5, exact.low, exact.high))


def test_one_cluster_says_nothing_and_falls_back_on_utterances():
    found = accuracy(right("RRRx"), np.zeros(4, int))
    assert found.low < 0.5 < found.score < found.high


@settings(deadline=None, max_examples=30)
@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, 8))
def test_low_score_and_high_are_in_order_and_within_0_and_1(correct, clusters):
    found = accuracy(np.array(correct), np.arange(len(correct)) % clusters)
    assert 0.0 <= found.low <= found.score <= found.high <= 1.0


def test_the_same_guesses_on_few_recordings_show_little():
    """A constant guess that is the floor: no recording tells them apart, and few recordings cannot."""
    for recordings, at_least in ((2, 0.4), (8, 0.25), (60, 0.04)):
        labels = np.arange(recordings) % 2
        found = difference(labels == 0, labels == 0, labels, np.arange(recordings))
        assert found.score == 0.0 and found.high == pytest.approx(-found.low) and found.high > at_least
    labels = np.arange(400) % 2
    assert difference(labels == 0, labels == 0, labels, np.arange(400)).high < TOLERANCE
    by_person = difference(labels == 0, labels == 0, labels, np.arange(400) // 40)
    assert by_person.high > 0.1, "ten people are few, however many recordings they have"


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 3)), min_size=1, max_size=40), st.integers(1, 9))
def test_no_difference_has_an_interval_without_width(guesses, clusters):
    first, second, labels = (np.array(column) for column in zip(*guesses, strict=True))
    found = difference(first, second, labels, np.arange(len(labels)) % clusters)
    assert -1.0 <= found.low <= found.score <= found.high <= 1.0 and found.low < found.high
    wider = difference(first, second, labels, np.arange(len(labels)) % clusters, level=0.99)
    assert wider.low <= found.low + 1e-9 and found.high <= wider.high + 1e-9


def test_one_recording_more_or_less_changes_an_interval_a_little():
    labels = np.arange(288) % 2
    same = labels == 0
    one = same.copy()
    one[1] = True
    found = [difference(guess, same, labels, np.arange(288) // 12) for guess in (same, one)]
    assert found[0].high == pytest.approx(found[1].high, abs=0.03)


def test_the_difference_is_paired():
    """Two attackers that are right on nearly the same utterances differ by little, and surely."""
    first = np.random.default_rng(0).random(400) < 0.5
    second, labels = first.copy(), np.zeros(400, int)
    second[np.flatnonzero(first)[:20]] = False
    found = difference(first, second, labels, np.arange(400))
    assert found.score == pytest.approx(0.05)
    assert 0.02 < found.low < found.high < 0.09
    reverse = difference(second, first, labels, np.arange(400))
    assert three(reverse) == pytest.approx((-found.score, -found.high, -found.low), abs=0.01)


def test_the_same_numbers_come_out_twice():
    correct = np.random.default_rng(0).random(50) < 0.4
    assert accuracy(correct, np.arange(50) % 7) == accuracy(correct, np.arange(50) % 7)


@pytest.mark.parametrize(
    ("labels", "expected"), [([0, 0, 0], 1.0), ([0, 1, 2, 2], 0.5), ([5, 5, 3], 2 / 3), ([4], 1.0)]
)
def test_chance_is_the_share_of_the_commonest_class(labels, expected):
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
    intervals = [difference(one, other, cluster % 2, cluster) for one, other, cluster in simulated]
    assert 0.88 < np.mean([found.low <= 0.0 <= found.high for found in intervals]) < 0.99


@pytest.mark.parametrize("speakers", [6, 12])
def test_few_clusters_widen_the_interval_as_students_t_does(speakers):
    """Of symmetric data that of the mean is known: mean +- t s / sqrt(n)."""
    values = norm.ppf((np.arange(speakers) + 0.5) / speakers)
    found = ratio(values, np.ones(speakers), np.arange(speakers))
    half = t.ppf(0.975, speakers - 1) * values.std(ddof=1) / np.sqrt(speakers)
    assert (found.low, found.high) == pytest.approx((-half, half), rel=0.12)


def test_even_ten_clusters_hold_the_truth_as_often_as_they_say():
    rng, held = np.random.default_rng(1), []
    for _ in range(RUNS):
        cluster = np.repeat(np.arange(10), rng.integers(5, 15, 10))
        found = accuracy(rng.random(len(cluster)) < rng.beta(3, 2, 10)[cluster], cluster)
        held.append(found.low <= 0.6 <= found.high)
    assert 0.90 < np.mean(held) < 0.99


def test_confusion_counts_as_scikit_learn_does():
    rng = np.random.default_rng(0)
    labels, guesses = rng.integers(0, 4, 90), rng.integers(0, 3, 90)
    assert (confusion(guesses, labels, 5) == confusion_matrix(labels, guesses, labels=range(5))).all()
    assert confusion(np.array([1]), np.array([0]), 2).tolist() == [[0, 1], [0, 0]], "rows are the truth"


def test_people_come_most_exposed_first_with_exact_intervals():
    found = people(right("RRx", "RR", "RRRR", "RRRR", "x"), np.array([*"aaabb", *"zzzz", *"cccc", "d"]))
    assert [(name, clips) for name, clips, _ in found] == [("c", 4), ("z", 4), ("b", 2), ("a", 3), ("d", 1)]
    for (_, clips, interval), hits in zip(found, (4, 4, 2, 2, 0), strict=True):
        exact = binomtest(hits, clips).proportion_ci(0.95)
        assert three(interval) == pytest.approx((hits / clips, exact.low, exact.high))


def heard(speakers: int, utterances: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores in three classes, labels and speakers; of some speakers more is to be seen than of others."""
    speaker = np.repeat(np.arange(speakers), utterances)
    labels = speaker % 3
    scores = 1.5 * rng.standard_normal((len(speaker), 3))
    scores[np.arange(len(speaker)), labels] += (0.8 + 0.6 * rng.standard_normal(speakers))[speaker]
    return scores.astype(np.float32), labels, speaker


def test_one_utterance_pooled_is_that_utterance():
    scores, labels, speaker = heard(12, 9, np.random.default_rng(0))
    correct = scores.argmax(axis=1) == labels
    by_speaker = pooled(scores, labels, speaker.astype(str), speaker, 1)
    assert three(by_speaker) == pytest.approx(three(balanced_accuracy(correct, labels, speaker)), abs=0.02)
    alone = np.arange(len(labels))
    assert three(pooled(scores, labels, speaker.astype(str), alone, 1)) == pytest.approx(
        three(balanced_accuracy(correct, labels, alone)), abs=0.02
    )


def test_pooled_scores_of_all_a_speakers_utterances_are_their_sum():
    scores, labels, speaker = heard(12, 4, np.random.default_rng(0))
    logs = np.log(np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True))
    expected = logs.reshape(12, 4, 3).sum(axis=1).argmax(axis=1) == labels[::4]
    mixed = np.random.default_rng(1).permutation(48)
    offset = 100 * np.random.default_rng(2).standard_normal((48, 1)).astype(np.float32)  # of which scores are free
    found = pooled((scores + offset)[mixed], labels[mixed], speaker.astype(str)[mixed], speaker[mixed], 4)
    assert found is not None and found.score == pytest.approx(expected.mean())
    assert three(found) == pytest.approx(three(accuracy(expected, np.arange(12))), abs=0.05)


def test_utterances_of_one_person_with_different_labels_are_not_pooled():
    scores = np.log(np.array([[0.9, 0.1], [0.2, 0.8], [0.9, 0.1], [0.2, 0.8]], np.float32))
    labels, speakers = np.array([0, 1, 0, 1]), np.array(["a"] * 4)
    found = pooled(scores, labels, speakers, np.zeros(4, np.int64), 2)
    assert three(found) == pytest.approx((1.0, binomtest(2, 2).proportion_ci(0.95).low, 1.0))
    assert pooled(scores, labels, speakers, np.zeros(4, np.int64), 3) is None


def test_what_fills_no_set_is_left_out():
    scores = np.log(np.array([[0.9, 0.1]] * 5 + [[0.9, 0.1]], np.float32))
    labels, speakers = np.array([0] * 5 + [1]), np.array([*"aaaaab"])
    found = pooled(scores, labels, speakers, np.arange(6), 2)
    assert found is not None and found.score == 1.0, "the only wrong one is alone"
    assert found.low == pytest.approx(binomtest(2, 2).proportion_ci(0.95).low), "two sets of two"


@pytest.mark.parametrize("by_speaker", [True, False])
def test_intervals_of_pooled_scores_hold_the_truth_as_often_as_they_say(by_speaker):
    """By set, speakers are the same few each time; the truth is that of these."""
    rng, held = np.random.default_rng(0), []
    scores, labels, _ = heard(20000, 5, rng)
    truth = np.mean(log_posterior(scores).reshape(-1, 5, 3).sum(axis=1).argmax(axis=1) == labels[::5])
    for _ in range(150 if by_speaker else 30):
        scores, labels, speaker = heard(24 if by_speaker else 120, 12 if by_speaker else 5, rng)
        cluster = speaker if by_speaker else np.arange(len(labels))
        found = pooled(scores, labels, speaker.astype(str), cluster, 5)
        assert found is not None
        held.append(found.low <= truth <= found.high)
    assert np.mean(held) >= 0.90


def log_posterior(scores: np.ndarray) -> np.ndarray:
    return np.log(np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True))


def test_r_squared_and_absolute_error_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    true = rng.standard_normal(80)
    for predicted in (true + rng.standard_normal(80), np.full(80, 3.0), true):
        found = r_squared(predicted, true, np.arange(80) // 4)
        assert found.score == pytest.approx(r2_score(true, predicted))
        assert found.low <= found.score <= found.high <= 1.0
        expected = mean_absolute_error(true, predicted)
        assert metrics.mean_absolute_error(predicted, true) == pytest.approx(expected)


def test_without_variance_there_is_none_to_explain():
    with pytest.raises(ConfigError, match="all 3 recordings have the value 5"):
        r_squared(np.arange(3.0), np.full(3, 5.0), np.arange(3))


def test_r_squared_survives_draws_without_variance():
    """Of three speakers the one at the mean is drawn alone in one of 27 draws."""
    true = np.repeat([20.0, 30.0, 40.0], 4)
    found = r_squared(true + 1.0, true, np.repeat(np.arange(3), 4))
    assert np.isfinite(three(found)).all()


@pytest.mark.parametrize("noise", [0.5, 1.2])
def test_intervals_of_r_squared_hold_the_truth_as_often_as_they_say(noise):
    """An age has one value for each speaker; the guess is off by an amount of the speaker and one of the recording."""
    rng, held = np.random.default_rng(0), []
    truth = 1.0 - (0.4**2 + noise**2 + 0.5**2)
    for _ in range(RUNS):
        cluster = np.repeat(np.arange(SPEAKERS), rng.integers(4, 12, SPEAKERS))
        age, off = rng.standard_normal(SPEAKERS), noise * rng.standard_normal(SPEAKERS)
        predicted = (0.6 * age + off)[cluster] + 0.5 * rng.standard_normal(len(cluster))
        found = r_squared(predicted, age[cluster], cluster)
        held.append(found.low <= truth <= found.high)
    assert np.mean(held) >= 0.88
