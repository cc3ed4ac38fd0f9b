"""The words of a codebook: spectra on which frozen targets say what the codes stand for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from sottovoce.audio.griffin_lim import to_sound
from sottovoce.audio.segment import front_end
from sottovoce.audio.spectrum import BINS, HOP_SAMPLES, SEGMENT_FRAMES, SEGMENT_SAMPLES, Spectrum, magnitude
from sottovoce.corpora.cache import Sounds
from sottovoce.models.codebook import SHARPNESS, Array, interpolation
from sottovoce.models.layers import standardised
from sottovoce.models.target import Target
from sottovoce.training.loop import Run, draw, set_learning_rate, train, update
from sottovoce.training.settings import Positive


@dataclass(frozen=True)
class CodewordSettings:
    """How words are drawn: pictures of `grid` bins and frames, so many steps for each batch of words."""

    grid: tuple[Positive, Positive] = (41, 32)
    steps: int = 200
    batch: Positive = 64
    rate: float = 0.05
    candidates: Positive = 2048  # where a target can only be queried: segments about which it is, and as many blends


_MOST_CERTAIN = 0.95
_RENDERED_EVERY = 10  # steps
_NOISE = 0.1  # on a word, in deviations of its spectrum
_SLOPE = 1.0  # of a first guess: like speech, less at higher frequencies


def goals(centres: Sequence[Array]) -> list[Tensor]:
    """For each task what its target shall say [W, C] of each of W words: less sharp in the first blocks of a sound.

    So a vote over blocks that contradict each other goes to the later one, which has heard more. Of a task that is not
    permitted its target shall know nothing.
    """
    rows: list[list[Array]] = [[] for _ in centres]
    for sharpness, *codes in product(SHARPNESS, *(range(len(table) + 1) for table in centres)):
        for wanted, table, code in zip(rows, centres, codes, strict=True):
            nothing = np.full(table.shape[1], 1.0 / table.shape[1])
            share = _MOST_CERTAIN * sharpness if code else 0.0
            wanted.append(share * table[int(code) - 1] + (1.0 - share) * nothing)
    return [torch.from_numpy(np.stack(wanted).astype(np.float32)) for wanted in rows]


def drawn(
    targets: Sequence[Target],
    goals: Sequence[Tensor],
    settings: CodewordSettings,
    sound: tuple[float, float],
    run: Run,
    base: Array | None = None,
) -> Array:
    """Words [W, H, W'] found by gradients through the targets, in seconds: a run that was killed begins them anew.

    `sound` are the mean and deviation that the filter gives to its log spectra on the way back to sound. With spectra
    `base` [W, 161, 128], words are what has to be added to these, and the sums [W, 161, 128] are given back.

    Every other step sees the words as they come back from sound: a picture of magnitudes is no spectrum that a sound
    has, so what it loses on the way is measured now and then, and added.
    """
    count = len(goals[0])
    rows, columns = (
        torch.from_numpy(interpolation(*size)) for size in zip(settings.grid, (BINS, SEGMENT_FRAMES), strict=True)
    )
    falling = torch.linspace(_SLOPE, -_SLOPE, settings.grid[0])[:, None]
    noise = torch.randn(count, *settings.grid, generator=torch.Generator().manual_seed(run.seed))
    first = _NOISE * noise + (falling if base is None else 0.0)
    under = torch.zeros(count, 1, 1) if base is None else torch.from_numpy(base)
    held = nn.ParameterDict({"words": nn.Parameter(first)})
    optimiser = torch.optim.Adam(held.parameters(), lr=settings.rate)
    batches = -(-count // settings.batch)
    steps = settings.steps * batches
    lost: dict[int, tuple[int, Tensor]] = {}  # on the way through sound, for each batch: its shift, and the difference

    def step(number: int, rng: np.random.Generator) -> str:
        set_learning_rate(optimiser, 0.5 * settings.rate * (1.0 + math.cos(math.pi * number / steps)))
        turn, batch = divmod(number, batches)
        part = slice(batch * settings.batch, (batch + 1) * settings.batch)
        spectra = standardised(under[part] + rows @ held["words"][part] @ columns.T)
        if turn % _RENDERED_EVERY == _RENDERED_EVERY - 1:
            shift = int(rng.integers(SEGMENT_FRAMES))
            heard = torch.from_numpy(rendered(spectra.detach().numpy(), shift, sound, number))
            lost[batch] = shift, heard - spectra.detach().roll(-shift, 2)
        if batch in lost and turn % 2:
            shift, difference = lost[batch]
            seen = spectra.roll(-shift, 2) + difference
        else:
            seen = spectra + _NOISE * torch.randn_like(spectra)
        losses = [
            functional.kl_div(target.logits(seen).log_softmax(dim=1), goal[part], reduction="batchmean")
            for target, goal in zip(targets, goals, strict=True)
        ]
        loss = torch.stack(losses).sum()
        return f"words: divergence {update(optimiser, loss):.3f}"

    train(step, {"words": held, "optimiser": optimiser}, run._replace(steps=steps, partial=None))
    found = held["words"].detach()
    return np.asarray((found if base is None else standardised(under + rows @ found @ columns.T)).numpy())


def rendered(spectra: Spectrum, shift: int, sound: tuple[float, float], seed: int) -> Spectrum:
    """What the front end makes of each of [W, 161, 128] said twice, from `shift` frames on."""
    mean, deviation = map(np.float32, sound)
    waves = [to_sound(magnitude(np.tile(spectrum, 2) * deviation + mean), seed=seed) for spectrum in spectra]
    start = shift * HOP_SAMPLES
    return front_end(np.stack([wave[start : start + SEGMENT_SAMPLES] for wave in waves]))


def recordings(
    sounds: Sounds,
    clips: NDArray[np.int64],
    targets: Sequence[Target],
    goals: Sequence[Tensor],
    settings: CodewordSettings,
    seed: int,
) -> tuple[Array, NDArray[np.int64]]:
    """Words [W, 161, 128] that are training segments, or mixtures of two, of which the targets say nearly the goal.

    Also the positions of the recordings that these segments are of, each once.
    """
    spectra, owners = segments(sounds, clips, settings, np.random.default_rng([seed, 4]))
    candidates = torch.cat([spectra, standardised(spectra[::2] + spectra[1::2])])
    of = np.concatenate([np.stack([owners, owners], axis=1), owners.reshape(-1, 2)])
    best = divergence(answers(targets, candidates), goals).argmin(dim=1).numpy()
    return candidates[best].numpy(), np.unique(of[best])


def segments(
    sounds: Sounds, clips: NDArray[np.int64], settings: CodewordSettings, rng: np.random.Generator
) -> tuple[Tensor, NDArray[np.int64]]:
    """The spectra [N, 161, 128] of training segments, and the positions of their recordings [N]."""
    batches = [draw(sounds, clips, settings.batch, rng) for _ in range(0, settings.candidates, settings.batch)]
    return torch.cat([part.cpu() for part, _ in batches]), torch.cat([part.cpu() for _, part in batches]).numpy()


def answers(targets: Sequence[Target], spectra: Tensor) -> list[Tensor]:
    """What each target says of spectra [N, 161, 128]: log posteriors [N, C]."""
    return [torch.from_numpy(target.predict(spectra.numpy())).log_softmax(dim=1) for target in targets]


def divergence(said: Sequence[Tensor], goals: Sequence[Tensor]) -> Tensor:
    """How far log posteriors [N, C] of each task are from each goal [W, C], summed over tasks: [W, N]."""
    each = [
        (goal * goal.clamp(min=1e-12).log()).sum(dim=1, keepdim=True) - goal @ answer.T
        for answer, goal in zip(said, goals, strict=True)
    ]
    return torch.stack(each).sum(dim=0)
