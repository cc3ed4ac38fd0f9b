"""The templates of codewords: spectra for which frozen targets give what the codes stand for.

A target of sound is asked about the sound that leaves for a template.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from sottovoce.audio.segment import front_end
from sottovoce.audio.spectrum import BINS, SEGMENT_FRAMES, Spectrum, Wave
from sottovoce.corpora.cache import Sounds
from sottovoce.models.codebook import SHARPNESS, Array, interpolation
from sottovoce.models.layers import standardised
from sottovoce.models.target import Target, at_file_level, decoded
from sottovoce.training.loop import Run, draw_segments, set_learning_rate, train, update
from sottovoce.training.settings import Positive


@dataclass(frozen=True)
class CodewordSettings:
    """How templates are optimised: at a resolution of `grid` bins and frames, so many steps for each batch of them."""

    grid: tuple[Positive, Positive] = (41, 32)
    steps: int = 200
    batch: Positive = 64
    rate: float = 0.05
    candidates: Positive = 2048  # segments about which a target that can only be queried is asked, and as many blends


_MOST_CERTAIN = 0.95
_RENDERED_EVERY = 10  # steps
_NOISE = 0.1  # on a template, in deviations of its spectrum
_SLOPE = 1.0  # of a first guess: like speech, less at higher frequencies


def goals(centres: Sequence[Array]) -> list[Tensor]:
    """For each task the posteriors [W, C] that its target shall give for each of W codewords.

    They are less sharp in the first blocks of a sound, so that a vote over blocks that contradict each other goes to
    the later one, which knows more. For a task that is not permitted they are uniform.
    """
    rows: list[list[Array]] = [[] for _ in centres]
    for sharpness, *codes in product(SHARPNESS, *(range(len(table) + 1) for table in centres)):
        for row, table, code in zip(rows, centres, codes, strict=True):
            nothing = np.full(table.shape[1], 1.0 / table.shape[1])
            share = _MOST_CERTAIN * sharpness if code else 0.0
            row.append(share * table[int(code) - 1] + (1.0 - share) * nothing)
    return [torch.from_numpy(np.stack(row).astype(np.float32)) for row in rows]


def drawn(
    targets: Sequence[Target],
    goals: Sequence[Tensor],
    settings: CodewordSettings,
    sound: tuple[float, float],
    run: Run,
    base: Array | None = None,
) -> Array:
    """Templates [W, H, W'] by gradients through the targets, in seconds: a run that was killed begins them anew.

    `sound` are the mean and deviation that the filter gives to its log spectra on the way back to sound. With spectra
    `base` [W, 161, 128], what is optimised is added to these, and the sums [W, 161, 128] are returned.

    Every other step takes the templates as their sound has them: no sound has exactly the magnitudes of a template, so
    the difference is measured now and then, and added.
    """
    count = len(goals[0])
    rows, columns = (
        torch.from_numpy(interpolation(*size)) for size in zip(settings.grid, (BINS, SEGMENT_FRAMES), strict=True)
    )
    falling = torch.linspace(_SLOPE, -_SLOPE, settings.grid[0])[:, None]
    noise = torch.randn(count, *settings.grid, generator=torch.Generator().manual_seed(run.seed))
    first = _NOISE * noise + (falling if base is None else 0.0)
    under = torch.zeros(count, 1, 1) if base is None else torch.from_numpy(base)
    held = nn.ParameterDict({"templates": nn.Parameter(first)})
    optimiser = torch.optim.Adam(held.parameters(), lr=settings.rate)
    batches = -(-count // settings.batch)
    steps = settings.steps * batches
    lost: dict[int, tuple[int, Tensor]] = {}  # on the way through sound, for each batch: its shift, and the difference

    def step(number: int, rng: np.random.Generator) -> str:
        set_learning_rate(optimiser, 0.5 * settings.rate * (1.0 + math.cos(math.pi * number / steps)))
        turn, batch = divmod(number, batches)
        part = slice(batch * settings.batch, (batch + 1) * settings.batch)
        spectra = standardised(under[part] + rows @ held["templates"][part] @ columns.T)
        if turn % _RENDERED_EVERY == _RENDERED_EVERY - 1:
            shift = int(rng.integers(SEGMENT_FRAMES))
            after = torch.from_numpy(rendered(spectra.detach().numpy(), shift, sound, number))
            lost[batch] = shift, after - spectra.detach().roll(-shift, 2)
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
        return f"codewords: divergence {update(optimiser, loss):.3f}"

    train(step, {"templates": held, "optimiser": optimiser}, run._replace(steps=steps, partial=None))
    result = held["templates"].detach()
    return np.asarray((result if base is None else standardised(under + rows @ result @ columns.T)).numpy())


def rendered(spectra: Spectrum, shift: int, sound: tuple[float, float], seed: int) -> Spectrum:
    """What the front end makes of the sound of each of [W, 161, 128] played twice, from frame `shift` on."""
    return front_end(decoded(spectra, sound, shift, seed))


def recordings(
    sounds: Sounds,
    clips: NDArray[np.int64],
    targets: Sequence[Target],
    goals: Sequence[Tensor],
    settings: CodewordSettings,
    sound: tuple[float, float],
    seed: int,
) -> tuple[Array, NDArray[np.int64]]:
    """Templates [W, 161, 128] that are training segments, or mixtures of two, whose answers are nearest to the goals.

    Also the positions of the recordings that these segments are of, each once.
    """
    waves, owners = segments(sounds, clips, settings, np.random.default_rng([seed, 4]))
    spectra = torch.from_numpy(front_end(waves))
    candidates = torch.cat([spectra, standardised(spectra[::2] + spectra[1::2])])
    of = np.concatenate([np.stack([owners, owners], axis=1), owners.reshape(-1, 2)])
    best = divergence(answers(targets, candidates, sound), goals).argmin(dim=1).numpy()
    return candidates[best].numpy(), np.unique(of[best])


def segments(
    sounds: Sounds, clips: NDArray[np.int64], settings: CodewordSettings, rng: np.random.Generator
) -> tuple[Wave, NDArray[np.int64]]:
    """Training segments [N, 20480], and the positions of their recordings [N]."""
    batches = [draw_segments(sounds, clips, settings.batch, rng) for _ in range(0, settings.candidates, settings.batch)]
    return np.concatenate([part for part, _ in batches]), np.concatenate([part for _, part in batches])


def answers(
    targets: Sequence[Target], spectra: Tensor, sound: tuple[float, float], waves: Callable[[], Wave] | None = None
) -> list[Tensor]:
    """Log posteriors [N, C] of each target for spectra [N, 161, 128].

    A target of sound is asked about `waves()` [N, 20480], or without these about the sound that a filter plays for the
    spectra.
    """
    made = cache(waves or (lambda: at_file_level(decoded(spectra.numpy(), sound))))
    return [torch.from_numpy(target.predict(spectra.numpy(), made)).log_softmax(dim=1) for target in targets]


def divergence(answered: Sequence[Tensor], goals: Sequence[Tensor]) -> Tensor:
    """How far log posteriors [N, C] of each task are from each goal [W, C], summed over tasks: [W, N]."""
    each = [
        (goal * goal.clamp(min=1e-12).log()).sum(dim=1, keepdim=True) - goal @ answer.T
        for answer, goal in zip(answered, goals, strict=True)
    ]
    return torch.stack(each).sum(dim=0)
