"""What an attacker is: it hears utterances whose private label it knows, then guesses that of others.

Every attacker is fresh: trained after the filter, with its own loop; it shares nothing with the training of a filter,
and chooses its own settings on validation. Its knowledge is a matter of what it hears: an informed attacker is fitted
on obfuscated sound, an ignorant one on originals.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Labels = NDArray[np.int64]
Knowledge = Literal["ignorant", "informed"]


@dataclass(frozen=True, eq=False)
class Heard:
    """Utterances as they arrive: standardised log spectra [S, 161, 128], and whose each segment is, [S] in 0..U-1."""

    spectra: Array
    owner: NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.owner[-1]) + 1

    @cached_property
    def first(self) -> NDArray[np.int64]:
        """Position of the first segment of each utterance, [U + 1]; the last entry is S."""
        return np.searchsorted(self.owner, np.arange(len(self) + 1))


class Attacker(Protocol):
    """Guesses one private label. The constructor only stores; learned attributes end in an underscore."""

    name: str
    needs: str  # what this attacker has to have or know, in words
    converged_: bool  # more training would not have helped, as far as validation can tell

    def fit(self, train: Heard, labels: Labels, validation: Heard, validation_labels: Labels, classes: int) -> Self:
        """Learn from utterances and their labels [U] in 0..classes-1, choosing on validation."""
        ...

    def scores(self, heard: Heard) -> Array:
        """Scores [U, K]; the guess is the argmax."""
        ...


def accuracy(attacker: Attacker, heard: Heard, labels: Labels) -> float:
    """Share of utterances whose label is guessed, 0..1."""
    return float((attacker.scores(heard).argmax(axis=1) == labels).mean())
