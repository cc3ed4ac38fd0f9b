"""How much of what was said is still understood: word errors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sottovoce.audit.metrics import Interval, ratio


def word_errors(heard: Sequence[int], said: Sequence[int]) -> int:
    """Fewest words to insert, delete or replace that make `said` of `heard` (Levenshtein 1966)."""
    before = list(range(len(said) + 1))
    for i, word in enumerate(heard, start=1):
        row = [i]
        for j, wanted in enumerate(said, start=1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (word != wanted)))
        before = row
    return before[-1]


def word_error_rate(heard: Sequence[Sequence[int]], said: Sequence[Sequence[int]], seed: int = 0) -> Interval:
    """Word errors per word said over utterances [U], with a 95 % interval resampled by utterance."""
    errors = np.array([word_errors(*pair) for pair in zip(heard, said, strict=True)], np.float64)
    return ratio(errors, np.array([len(words) for words in said], np.float64), np.arange(len(errors)), seed)
