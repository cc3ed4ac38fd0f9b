"""Choosing the ten words of a filter for digit strings, among recordings, by asking the target alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from sottovoce.audio.level import normalise, trim_silence
from sottovoce.audio.spectrum import HOP_SAMPLES, Spectrum, Wave, log_spectrum
from sottovoce.errors import CorpusError
from sottovoce.methods.digits.ctc import ctc_loss
from sottovoce.models.digit_codes import BLANK, BLOCK_FRAMES, DIGITS
from sottovoce.models.word_table import WordTable

Recogniser = Callable[[Wave], Tensor]  # sound [T] to the target's logits [M, 11]

WORD_FRAMES = 40  # 0.4 s
_MARGIN_S = 0.02
_ROUNDS = 2
_STRINGS = 4  # in which a candidate is tried


def choose_words(recogniser: Recogniser, recordings: Sequence[Sequence[Wave]], candidates: int, seed: int) -> WordTable:
    """A table of words out of `recordings`, for each digit several sounds at 16 kHz, of which so many are tried.

    Raises CorpusError where a digit has no recording short enough for a word.
    """
    rng = np.random.default_rng(seed)
    tried = [_candidates(own, candidates, digit, rng) for digit, own in zip(DIGITS, recordings, strict=True)]
    chosen = np.stack([own[0] for own in tried])
    for _ in range(_ROUNDS):  # the first among arbitrary words, the next among those that were chosen
        chosen = np.stack([_best(recogniser, chosen, digit, tried[digit], rng) for digit in DIGITS])
    return WordTable(chosen)


def _candidates(own: Sequence[Wave], count: int, digit: int, rng: np.random.Generator) -> list[Spectrum]:
    """Spectra [161, 40] of recordings that fit into a word, in the middle of it."""
    length = WORD_FRAMES * HOP_SAMPLES
    spectra: list[Spectrum] = []
    for i in rng.permutation(len(own)):
        wav = trim_silence(own[i], margin_s=_MARGIN_S)
        if len(wav) <= length and len(spectra) < count:
            before = (length - len(wav)) // 2
            spectra.append(log_spectrum(np.pad(normalise(wav, 1.0), (before, length - len(wav) - before))))
    if not spectra:
        raise CorpusError(f"no recording of the digit {digit} is shorter than {length} samples; expected one at least.")
    return spectra


def _best(
    recogniser: Recogniser, table: Spectrum, digit: int, tried: Sequence[Spectrum], rng: np.random.Generator
) -> Spectrum:
    """The candidate with which the target is most certain of strings that hold the digit twice."""
    neighbours = rng.integers(len(DIGITS), size=(_STRINGS, 3))
    losses = []
    for spectrum in tried:
        words = WordTable(np.concatenate([table[:digit], spectrum[None], table[digit + 1 :]]))
        loss = 0.0
        for a, b, c in neighbours.tolist():
            string = [a, digit, b, digit, c]
            logits = recogniser(words.draw(_spaced(string, words.blocks), "live"))
            with torch.no_grad():
                loss += float(ctc_loss(logits[None], torch.tensor([len(logits)]), [string]))
        losses.append(loss)
    return tried[int(np.argmin(losses))]


def _spaced(string: Sequence[int], word_blocks: int) -> list[int]:
    """Codes of digits with pauses of 40 to 160 ms, some in a row and some apart."""
    codes: list[int] = [BLANK] * BLOCK_FRAMES
    for position, digit in enumerate(string):
        codes += [digit, *[BLANK] * (word_blocks + position % BLOCK_FRAMES)]
    return codes
