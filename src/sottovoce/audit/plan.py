"""Which attacker meets what: the lines of a report, and the bouts behind each of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np

from sottovoce.attack.attacker import Array, Attacker, Knowledge, Labels, Observations
from sottovoce.attack.families import ATTACKERS
from sottovoce.audit.budgets import Effort
from sottovoce.audit.case import PARTS, Case, Part
from sottovoce.audit.observations import View, identity
from sottovoce.audit.planted import plant
from sottovoce.audit.results import Input
from sottovoce.audit.work import JobResult
from sottovoce.plugins import Plugin


@dataclass(frozen=True)
class Views:
    """Everything that attackers hear: originals, what leaves as features or sound, and what they make of it."""

    original: View
    features: View | None
    sound: View | None
    restored: View | None = None
    inverted: View | None = None

    @property
    def alike(self) -> bool:
        """Whether the features have the form of originals, so that an uninformed attacker can read them."""
        shapes = [found.part("test").spectra.shape[1:] for found in (self.original, self.features) if found]
        return len(set(shapes)) == 1

    @property
    def leaving(self) -> View:
        """What the application gets: the features where there are any, else sound."""
        found = self.features or self.sound
        assert found is not None, "something leaves every system"
        return found

    @property
    def leaving_as(self) -> Input:
        """The name of that."""
        return "features" if self.features else "sound"


@dataclass(frozen=True, eq=False)
class Line:
    """One line of a report: the scores that the bouts of `seeds` have on the hearing that they read `read`-th."""

    side: Literal["attackers", "originals"]
    knowledge: Knowledge
    input: Input
    seeds: tuple[AttackRun, ...]
    read: int
    shares: tuple[AttackRun, ...] = ()  # the same with fewer recordings

    def with_curve(self, shares: tuple[float, ...]) -> Line:
        """The same with bouts for a budget curve."""
        first = replace(self.seeds[0], reads=(self.seeds[0].reads[self.read],))
        return replace(self, shares=tuple(replace(first, share=share) for share in shares))


def lines(case: Case, task: str, views: Views, effort: Effort, seed: int) -> list[Line]:
    """Every line of one attribute."""
    labels = {part: case.labels(task, part) for part in PARTS}
    found = list(_informed(case, task, labels, views, effort, seed))
    for family in _able(case, effort.uninformed, views.original.voices):
        found += _uninformed(case, family, task, labels, views, effort, seed)
    return found


def _informed(
    case: Case, task: str, labels: dict[Part, Labels], views: Views, effort: Effort, seed: int
) -> Iterator[Line]:
    """Attackers fitted on what leaves."""
    both = views.features is not None and views.sound is not None
    met: list[tuple[Input, View, tuple[str, ...]]] = [(views.leaving_as, views.leaving, effort.informed)]
    if both and views.sound is not None:
        met.append(("sound", views.sound, effort.on_sound))
    for input, view, families in met:
        for family in _able(case, families, voices=view.voices):
            count = effort.seeds if ATTACKERS[family].seeded else 1
            attack_run = AttackRun(
                family, task, labels, len(case.classes(task)), view, (view,), effort.cycles.get(family, 0)
            )
            line = Line(
                "attackers", "informed", input, tuple(replace(attack_run, seed=seed + i) for i in range(count)), 0
            )
            yield line.with_curve(effort.shares) if family in effort.curves else line


def _uninformed(
    case: Case,
    family: str,
    task: str,
    labels: dict[Part, Labels],
    views: Views,
    effort: Effort,
    seed: int,
) -> list[Line]:
    """One attacker fitted on originals: without the system, with it, and on what was restored or inverted."""
    met: list[tuple[Knowledge, Input, View | None]] = [
        ("uninformed", "features", views.features if views.alike else None),
        ("uninformed", "sound", views.sound),
        ("informed", "restored", views.restored),
        ("white-box", "inverted", views.inverted),
    ]
    needs_answers = family == "target"
    reads = [
        (knowledge, input, view)
        for knowledge, input, view in met
        if view is not None
        and (view.voices or not ATTACKERS[family].needs_sound)
        and not (needs_answers and input in ("restored", "inverted"))
    ]
    attack_run = AttackRun(
        family,
        task,
        labels,
        len(case.classes(task)),
        views.original,
        (views.original, *(view for _, _, view in reads)),
        effort.cycles.get(family, 0),
        seed,
    )
    found = [Line("originals", "uninformed", "original", (attack_run,), 0)]
    return found + [
        Line("attackers", knowledge, input, (attack_run,), read)
        for read, (knowledge, input, _) in enumerate(reads, start=1)
    ]


def _able(case: Case, families: tuple[str, ...], voices: bool) -> list[str]:
    """Those of the families that have what they need here."""
    return [
        family
        for family in families
        if (family != "target" or case.targets) and (not ATTACKERS[family].needs_sound or voices)
    ]


@dataclass(frozen=True, eq=False)
class AttackRun:
    """An attacker with a `share` of the training utterances; `reads` are the views that it is scored on.

    Its result has log scores "0/validation" [V, K] and "0/test" [U, K] of the first view that was read, and so on.
    `planted_db` is the level of a tone that tells the label; None where nothing is planted. `attacker` is looked up
    when the run is planned and goes with it, since a worker process need not know what this one has registered.
    """

    family: str
    task: str
    labels: dict[Part, Labels]
    classes: int
    fitted_on: View
    reads: tuple[View, ...]
    cycles: int = 0
    seed: int = 0
    share: float = 1.0
    planted_db: float | None = None
    attacker: Plugin[type[Attacker]] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "attacker", ATTACKERS.plugin(self.family))

    @cached_property
    def digest(self) -> str:
        """What the outcome depends on."""
        views = [view.digest for view in (self.fitted_on, *self.reads)]
        who = [self.family, self.attacker.version]
        settings = [*who, self.classes, self.cycles, self.seed, self.share, self.planted_db]
        return identity("attack", views, settings, {part: labels.tolist() for part, labels in self.labels.items()})

    @property
    def title(self) -> str:
        """The attribute and the family."""
        return f"{self.task}: {self.family}"

    @property
    def cost(self) -> int:
        """How slow the attacker is."""
        return self.attacker.value.cost

    def run(self) -> JobResult:
        """Fit the attacker and score it."""
        attacker = self.attacker.value(self.cycles, self.seed)
        train, labels = self._observed(self.fitted_on, "train"), self.labels["train"]
        if self.share < 1.0:
            some = np.sort(np.random.default_rng(self.seed).permutation(len(train))[: round(self.share * len(train))])
            train, labels = train.pick(some), labels[some]
        validation = self._observed(self.fitted_on, "validation")
        attacker.fit(train, labels, validation, self.labels["validation"], self.classes)
        scores: dict[str, Array] = {}
        for i, view in enumerate(self.reads):
            for part in ("validation", "test"):
                scores[f"{i}/{part}"] = attacker.scores(self._observed(view, part)).astype(np.float32)
        facts = {
            "attacker": attacker.name,
            "needs": attacker.needs,
            "converged": bool(attacker.converged_),
            "steps": [[int(steps), float(score)] for steps, score in attacker.curve_],
            "recordings": len(train),
        }
        return JobResult(facts, scores)

    def _observed(self, view: View, part: Part) -> Observations:
        observations = view.part(part)
        if self.planted_db is None:
            return observations
        return plant(observations, self.labels[part], self.classes, self.planted_db)
