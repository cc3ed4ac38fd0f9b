"""What is read from embeddings before and after ADR, and how well they still tell people apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from sottovoce.attack.attacker import Observations, accuracy
from sottovoce.attack.families import ATTACKERS
from sottovoce.attack.linkage import pairs
from sottovoce.attack.speaker_encoder import embed
from sottovoce.audit import metrics
from sottovoce.audit.case import PARTS, Case, Part
from sottovoce.audit.verification import intervals
from sottovoce.experiments.adr_voices import Embedded
from sottovoce.methods.adr.embeddings import Vectors, joined
from sottovoce.methods.adr.training import AdrSettings, train_recogniser
from sottovoce.models.vote import vote
from sottovoce.progress import silent
from sottovoce.training.loop import Run

LABELS = ("speaker", "gender", "emotion")


class Readers(NamedTuple):
    """Who reads: how recognisers are trained, and the families of fresh attackers."""

    settings: AdrSettings
    steps: int
    families: Sequence[str]
    seed: int


def read(case: Case, label: str, before: Embedded, after: Embedded, readers: Readers) -> dict[str, Any]:
    """Shares of test recordings whose label is read, with intervals.

    A recogniser that knows originals reads these ("original") and what is protected ("uninformed"), a fresh one what is
    protected ("informed"). "ceiling" and "strongest" are the attackers, fitted on originals and on what is protected,
    that do best on validation.
    """
    known, fresh = (_recogniser(case, label, vectors, readers) for vectors in (before, after))
    test = case.clips("test")
    answers = {
        "original": _answers(known, before.of(test)),
        "uninformed": _answers(known, after.of(test)),
        "informed": _answers(fresh, after.of(test)),
    }
    scores = {knowledge: _score(case, label, called) for knowledge, called in answers.items()}
    return scores | {
        "ceiling": _strongest(case, label, before, readers),
        "strongest": _strongest(case, label, after, readers),
    }


def _recogniser(case: Case, label: str, embedded: Embedded, readers: Readers) -> nn.Module:
    train = joined([embedded.of(case.clips("train")), embedded.crops])
    classes = case.classes(label)
    labels = torch.tensor([classes.index(case.manifest.clips[i].labels[label]) for i in train.owner])
    run = Run(readers.steps, readers.seed, silent)
    return train_recogniser(train.vectors, labels, len(classes), readers.settings, run)


def _answers(recogniser: nn.Module, vectors: Vectors) -> NDArray[np.int64]:
    """What a recogniser calls each recording, [U]."""
    with torch.no_grad():
        answers: NDArray[np.int64] = vote(recogniser(vectors.vectors).numpy(), _rank(vectors.owner)).argmax(axis=1)
    return answers


def _score(case: Case, label: str, answers: NDArray[np.int64]) -> dict[str, Any]:
    return metrics.accuracy(answers == case.labels(label, "test"), case.cluster(label)[1]).model_dump()


def _strongest(case: Case, label: str, embedded: Embedded, readers: Readers) -> dict[str, Any]:
    """The attacker that does best on validation, its score there and, with an interval, on test."""
    seen = {part: _observations(embedded.of(case.clips(part))) for part in PARTS}
    truth: Mapping[Part, NDArray[np.int64]] = {part: case.labels(label, part) for part in PARTS}
    rows = []
    for family in readers.families:
        attacker = ATTACKERS[family](seed=readers.seed)
        attacker.fit(seen["train"], truth["train"], seen["validation"], truth["validation"], len(case.classes(label)))
        score = _score(case, label, attacker.scores(seen["test"]).argmax(axis=1))
        found = accuracy(attacker, seen["validation"], truth["validation"])
        rows.append({"attacker": attacker.name, "converged": attacker.converged_, "validation": found, **score})
    return max(rows, key=lambda row: float(row["validation"]))


def _observations(vectors: Vectors) -> Observations:
    owner = _rank(vectors.owner)
    return Observations(vectors.vectors.numpy()[:, :, None], owner, np.zeros((int(owner[-1]) + 1, 0), np.float32))


def _rank(owner: NDArray[np.int64]) -> NDArray[np.int64]:
    """The number, from 0, of the recording that each segment is of."""
    rank: NDArray[np.int64] = np.unique(owner, return_inverse=True)[1]
    return rank


def equal_error_rate(vectors: Tensor, owner: NDArray[np.int64], speakers: Sequence[str]) -> dict[str, Any]:
    """How often two recordings of one person, or of two, are confused by the cosine of their embeddings [S, D].

    `owner` [S] names the recording of each segment, ascending, and `speakers` who speaks in each recording.
    """
    who = np.array([speakers[i] for i in np.unique(owner)])
    pooled = embed(functional.normalize(vectors, dim=1).numpy(), _rank(owner))
    first, second, same = pairs(who)
    rate, _ = intervals((pooled[first] * pooled[second]).sum(axis=1), same, who[first], who[second])
    return rate.model_dump()
