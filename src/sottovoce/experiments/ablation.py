"""The choices of the opt-in game, one at a time: the privacy loss, the latent of equation (3), the weights.

Made by `sottovoce experiment ablation`: RAVDESS, permit emotion, compact networks, scored on validation, so that the
test part stays unseen. The paper says that L_p = -L_a "did not provide satisfying results" and shows no figures; its
weights and its number of latent layers are not published. Every game is kept as it ends, so that a killed run goes on.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed

from sottovoce.attack import families
from sottovoce.attack.attacker import accuracy
from sottovoce.audio.segment import front_end
from sottovoce.audio.spectrum import Wave
from sottovoce.audit.case import Case
from sottovoce.audit.evidence import answers
from sottovoce.audit.observations import View, observe_features
from sottovoce.corpora.corpus import opened
from sottovoce.corpora.manifest import split
from sottovoce.experiments.targets import kept_target
from sottovoce.files import write_file
from sottovoce.methods.optin.game import PRESETS, train_optin
from sottovoce.models.target_folder import load_target
from sottovoce.progress import counted, silent
from sottovoce.training.loop import Run

SEEDS = (0, 1, 2)
ATTACKED = ("speaker", "gender")
ATTACKERS = ("linear", "cnn")
_CYCLES = 4  # of training of an attacker that is a network


@dataclass(frozen=True)
class Variant:
    """One game. `loss` "latent" is equation (3), "raw" L_p = -L_a; `layers` make the latent; w_p is 1."""

    loss: str = "latent"
    layers: int = 2
    target_weight: float = 3.0
    seed: int = 0
    steps: int = 0  # 0: as the preset has it

    @property
    def name(self) -> str:
        """For files and progress."""
        steps = f"-{self.steps}-steps" if self.steps else ""
        return f"{self.loss}-{self.layers}-{self.target_weight:g}-{self.seed}{steps}"


def variants() -> Iterator[Variant]:
    """All of them, one seed after the other."""
    for seed in SEEDS:
        yield from (Variant("latent", layers, seed=seed) for layers in (1, 2, 3, 4))
        yield from (Variant("latent", target_weight=weight, seed=seed) for weight in (1.0, 10.0))
        yield from (Variant("raw", target_weight=weight, seed=seed) for weight in (1.0, 3.0, 10.0))


def run(corpora: Path, out: Path, workers: int) -> str:
    """All games, `workers` side by side with one thread each; writes `out`/ablation.json, returns the table."""
    target = out / "runs" / "ravdess-emotion" / "target"  # the one that the experiment first-light uses
    kept_target(target, "ravdess", corpora / "ravdess", "emotion", silent)
    planned = list(variants())
    games = Parallel(n_jobs=workers, batch_size=1, return_as="generator")(
        delayed(_kept)(variant, corpora, out, target) for variant in planned
    )
    found = list(counted(games, len(planned), "games"))
    write_file(out / "ablation.json", json.dumps(found, indent=1).encode())
    return table(found)


def _kept(variant: Variant, corpora: Path, out: Path, target: Path) -> dict[str, Any]:
    """What a game showed, played unless that was done."""
    place = out / "runs" / "ablation" / f"{variant.name}.json"
    if not place.is_file():
        found = game(variant, corpora, target)
        write_file(place, json.dumps(found, indent=1).encode())
    kept: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
    return kept


def game(variant: Variant, corpora: Path, target_at: Path) -> dict[str, Any]:
    """Play one game and let fresh informed attackers read what its obfuscator lets through, on validation."""
    torch.set_num_threads(1)
    began = time.monotonic()
    manifest, sounds = opened(f"ravdess:{corpora / 'ravdess'}", silent)
    target = load_target(target_at)
    case = Case(manifest, sounds, split(manifest), (target,), (target.task,))
    preset = PRESETS["compact"]
    layers = {**preset.deobfuscator, "latent_layers": variant.layers}
    settings = replace(preset, target_weight=variant.target_weight, deobfuscator=layers, raw=variant.loss == "raw")
    notes: list[str] = []
    run = Run(variant.steps or settings.steps, variant.seed, lambda done, total, note: notes.append(note))
    obfuscator, _ = train_optin(sounds, case.split.train, target, settings, run)

    def listen(segments: Wave) -> Wave:
        with torch.no_grad():
            return np.asarray(obfuscator(torch.from_numpy(front_end(segments))))

    with tempfile.TemporaryDirectory() as scratch:
        original, obfuscated = (
            observe_features(case, ear, name, variant.name, variant.seed, Path(scratch))
            for name, ear in (("original", front_end), ("features", listen))
        )
        truth = case.labels(target.task, "validation")
        before, after = (answers(view, "validation", target.task) for view in (original, obfuscated))
        return {
            **asdict(variant),
            "steps": run.steps,
            "corpus": manifest.digest,
            "clips": len(truth),
            "right_before": float((before == truth).mean()),
            "right": float((after == truth).mean()),
            "kept": float((after == before).mean()),
            "read": {task: _read(case, obfuscated, task, variant.seed) for task in ATTACKED},
            "last": notes[-1],
            "seconds": round(time.monotonic() - began, 1),
        }


def _read(case: Case, heard: View, task: str, seed: int) -> dict[str, float]:
    """Share of validation clips that each attacker reads rightly, having trained on obfuscated ones."""
    train, validation = (case.labels(task, part) for part in ("train", "validation"))
    known, unknown = heard.part("train"), heard.part("validation")
    return {
        name: accuracy(
            families.ATTACKERS[name](_CYCLES, seed).fit(known, train, unknown, validation, len(case.classes(task))),
            unknown,
            validation,
        )
        for name in ATTACKERS
    }


def table(found: list[dict[str, Any]]) -> str:
    """Markdown: a line for each variant, its seeds side by side; what is read is by the better attacker."""
    lines = [
        "| L_p | N | w_t | target right before | after | answer kept | speaker read | gender read |",
        "|---|---|---|---|---|---|---|---|",
    ]
    groups: dict[tuple[str, int, float], list[dict[str, Any]]] = {}
    for each in found:
        groups.setdefault((each["loss"], each["layers"], each["target_weight"]), []).append(each)
    for (loss, layers, weight), group in groups.items():
        cells = [
            "in the latent (3)" if loss == "latent" else "-L_a",
            str(layers) if loss == "latent" else "",
            f"{weight:g}",
            f"{100 * group[0]['right_before']:.1f}",
            *(" / ".join(f"{100 * each[key]:.1f}" for each in group) for key in ("right", "kept")),
            *(" / ".join(f"{100 * max(each['read'][task].values()):.1f}" for each in group) for task in ATTACKED),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
