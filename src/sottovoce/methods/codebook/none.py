"""When a block holds nothing of what is permitted: learned from silence, noise, music, and recordings that one names.

A small network compares segments of the corpus' recordings with all that. Of its threshold the false alarms (nothing is
taken for something) and the misses (something is taken for nothing) are measured on validation recordings and on other
negatives than it learned from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from sottovoce.audio.level import normalise
from sottovoce.audio.segment import front_end
from sottovoce.audio.spectrum import SAMPLE_RATE, SEGMENT_S, SEGMENT_SAMPLES, Wave
from sottovoce.corpora.cache import Sounds
from sottovoce.models.compact import SpecAugment
from sottovoce.training.loop import Run, draw_segments, one_cycle, set_learning_rate, train, update
from sottovoce.training.settings import Positive, Share

Draw = Callable[[np.random.Generator, int], Wave]  # so many segments [N, 20480] of a kind
Negatives = Mapping[str, Draw]  # by name
_AT_ONCE = 32  # segments
_BELOW_SILENCE = 0.99  # the highest threshold, of the probability that silence has
_POINTS = 41  # of the curve
_HOUR_S = 3600.0


@dataclass(frozen=True)
class NoneSettings:
    """How none is learned; `miss` is the share of blocks with something permitted that may be taken for nothing."""

    steps: Positive = 400
    batch: Positive = 32
    learning_rate: float = 3e-3
    miss: Share = 0.01
    measured: Positive = 1024  # segments of each kind, for the rates: about 22 minutes


class Presence(nn.Module):
    """The log odds [B] that standardised log spectra [B, 161, 128] hold something of the corpus: 11,000 parameters."""

    def __init__(self) -> None:
        super().__init__()
        widths = (1, 12, 24, 32, 32)
        layers: list[nn.Module] = [SpecAugment()]
        for inputs, outputs in pairwise(widths):
            first = inputs == 1
            kernel, stride = ((9, 5), (4, 2)) if first else ((3, 3), (2, 2))
            padding = (kernel[0] // 2, kernel[1] // 2)
            layers += [
                nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
            ]  # fmt: skip
        self.layers = nn.Sequential(*layers)
        self.output = nn.Linear(3 * widths[-1], 1)

    def forward(self, spectra: Tensor) -> Tensor:
        """[B, 161, 128] -> [B]."""
        hidden = self.layers(spectra.unsqueeze(1))
        deviation = (hidden.var(dim=(2, 3)) + 1e-5).sqrt()
        odds: Tensor = self.output(torch.cat([hidden.mean(dim=(2, 3)), deviation, hidden.amax(dim=(2, 3))], dim=1))
        return odds.squeeze(1)


def train_presence(
    sounds: Sounds, clips: NDArray[np.int64], negatives: Negatives, settings: NoneSettings, run: Run
) -> Presence:
    """A network that tells segments of `clips` from negatives, as many of each kind."""
    torch.manual_seed(run.seed)
    network = Presence()
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=0.01)
    each = max(1, settings.batch // (2 * len(negatives)))

    def step(number: int, rng: np.random.Generator) -> str:
        set_learning_rate(optimiser, one_cycle(number, settings.steps, settings.learning_rate))
        something, _ = draw_segments(sounds, clips, each * len(negatives), rng)
        nothing = [draw(rng, each) for draw in negatives.values()]
        spectra = torch.from_numpy(front_end(np.concatenate([something, *nothing])))
        truth = (torch.arange(len(spectra)) < len(something)).to(torch.float32)
        loss = functional.binary_cross_entropy_with_logits(network(spectra), truth)
        return f"none: loss {update(optimiser, loss):.3f}"

    network.train()
    train(step, {"network": network, "optimiser": optimiser}, run.part("none", settings.steps))
    return network.eval()


def rates(
    none: Callable[[Wave], NDArray[np.float32]],
    something: Draw,
    negatives: Negatives,
    settings: NoneSettings,
    seed: int,
    above: float | None = None,
) -> dict[str, Any]:
    """Misses and false alarms of a threshold, and of all others as a curve, for a card.

    `none` gives the probability of none [S] of segments [S, 20480], above which a block is none. If None, `above` is
    what `something` exceeds as often as `settings` allow. Nothing may have been learned from what is drawn here.
    """
    rng = np.random.default_rng([seed, 9])

    def probabilities(draw: Draw) -> NDArray[np.float32]:
        pieces = (draw(rng, min(_AT_ONCE, settings.measured)) for _ in range(0, settings.measured, _AT_ONCE))
        return np.concatenate([*map(none, pieces)])

    present = probabilities(something)
    absent = {name: probabilities(draw) for name, draw in negatives.items()}
    if above is None:  # digital silence is none, whatever that misses
        silent = float(none(np.zeros((1, SEGMENT_SAMPLES), np.float32))[0])
        above = min(float(np.quantile(present, 1.0 - settings.miss)), _BELOW_SILENCE * silent)
    every = np.concatenate([*absent.values()])
    quantiles = np.quantile(np.concatenate([present, every]), np.linspace(0.0, 1.0, _POINTS))
    points = np.unique([*quantiles, above])
    per_hour = _HOUR_S / SEGMENT_S
    return {
        "threshold": above,
        "miss_rate": float((present > above).mean()),
        "false_alarms_per_hour": {name: float((each <= above).mean() * per_hour) for name, each in absent.items()},
        "segments": {"something": len(present), **{name: len(each) for name, each in absent.items()}},
        "curve": [[float(at), float((every <= at).mean()), float((present > at).mean())] for at in points],
    }


def of_recordings(sounds: Sounds, clips: NDArray[np.int64]) -> Draw:
    """What draws segments of recordings."""
    return lambda rng, count: draw_segments(sounds, clips, count, rng)[0]


def silence(rng: np.random.Generator, count: int) -> Wave:
    """Digital silence, and nearly: [N, 20480]."""
    faint = 1e-5 * rng.standard_normal((count, SEGMENT_SAMPLES), dtype=np.float32)
    return faint * rng.integers(0, 2, (count, 1)).astype(np.float32)


def noise(rng: np.random.Generator, count: int) -> Wave:
    """Noise whose power falls by 0 to 12 dB for each octave, through a random band, with or without clicks or hum."""
    frequencies = np.fft.rfftfreq(SEGMENT_SAMPLES, 1.0 / SAMPLE_RATE)
    spectra = np.fft.rfft(rng.standard_normal((count, SEGMENT_SAMPLES)), axis=1)
    spectra *= np.maximum(frequencies, 20.0) ** -rng.uniform(0.0, 2.0, (count, 1))
    low, width = 10.0 ** rng.uniform(1.3, 3.5, (count, 1)), 10.0 ** rng.uniform(0.3, 2.5, (count, 1))
    outside = (frequencies < low) | (frequencies > low * width)
    spectra *= np.where(outside & (rng.random((count, 1)) < 0.5), 0.03, 1.0)
    waves = normalise(np.fft.irfft(spectra, SEGMENT_SAMPLES, axis=1).astype(np.float32))
    clicks = (rng.random(waves.shape) < 10.0 ** rng.uniform(-5.0, -3.0, (count, 1))) * rng.random((count, 1))
    hum = _tones(rng, count, rng.choice([50.0, 60.0], (count, 1)), 12)
    clicking, humming = (rng.random((2, count, 1)) < 0.3).astype(np.float32)
    return _at_some_level(waves + clicking * clicks + 0.1 * humming * hum, rng)


def music(rng: np.random.Generator, count: int) -> Wave:
    """Chords of decaying harmonic tones, two to six in each segment."""
    waves = np.zeros((count, SEGMENT_SAMPLES))
    time = np.arange(SEGMENT_SAMPLES) / SAMPLE_RATE
    for _ in range(6):
        root = 110.0 * 2.0 ** (rng.integers(0, 36, (count, 1)) / 12.0)
        chord = sum(_tones(rng, count, root * 2.0 ** (step / 12.0), 8) for step in (0, rng.choice([3, 4]), 7))
        begin = rng.uniform(-0.5, 1.2, (count, 1))
        envelope = np.where(time >= begin, np.exp(-(time - begin) * rng.uniform(1.0, 8.0, (count, 1))), 0.0)
        waves += envelope * chord * (rng.random((count, 1)) < 0.7)
    return _at_some_level(waves, rng)


BUILT_IN: Negatives = {"silence": silence, "noise": noise, "music": music}


def _tones(rng: np.random.Generator, count: int, root: NDArray[np.float64], harmonics: int) -> Wave:
    """Harmonic tones [N, 20480] of fundamentals [N, 1] in Hz, with random phases and falling power."""
    turns = 2.0 * np.pi * root * np.arange(SEGMENT_SAMPLES) / SAMPLE_RATE
    falling, phases = rng.uniform(0.5, 2.0, (count, 1)), rng.uniform(0.0, 2.0 * np.pi, (harmonics, count, 1))
    fundamental = np.exp(1j * turns).astype(np.complex64)
    harmonic, total = np.ones_like(fundamental), np.zeros(turns.shape, np.float32)
    for k in range(1, harmonics + 1):  # exp(i k x) is exp(i x) to the k-th power, which is faster than a sine of each
        harmonic *= fundamental
        audible = np.where(k * root < SAMPLE_RATE / 2, np.exp(1j * phases[k - 1]) / k**falling, 0.0)
        total += (audible.astype(np.complex64) * harmonic).imag
    return total


def _at_some_level(waves: NDArray[Any], rng: np.random.Generator) -> Wave:
    """Sounds at 0 to 60 dB below the level of a sound file."""
    quieter = 10.0 ** -rng.uniform(0.0, 3.0, (len(waves), 1))
    return (normalise(waves.astype(np.float32)) * quieter).astype(np.float32)
