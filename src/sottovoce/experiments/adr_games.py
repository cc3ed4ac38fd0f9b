"""The two games called ADR, on RAVDESS: what a recogniser on embeddings still does, and what is read from them.

Made by `sottovoce experiment adr-games`, on x-vectors of our own, trained to tell the speakers of RAVDESS and of
LibriSpeech apart, and on those of the pretrained speaker encoder. For each declared attribute and each game of
`training.adr`, three recognisers of every label are scored on test utterances: on originals, the same one on protected
embeddings (uninformed), and a fresh one trained on protected embeddings (informed). Single networks, not an audit: the
released game has one in `figure3a`, `figure3b` and `figure4`. Every seed is kept as it ends, so that a killed run goes
on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from joblib import Parallel, delayed
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from sottovoce.corpora.corpus import opened
from sottovoce.corpora.manifest import Split, split
from sottovoce.experiments.rdal_report import mean
from sottovoce.files import write_file
from sottovoce.methods.adr.embeddings import Embedder, Vectors, embeddings
from sottovoce.methods.adr.game import PRESETS, Game, train_adr, train_recogniser
from sottovoce.methods.adr.xvector import Spoken, train_xvector
from sottovoce.models.speaker_encoder import available, pretrained
from sottovoce.models.target import vote
from sottovoce.progress import counted, silent
from sottovoce.training.loop import Run

SEEDS = (0, 1, 2)
LABELS = ("speaker", "gender", "emotion")
DECLARED = ("gender", "emotion")
RECOGNISER_STEPS = 2500


def run(corpora: Path, out: Path, workers: int) -> str:
    """All games, `workers` seeds side by side with one thread each; writes `out`/adr-games.json, returns the table."""
    voices = ("x-vector", "pretrained") if available() else ("x-vector",)
    wanted = list(product(voices, SEEDS))
    made = Parallel(n_jobs=workers, batch_size=1, return_as="generator")(
        delayed(_kept)(*each, corpora, out) for each in wanted
    )
    found = [game for games in counted(made, len(wanted), "embeddings and seeds") for game in games]
    write_file(out / "adr-games.json", json.dumps(found, indent=1).encode())
    return table(found)


def _kept(voices: str, seed: int, corpora: Path, out: Path) -> list[dict[str, Any]]:
    """What the games on one kind of embeddings showed, played unless that was done."""
    place = out / "runs" / "adr-games" / f"{voices}-{seed}.json"
    if not place.is_file():
        write_file(place, json.dumps(_games(voices, seed, corpora), indent=1).encode())
    kept: list[dict[str, Any]] = json.loads(place.read_text(encoding="utf-8"))
    return kept


def _games(voices: str, seed: int, corpora: Path) -> list[dict[str, Any]]:
    """Every declared attribute and game, on embeddings of RAVDESS."""
    torch.set_num_threads(1)
    manifest, sounds = opened(f"ravdess:{corpora / 'ravdess'}", silent)
    parts, settings = split(manifest), PRESETS["compact"]
    embedder = pretrained() if voices == "pretrained" else _xvector(corpora, seed)
    rng = np.random.default_rng(seed)
    train = embeddings(embedder, sounds, parts.train, settings.crops, rng)
    test = embeddings(embedder, sounds, parts.test, 0, rng)
    classes = {label: manifest.classes(label) for label in LABELS}
    truth = {label: np.array([classes[label].index(clip.labels[label]) for clip in manifest.clips]) for label in LABELS}
    score = _Scores(truth, train, test, parts, seed)
    found = []
    for declared, game in product(DECLARED, get_args(Game)):
        labels = torch.from_numpy(truth[declared][train.owner])
        asked = replace(settings, game=game)
        adr = train_adr(embedder, train.vectors, labels, len(classes[declared]), asked, Run(0, seed, silent))
        with torch.no_grad():
            before = [adr.normalised(vectors.vectors) for vectors in (train, test)]
            after = [adr.protect(vectors) for vectors in before]
        found.append(
            {
                "voices": voices,
                "declared": declared,
                "game": game,
                "seed": seed,
                "corpus": manifest.digest,
                "split": parts.rule,
                "test_clips": len(parts.test),
                "cosine": round(float(functional.cosine_similarity(before[1], after[1]).mean()), 4),
                "scores": score.of(before, after),
            }
        )
    return found


def _xvector(corpora: Path, seed: int) -> Embedder:
    """An x-vector network that tells the speakers of two corpora apart, of RAVDESS by its training part."""
    spoken = []
    for name in ("ravdess", "librispeech"):
        manifest, sounds = opened(f"{name}:{corpora / name}", silent)
        clips = split(manifest).train if name == "ravdess" else np.arange(len(sounds))
        spoken.append(Spoken(manifest, sounds, clips))
    settings = PRESETS["compact"].xvector
    return train_xvector(spoken, settings, Run(settings.steps, seed, silent))


class _Scores:
    """Recognisers of every label, and the share of test utterances that they get right."""

    def __init__(
        self, truth: Mapping[str, NDArray[np.int64]], train: Vectors, test: Vectors, parts: Split, seed: int
    ) -> None:
        self.truth, self.train, self.test, self.parts, self.seed = truth, train, test, parts, seed
        self.rank = np.searchsorted(parts.test, test.owner)
        self.known: dict[str, nn.Module] = {}  # trained on originals, which are the same for every game

    def of(self, before: list[Tensor], after: list[Tensor]) -> dict[str, dict[str, float]]:
        """For every label, of [train, test] embeddings before and after protection."""
        found = {}
        for label in LABELS:
            if label not in self.known:
                self.known[label] = self._recogniser(before[0], label)
            found[label] = {
                "original": self._right(self.known[label], before[1], label),
                "uninformed": self._right(self.known[label], after[1], label),
                "informed": self._right(self._recogniser(after[0], label), after[1], label),
            }
        return found

    def _recogniser(self, vectors: Tensor, label: str) -> nn.Module:
        wanted = torch.from_numpy(self.truth[label][self.train.owner])
        run = Run(RECOGNISER_STEPS, self.seed, silent)
        return train_recogniser(vectors, wanted, int(self.truth[label].max()) + 1, PRESETS["compact"], run)

    def _right(self, reader: nn.Module, vectors: Tensor, label: str) -> float:
        with torch.no_grad():
            answers = vote(reader(vectors).numpy(), self.rank).argmax(axis=1)
        return round(float((answers == self.truth[label][self.parts.test]).mean()), 4)


def table(found: list[dict[str, Any]]) -> str:
    """Markdown: a line for each embedding, declared attribute and game; means over seeds and their 95 % intervals."""
    heads = [f"{label}: original | uninformed | informed" for label in LABELS]
    lines = [f"| embeddings | declared | game | cosine | {' | '.join(heads)} |", f"|{'---|' * (4 + 3 * len(LABELS))}"]
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for each in found:
        groups.setdefault((each["voices"], each["declared"], each["game"]), []).append(each)
    for names, group in groups.items():
        cells = [*names, f"{np.mean([each['cosine'] for each in group]):.3f}"]
        cells += [
            mean([100 * each["scores"][label][listener] for each in group])
            for label in LABELS
            for listener in ("original", "uninformed", "informed")
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
