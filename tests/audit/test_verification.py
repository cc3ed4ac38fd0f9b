"""Errors of verification against hand-drawn curves, scikit-learn, and intervals that hold what they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import binomtest, norm
from sklearn.metrics import roc_curve

from sottovoce.attack.linkage import pairs
from sottovoce.audit.results import Interval
from sottovoce.audit.verification import FALSE_ACCEPTS, _eer, _last_of_ties, _points, _tpr, d_sys, intervals
from sottovoce.errors import ConfigError

coarse = st.lists(st.integers(0, 6).map(float), min_size=1, max_size=30).map(np.array)  # many are equal


def three(interval: Interval) -> tuple[float, float, float]:
    return interval.score, interval.low, interval.high


def roc(same: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores = np.concatenate([same, other])
    order = np.argsort(-scores, kind="stable")
    is_same = order < len(same)
    return _points(is_same.astype(np.int64), (~is_same).astype(np.int64), _last_of_ties(scores[order]))


def eer(same: np.ndarray, other: np.ndarray) -> float:
    """The equal error rate of pairs of one speaker [n] and of two [m]."""
    return _eer(*roc(same, other))


def tpr_at(same: np.ndarray, other: np.ndarray, fpr: float = FALSE_ACCEPTS) -> float:
    """The share of the same [n] found when a share `fpr` of others [m] is taken for them."""
    return _tpr(*roc(same, other), fpr)


def array(*values: float) -> np.ndarray:
    return np.array(values, float)


@pytest.mark.parametrize(
    ("same", "other", "expected"),
    [
        (array(3, 4), array(1, 2), 0.0),
        (array(1, 2), array(3, 4), 1.0),
        (array(1, 1), array(1, 1, 1), 0.5),  # one threshold: take all or none, or toss a coin
        (array(2, 4), array(1, 3), 0.5),
        (array(2, 4, 5, 6), array(0, 1, 1.5, 3), 0.25),
        (array(1, 5), array(1, 0), 0.25),  # from (0, 1/2) straight to (1/2, 1)
        (array(1, 3, 3), array(2, 0), 1 / 3),  # up to (0, 2/3), right to (1/2, 2/3)
    ],
)
def test_equal_error_rates_by_hand(same, other, expected):
    assert eer(same, other) == pytest.approx(expected)


@given(coarse, coarse)
def test_the_curve_is_that_of_scikit_learn(same, other):
    flags = np.concatenate([np.ones(len(same)), np.zeros(len(other))])
    fpr, tpr, _ = roc_curve(flags, np.concatenate([same, other]), drop_intermediate=False)
    along = np.linspace(0, 1, len(fpr))
    cross = brentq(lambda at: np.interp(at, along, fpr) + np.interp(at, along, tpr) - 1, 0, 1)
    assert eer(same, other) == pytest.approx(np.interp(cross, along, fpr), abs=1e-9)
    for at in (0.01, 0.1, 0.5):
        assert tpr_at(same, other, at) == pytest.approx(np.interp(at, fpr, tpr))


def test_true_positives_by_hand():
    other = np.arange(100.0)  # one in a hundred is above 98
    assert tpr_at(array(98.5, 99.5, 50, 98), other) == 0.5
    assert tpr_at(array(99.0, 99.0), np.append(other[:-1], 99.0)) == pytest.approx(1.0)
    assert tpr_at(np.zeros(5), np.zeros(7)) == pytest.approx(0.01), "who cannot tell them apart finds as many of both"
    assert tpr_at(array(98.5, 99.5, 50, 98), other, fpr=1.0) == 1.0


def test_linkability_is_0_for_one_distribution_and_1_for_two_apart():
    assert d_sys(np.ones(50), np.ones(80)) == 0.0
    equal = np.arange(1000.0) % 100
    assert d_sys(equal, np.repeat(equal, 3)) == 0.0
    assert d_sys(np.linspace(2, 3, 50), np.linspace(0, 1, 500)) == 1.0
    assert d_sys(array(2.0), array(1.0)) == 0.0, "too few for more than one bin"


@pytest.mark.parametrize("apart", [1.0, 2.0])
def test_linkability_of_two_normal_distributions_is_the_integral(apart):
    def local(s: float) -> float:
        p, q = norm.pdf(s - apart), norm.pdf(s)
        return float(p * (p - q) / (p + q))

    truth, _ = quad(local, apart / 2, 10)
    rng = np.random.default_rng(0)
    found = d_sys(rng.standard_normal(20000) + apart, rng.standard_normal(20000))
    assert found == pytest.approx(truth, abs=0.015)


@pytest.mark.parametrize(("pairs_of_one", "bias"), [(100, 0.05), (1000, 0.06), (10000, 0.02)])
def test_the_bias_of_linkability_is_what_is_documented(pairs_of_one, bias):
    rng = np.random.default_rng(0)
    found = [d_sys(rng.standard_normal(pairs_of_one), rng.standard_normal(20000)) for _ in range(20)]
    assert np.mean(found) == pytest.approx(bias, abs=0.01)


def test_pairs_of_both_kinds_are_needed():
    with pytest.raises(ConfigError, match="got 3 pairs of one speaker and 0 of two"):
        d_sys(np.ones(3), np.ones(0))
    with pytest.raises(ConfigError, match="got 0 pairs of one speaker and 3 of two"):
        d_sys(np.ones(0), np.ones(3))
    for same in (True, False):
        with pytest.raises(ConfigError, match=f"got {3 * same} pairs of one speaker and {3 * (not same)} of two"):
            intervals(np.ones(3), np.full(3, same), np.arange(3), np.arange(3))


def compared(rng: np.random.Generator, speakers: int, spread: float) -> tuple[np.ndarray, ...]:
    """Cosines of five noisy recordings each of speakers who lie `spread` deviations apart in 8 dimensions."""
    speaker = np.repeat(np.arange(speakers), 5)
    vectors = (spread * rng.standard_normal((speakers, 8)))[speaker] + rng.standard_normal((len(speaker), 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    first, second, same = pairs(speaker.astype(str))
    return (vectors[first] * vectors[second]).sum(axis=1), same, speaker[first], speaker[second]


def test_a_speaker_drawn_twice_counts_as_two_people():
    """Against the literal bootstrap, in which each copy of a speaker is somebody else."""
    rng = np.random.default_rng(0)
    scores, same, first, second = compared(rng, 40, 1.0)
    draws = []
    for _ in range(400):
        times = np.bincount(rng.integers(0, 40, 40), minlength=40)
        mated = np.repeat(scores[same], times[first[same]])
        others = np.repeat(scores[~same], times[first[~same]] * times[second[~same]])
        draws.append((eer(mated, others), tpr_at(mated, others)))
    for found, values in zip(intervals(scores, same, first, second), np.transpose(draws), strict=True):
        assert found.high - found.low == pytest.approx(4.1 * values.std(), rel=0.15)
        assert (found.low + found.high) / 2 == pytest.approx(values.mean(), abs=values.std() / 2)


def test_scores_are_those_without_an_interval_and_names_may_be_words():
    scores, same, first, second = compared(np.random.default_rng(0), 12, 1.0)
    names = np.array([f"speaker {i}" for i in range(12)])
    by_number, by_word = intervals(scores, same, first, second), intervals(scores, same, names[first], names[second])
    assert by_number[0].score == eer(scores[same], scores[~same])
    assert by_number[1].score == tpr_at(scores[same], scores[~same])
    assert by_word[0].score == by_number[0].score
    assert by_number == intervals(scores, same, first, second)


def test_where_no_draw_shows_an_error_the_interval_is_exactly_binomial():
    _, same, first, second = compared(np.random.default_rng(0), 15, 1.0)
    error, hits = intervals(same.astype(float), same, first, second)
    assert three(error) == pytest.approx((0.0, 0.0, binomtest(0, 15).proportion_ci(0.95).high))
    assert three(hits) == pytest.approx((1.0, binomtest(15, 15).proportion_ci(0.95).low, 1.0))


def test_who_says_the_same_of_all_is_at_chance_for_sure():
    _, same, first, second = compared(np.random.default_rng(0), 15, 1.0)
    error, hits = intervals(np.zeros(len(same)), same, first, second)
    assert three(error) == pytest.approx((0.5, 0.5, 0.5))
    assert three(hits) == pytest.approx((0.01, 0.01, 0.01))


def test_two_speakers_are_few_but_enough_and_one_is_not():
    first, second, same = pairs(np.array(["a", "a", "b", "b"]))
    names = np.array(["a", "a", "b", "b"])
    found = intervals(np.linspace(0, 1, len(same)), same, names[first], names[second])
    assert np.isfinite([three(one) for one in found]).all()
    with pytest.raises(ConfigError, match="at least two speakers"):
        intervals(np.ones(3), np.ones(3, bool), np.zeros(3), np.zeros(3))


@pytest.mark.parametrize("spread", [0.0, 0.8, 2.5])
def test_intervals_hold_the_truth_as_often_as_they_say(spread):
    rng = np.random.default_rng(0)
    many = [compared(rng, 400, spread) for _ in range(10)]
    scores, same = np.concatenate([c[0] for c in many]), np.concatenate([c[1] for c in many])
    truth = eer(scores[same], scores[~same]), tpr_at(scores[same], scores[~same])
    found = [intervals(*compared(rng, 20, spread)) for _ in range(60)]
    for which in (0, 1):
        held = [interval[which].low <= truth[which] <= interval[which].high for interval in found]
        assert np.mean(held) >= 0.90
