"""The first steps of the opt-in game in the sizes of the paper: that it trains, and how long all of it would take.

RAVDESS, permit emotion, preset `paper`. Its learning rate does not depend on the number of steps, so these are the
first steps of a whole run.
"""

from __future__ import annotations

import json
import platform
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from matplotlib.figure import Figure

from sottovoce import terminal
from sottovoce.corpora.corpus import opened
from sottovoce.corpora.splits import split
from sottovoce.experiments.experiment import Experiment, Place, Result, RunSettings, Table
from sottovoce.experiments.figure_drawing import svg
from sottovoce.experiments.filter_runs import EMOTION_OF_RAVDESS, TargetJob
from sottovoce.files import write_file
from sottovoce.methods.optin.settings import PRESETS, OptinSettings
from sottovoce.methods.optin.training import train_optin
from sottovoce.models.layers import parameter_count
from sottovoce.models.target_loading import load_target
from sottovoce.progress import silent
from sottovoce.training.device import device
from sottovoce.training.loop import Run, identity

_LOSSES = re.compile(r"L_t (\S+)  L_p (\S+)  L_a (\S+)")  # as the game reports them
_NAMES = {"target": "L_t", "privacy": "L_p", "adversary": "L_a"}


@dataclass(frozen=True)
class FirstSteps(RunSettings):
    """The first `steps` of a game with the whole of `settings`."""

    steps: int = 30
    settings: OptinSettings = PRESETS["paper"]
    target: TargetJob = EMOTION_OF_RAVDESS


def play(run: FirstSteps, place: Place) -> dict[str, Any]:
    """Play the steps, with a thread for each worker; a killed run resumes."""
    manifest, sounds = opened(place.spec(run.target.corpus), silent)
    target = load_target(run.target.make(place))
    name = identity(corpus=manifest.digest, target=target.digest, settings=repr(run.settings))
    rows = _Rows(place.kept / "rows.json", name)
    playing = Run(run.steps, run.seed, rows.report, place.kept / "state", name)
    game = train_optin(sounds, split(manifest).train, target, run.settings, playing)
    steps = rows.kept[: run.steps]
    usual = median(row["seconds"] for row in steps)  # of a step and of keeping its state
    return {
        "corpus": manifest.digest,
        "device": torch.cuda.get_device_name() if device().type == "cuda" else f"{platform.machine()} processor",
        "threads": place.workers,
        "batch": run.settings.batch,
        "parameters": dict(zip(("obfuscator", "deobfuscator"), map(parameter_count, game[:2]), strict=True)),
        "steps": steps,
        "seconds_per_step": round(usual, 3),
        "whole_steps": run.settings.steps,
        "whole_hours": round(usual * run.settings.steps / 3600, 1),
    }


class _Rows:
    """What each step reported, kept in a file, so that the curve of a resumed run is whole."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        self.kept: list[dict[str, float]] = before["rows"] if before.get("identity") == name else []
        self.last = time.monotonic()

    def report(self, done: int, total: int, note: str) -> None:
        """A step has ended; before the first, training has begun."""
        now, losses = time.monotonic(), _LOSSES.search(note)
        if losses is not None:
            values = dict(zip(_NAMES, map(float, losses.groups()), strict=True))
            self.kept[done - 1 :] = [{"step": done, "seconds": round(now - self.last, 3), **values}]
            write_file(self.path, json.dumps({"identity": self.name, "rows": self.kept}).encode())
            terminal.note(f"step {done} of {total}: {note}\n")
        self.last = time.monotonic()


def curves(results: Sequence[Result]) -> bytes:
    """An SVG: each loss over the steps, in a panel of its own."""
    rows = results[0]["steps"]
    figure = Figure(figsize=(8.4, 2.6), layout="constrained")
    for axes, (name, sign) in zip(figure.subplots(1, len(_NAMES)), _NAMES.items(), strict=True):
        axes.plot([row["step"] for row in rows], [row[name] for row in rows], "k.-")
        axes.set(title=f"{sign}, {name}", xlabel="step")
    return svg(figure)


def _caption(results: Sequence[Result]) -> str:
    (result,) = results
    return (
        f"{result['device']}, {result['threads']} threads; {result['parameters']['obfuscator']:,} and "
        f"{result['parameters']['deobfuscator']:,} parameters; {result['seconds_per_step']} s a step, so "
        f"{result['whole_hours']} h for {result['whole_steps']:,} steps."
    )


def _steps(results: Iterable[Result]) -> list[Result]:
    return [step for result in results for step in result["steps"]]


TABLE = Table(
    (
        ("step", lambda step: str(step["step"])),
        ("L_t", lambda step: f"{step['target']:.3f}"),
        ("L_p", lambda step: f"{step['privacy']:.3f}"),
        ("L_a", lambda step: f"{step['adversary']:.3f}"),
        ("seconds", lambda step: f"{step['seconds']:.1f}"),
    ),
    _steps,
    _caption,
)

EXPERIMENT = Experiment(
    "paper-run",
    "Does the opt-in game train in the sizes of the paper, and how long would all of it take?",
    "15 min on two x86 cores for 30 of its 100,000 steps",
    {"compact": (FirstSteps(),)},
    play,
    TABLE,
    {"": curves},
    side_by_side=False,
)
