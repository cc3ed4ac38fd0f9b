"""ADR on RAVDESS: what a recogniser on embeddings still does, and what is read from them, declared and undeclared.

    python benchmarks/adr.py --corpora PATH [--seed N] [--preset NAME] [--json]

PATH holds ravdess and librispeech, whose speakers the x-vectors are trained to tell apart as well. For each declared
attribute and each of the two games (see training/adr.py) three recognisers of every label are scored on test
utterances: on originals, the same one on protected embeddings (ignorant), and one trained on protected ones (informed).
These are single networks on one seed, not an audit.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from sottovoce.corpora.manifest import split
from sottovoce.jobs.corpus import opened
from sottovoce.models.target import vote
from sottovoce.progress import Progress
from sottovoce.training import adr as adr_training
from sottovoce.training import xvector as xvector_training
from sottovoce.training.adr import AdrSettings, train_adr, train_recogniser
from sottovoce.training.loop import Run
from sottovoce.training.xvector import Spoken, train_xvector, x_vectors

LABELS = ("speaker", "gender", "emotion")
DECLARED = ("gender", "emotion")
_RECOGNISER_STEPS = 2500


def measure(corpora: Path, seed: int, preset: str) -> dict[str, Any]:
    """Every figure, with what it was measured on."""
    torch.set_num_threads(1)
    report = Progress()
    manifest, sounds = opened(f"ravdess:{corpora / 'ravdess'}", report)
    public, public_sounds = opened(f"librispeech:{corpora / 'librispeech'}", report)
    parts = split(manifest)
    spoken = [Spoken(manifest, sounds, parts.train), Spoken(public, public_sounds, np.arange(len(public_sounds)))]
    heard = xvector_training.PRESETS[preset]
    network = train_xvector(spoken, heard, Run(heard.steps, seed, report))
    settings = adr_training.PRESETS["compact"]
    rng = np.random.default_rng(seed)
    train = x_vectors(network, sounds, parts.train, settings.crops, rng)
    test = x_vectors(network, sounds, parts.test, 0, rng)
    classes = {label: manifest.classes(label) for label in LABELS}
    truth = {label: np.array([classes[label].index(clip.labels[label]) for clip in manifest.clips]) for label in LABELS}
    rank = np.searchsorted(parts.test, test.owner)

    def recogniser(embeddings: torch.Tensor, label: str) -> torch.nn.Module:
        wanted = torch.from_numpy(truth[label][train.owner])
        run = Run(_RECOGNISER_STEPS, seed, report)
        return train_recogniser(embeddings, wanted, len(classes[label]), settings, run)

    def right(reader: torch.nn.Module, embeddings: torch.Tensor, label: str) -> float:
        with torch.no_grad():
            answers = vote(reader(embeddings).numpy(), rank).argmax(axis=1)
        return round(float((answers == truth[label][parts.test]).mean()), 4)

    found = []
    for declared in DECLARED:
        for game in ("released", "text"):
            wanted = torch.from_numpy(truth[declared][train.owner])
            asked: AdrSettings = replace(settings, game=game)
            filter_ = train_adr(network, train.vectors, wanted, len(classes[declared]), asked, Run(0, seed, report))
            with torch.no_grad():
                before = [filter_.normalised(vectors.vectors) for vectors in (train, test)]
                after = [filter_.protect(vectors) for vectors in before]
            scores = {}
            for label in LABELS:
                known, fresh = recogniser(before[0], label), recogniser(after[0], label)
                scores[label] = {
                    "original": right(known, before[1], label),
                    "ignorant": right(known, after[1], label),
                    "informed": right(fresh, after[1], label),
                }
            cosine = round(float(functional.cosine_similarity(before[1], after[1]).mean()), 4)
            found.append({"declared": declared, "game": game, "cosine": cosine, "scores": scores})
    corpus = {"digest": manifest.digest, "split": parts.rule, "test_clips": len(parts.test)}
    return {"corpus": corpus, "public": public.digest, "seed": seed, "preset": preset, "found": found}


def table(figures: dict[str, Any]) -> str:
    """Markdown: a line for each game and declared attribute."""
    lines = [
        "| declared, game | cosine | "
        + " | ".join(f"{label}: original, ignorant, informed" for label in LABELS)
        + " |",
        "|---|---|---|---|---|",
    ]
    for each in figures["found"]:
        cells = [", ".join(f"{100 * score:.1f}" for score in each["scores"][label].values()) for label in LABELS]
        lines.append(f"| {each['declared']}, {each['game']} | {each['cosine']:.3f} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, required=True, help="folder that holds ravdess and librispeech")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--preset", default="compact", choices=list(xvector_training.PRESETS), help="of the x-vectors")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    measured = measure(arguments.corpora, arguments.seed, arguments.preset)
    print(json.dumps(measured, indent=1) if arguments.json else table(measured))
