"""The two games called ADR, on RAVDESS: what a recogniser on embeddings still does, and what is read from them.

The embeddings are x-vectors of our own, trained to tell the speakers of RAVDESS and of LibriSpeech apart, and those of
the pretrained speaker encoder. For each declared attribute and each game, three recognisers of every label are scored
on test utterances: on originals, the same one on protected embeddings (uninformed), and a fresh one trained on
protected embeddings (informed). These are single networks, not an audit: the figures audit the released game.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from sottovoce.corpora.corpus import opened
from sottovoce.corpora.splits import Split, split
from sottovoce.experiments.experiment import Corpus, Experiment, Place, Result, RunSettings, Table, grouped, means
from sottovoce.methods.adr.embeddings import Embedder, Vectors, embeddings
from sottovoce.methods.adr.training import PRESETS, AdrSettings, Game, train_adr, train_recogniser
from sottovoce.methods.adr.xvector import Spoken, train_xvector
from sottovoce.models.speaker_encoder import available, pretrained
from sottovoce.models.vote import vote
from sottovoce.progress import silent
from sottovoce.training.loop import Run

LABELS = ("speaker", "gender", "emotion")
DECLARED = ("gender", "emotion")
RAVDESS, LIBRISPEECH = Corpus("ravdess:ravdess"), Corpus("librispeech:librispeech")
KNOWLEDGE = ("original", "uninformed", "informed")


@dataclass(frozen=True)
class Games(RunSettings):
    """All games on one kind of embeddings; `corpus` is scored, and `also` has more speakers for x-vectors."""

    voices: str = "x-vector"
    corpus: Corpus = RAVDESS
    also: Corpus | None = LIBRISPEECH
    settings: AdrSettings = PRESETS["compact"]
    recogniser_steps: int = 2500


def play(run: Games, place: Place) -> dict[str, Any]:
    """Every declared attribute and game, on embeddings of the corpus."""
    manifest, sounds = opened(place.spec(run.corpus), silent)
    parts = split(manifest)
    embedder = pretrained() if run.voices == "pretrained" else _xvector(run, place)
    rng = np.random.default_rng(run.seed)
    train = embeddings(embedder, sounds, parts.train, run.settings.crops, rng)
    test = embeddings(embedder, sounds, parts.test, 0, rng)
    classes = {label: manifest.classes(label) for label in LABELS}
    truth = {label: np.array([classes[label].index(clip.labels[label]) for clip in manifest.clips]) for label in LABELS}
    score = _Scores(truth, train, test, parts, run)
    games = []
    for declared, game in product(DECLARED, get_args(Game)):
        labels = torch.from_numpy(truth[declared][train.owner])
        settings = replace(run.settings, game=game)
        adr = train_adr(embedder, train.vectors, labels, len(classes[declared]), settings, Run(0, run.seed, silent))
        with torch.no_grad():
            before = [adr.normalised(vectors.vectors) for vectors in (train, test)]
            after = [adr.protect(vectors) for vectors in before]
        cosine = float(functional.cosine_similarity(before[1], after[1]).mean())
        about = {"voices": run.voices, "declared": declared, "game": game, "cosine": round(cosine, 4)}
        games.append(about | {"scores": score.of(before, after)})
    return {"corpus": manifest.digest, "split": parts.rule, "test_clips": len(parts.test), "games": games}


def _xvector(run: Games, place: Place) -> Embedder:
    """An x-vector network that tells the speakers of two corpora apart, of the scored one by its training part."""
    spoken = []
    for corpus in filter(None, (run.corpus, run.also)):
        manifest, sounds = opened(place.spec(corpus), silent)
        clips = split(manifest).train if corpus == run.corpus else np.arange(len(sounds))
        spoken.append(Spoken(manifest, sounds, clips))
    settings = run.settings.xvector
    return train_xvector(spoken, settings, Run(settings.steps, run.seed, silent))


class _Scores:
    """Recognisers of every label, and the share of test utterances that they get right."""

    def __init__(
        self, truth: Mapping[str, NDArray[np.int64]], train: Vectors, test: Vectors, parts: Split, run: Games
    ) -> None:
        self.truth, self.train, self.test, self.parts, self.run = truth, train, test, parts, run
        self.rank = np.searchsorted(parts.test, test.owner)
        self.known: dict[str, nn.Module] = {}  # trained on originals, which are the same for every game

    def of(self, before: list[Tensor], after: list[Tensor]) -> dict[str, dict[str, float]]:
        """For every label, of [train, test] embeddings before and after protection."""
        scores = {}
        for label in LABELS:
            if label not in self.known:
                self.known[label] = self._recogniser(before[0], label)
            known, fresh = self.known[label], self._recogniser(after[0], label)
            read = ((known, before[1]), (known, after[1]), (fresh, after[1]))
            scores[label] = dict(zip(KNOWLEDGE, (self._right(*each, label) for each in read), strict=True))
        return scores

    def _recogniser(self, vectors: Tensor, label: str) -> nn.Module:
        labels = torch.from_numpy(self.truth[label][self.train.owner])
        run = Run(self.run.recogniser_steps, self.run.seed, silent)
        return train_recogniser(vectors, labels, int(self.truth[label].max()) + 1, self.run.settings, run)

    def _right(self, recogniser: nn.Module, vectors: Tensor, label: str) -> float:
        with torch.no_grad():
            answers = vote(recogniser(vectors).numpy(), self.rank).argmax(axis=1)
        return round(float((answers == self.truth[label][self.parts.test]).mean()), 4)


def _lines(results: Iterable[Result]) -> Iterable[list[Result]]:
    games = [game for result in results for game in result["games"]]
    return grouped(games, lambda game: (game["voices"], game["declared"], game["game"])).values()


TABLE = Table(
    (
        ("embeddings", lambda games: games[0]["voices"]),
        ("declared", lambda games: games[0]["declared"]),
        ("game", lambda games: games[0]["game"]),
        ("cosine", lambda games: f"{np.mean([game['cosine'] for game in games]):.3f}"),
        *(
            (f"{label}: original" if knowledge == "original" else knowledge, means(f"scores.{label}.{knowledge}", 100))
            for label in LABELS
            for knowledge in KNOWLEDGE
        ),
    ),
    _lines,
)

EXPERIMENT = Experiment(
    "adr-games",
    "What do the article's and the released game of ADR leave in embeddings, for the task and for attackers?",
    "6 runs, whose time was not measured",
    {
        "compact": tuple(Games("x-vector", seed=seed) for seed in (0, 1, 2))
        + (tuple(Games("pretrained", also=None, seed=seed) for seed in (0, 1, 2)) if available() else ())
    },
    play,
    TABLE,
)
