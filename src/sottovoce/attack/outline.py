"""An attacker that looks at no content at all: what the outline of an utterance gives away."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sottovoce.attack.attacker import Array, Heard, Labels
from sottovoce.attack.statistics import Chosen


class OutlineOnly(Chosen):
    """Neighbours, a Gaussian for each class, or small boosted trees on the outline."""

    name = "duration and level"
    needs = "how long and how loud, not what"

    def features(self, heard: Heard) -> Array:
        return heard.outline

    def fit(self, train: Heard, labels: Labels, validation: Heard, validation_labels: Labels, classes: int) -> Self:
        self.alike_ = not np.ptp(train.outline, axis=0).any()
        return super().fit(train, labels, validation, validation_labels, classes)

    def candidates(self, utterances: int) -> list[Any]:
        if self.alike_:  # nothing shows, and a Gaussian without a width is no number
            return [DummyClassifier()]
        neighbours = [KNeighborsClassifier(min(k, utterances)) for k in (5, 15, 45)]
        trees = HistGradientBoostingClassifier(max_iter=30, max_leaf_nodes=4, early_stopping=False)
        return [make_pipeline(StandardScaler(), model) for model in (GaussianNB(), *neighbours, trees)]
