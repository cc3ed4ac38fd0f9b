"""Learning to transcribe: the loss by hand, batches of one length, and a word table that is only ever asked for."""

import itertools
import math

import numpy as np
import pytest
import torch

from sottovoce.errors import CorpusError
from sottovoce.methods.digits.ctc import CtcSettings, ctc_loss, padded, train_ctc
from sottovoce.methods.digits.words import WORD_FRAMES, choose_words
from sottovoce.models.digit_codes import CODES, ctc_onsets, digits_of, encoder_input
from sottovoce.models.digit_encoder import DigitEncoder
from sottovoce.training.loop import Run


def test_the_loss_is_the_sum_over_all_alignments():
    logits = torch.randn(1, 4, CODES, generator=torch.Generator().manual_seed(0))
    likely = logits[0].softmax(dim=1)
    paths = itertools.product(range(CODES), repeat=3)
    whole = sum(
        math.prod(float(likely[m, label]) for m, label in enumerate(path))
        for path in paths
        if digits_of(ctc_onsets(path)) == [3, 1]
    )
    assert float(ctc_loss(logits, torch.tensor([3]), [[3, 1]])) == pytest.approx(-math.log(whole) / 2, rel=1e-4)


def test_padding_is_zero_and_counted():
    batch, frames = padded([np.ones((161, 3), np.float32), np.ones((161, 5), np.float32)])
    assert frames.tolist() == [3, 5]
    assert batch[0, :, 3:].abs().sum() == 0 and batch[1].min() == 1


class Tones:
    """Sounds of one digit each, as the tone that stands for it."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.spoken = [[int(digit)] for digit in rng.integers(0, 2, 24)]
        self.waves = [_tone(digit, rng) for [digit] in self.spoken]

    def wave(self, i: int) -> np.ndarray:
        return self.waves[i]

    def samples(self, i: int) -> int:
        return len(self.waves[i])

    def teach(self, run: Run) -> DigitEncoder:
        torch.manual_seed(0)
        network = DigitEncoder(width=16, hidden=16, dropout=0.0)
        settings = CtcSettings(batch=12, learning_rate=1e-2, tempo=0.0)
        train_ctc(network, self, np.arange(len(self.waves)), self.spoken, encoder_input, settings, run)  # type: ignore[arg-type]
        return network


def quiet(done: int, total: int, note: str) -> None:
    """Says nothing."""


def test_an_encoder_learns_tones_from_what_was_said_alone():
    tones = Tones()
    network = tones.teach(Run(150, 0, quiet))
    for wav, [digit] in zip(tones.waves, tones.spoken, strict=True):
        with torch.no_grad():
            logits = network(torch.from_numpy(encoder_input(wav))[None])
        right, wrong = (ctc_loss(logits, torch.tensor([logits.shape[1]]), [[said]]) for said in (digit, 1 - digit))
        assert right < wrong


def test_training_that_was_killed_ends_as_if_it_had_not_been(tmp_path, monkeypatch):
    monkeypatch.setattr("sottovoce.training.loop._SAVE_EVERY_S", 0.0)
    run = Run(8, 0, quiet, tmp_path / "partial", "a run")

    class KilledError(Exception):
        pass

    def kill(done: int, total: int, note: str) -> None:
        if done == 4:
            raise KilledError

    whole = Tones().teach(run._replace(partial=None))
    with pytest.raises(KilledError):
        Tones().teach(run._replace(report=kill))
    again = Tones().teach(run)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))


def test_the_word_that_the_target_reads_is_chosen():
    """A target that reads a digit off the loudest bin; half of the recordings are the tone of another digit."""
    rng = np.random.default_rng(0)
    recordings = [[_tone(digit, rng), _tone((digit + 1) % 10, rng)] for digit in range(10)]

    def ask(wav):
        spectrum = torch.from_numpy(encoder_input(wav))
        loud = spectrum[[_bin(digit) for digit in range(10)]]
        quiet = torch.full((1, loud.shape[1]), 2.0)
        return 5.0 * torch.cat([loud, quiet]).T

    table = choose_words(ask, recordings, 2, 0)
    assert table.spectra.shape == (10, 161, WORD_FRAMES)
    for digit in range(10):
        assert table.spectra[digit].mean(axis=1).argmax() == _bin(digit)


def test_a_digit_without_a_short_recording_is_refused():
    long = np.random.default_rng(0).standard_normal(16000).astype(np.float32)
    with pytest.raises(CorpusError, match="digit 0"):
        choose_words(lambda wav: torch.zeros(1, CODES), [[long]] * 10, 2, 0)


def _bin(digit: int) -> int:
    return 10 + 12 * digit


def _tone(digit: int, rng: np.random.Generator) -> np.ndarray:
    seconds = np.arange(4800) / 16000
    wav = 0.15 * np.sin(2 * np.pi * 50 * _bin(digit) * seconds) + 1e-5 * rng.standard_normal(len(seconds))
    wav[:960] *= 0.01
    wav[-960:] *= 0.01
    return wav.astype(np.float32)
