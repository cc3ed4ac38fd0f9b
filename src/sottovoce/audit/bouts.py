"""A bout: one fresh attacker of one family, fitted on one hearing and scored on others."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sottovoce.attack.attacker import Array, Heard, Labels
from sottovoce.attack.families import FAMILIES
from sottovoce.audit.case import Part
from sottovoce.audit.hearing import Hearing, identity
from sottovoce.audit.tone import plant
from sottovoce.audit.work import Found


@dataclass(frozen=True, eq=False)
class Bout:
    """An attacker with a `share` of the training utterances; `reads` are the hearings that it is scored on.

    Found are log scores "0/validation" [V, K] and "0/test" [U, K] of the first hearing that was read, and so on.
    `planted_db` is the level of a tone that tells the label; None where nothing is planted.
    """

    family: str
    task: str
    labels: dict[Part, Labels]
    classes: int
    fitted_on: Hearing
    reads: tuple[Hearing, ...]
    cycles: int = 0
    seed: int = 0
    share: float = 1.0
    planted_db: float | None = None

    @cached_property
    def digest(self) -> str:
        """What the outcome depends on."""
        hearings = [hearing.digest for hearing in (self.fitted_on, *self.reads)]
        settings = [self.family, self.classes, self.cycles, self.seed, self.share, self.planted_db]
        return identity("bout", hearings, settings, {part: labels.tolist() for part, labels in self.labels.items()})

    @property
    def title(self) -> str:
        """The attribute and the family."""
        return f"{self.task}: {self.family}"

    @property
    def cost(self) -> int:
        """Families stand in their table from quick to slow."""
        return list(FAMILIES).index(self.family)

    def run(self) -> Found:
        """Fit the attacker and score it."""
        attacker = FAMILIES[self.family].make(self.cycles, self.seed)
        train, labels = self._heard(self.fitted_on, "train"), self.labels["train"]
        if self.share < 1.0:
            some = np.sort(np.random.default_rng(self.seed).permutation(len(train))[: round(self.share * len(train))])
            train, labels = train.pick(some), labels[some]
        validation = self._heard(self.fitted_on, "validation")
        attacker.fit(train, labels, validation, self.labels["validation"], self.classes)
        scores: dict[str, Array] = {}
        for i, hearing in enumerate(self.reads):
            for part in ("validation", "test"):
                scores[f"{i}/{part}"] = attacker.scores(self._heard(hearing, part)).astype(np.float32)
        facts = {
            "attacker": attacker.name,
            "needs": attacker.needs,
            "converged": bool(attacker.converged_),
            "steps": [[int(steps), float(score)] for steps, score in attacker.curve_],
            "recordings": len(train),
        }
        return Found(facts, scores)

    def _heard(self, hearing: Hearing, part: Part) -> Heard:
        heard = hearing.part(part)
        if self.planted_db is None:
            return heard
        return plant(heard, self.labels[part], self.classes, self.planted_db)
