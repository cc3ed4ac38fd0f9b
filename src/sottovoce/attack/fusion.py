"""An attacker on several views of a sound at once."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.linear_model import LogisticRegression

from sottovoce.attack.attacker import Array, Labels, Observations
from sottovoce.attack.classical import BestOfCandidates, statistics
from sottovoce.attack.families import ATTACKERS
from sottovoce.attack.speaker_encoder import embeddings, installed

_PENALTIES = (1e-2, 1e-1, 1.0, 10.0, 100.0)  # inverse strengths
_TINY = 1e-9


@ATTACKERS.register("fusion")
class Fusion(BestOfCandidates):
    """Logistic regression on statistics and the embeddings of every speaker encoder, its penalty chosen.

    Each view is standardised and has the same variance in all, however many dimensions it has.
    """

    name = "all views together, linear"
    needs = "public speaker encoders, and labelled recordings as the application receives them"
    needs_sound = True
    cost = 7

    def features(self, observations: Observations) -> Array:
        scaled = [
            (view - mean) / deviation
            for view, (mean, deviation) in zip(self._views(observations), self.scales_, strict=True)
        ]
        return np.concatenate(scaled, axis=1).astype(np.float32)

    def candidates(self, utterances: int) -> list[Any]:
        return [LogisticRegression(C=penalty, max_iter=500) for penalty in _PENALTIES]

    def fit(
        self, train: Observations, labels: Labels, validation: Observations, validation_labels: Labels, classes: int
    ) -> Self:
        self.encoders_ = sorted(train.speaker_embeddings or installed())
        self.scales_ = [
            (view.mean(axis=0), np.maximum(view.std(axis=0), _TINY) * np.sqrt(view.shape[1]))
            for view in self._views(train)
        ]
        return super().fit(train, labels, validation, validation_labels, classes)

    def _views(self, observations: Observations) -> list[Array]:
        voices = [embeddings(name, observations) for name in self.encoders_]
        return [statistics(observations), *voices]
