"""The search for the weights of the opt-in game, which the paper does not publish: RAVDESS, permit emotion, validation.

Made by `sottovoce experiment loss-weights`, with the target that `first-light` trained. The test part stays unseen.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed

from sottovoce.attack.attacker import accuracy
from sottovoce.attack.statistics import LinearOnStatistics
from sottovoce.audio.segment import front_end
from sottovoce.audio.spectrum import Wave
from sottovoce.audit.case import Case
from sottovoce.audit.evidence import answers
from sottovoce.audit.hearing import hear_features
from sottovoce.corpora.manifest import split
from sottovoce.jobs.corpus import opened
from sottovoce.models.checkpoint import write_file
from sottovoce.models.target import load_target
from sottovoce.training.loop import Run
from sottovoce.training.optin import PRESETS, train_optin

TARGET_WEIGHTS = (1.0, 3.0, 10.0)  # beside a privacy weight of 1: only the ratio matters to the obfuscator


def run(corpora: Path, out: Path, workers: int) -> str:
    """One game per weight; writes `out`/loss-weights.json, returns the table."""
    found = Parallel(n_jobs=workers)(delayed(_game)(weight, corpora, out) for weight in TARGET_WEIGHTS)
    write_file(out / "loss-weights.json", json.dumps(found, indent=1).encode())
    lines = ["| w_t | target right | answer kept | speaker read (linear, informed) |", "|---|---|---|---|"]
    lines += [f"| {r['weight']:g} | {r['right']:.1%} | {r['kept']:.1%} | {r['speaker']:.1%} |" for r in found]
    return "\n".join(lines)


def _game(weight: float, corpora: Path, out: Path) -> dict[str, Any]:
    torch.set_num_threads(1)
    manifest, sounds = opened(f"ravdess:{corpora / 'ravdess'}", lambda done, total, note: None)
    target = load_target(out / "runs" / "ravdess-emotion" / "target")
    case = Case(manifest, sounds, split(manifest), (target,), (target.task,))
    settings = replace(PRESETS["compact"], target_weight=weight)
    run = Run(settings.steps, 0, lambda done, total, note: None)
    obfuscator, _ = train_optin(sounds, case.split.train, target, settings, False, run)

    def listen(segments: Wave) -> Wave:
        with torch.no_grad():
            return np.asarray(obfuscator(torch.from_numpy(front_end(segments))))

    with tempfile.TemporaryDirectory() as scratch:
        original, obfuscated = (
            hear_features(case, ear, name, str(weight), 0, Path(scratch))
            for name, ear in (("original", front_end), ("features", listen))
        )
        train, validation = (case.labels("speaker", part) for part in ("train", "validation"))
        heard = obfuscated.part("validation")
        attacker = LinearOnStatistics().fit(obfuscated.part("train"), train, heard, validation, len(manifest.speakers))
        before, after = (answers(hearing, "validation", target.task) for hearing in (original, obfuscated))
        return {
            "weight": weight,
            "right": float((after == case.labels("emotion", "validation")).mean()),
            "kept": float((after == before).mean()),
            "speaker": accuracy(attacker, heard, validation),
            "clips": len(validation),
            "corpus": manifest.digest,
        }
