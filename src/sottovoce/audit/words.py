"""How much of what was said is still understood, and how much a stream of codes carries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sottovoce.audit.metrics import Interval, ratio

Transcripts = Sequence[Sequence[int]]


def word_errors(heard: Sequence[int], said: Sequence[int]) -> int:
    """Fewest words to insert, delete or replace that make `said` of `heard` (Levenshtein 1966)."""
    before = list(range(len(said) + 1))
    for i, word in enumerate(heard, start=1):
        row = [i]
        for j, wanted in enumerate(said, start=1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (word != wanted)))
        before = row
    return before[-1]


def word_error_rate(heard: Transcripts, said: Transcripts, seed: int = 0) -> Interval:
    """Word errors per word said over utterances [U], with a 95 % interval resampled by utterance."""
    return added_error_rate(said, heard, said, seed)


def added_error_rate(before: Transcripts, after: Transcripts, said: Transcripts, seed: int = 0) -> Interval:
    """Word error rate of `after` minus that of `before` on the same utterances [U], resampled together."""
    errors = [
        word_errors(new, true) - word_errors(old, true) for old, new, true in zip(before, after, said, strict=True)
    ]
    words = np.array([len(true) for true in said], np.float64)
    return ratio(np.array(errors, np.float64), words, np.arange(len(words)), seed)


def entropy_bits(codes: Transcripts) -> float:
    """Entropy in bits per code of all `codes` as if each were drawn by itself: no less than what the stream carries."""
    counts = np.bincount([code for stream in codes for code in stream])
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log2(share)).sum())
