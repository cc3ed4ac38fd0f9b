"""Runs that train one filter and audit it, what most experiments are made of, and the lines of their tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from sottovoce.corpora.manifest import SplitRule
from sottovoce.experiments.embeddings import read_embeddings
from sottovoce.experiments.experiment import (
    Corpus,
    Place,
    Result,
    RunSettings,
    SharedJob,
    digest,
    grouped,
)
from sottovoce.jobs.audit import AuditConfig, run_audit
from sottovoce.jobs.train import TrainConfig, make_filter, make_target
from sottovoce.progress import silent


@dataclass(frozen=True)
class TargetJob(SharedJob):
    """A target of a task, which all experiments share."""

    corpus: Corpus
    task: str
    preset: str = "compact"
    split: SplitRule | None = None  # None: as the corpus suggests
    settings: tuple[tuple[str, object], ...] = ()  # by name, in the place of those of the preset
    seed: int = 0

    @property
    def name(self) -> str:
        """How commands name it."""
        return f"target-{self.task}"

    def make(self, place: Place) -> Path:
        """The folder of the target, trained unless it is there."""
        folder = place.shared / f"target-{self.corpus.short}-{self.task}-{digest(self)}"
        if not folder.is_dir():
            command = f"sottovoce target --corpus {self.corpus.short}:PATH --task {self.task} --preset {self.preset}"
            command += f" --out target-{self.task} --seed {self.seed}" + _set(self.settings)
            command += f" --split {self.split}" if self.split else ""
            spec, settings = place.spec(self.corpus), dict(self.settings)
            make_target(spec, self.task, folder, self.preset, self.split, self.seed, command, silent, settings)
        return folder


@dataclass(frozen=True)
class ReadyTarget(SharedJob):
    """A target that comes with the program, and the corpus on which a filter for it is measured."""

    corpus: Corpus
    task: str

    @property
    def name(self) -> str:
        """How commands name it."""
        return f"{self.task}:"

    def make(self, place: Place) -> str:
        """Its name: there is nothing to be done."""
        return self.name


Settings = tuple[tuple[str, object], ...]  # by name, hashable
EMOTION_OF_RAVDESS = TargetJob(Corpus("ravdess:ravdess"), "emotion")


@dataclass(frozen=True)
class FilterJob(SharedJob):
    """A filter that permits the tasks of its targets; `settings`, by name, take the place of those of the preset.

    `negatives` are corpora of what is none of the tasks.
    """

    targets: tuple[TargetJob | ReadyTarget, ...]
    method: str = "codebook"
    preset: str = "compact"
    seed: int = 0
    settings: Settings = ()
    negatives: tuple[Corpus, ...] = ()

    @property
    def corpus(self) -> Corpus:
        """That of the targets."""
        return self.targets[0].corpus

    @property
    def permit(self) -> tuple[str, ...]:
        """The tasks of the targets."""
        return tuple(target.task for target in self.targets)

    @property
    def command(self) -> str:
        """The command that trains it."""
        targets = ",".join(target.name for target in self.targets)
        command = f"sottovoce train --corpus {self.corpus.short}:PATH --permit {','.join(self.permit)}"
        command += f" --target {targets} --method {self.method} --preset {self.preset} --seed {self.seed} --out filter"
        return command + _set(self.settings)

    def make(self, place: Place) -> Path:
        """The folder of the filter, trained unless it is there."""
        folder = place.kept / f"filter-{digest(self)}"
        if not folder.is_dir():
            targets = tuple(target.make(place) for target in self.targets)
            config = TrainConfig(
                place.spec(self.corpus),
                self.permit,
                targets,
                folder,
                self.method,
                self.preset,
                dict(self.settings),
                self.seed,
                self.command,
                negatives=tuple(map(place.spec, self.negatives)),
            )
            make_filter(config, silent)
        return folder


def _text(value: object) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _set(settings: Settings) -> str:
    return "".join(f" --set {name}={_text(value)}" for name, value in settings)


@dataclass(frozen=True)
class FilterRun(RunSettings):
    """A filter and an audit of it; `consent` is what is permitted at run time, of what was permitted in training."""

    filter: FilterJob
    attack: tuple[str, ...]
    title: str = ""
    attackers: str = "quick"
    only: tuple[str, ...] = ()  # of the attackers, where not all of them are to be tried
    consent: tuple[str, ...] = ()
    constant: int = 0  # blocks that leave for every sound; 0: as many as it has
    audit_seed: int = 0


def filter_run(
    corpus: str,
    permit: Sequence[str],
    attack: Sequence[str],
    target_preset: str = "compact",
    split: SplitRule | None = None,
    target_settings: Settings = (),
    **settings: Any,
) -> FilterRun:
    """A run with targets of one preset and split; `settings` are those of the run, of the filter or of its method."""
    audit, trained = (
        {key: settings.pop(key) for key in kind.__dataclass_fields__ if key in settings and key != "seed"}
        for kind in (FilterRun, FilterJob)
    )
    seed = settings.pop("seed", 0)
    targets = tuple(TargetJob(Corpus(corpus), task, target_preset, split, target_settings) for task in permit)
    job = FilterJob(targets, seed=seed, settings=tuple(settings.items()), **trained)
    return FilterRun(job, tuple(attack), seed=seed, **audit)


def train_and_audit(run: FilterRun, place: Place, judges: Sequence[TargetJob] = ()) -> dict[str, Any]:
    """Train the filter, audit it, and return what is worth keeping, without the paths of this machine.

    `judges` measure what is permitted besides those that the filter holds.
    """
    made, spec = run.filter, place.spec(run.filter.corpus)
    folder, audit = made.make(place), place.kept / f"audit-{digest(run)}"
    attack = tuple(task for task in run.attack if task not in (run.consent or made.permit))
    command = f"sottovoce audit filter --corpus {made.corpus.short}:PATH --attack {','.join(attack)} --out audit"
    command += f" --attackers {run.attackers} --seed {run.audit_seed}"
    command += "".join(f" --attacker {name}" for name in run.only)
    command += f" --constant {run.constant}" if run.constant else ""
    command += f" --permit {','.join(run.consent)}" if run.consent else ""
    command += "".join(f" --judge {judge.name}-{judge.preset}" for judge in judges)
    if not (audit / "digests.json").is_file():
        others = tuple(judge.make(place) for judge in judges)
        config = AuditConfig(str(folder), spec, audit, run.attackers, attack, run.consent, judges=others, only=run.only)
        run_audit(replace(config, seed=run.audit_seed, command=command, constant=run.constant), silent)
    results = json.loads((audit / "results.json").read_text(encoding="utf-8"))
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    read = read_embeddings(folder, spec, attack, silent) if made.method == "adr" else {}
    return {
        "name": run.title,
        "method": made.method,
        "preset": made.preset,
        "permit": list(run.consent or made.permit),
        "declared": _text(dict(made.settings).get("hide", ())) or None,
        "commands": [made.command, command],
        "corpus": {key: results["corpus"][key] for key in ("name", "digest", "split", "split_seed", "test_clips")},
        "codewords": card.get("codewords"),
        "train_seconds": card["seconds"],
        "private": {task: _private(entry) | read.get(task, {}) for task, entry in results["private"].items()},
        "linkage": results["linkage"] and _linkage(results["linkage"]),
        **{key: results[key] for key in ("attackers", "filter", "valid", "controls", "permitted", "bound", "seconds")},
    }


def _private(entry: dict[str, Any]) -> dict[str, Any]:
    """What is kept of an attacked attribute: of all attackers a few numbers, of the best everything."""
    whole = ("chance", "floor", "ceiling", "leakage", "verdict", "cluster", "strongest")
    brief = ("attacker", "knowledge", "input", "score", "validation")
    best: dict[str, Any] = {}
    for knowledge in ("uninformed", "informed"):
        known = [row for row in entry["attackers"] if row["knowledge"] == knowledge]
        best[knowledge] = max(known, key=lambda row: float(row["validation"])) if known else None  # by validation
    rows = [{key: row[key] for key in brief} for row in entry["attackers"]]
    return {**{key: entry[key] for key in whole}, **best, "attackers": rows}


def _linkage(entry: dict[str, Any]) -> dict[str, Any]:
    """What is kept of linking people: the strongest linkers, of all and of each knowledge, and that of originals."""
    best: dict[str, Any] = {}
    for knowledge in ("uninformed", "informed"):
        known = [row for row in entry["linkers"] if row["knowledge"] == knowledge]
        best[knowledge] = min(known, key=lambda row: float(row["eer"]["score"]), default=None)
    return {"strongest": entry["strongest"], "ceiling": entry["ceiling"], **best}


class Line(NamedTuple):
    """An attribute, and runs that differ in their seed alone."""

    runs: Sequence[Result]
    attribute: str

    @property
    def first(self) -> Result:
        return self.runs[0]

    @property
    def entries(self) -> list[Result]:
        """What the audit of each run says of the attribute."""
        return [run["private"][self.attribute] for run in self.runs]

    @property
    def strongest(self) -> Result:
        """The strongest attacker of the seed that is read best."""
        return max((entry["strongest"] for entry in self.entries), key=lambda row: float(row["score"]))

    def targets(self, side: str) -> list[float]:
        """What the target of each permitted task and run gets right, "original" or "obfuscated"."""
        return [task[side]["score"] for run in self.runs for task in run["permitted"].values()]


def by_attribute(
    key: Callable[[Result], Any], results: Iterable[Result], attributes: Sequence[str] = ()
) -> Iterator[Line]:
    """Lines of runs with the same key, one for each of `attributes`; for all that were attacked if none is named."""
    for runs in grouped(results, key).values():
        for task in attributes or runs[0]["private"]:
            if task in runs[0]["private"]:
                yield Line(runs, task)
