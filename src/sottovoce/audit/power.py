"""Which leakage a corpus and its split can rule out: the intervals of attackers who know nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sottovoce.attack.attacker import Labels
from sottovoce.audit.jackknife import Clusters, difference
from sottovoce.audit.verdicts import TOLERANCE

ALIKE = 0.05  # assumed correlation of right guesses about one person: at chance 50 %, people differ by 11 points
_DRAWS = 20


@dataclass(frozen=True)
class Reach:
    """How far above the floor the interval of the leakage ends, on average, where nothing leaks.

    `independent` is for recordings that have nothing in common, `by_people` for those of a person that are correlated
    by `ALIKE`, and `constant` for attackers who guess the same of every recording, which leaves the least doubt.
    """

    recordings: int
    people: int
    classes: int
    chance: float
    independent: float
    by_people: float
    constant: float

    @property
    def possible(self) -> bool:
        """Whether the verdict can be "hidden" at all."""
        return min(self.independent, self.by_people, self.constant) <= TOLERANCE


def reach(labels: Labels, people: int, cluster: Clusters, level: float) -> Reach:
    """The reach of test recordings with these labels [U] and clusters [U], for intervals of `level`.

    An attacker who knows nothing about K classes is right with probability p = 1 / K. Of people who are guessed more or
    less easily, each has a probability of their own: of a beta distribution with mean p, whose parameters p (1 - r) / r
    and (1 - p) (1 - r) / r give two recordings of a person the correlation r.
    """
    classes = len(np.unique(labels))
    chance, rng = 1.0 / classes, np.random.default_rng(0)
    same = labels == labels[0]
    member = np.unique(cluster, return_inverse=True)[1]
    spread = (1.0 - ALIKE) / ALIKE

    def ends(clusters: Clusters, probability: Labels | np.ndarray | float) -> float:
        right = rng.random(len(labels)) < probability
        found = difference(right, same, labels, clusters, level)
        return found.high - found.score

    alone = [ends(np.arange(len(labels)), chance) for _ in range(_DRAWS)]
    easy = [rng.beta(chance * spread, (1.0 - chance) * spread, int(member.max()) + 1)[member] for _ in range(_DRAWS)]
    together = [ends(cluster, one) for one in easy] if len(np.unique(cluster)) < len(labels) else alone
    return Reach(
        recordings=len(labels),
        people=people,
        classes=classes,
        chance=chance,
        independent=float(np.mean(alone)),
        by_people=float(np.mean(together)),
        constant=difference(same, same, labels, cluster, level).high,
    )
