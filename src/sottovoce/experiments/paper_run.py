"""The first steps of the opt-in game in the sizes of the paper: that it trains, and how long all of it would take.

Made by `sottovoce experiment paper-run`: RAVDESS, permit emotion, preset `paper`. Its learning rate does not depend on
the number of steps, so that these are the first steps of a whole run; a killed run goes on where it was.
"""

from __future__ import annotations

import json
import platform
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from matplotlib.figure import Figure

from sottovoce.corpora.corpus import opened
from sottovoce.corpora.manifest import split
from sottovoce.experiments.drawing import svg
from sottovoce.experiments.targets import kept_target
from sottovoce.files import write_file
from sottovoce.methods.optin.game import PRESETS, train_optin
from sottovoce.models.layers import parameter_count
from sottovoce.models.target_folder import load_target
from sottovoce.progress import silent
from sottovoce.training.loop import Run, device, identity

STEPS = 30
_LOSSES = re.compile(r"L_t (\S+)  L_p (\S+)  L_a (\S+)")  # as the game reports them
_NAMES = ("target", "privacy", "adversary")


def run(corpora: Path, out: Path, workers: int, steps: int = STEPS) -> str:
    """So many steps on one thread for each of `workers`; writes `out`/paper-run.json and .svg, returns a table."""
    torch.set_num_threads(workers)
    target_at = out / "runs" / "ravdess-emotion" / "target"  # the one that the experiment first-light uses
    spec = f"ravdess:{corpora / 'ravdess'}"
    kept_target(target_at, "ravdess", corpora / "ravdess", "emotion", silent)
    manifest, sounds = opened(spec, silent)
    target, settings = load_target(target_at), PRESETS["paper"]
    place = out / "runs" / "paper-run"
    name = identity(corpus=manifest.digest, target=target.digest, settings=repr(settings))
    rows = _Rows(place / "rows.json", name)
    game = Run(steps, 0, rows.report, place / "state", name)
    players = train_optin(sounds, split(manifest).train, target, settings, game)
    made = rows.kept[:steps]
    found = {
        "preset": "paper",
        "corpus": manifest.digest,
        "device": _device(),
        "threads": workers,
        "batch": settings.batch,
        "parameters": dict(zip(("obfuscator", "deobfuscator"), map(parameter_count, players), strict=True)),
        "steps": made,
        **_estimate([row["seconds"] for row in made], settings.steps),
    }
    write_file(out / "paper-run.json", json.dumps(found, indent=1).encode())
    write_file(out / "paper-run.svg", curves(made))
    return table(found)


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
            print(f"step {done} of {total}: {note}", flush=True)
        self.last = time.monotonic()


def _estimate(seconds: list[float], steps: int) -> dict[str, float]:
    """Seconds of a step and of keeping its state, by the median, and hours of a whole run."""
    usual = median(seconds)
    return {"seconds_per_step": round(usual, 3), "whole_steps": steps, "whole_hours": round(usual * steps / 3600, 1)}


def _device() -> str:
    return torch.cuda.get_device_name() if device().type == "cuda" else f"{platform.machine()} processor"


def curves(rows: Sequence[Mapping[str, float]]) -> bytes:
    """An SVG: each loss over the steps, in a panel of its own."""
    figure = Figure(figsize=(8.4, 2.6), layout="constrained")
    for axes, name, sign in zip(figure.subplots(1, len(_NAMES)), _NAMES, ("L_t", "L_p", "L_a"), strict=True):
        axes.plot([row["step"] for row in rows], [row[name] for row in rows], "k.-")
        axes.set(title=f"{sign}, {name}", xlabel="step")
        axes.spines[["top", "right"]].set_visible(False)
    return svg(figure)


def table(found: dict[str, Any]) -> str:
    """Markdown: the curve of losses, and what the whole run would cost."""
    lines = [
        f"{found['device']}, {found['threads']} threads; {found['parameters']['obfuscator']:,} and "
        f"{found['parameters']['deobfuscator']:,} parameters; {found['seconds_per_step']} s a step, so "
        f"{found['whole_hours']} h for {found['whole_steps']:,} steps.",
        "",
        "| step | L_t | L_p | L_a | seconds |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['step']} | {' | '.join(f'{row[name]:.3f}' for name in _NAMES)} | {row['seconds']:.1f} |"
        for row in found["steps"]
    ]
    return "\n".join(lines)
