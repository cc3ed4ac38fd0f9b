"""How well a person is found among others, and set apart from them, by how many there are and how much each says.

European data protection authorities call these linkability and singling out. They are defined here as in the package
voice-anonymization-legal-eval 2.1.0, which gives the same numbers for the same similarities.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations, islice

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from sottovoce.attack.attacker import Array

UTTERANCES = (1, 3, 10)  # that are pooled
PEOPLE = (2, 5, 10, 20, 50, 100, 200, 500, 1000)
_DRAWS = 5  # ways to deal the recordings of a person; any one of them is noise
_CALIBRATIONS = 9  # sets of recordings that a threshold is set with, of each person
_Values = NDArray[np.float64]
_Counts = NDArray[np.int64]
Similarity = Callable[[Array, Array], Array]
Rows = dict[str, list[tuple[float, int, int, str]]]  # value, people, utterances, name


def rows(similarity: Similarity, known: Array, there: Array, speakers: NDArray[np.str_], seed: int) -> Rows:
    """What comes of searching for each of `speakers` [U], and of setting each apart, by vectors [U, D].

    Half of the recordings of a person are `known`, and pooled; of the others in `there` so many as UTTERANCES are
    pooled. "search" has the number of others who are more alike to what is sought than the person is, and how many
    others there are; "isolation" has whether exactly one of so many people passes a threshold that 1 in so many passes.
    """
    rng = np.random.default_rng(seed)
    names = np.unique(speakers)
    found: Rows = {"search": [], "isolation": []}
    for _ in range(_DRAWS):
        dealt = [rng.permutation(np.flatnonzero(speakers == name)) for name in names]
        halves = [np.split(own, [len(own) // 2]) for own in dealt]
        for count in UTTERANCES:
            tested = [i for i, (before, after) in enumerate(halves) if len(before) and len(after) >= count]
            if len(tested) < 2:
                continue
            whose = names[tested]
            enrolled = np.stack([_pooled(known[halves[i][0]]) for i in tested])
            sought = np.stack([_pooled(there[halves[i][1][:count]]) for i in tested])
            scores = _matrix(similarity, enrolled, sought)
            others = len(tested) - 1
            found["search"] += [
                (float(m), others, count, str(name)) for m, name in zip(rivals(scores, rng), whose, strict=True)
            ]
            spare = [i for i, person in enumerate(tested) if len(halves[person][1]) >= 2 * count]
            if len(spare) < 2:
                continue
            held = [_calibrations(halves[tested[i]][1][count:], count) for i in spare]
            vectors = np.stack([_pooled(there[list(chosen)]) for sets in held for chosen in sets])
            calibration = np.split(
                _matrix(similarity, enrolled[spare], vectors), np.cumsum([*map(len, held)])[:-1], axis=1
            )
            for people in sizes(len(spare)):
                alone = isolated(scores[np.ix_(spare, spare)], calibration, people, rng)
                found["isolation"] += [
                    (float(one), people, count, str(name)) for one, name in zip(alone, whose[spare], strict=True)
                ]
    return found


def sizes(most: int) -> Iterator[int]:
    """How many people there may be in a search, of so many."""
    return (people for people in PEOPLE if people <= most)


def rivals(scores: Array, rng: np.random.Generator) -> _Counts:
    """How many of the enrolled (rows) of scores [P, P] are more alike to each column than its own row is, [P].

    Who is as alike stands before or after the person by chance: otherwise what never varies would be found always.
    """
    own = np.diag(scores)
    more, as_much = (scores > own).sum(axis=0), (scores == own).sum(axis=0) - 1
    counts: _Counts = more + rng.integers(0, as_much + 1)
    return counts


def found_among(rivals: _Counts, others: _Counts, people: int) -> _Values:
    """The probability [Q] that none of so many rivals [Q] is among `people` - 1 who are drawn from so many others [Q].

    Of n others, k = people - 1 are drawn without m rivals in C(n - m, k) of C(n, k) ways.
    """
    good, drawn = others - rivals.astype(np.float64), people - 1
    logs = gammaln(good + 1) - gammaln(np.maximum(good - drawn, 0) + 1)
    logs -= gammaln(others + 1.0) - gammaln(others - drawn + 1.0)
    return np.where(good >= drawn, np.exp(logs), 0.0)


def isolated(scores: Array, calibration: list[Array], people: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Whether, of each row's own column of scores [P, P] and those of `people` - 1 others, exactly one is above, [P].

    Above a threshold that is set on `calibration`, scores [P, C] of each person: so many of all are above it as the
    own person has scores there, which makes one in `people`.
    """
    alone = np.zeros(len(scores), bool)
    for own in range(len(scores)):
        others = rng.choice(len(scores) - 1, people - 1, replace=False)
        among = np.append(others + (others >= own), own)
        falling = -np.sort(-np.concatenate([calibration[i][own] for i in among]))
        above = calibration[own].shape[1]
        threshold = (falling[above - 1] + falling[above]) / 2
        alone[own] = (scores[own, among] > threshold).sum() == 1
    return alone


def _pooled(vectors: Array) -> Array:
    """One vector [D] for several [n, D], as long as they are on average."""
    mean = vectors.mean(axis=0)
    length = np.linalg.norm(mean)
    pooled: Array = mean * (np.linalg.norm(vectors, axis=1).mean() / length) if length else mean
    return pooled


def _calibrations(recordings: _Counts, count: int) -> list[tuple[int, ...]]:
    return [*islice(combinations(recordings.tolist(), count), _CALIBRATIONS)]


def _matrix(similarity: Similarity, rows: Array, columns: Array) -> Array:
    """Similarities [P, Q] of every row to every column."""
    first, second = np.repeat(np.arange(len(rows)), len(columns)), np.tile(np.arange(len(columns)), len(rows))
    return similarity(rows[first], columns[second]).reshape(len(rows), len(columns))
