"""What an attacker is: it learns from utterances whose private label it knows, then guesses that of others.

Every attacker is fresh: trained after the filter, with its own loop; it shares nothing with the training of a filter,
and chooses its own settings on validation. Its knowledge is a matter of what it is fitted on: an informed attacker on
obfuscated sound, an uninformed one on originals; a white-box one also uses the weights of the filter.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Labels = NDArray[np.int64]
Knowledge = Literal["uninformed", "informed", "white-box"]


@dataclass(frozen=True, eq=False)
class Observations:
    """Utterances as they arrive.

    `spectra` [S, F, N] are their segments (standardised log spectra [S, 161, 128], or another feature of that form),
    and `owner` [S] in 0..U-1, ascending, says whose each is. `outline` [U, D] is what shows without a look at the
    content: the duration in seconds and, of sound, the level in dB. `answers` are the logits [S, K] of each permitted
    target by its task, where there are any. `waves` are the sounds [T] at 16 kHz, where sound arrives, and
    `speaker_embeddings` what pretrained speaker encoders make of them, by the encoder's name: embeddings [P, D] of
    pieces of a few seconds, and whose each is [P].
    """

    spectra: Array
    owner: NDArray[np.int64]
    outline: Array
    answers: Mapping[str, Array] | None = None
    waves: Sequence[Array] | None = None
    speaker_embeddings: Mapping[str, tuple[Array, NDArray[np.int64]]] | None = None

    def __len__(self) -> int:
        return len(self.outline)

    @cached_property
    def first(self) -> NDArray[np.int64]:
        """Position of the first segment of each utterance, [U + 1]; the last entry is S."""
        return np.searchsorted(self.owner, np.arange(len(self) + 1))

    def pick(self, utterances: NDArray[np.int64]) -> Observations:
        """The utterances at these positions, in this order."""
        segments, owner = _of(utterances, self.owner)
        embeddings = None
        if self.speaker_embeddings is not None:
            chosen = {name: _of(utterances, whose) for name, (_, whose) in self.speaker_embeddings.items()}
            embeddings = {name: (self.speaker_embeddings[name][0][at], own) for name, (at, own) in chosen.items()}
        return Observations(
            self.spectra[segments],
            owner,
            self.outline[utterances],
            None if self.answers is None else {task: logits[segments] for task, logits in self.answers.items()},
            None if self.waves is None else [self.waves[u] for u in utterances],
            embeddings,
        )


def _of(utterances: NDArray[np.int64], owner: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of what belongs to these utterances, in their order, and the number of the utterance among them."""
    first, last = np.searchsorted(owner, utterances), np.searchsorted(owner, utterances, side="right")
    ranges = [np.arange(a, b) for a, b in zip(first, last, strict=True)]
    return np.concatenate([np.zeros(0, np.int64), *ranges]), np.repeat(np.arange(len(utterances)), last - first)


class Attacker(ABC):
    """Guesses one private label. Register a derived class to have it tried: see `sottovoce.plugins`.

    The constructor only stores `cycles`, the training that the audit's effort grants to an attacker that trains in
    cycles, and `seed`. Learned attributes end in an underscore; `fit` may replace `converged_`, whether more training
    would not have helped as far as validation can tell, and `curve_`, the accuracy on validation after so many training
    steps.
    """

    name: ClassVar[str]  # in reports
    version: ClassVar[str] = ""  # enters every digest, beside a digest of the source
    needs: ClassVar[str] = "labelled recordings as the application receives them"  # what it has to have or know
    knowledge: ClassVar[tuple[Knowledge, ...]] = (
        "informed",
        "uninformed",
    )  # what it is fitted on
    needs_sound: ClassVar[bool] = False  # `speaker_embeddings` or `waves`: features alone are nothing to it
    encoder: ClassVar[str] = ""  # the speaker encoder whose `speaker_embeddings` it needs
    needs_answers: ClassVar[bool] = False  # of the permitted targets
    seeded: ClassVar[bool] = False  # another seed is another attacker
    cost: ClassVar[int] = 5  # how slow it is, 0 to 10: the slowest begin first

    converged_: bool = True
    curve_: Sequence[tuple[int, float]] = ()

    def __init__(self, cycles: int = 0, seed: int = 0) -> None:
        self.cycles = cycles
        self.seed = seed

    @abstractmethod
    def fit(
        self, train: Observations, labels: Labels, validation: Observations, validation_labels: Labels, classes: int
    ) -> Self:
        """Learn from utterances and their labels [U] in 0..classes-1, choosing on validation."""

    @abstractmethod
    def scores(self, observations: Observations) -> Array:
        """Natural logarithms of probabilities, up to a constant of each utterance, [U, K]; the guess is the argmax."""


def accuracy(attacker: Attacker, observations: Observations, labels: Labels) -> float:
    """Share of utterances whose label is guessed, 0..1."""
    return float((attacker.scores(observations).argmax(axis=1) == labels).mean())
