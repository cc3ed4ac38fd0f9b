"""The choices of the opt-in game, one at a time: the privacy loss, the latent of equation (3), the weights.

RAVDESS, permit emotion, compact networks, scored on validation, so that the test part stays unseen. The paper says that
L_p = -L_a "did not provide satisfying results" and shows no figures; its weights and its number of latent layers are
not published.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sottovoce.attack.attacker import accuracy
from sottovoce.attack.families import ATTACKERS
from sottovoce.audio.segment import front_end
from sottovoce.audio.spectrum import Wave
from sottovoce.audit.case import Case
from sottovoce.audit.evidence import answers
from sottovoce.audit.observations import View, observe_features
from sottovoce.corpora.corpus import opened
from sottovoce.corpora.splits import split
from sottovoce.experiments.experiment import Experiment, Place, Result, RunSettings, Table, digest, grouped, percent
from sottovoce.experiments.filter_runs import EMOTION_OF_RAVDESS, TargetJob
from sottovoce.methods.optin.training import PRESETS, OptinSettings, train_optin
from sottovoce.models.target_loading import load_target
from sottovoce.progress import silent
from sottovoce.training.loop import Run

SEEDS = (0, 1, 2)
ATTACKED = ("speaker", "gender")


@dataclass(frozen=True)
class Variant(RunSettings):
    """One game. `loss` "latent" is equation (3), "raw" L_p = -L_a; `layers` make the latent; w_p is 1."""

    loss: str = "latent"
    layers: int = 2
    target_weight: float = 3.0
    game: OptinSettings = PRESETS["compact"]
    target: TargetJob = EMOTION_OF_RAVDESS
    attackers: tuple[str, ...] = ("linear", "cnn")
    cycles: int = 4  # of training of an attacker that is a network

    @property
    def settings(self) -> OptinSettings:
        """Those of the game, with what this variant changes."""
        layers = {**self.game.deobfuscator, "latent_layers": self.layers}
        return replace(self.game, target_weight=self.target_weight, deobfuscator=layers, raw=self.loss == "raw")


def _variants() -> Iterator[Variant]:
    for seed in SEEDS:
        yield from (Variant("latent", layers, seed=seed) for layers in (1, 2, 3, 4))
        yield from (Variant("latent", target_weight=weight, seed=seed) for weight in (1.0, 10.0))
        yield from (Variant("raw", target_weight=weight, seed=seed) for weight in (1.0, 3.0, 10.0))


def play(variant: Variant, place: Place) -> dict[str, Any]:
    """Play one game and let fresh informed attackers read what its obfuscator lets through, on validation."""
    manifest, sounds = opened(place.spec(variant.target.corpus), silent)
    target = load_target(variant.target.make(place))
    case = Case(manifest, sounds, split(manifest), (target,), (target.task,))
    notes: list[str] = []
    run = Run(variant.game.steps, variant.seed, lambda done, total, note: notes.append(note))
    obfuscator, _ = train_optin(sounds, case.split.train, target, variant.settings, run)

    def obfuscate(segments: Wave) -> Wave:
        with torch.no_grad():
            return np.asarray(obfuscator(torch.from_numpy(front_end(segments))))

    with tempfile.TemporaryDirectory() as scratch:
        original, obfuscated = (
            observe_features(case, function, name, digest(variant), variant.seed, Path(scratch))
            for name, function in (("original", front_end), ("features", obfuscate))
        )
        truth = case.labels(target.task, "validation")
        before, after = (answers(view, "validation", target.task) for view in (original, obfuscated))
        return {
            "loss": variant.loss,
            "layers": variant.layers,
            "target_weight": variant.target_weight,
            "steps": run.steps,
            "corpus": manifest.digest,
            "clips": len(truth),
            "right_before": float((before == truth).mean()),
            "right": float((after == truth).mean()),
            "kept": float((after == before).mean()),
            "read": {task: _read(case, obfuscated, task, variant) for task in ATTACKED},
            "last": notes[-1],
        }


def _read(case: Case, view: View, task: str, variant: Variant) -> dict[str, float]:
    """Share of validation clips that each attacker reads rightly, having trained on obfuscated ones."""
    train, validation = (case.labels(task, part) for part in ("train", "validation"))
    known, unknown = view.part("train"), view.part("validation")
    return {
        name: accuracy(
            ATTACKERS[name](variant.cycles, variant.seed).fit(
                known, train, unknown, validation, len(case.classes(task))
            ),
            unknown,
            validation,
        )
        for name in variant.attackers
    }


def _seeds(key: str, runs: Sequence[Result]) -> str:
    return percent(*(run[key] for run in runs))


def _best(task: str, runs: Sequence[Result]) -> str:
    """By the better attacker of each run."""
    return percent(*(max(run["read"][task].values()) for run in runs))


TABLE = Table(
    (
        ("L_p", lambda runs: "in the latent (3)" if runs[0]["loss"] == "latent" else "-L_a"),
        ("N", lambda runs: str(runs[0]["layers"]) if runs[0]["loss"] == "latent" else ""),
        ("w_t", lambda runs: f"{runs[0]['target_weight']:g}"),
        ("target right before", lambda runs: _seeds("right_before", runs[:1])),
        ("after", partial(_seeds, "right")),
        ("answer kept", partial(_seeds, "kept")),
        *((f"{task} read", partial(_best, task)) for task in ATTACKED),
    ),
    lambda results: grouped(results, lambda run: (run["loss"], run["layers"], run["target_weight"])).values(),
)

EXPERIMENT = Experiment(
    "ablation",
    "Which choices of the opt-in game (privacy loss, latent layers, weights) decide what the target and attackers get?",
    "1.3 core-hours (x86)",
    {"compact": tuple(_variants())},
    play,
    TABLE,
)
