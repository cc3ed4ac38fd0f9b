"""At which signal-to-noise ratios no privacy looks as it does in the paper: `sottovoce experiment rdal-mixing`.

The paper does not say how it mixed. Ranges are compared on validation clips alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed

from sottovoce.corpora.readers.mixtures import Mixing
from sottovoce.experiments import latents
from sottovoce.experiments.rdal import heard
from sottovoce.files import write_file
from sottovoce.methods.rdal.game import PRESETS, train_rdal
from sottovoce.progress import silent
from sottovoce.training.loop import Run

RANGES_DB = ((-15.0, 0.0), (-10.0, 5.0), (-5.0, 10.0), (0.0, 15.0), (5.0, 20.0))
PAPER = {"event": 0.753, "speech": 0.765, "speech AUC": 0.847, "gender": 0.636}


def run(corpora: Path, out: Path, workers: int) -> str:
    """Every range; writes rdal-mixing.json to `out`, returns a table with the nearest first."""
    found = Parallel(n_jobs=workers, batch_size=1)(delayed(_tried)(snr_db, corpora) for snr_db in RANGES_DB)
    found.sort(key=lambda entry: entry["distance"])
    write_file(out / "rdal-mixing.json", json.dumps({"paper": PAPER, "tried": found}, indent=1).encode())
    names = list(PAPER)
    lines = [f"| event over speech, dB | {' | '.join(names)} | distance |", "|---" * (len(names) + 2) + "|"]
    lines.append(f"| *the paper* | {' | '.join(f'{PAPER[name]:.3f}' for name in names)} | |")
    for entry in found:
        figures = " | ".join(f"{entry[name]:.3f}" for name in names)
        lines.append(f"| {entry['snr_db'][0]:g} to {entry['snr_db'][1]:g} | {figures} | {entry['distance']:.3f} |")
    return "\n".join(lines)


def _tried(snr_db: tuple[float, float], corpora: Path) -> dict[str, Any]:
    """What is found of no privacy in clips mixed so; the distance is the root of the mean squared difference."""
    torch.set_num_threads(1)
    settings = PRESETS["no-privacy"]
    parts, events, about = heard(corpora, Mixing(snr_db=snr_db), settings)
    run = Run(0, 0, silent)
    trained = train_rdal(parts["train"].pairs, parts["validation"].pairs, len(events), settings, None, run)
    sent = {name: latents.sent(trained.sender, parts[name]) for name in ("train", "validation")}
    paper = latents.as_in_the_paper({**sent, "test": sent["validation"]}, 0)
    figures = {
        "event": latents.event_accuracy(trained.reader, sent["validation"])["all"]["score"],
        "speech": paper["speech"]["accuracy"]["score"],
        "speech AUC": paper["speech"]["auc"]["score"],
        "gender": paper["gender"]["accuracy"]["score"],
    }
    distance = float(np.sqrt(np.mean([(figures[name] - PAPER[name]) ** 2 for name in PAPER])))
    return {"snr_db": list(snr_db), **figures, "distance": distance, "corpus": about, "split": "validation", "seed": 0}
