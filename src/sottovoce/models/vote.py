"""The vote of segments: one answer for an utterance from the answers for its segments."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sottovoce.models.target import Array


def vote(logits: Array, owner: NDArray[np.int64]) -> Array:
    """Scores [U, K] of utterances from the logits [S, K] of their segments; `owner` [S] says whose each is.

    As in the paper each segment has one vote for its class; equal counts are decided by the mean posterior, which adds
    less than one vote. The class of an utterance is the argmax.
    """
    posterior = np.exp(logits - logits.max(axis=1, keepdims=True))
    posterior /= posterior.sum(axis=1, keepdims=True)
    ballot = np.eye(logits.shape[1], dtype=np.float32)[logits.argmax(axis=1)]
    utterances = int(owner.max()) + 1
    scores = np.zeros((utterances, logits.shape[1]), np.float32)
    mean = np.zeros_like(scores)
    np.add.at(scores, owner, ballot)
    np.add.at(mean, owner, posterior / np.bincount(owner)[owner, None])
    return scores + 0.99 * mean
