"""Searches and isolation, against the numbers of voice-anonymization-legal-eval 2.1.0 and what must hold.

Its numbers are frozen here: linkability by its estimator "exact", singling out as the mean of 4,000 runs.
"""

from collections.abc import Callable

import numpy as np
import pytest

from sottovoce.audit.linkability import PEOPLE, found_among, isolated, rivals, rows

CROWD, CALIBRATIONS = 30, 9
LINKABILITY = {2: 0.95632, 5: 0.85187, 10: 0.72988, 20: 0.57226, 30: 0.46667}
SINGLING_OUT = {2: 0.76195, 5: 0.62805, 10: 0.52176, 20: 0.42260, 30: 0.33333}


def drawn() -> tuple[np.ndarray, list[np.ndarray], np.random.Generator]:
    """Scores of 30 people and of nine calibrations of each; one's own are two deviations higher."""
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((CROWD, CROWD)) + 2.0 * np.eye(CROWD)
    own = [2.0 * (np.arange(CROWD) == i)[:, None] for i in range(CROWD)]
    return scores, [rng.standard_normal((CROWD, CALIBRATIONS)) + mine for mine in own], rng


def test_linkability_is_that_of_the_package():
    scores, _, rng = drawn()
    counts = rivals(scores, rng)
    for people, expected in LINKABILITY.items():
        found = found_among(counts, np.full(CROWD, CROWD - 1), people).mean()
        assert found == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("people", SINGLING_OUT)
def test_singling_out_is_that_of_the_package(people):
    scores, calibration, rng = drawn()
    found = np.mean([isolated(scores, calibration, people, rng).mean() for _ in range(1000)])
    assert found == pytest.approx(SINGLING_OUT[people], abs=0.005)


def test_who_is_like_everybody_is_found_by_chance():
    counts = rivals(np.ones((200, 200)), np.random.default_rng(0))
    assert counts.min() >= 0 and counts.max() <= 199
    for people in (2, 10, 100):
        found = found_among(counts, np.full(200, 199), people).mean()
        assert found == pytest.approx(1 / people, abs=0.06)


def test_one_is_always_found_among_one_and_never_beside_all_rivals():
    assert found_among(np.array([0, 3, 9]), np.full(3, 9), 1).tolist() == [1.0, 1.0, 1.0]
    assert found_among(np.array([0, 3, 9]), np.full(3, 9), 10).tolist() == pytest.approx([1.0, 0.0, 0.0])
    assert found_among(np.array([5]), np.array([10]), 2).tolist() == pytest.approx([0.5])


def cosine(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return (first * second).sum(axis=1) / np.where(length > 0, length, 1.0)


@pytest.fixture
def tables() -> Callable[..., dict[str, list[tuple[float, int, int, str]]]]:
    def made(spread: float, people: int = 25, recordings: int = 20) -> dict[str, list[tuple[float, int, int, str]]]:
        rng = np.random.default_rng(1)
        who = np.repeat(np.arange(people), recordings)
        vectors = spread * rng.standard_normal((people, 16))[who] + rng.standard_normal((len(who), 16))
        return rows(cosine, vectors, vectors, np.array([f"p{i:02}" for i in who]), 0)

    return made


def share(table: list[tuple[float, int, int, str]], people: int, utterances: int, search: bool = False) -> float:
    chosen = [row for row in table if row[2] == utterances and (search or row[1] == people)]
    values, counts = np.array([row[0] for row in chosen]), np.array([row[1] for row in chosen])
    return float((found_among(values, counts, people) if search else values).mean())


def test_more_people_make_it_harder_and_more_recordings_easier(tables):
    found = tables(0.5)
    by_people = [share(found["search"], people, 1, True) for people in (2, 5, 10, 20)]
    by_recordings = [share(found["search"], 20, count, True) for count in (1, 3, 10)]
    assert by_people == sorted(by_people, reverse=True) and by_recordings == sorted(by_recordings)
    assert by_people[0] > by_people[-1] + 0.1 and by_recordings[-1] > by_recordings[0] + 0.1
    alone = [share(found["isolation"], 20, count) for count in (1, 3)]
    assert alone[1] > alone[0] > np.exp(-1)


def test_who_tells_nothing_is_found_and_set_apart_as_often_as_anybody(tables):
    found = tables(0.0)
    for people in (2, 5, 20):
        assert share(found["search"], people, 1, True) == pytest.approx(1 / people, abs=0.12)
    assert share(found["isolation"], 20, 1) == pytest.approx(np.exp(-1), abs=0.15)


def test_only_so_many_are_pooled_as_there_are(tables):
    found = tables(1.0, people=4, recordings=5)
    assert {row[2] for row in found["search"]} == {1, 3} and {row[2] for row in found["isolation"]} == {1}
    assert {row[1] for row in found["isolation"]} == {2} and {row[1] for row in found["search"]} == {3}
    assert not any(tables(1.0, people=1).values()) and not any(tables(1.0, recordings=1).values())
    assert list(PEOPLE) == sorted(PEOPLE)
