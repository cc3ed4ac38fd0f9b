"""Which attacker is tried on what: the lines of a report, and the attacks behind each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sottovoce.attack.attacker import Array, Attacker, Knowledge, Labels, Observations
from sottovoce.attack.families import ATTACKERS
from sottovoce.audit.budgets import Effort
from sottovoce.audit.cached_jobs import JobResult
from sottovoce.audit.case import PARTS, Case, Part
from sottovoce.audit.observations import View, identity
from sottovoce.audit.planted import plant
from sottovoce.audit.results import Input
from sottovoce.audit.scores import AttackScores
from sottovoce.plugins import Plugin


@dataclass(frozen=True)
class Views:
    """Everything that attackers observe: originals, what leaves as features or sound, and what they make of it."""

    original: View
    features: View | None
    sound: View | None
    restored: View | None = None
    inverted: View | None = None
    whole: Mapping[str, View] = field(default_factory=dict)  # each property of what leaves

    @property
    def alike(self) -> bool:
        """Whether the features have the form of originals, so that an uninformed attacker can read them."""
        shapes = {view.part("test").spectra.shape[1:] for view in (self.original, self.features) if view}
        return len(shapes) == 1

    @property
    def leaving(self) -> View:
        """What the application gets: the features where there are any, else sound."""
        view = self.features or self.sound
        assert view is not None, "something leaves every system"
        return view

    @property
    def leaving_as(self) -> Input:
        """The name of that."""
        return "features" if self.features else "sound"


@dataclass(frozen=True, eq=False)
class Line:
    """One line of a report: the scores of the attacks of `seeds` on the view that they read `read`-th."""

    side: Literal["attackers", "originals"]
    knowledge: Knowledge
    input: Input
    seeds: tuple[AttackRun, ...]
    read: int
    shares: tuple[AttackRun, ...] = ()  # the same with fewer recordings

    def with_curve(self, shares: tuple[float, ...]) -> Line:
        """The same with attacks for a budget curve."""
        first = replace(self.seeds[0], reads=(self.seeds[0].reads[self.read],))
        return replace(self, shares=tuple(replace(first, share=share) for share in shares))

    def error(self, results: Mapping[str, JobResult]) -> str:
        """Why an attack of it broke down; empty where none did."""
        return next((result.error for run in self.seeds if (result := results[run.digest]).error), "")

    def scores(self, results: Mapping[str, JobResult], labels: Mapping[Part, Labels]) -> AttackScores:
        """The scores of all seeds, of which none broke down."""
        validation, test = (
            np.stack([results[run.digest].arrays[f"{self.read}/{part}"] for run in self.seeds])
            for part in ("validation", "test")
        )
        return AttackScores(validation, test, labels["validation"], labels["test"], labels["train"])


def lines(case: Case, task: str, views: Views, effort: Effort, seed: int) -> list[Line]:
    """Every line of one attribute."""
    labels, picked = {part: case.labels(task, part) for part in PARTS}, picks(case, task)

    def attack(family: str, fitted_on: View, reads: tuple[View, ...], seed: int) -> AttackRun:
        cycles = effort.cycles.get(family, 0)
        return AttackRun(family, task, labels, len(case.classes(task)), fitted_on, reads, cycles, seed, picked=picked)

    planned = []
    for input, view, families in _leaving(views, effort):
        for family in _able(case, families, view):
            seeds = range(seed, seed + (effort.seeds if ATTACKERS[family].seeded else 1))
            runs = tuple(attack(family, view, (view,), each) for each in seeds)
            line = Line("attackers", "informed", input, runs, 0)
            planned.append(line.with_curve(effort.shares) if family in effort.curves else line)
    for name, view in views.whole.items():
        for family in effort.on_properties.get(name, effort.on_properties.get("", ())):
            planned.append(Line("attackers", "informed", name, (attack(family, view, (view,), seed),), 0))
    for family in _able(case, effort.uninformed, views.original):
        reads = _reads(family, views)
        runs = (attack(family, views.original, tuple(view for _, _, view in reads), seed),)
        planned += [
            Line("originals" if input == "original" else "attackers", knowledge, input, runs, read)
            for read, (knowledge, input, _) in enumerate(reads)
        ]
    return planned


def picks(case: Case, task: str) -> dict[Part, NDArray[np.int64]] | None:
    """Which utterances of each part are attacked; None for all."""
    return None if case.is_whole(task) else {part: case.picked(task, part) for part in PARTS}


def _leaving(views: Views, effort: Effort) -> list[tuple[Input, View, tuple[str, ...]]]:
    """What leaves the system, and the attackers that are fitted on it."""
    leaving: list[tuple[Input, View, tuple[str, ...]]] = [(views.leaving_as, views.leaving, effort.informed)]
    if views.features is not None and views.sound is not None:
        leaving.append(("sound", views.sound, effort.on_sound))
    return leaving


def _reads(family: str, views: Views) -> list[tuple[Knowledge, Input, View]]:
    """What an attacker that is fitted on originals is scored on: these, what leaves, and that restored or inverted."""
    tried: list[tuple[Knowledge, Input, View | None]] = [
        ("uninformed", "original", views.original),
        ("uninformed", "features", views.features if views.alike else None),
        ("uninformed", "sound", views.sound),
        ("informed", "restored", views.restored),
        ("white-box", "inverted", views.inverted),
    ]
    return [
        (knowledge, input, view)
        for knowledge, input, view in tried
        if view is not None
        and has_sound(family, view)
        and not (ATTACKERS[family].needs_answers and input in ("restored", "inverted"))  # which have no answers
    ]


def _able(case: Case, families: tuple[str, ...], view: View) -> list[str]:
    """Those of the families that have what they need here."""
    return [
        family
        for family in families
        if (case.targets or not ATTACKERS[family].needs_answers) and has_sound(family, view)
    ]


def has_sound(family: str, view: View) -> bool:
    """Whether a view has what an attacker needs of sound: any, or what its own speaker encoder makes of it."""
    attacker = ATTACKERS[family]
    return bool(view.voices) and attacker.encoder in ("", *view.voices) if attacker.needs_sound else True


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
    picked: dict[Part, NDArray[np.int64]] | None = None  # the utterances that have the label; None for all
    attacker: Plugin[type[Attacker]] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "attacker", ATTACKERS.plugin(self.family))

    @cached_property
    def digest(self) -> str:
        """What the outcome depends on."""
        views = [view.digest for view in (self.fitted_on, *self.reads)]
        who = [self.family, self.attacker.version]
        settings = [*who, self.classes, self.cycles, self.seed, self.share, self.planted_db]
        known = {part: labels.tolist() for part, labels in self.labels.items()}
        some = [] if self.picked is None else [{part: rows.tolist() for part, rows in self.picked.items()}]
        return identity("attack", views, settings, known, *some)

    @property
    def title(self) -> str:
        """The attribute and the family."""
        return f"{self.task}: {self.family}"

    @property
    def cost(self) -> int:
        """How slow the attacker is."""
        return self.attacker.value.cost

    @property
    def inputs(self) -> tuple[Path, ...]:
        """The folders of its views."""
        return tuple({view.folder: None for view in (self.fitted_on, *self.reads)})

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
                observed = self._observed(view, part)
                scored = np.asarray(attacker.scores(observed))
                if scored.shape != (len(observed), self.classes):
                    expected = (len(observed), self.classes)
                    raise ValueError(f"its scores have the shape {scored.shape}; expected {expected}")
                scores[f"{i}/{part}"] = scored.astype(np.float32)
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
        if self.picked is not None:
            observations = observations.pick(self.picked[part])
        if self.planted_db is None:
            return observations
        return plant(observations, self.labels[part], self.classes, self.planted_db)
