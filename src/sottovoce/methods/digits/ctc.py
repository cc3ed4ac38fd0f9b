"""Training networks that transcribe, by CTC: from whole utterances and their transcripts, without times of words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from sottovoce.audio.spectrum import SAMPLE_RATE, Spectrum, Wave
from sottovoce.corpora.cache import Sounds
from sottovoce.models.digit_codes import BLANK
from sottovoce.training.device import device
from sottovoce.training.loop import Run, one_cycle, set_learning_rate, train, update
from sottovoce.training.settings import Positive, Rate

FrontEnd = Callable[[Wave], Spectrum]  # sound [T] to the input of a network, [161, N]

_WINDOW = 3  # batches of sounds of about one length, out of which one is drawn


class Reader(Protocol):
    """A network that reads padded spectra [B, 161, N] of so many frames [B]: logits [B, M, K] and their counts [B]."""

    def read(self, spectrum: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]: ...


@dataclass(frozen=True)
class CtcSettings:
    """How a network that transcribes is trained; sounds change in tempo by up to `tempo`, in level by `gain_db`."""

    steps: Positive = 800
    batch: Positive = 12
    learning_rate: Rate = 3e-3
    weight_decay: Rate = 0.01
    tempo: float = 0.12
    gain_db: float = 0.0
    clip_norm: float = 5.0


def train_ctc(
    network: nn.Module,
    sounds: Sounds,
    clips: NDArray[np.int64],
    transcripts: Sequence[Sequence[int]],
    front_end: FrontEnd,
    settings: CtcSettings,
    run: Run,
) -> None:
    """Train `network`, a `Reader`, to give `transcripts` [U] for `clips` [U], positions of sounds.

    It is in evaluation mode afterwards.
    """
    network.to(device()).train()
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=settings.weight_decay)
    order = np.argsort([sounds.samples(int(i)) for i in clips], kind="stable")

    def step(number: int, rng: np.random.Generator) -> str:
        set_learning_rate(optimiser, one_cycle(number, run.steps, settings.learning_rate))
        chosen = _of_one_length(order, settings.batch, rng)
        spectra = [front_end(_changed(sounds.wave(int(clips[i])), settings, rng)) for i in chosen]
        logits, counts = network.read(*padded(spectra))  # type: ignore[operator]
        loss = ctc_loss(logits, counts, [transcripts[i] for i in chosen])
        return f"loss {update(optimiser, loss, settings.clip_norm):.3f}"

    train(step, {"network": network, "optimiser": optimiser}, run)
    network.eval().cpu()


def _of_one_length(order: NDArray[np.int64], batch: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """A batch out of neighbours in `order`, by length: little of it is padding."""
    window = min(_WINDOW * batch, len(order))
    start = int(np.clip(rng.integers(1 - window, len(order)), 0, len(order) - window))  # the ends as often
    return order[start + rng.choice(window, size=min(batch, window), replace=False)]


def ctc_loss(logits: Tensor, counts: Tensor, transcripts: Sequence[Sequence[int]]) -> Tensor:
    """Mean over utterances of -log P(transcript) / its length, of logits [B, M, K] of which `counts` [B] are used."""
    lengths = torch.tensor([len(transcript) for transcript in transcripts])
    labels = torch.tensor([label for transcript in transcripts for label in transcript], dtype=torch.long)
    likely = functional.log_softmax(logits, dim=2).transpose(0, 1)
    return functional.ctc_loss(likely, labels.to(logits.device), counts, lengths, blank=BLANK, zero_infinity=True)


def padded(spectra: Sequence[Spectrum]) -> tuple[Tensor, Tensor]:
    """Spectra [161, N] of several lengths as one batch [B, 161, N], zero past their ends, and their frames [B]."""
    frames = torch.tensor([spectrum.shape[1] for spectrum in spectra])
    batch = torch.zeros(len(spectra), spectra[0].shape[0], int(frames.max()))
    for row, spectrum in zip(batch, spectra, strict=True):
        row[:, : spectrum.shape[1]] = torch.from_numpy(spectrum)
    return batch.to(device()), frames


def _changed(wav: Wave, settings: CtcSettings, rng: np.random.Generator) -> Wave:
    tempo = rng.uniform(1.0 - settings.tempo, 1.0 + settings.tempo)
    gain = 10.0 ** (rng.uniform(-settings.gain_db, settings.gain_db) / 20.0)
    changed: Wave = np.float32(gain) * soxr.resample(wav, SAMPLE_RATE * tempo, SAMPLE_RATE).astype(np.float32)
    return changed
