"""Codewords: sounds that several unlike recognisers take for what the codes stand for.

A codeword that was made for one network alone is a private language: even a network of another seed does not understand
it. So candidates, recordings or templates that were optimised, are chosen by how well all recognisers of a task agree,
as the sound that leaves and from any point on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from sottovoce.audio.griffin_lim import MARGIN_SAMPLES, Crossfade, to_sound
from sottovoce.audio.level import limited, normalise
from sottovoce.audio.segment import front_end
from sottovoce.audio.spectrum import BINS, SEGMENT_FRAMES, SEGMENT_SAMPLES, Spectrum, Wave, magnitude
from sottovoce.corpora.cache import Sounds
from sottovoce.models.codebook import SAMPLES, SOUND_SAMPLES, Array, to_8_bits
from sottovoce.models.layers import standardised
from sottovoce.models.target import Target, at_file_level, decoded
from sottovoce.training.loop import Run, draw_segments, set_learning_rate, train, update
from sottovoce.training.settings import Positive


@dataclass(frozen=True)
class CodewordSettings:
    """How templates are optimised: at a resolution of `grid` bins and frames, so many steps for each batch of them."""

    grid: tuple[Positive, Positive] = (41, 32)
    steps: int = 80
    batch: Positive = 64
    rate: float = 0.05
    realism: float = 3.0  # how much the mean square of what is added to a blend of recordings counts
    candidates: Positive = 2048  # segments about which a target that can only be queried is asked, and as many blends


SHARPNESS = (0.4, 0.6, 0.8, 1.0)  # of the codewords of the first, second, ... block of a sound: a later one knows more
_MOST_CERTAIN = 0.95
_SHORT_LIST = 8  # candidates for each goal, of which the best as sound is taken
SHIFTS = (0, 6400, 12800)  # samples from which on the repeated codeword is judged
_RENDERED_EVERY = 10  # steps
_FIRST = 0.05  # deviation of the first guess of what is added
_NOISE = 0.15  # on a template, in deviations of its spectrum
_TELEPHONE_EVERY, _TELEPHONE_BINS = 3, 70  # steps; up to 3.5 kHz


def goals(centres: Sequence[Array], positions: int) -> list[Tensor]:
    """For each task the posteriors [W, C] that recognisers shall give for each of W codewords.

    They are less sharp in the first of several positions, so that a vote over blocks that contradict each other goes to
    the later one, which knows more. For a task that has the code 0 they are uniform.
    """
    rows: list[list[Array]] = [[] for _ in centres]
    for sharpness, *codes in product(SHARPNESS[-positions:], *(range(len(table) + 1) for table in centres)):
        for row, table, code in zip(rows, centres, codes, strict=True):
            nothing = np.full(table.shape[1], 1.0 / table.shape[1])
            share = _MOST_CERTAIN * sharpness if code else 0.0
            row.append(share * table[int(code) - 1] + (1.0 - share) * nothing)
    return [torch.from_numpy(np.stack(row).astype(np.float32)) for row in rows]


def drawn(
    recognisers: Sequence[Sequence[Target]],
    goals: Sequence[Tensor],
    settings: CodewordSettings,
    sound: tuple[float, float],
    run: Run,
    base: Array,
) -> Array:
    """Templates [W, 161, 128] near to spectra `base` [W, 161, 128], by gradients through the recognisers of each task.

    What is added is coarse, and its mean square counts in the loss: a template that is far from all speech is
    understood by these recognisers alone. They get it from any point on, with noise, by telephone, and as its sound has
    it: no sound has exactly the magnitudes of a template, so the difference is measured now and then, and added.
    `sound` are the mean and deviation of log spectra on the way back to sound. A run that was killed begins anew.
    """
    rows, columns = (
        torch.from_numpy(interpolation(*size)) for size in zip(settings.grid, (BINS, SEGMENT_FRAMES), strict=True)
    )
    under = torch.from_numpy(base)
    noise = torch.randn(len(base), *settings.grid, generator=torch.Generator().manual_seed(run.seed))
    held = nn.ParameterDict({"changes": nn.Parameter(_FIRST * noise)})
    optimiser = torch.optim.Adam(held.parameters(), lr=settings.rate)
    batches = -(-len(base) // settings.batch)
    steps = settings.steps * batches
    lost: dict[int, Tensor] = {}  # on the way through sound, for each batch

    def step(number: int, rng: np.random.Generator) -> str:
        set_learning_rate(optimiser, 0.5 * settings.rate * (1.0 + math.cos(math.pi * number / steps)))
        turn, batch = divmod(number, batches)
        part = slice(batch * settings.batch, (batch + 1) * settings.batch)
        change = held["changes"][part]
        spectra = standardised(under[part] + rows @ change @ columns.T)
        if turn % _RENDERED_EVERY == _RENDERED_EVERY - 1:
            leaving = front_end(decoded(spectra.detach().numpy(), sound, 0, number))
            lost[batch] = torch.from_numpy(leaving) - spectra.detach()
        seen = spectra + lost[batch] if batch in lost else spectra
        seen = seen.roll(int(rng.integers(SEGMENT_FRAMES)), 2) + _NOISE * torch.randn_like(spectra)
        if turn % _TELEPHONE_EVERY == 0:
            above = seen.detach().amin(dim=(1, 2), keepdim=True).expand(-1, BINS - _TELEPHONE_BINS, -1)
            seen = standardised(torch.cat([seen[:, :_TELEPHONE_BINS], above.expand(-1, -1, SEGMENT_FRAMES)], dim=1))
        losses = [
            functional.kl_div(each.logits(seen).log_softmax(dim=1), goal[part], reduction="batchmean") / len(able)
            for able, goal in zip(recognisers, goals, strict=True)
            for each in able
        ]
        divergence = torch.stack(losses).sum()
        update(optimiser, divergence + settings.realism * change.square().mean())
        return f"codewords: divergence {divergence:.3f}"

    train(step, {"templates": held, "optimiser": optimiser}, run._replace(steps=steps, partial=None))
    return np.asarray(standardised(under + rows @ held["changes"].detach() @ columns.T).numpy())


def sounded(templates: Spectrum, sound: tuple[float, float]) -> Wave:
    """The sounds with margins [W, 20640] of templates [W, 161, 128], at the level of a sound file, to be repeated."""
    mean, deviation = map(np.float32, sound)
    repeated = (to_sound(magnitude(np.tile(template, 3) * deviation + mean)) for template in templates)
    first = SEGMENT_SAMPLES - MARGIN_SAMPLES
    return at_file_level(np.stack([wave[first : first + SOUND_SAMPLES] for wave in repeated]))


def best(pool: Wave, recognisers: Sequence[Sequence[Target]], goals: Sequence[Tensor]) -> NDArray[np.int64]:
    """For each goal which of the candidates [N, 20640] the recognisers of all tasks together put nearest to it, [W].

    They are asked about all of these, and then about the nearest as they leave: in 8 bits, and from some points on.
    """
    far = disagreement(pool[:, MARGIN_SAMPLES:-MARGIN_SAMPLES], recognisers, goals)
    short = np.argsort(far, axis=1)[:, :_SHORT_LIST]
    which = np.unique(short)
    leaving = repeated(SAMPLES[to_8_bits(pool[which])])
    forms = [leaving[:, shift : shift + SEGMENT_SAMPLES] for shift in SHIFTS]
    again = sum(disagreement(np.ascontiguousarray(form), recognisers, goals) for form in forms)
    order = np.full(far.shape, np.inf)
    order[:, which] = again
    chosen = np.take_along_axis(order, short, axis=1).argmin(axis=1)
    return np.take_along_axis(short, chosen[:, None], axis=1)[:, 0]


def understood(sounds: Wave, recognisers: Sequence[Sequence[Target]], goals: Sequence[Tensor]) -> NDArray[np.bool_]:
    """Which of W codewords [W, 20640] every recogniser takes for the class of its goal, where that is one class."""
    leaving = repeated(SAMPLES[to_8_bits(sounds)])
    clear = np.ones(len(sounds), bool)
    for shift in (SHIFTS[0], SHIFTS[-1]):
        segments = np.ascontiguousarray(leaving[:, shift : shift + SEGMENT_SAMPLES])
        for able, goal in zip(recognisers, goals, strict=True):
            highest, meant = goal.max(dim=1)
            for each in able:
                answered = each.predict_sound(segments).argmax(axis=1)
                clear &= (answered == meant.numpy()) | (highest == goal.amin(dim=1)).numpy()
    return clear


def repeated(sounds: Wave) -> Wave:
    """Codewords with margins [W, 20640] as they leave for two blocks in a row, [W, 40960]."""
    both = []
    for wave in sounds:
        joiner = Crossfade()
        both.append(limited(np.concatenate([joiner.feed(wave), joiner.feed(wave), joiner.flush()])))
    return np.stack(both)


def disagreement(segments: Wave, recognisers: Sequence[Sequence[Target]], goals: Sequence[Tensor]) -> NDArray[Any]:
    """How far the answers of recognisers to segments [N, 20480] are from the goals on average: [W, N]."""
    far: NDArray[Any] = np.zeros(())
    for able, goal in zip(recognisers, goals, strict=True):
        for each in able:
            answered = torch.from_numpy(each.predict_sound(segments)).log_softmax(dim=1)
            far = far + divergence([answered], [goal]).numpy() / len(able)
    return far


def candidates(
    sounds: Sounds, clips: NDArray[np.int64], settings: CodewordSettings, seed: int
) -> tuple[Wave, NDArray[np.int64]]:
    """Pieces of recordings [N, 20640] at the level of a sound file, and the positions of these recordings [N]."""
    rng = np.random.default_rng([seed, 4])
    owners = rng.choice(clips, settings.candidates)
    spare = np.array([max(0, sounds.samples(int(i)) - SOUND_SAMPLES) for i in owners])
    pieces = sounds.segments(owners, rng.integers(0, spare + 1), SOUND_SAMPLES)
    return limited(normalise(pieces)), owners


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


def interpolation(points: int, onto: int) -> Array:
    """The matrix [onto, points] of linear interpolation from `points` cells to `onto` that cover the same range."""
    at = np.clip((np.arange(onto) + 0.5) * points / onto - 0.5, 0, points - 1)
    below = np.minimum(at.astype(np.int64), max(0, points - 2))
    matrix = np.zeros((onto, points))
    matrix[np.arange(onto), below] = 1.0 - (at - below)
    matrix[np.arange(onto), np.minimum(below + 1, points - 1)] += at - below
    return matrix.astype(np.float32)
