"""Verdicts: what the intervals of leakage, floor and ceiling show, and what would settle the rest."""

import numpy as np
import pytest

from sottovoce.audit.metrics import difference
from sottovoce.audit.results import Interval
from sottovoce.audit.verdicts import TOLERANCE, level, settle, unreadable, verdict

HALF, CEILING = Interval(score=0.5, low=0.5, high=0.5), Interval(score=0.95, low=0.9, high=0.98)


def of(score: float, low: float, high: float) -> Interval:
    return Interval(score=score, low=low, high=high)


@pytest.mark.parametrize(
    ("leakage", "expected"),
    [
        (of(0.05, 0.021, 0.08), "leaks"),
        (of(0.30, 0.02, 0.58), "not shown"),  # however large the leakage, its interval decides
        (of(0.00, -0.03, 0.03), "not shown"),
        (of(0.00, -0.02, 0.02), "hidden"),
        (of(0.01, -0.46, 0.48), "not shown"),
        (of(-0.2, -0.30, -0.1), "hidden"),
    ],
)
def test_the_interval_decides(leakage, expected):
    assert verdict(leakage, HALF, CEILING, chance=0.5) == expected


def test_what_nobody_can_read_is_not_shown_to_be_hidden():
    blind = of(0.51, 0.49, 0.53)
    assert verdict(of(0.0, -0.01, 0.01), HALF, blind, chance=0.5) == "not shown"
    assert unreadable(HALF, blind) and not unreadable(HALF, CEILING)


def test_implied_is_what_the_permitted_answer_tells_and_the_originals_no_better():
    floor = of(0.95, 0.91, 0.98)
    assert verdict(of(0.0, -0.01, 0.01), floor, CEILING, chance=0.5) == "implied"
    assert verdict(of(0.0, -0.01, 0.01), of(0.6, 0.55, 0.65), CEILING, chance=0.5) == "hidden"
    assert verdict(of(0.04, 0.03, 0.05), floor, CEILING, chance=0.5) == "leaks"
    weak = of(0.5, 0.4, 0.6)
    assert verdict(of(0.0, -0.01, 0.01), weak, of(0.5, 0.4, 0.6), chance=0.5) == "not shown", "nothing is told at all"


def test_many_attributes_need_wider_intervals():
    assert level(1) == pytest.approx(0.95) and level(5) == pytest.approx(0.99) and level(0) == pytest.approx(0.95)


def test_as_much_evidence_as_is_asked_for_settles_it():
    """Where nothing leaks, the upper end is then at the tolerance on average, and the lower end above it of a leak."""
    rng = np.random.default_rng(0)

    def attacked(people: int, each: int, leak: float) -> Interval:
        cluster = np.repeat(np.arange(people), each)
        easy = 0.5 + leak + rng.normal(0.0, 0.12, people)
        return difference(rng.random(people * each) < easy[cluster], cluster % 2 == 0, cluster % 2, cluster)

    for leak, shown in ((0.0, "hidden"), (0.08, "leaks")):
        needed = []
        for _ in range(40):
            found = attacked(40, 10, leak)
            one = settle(
                of(leak, found.low - found.score + leak, found.high - found.score + leak), 0.5, False, 400, 40, True
            )
            assert one is not None and one.verdict == shown and one.recordings >= 400
            needed.append(one.people)
        people = int(np.median(needed))
        ends = [attacked(people, 10, leak) for _ in range(40)]
        if shown == "hidden":
            assert np.mean([found.high for found in ends]) == pytest.approx(TOLERANCE, abs=0.004)
        else:
            assert np.mean([found.low for found in ends]) == pytest.approx(TOLERANCE, abs=0.015)


@pytest.mark.parametrize("recordings", [8, 60])
def test_where_nothing_varies_what_settles_it_is_exact(recordings):
    def constant(count: int) -> Interval:
        labels = np.arange(count) % 2
        return difference(labels == 0, labels == 0, labels, np.arange(count))

    found = settle(constant(recordings), 0.5, True, recordings, 6, False)
    assert found is not None and (found.verdict, found.people) == ("hidden", 6)
    assert constant(found.recordings + 8).high <= TOLERANCE < constant(found.recordings - 8).high


def test_where_no_number_settles_it_none_is_named():
    assert settle(of(TOLERANCE, -0.1, 0.2), 0.5, False, 100, 10, True) is None
    assert settle(of(TOLERANCE + 1e-6, -0.1, 0.2), 0.5, False, 100, 10, True) is None
    nobody = settle(of(0.0, -0.1, 0.1), 0.5, False, 100, 0, False)
    assert nobody is not None and nobody.people is None
