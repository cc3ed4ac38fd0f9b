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

from sottovoce.audio.segment import front_end
from sottovoce.audio.sound import to_sound
from sottovoce.audio.spectrum import BINS, HOP_SAMPLES, SEGMENT_FRAMES, SEGMENT_SAMPLES, Spectrum, magnitude
from sottovoce.corpora.cache import Sounds
from sottovoce.models.codebook import SHARPNESS, Array, interpolation
from sottovoce.models.layers import standardised
from sottovoce.models.target import Target
from sottovoce.training.loop import Run, draw, set_learning_rate, train
from sottovoce.training.similarity import between_people, highest


@dataclass(frozen=True)
class WordSettings:
    """How words are drawn: pictures of `grid` bins and frames, so many steps for each batch of words."""

    grid: tuple[int, int] = (41, 32)
    steps: int = 200
    batch: int = 64
    rate: float = 0.05
    candidates: int = 2048  # where a target can only be queried: segments about which it is, and as many blends


_MOST_CERTAIN = 0.95
_RENDERED_EVERY = 10  # steps
_NOISE = 0.1  # on a word, in deviations of its spectrum
_SLOPE = 1.0  # of a first guess: like speech, less at higher frequencies
_BLENDED = 4  # people in a blend: with fewer, one of them can be recognised; with more, no target recognises anything
_NEAREST = 24  # segments that a goal's blends are made of
_MARGIN = 0.02  # of similarity, for what changes on the way through sound
_FORBIDDEN = 1e6  # what such a similarity counts for, beside divergences


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
    targets: Sequence[Target], goals: Sequence[Tensor], settings: WordSettings, sound: tuple[float, float], run: Run
) -> Array:
    """Words [W, H, W'] found by gradients through the targets, in seconds: a run that was killed begins them anew.

    `sound` are the mean and deviation that the filter gives to its log spectra on the way back to sound.

    Every other step sees the words as they come back from sound: a picture of magnitudes is no spectrum that a sound
    has, so what it loses on the way is measured now and then, and added.
    """
    count = len(goals[0])
    rows, columns = (
        torch.from_numpy(interpolation(*size)) for size in zip(settings.grid, (BINS, SEGMENT_FRAMES), strict=True)
    )
    falling = torch.linspace(_SLOPE, -_SLOPE, settings.grid[0])[:, None]
    noise = torch.randn(count, *settings.grid, generator=torch.Generator().manual_seed(run.seed))
    held = nn.ParameterDict({"words": nn.Parameter(falling + _NOISE * noise)})
    optimiser = torch.optim.Adam(held.parameters(), lr=settings.rate)
    batches = -(-count // settings.batch)
    steps = settings.steps * batches
    lost: dict[int, tuple[int, Tensor]] = {}  # on the way through sound, for each batch: its shift, and the difference

    def step(number: int, rng: np.random.Generator) -> str:
        set_learning_rate(optimiser, 0.5 * settings.rate * (1.0 + math.cos(math.pi * number / steps)))
        turn, batch = divmod(number, batches)
        part = slice(batch * settings.batch, (batch + 1) * settings.batch)
        spectra = standardised(rows @ held["words"][part] @ columns.T)
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
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        return f"words: divergence {loss.item():.3f}"

    train(step, {"words": held, "optimiser": optimiser}, run._replace(steps=steps, partial=None))
    return np.asarray(held["words"].detach().numpy())


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
    settings: WordSettings,
    seed: int,
) -> tuple[Array, NDArray[np.int64]]:
    """Words [W, 161, 128] that are training segments, or mixtures of two, of which the targets say nearly the goal.

    Also the positions of the recordings that these segments are of, each once.
    """
    rng = np.random.default_rng([seed, 4])
    spectra, owners = _pool(sounds, clips, settings, rng)
    candidates = torch.cat([spectra, standardised(spectra[::2] + spectra[1::2])])
    of = np.concatenate([np.stack([owners, owners], axis=1), owners.reshape(-1, 2)])
    best = divergence(targets, goals, candidates).argmin(dim=1).numpy()
    return candidates[best].numpy(), np.unique(of[best])


def blended(
    sounds: Sounds,
    clips: NDArray[np.int64],
    people: NDArray[np.str_],
    targets: Sequence[Target],
    goals: Sequence[Tensor],
    settings: WordSettings,
    sound: tuple[float, float],
    seed: int,
) -> Array:
    """Words [W, 161, 128] that are averages of segments of different people, of which the targets say nearly the goal.

    `people` says whose each of the recordings `clips` is. The targets are queried about segments, about blends of those
    that are nearest to each goal, and about the sound of the best of these. No word is more similar to any recording
    than two people's recordings are to each other, unless all blends for its goal are; then it is the least similar.
    """
    rng = np.random.default_rng([seed, 4])
    pool, owners = _pool(sounds, clips, settings, rng)
    by = people[np.searchsorted(clips, owners)]
    near = divergence(targets, goals, pool).topk(min(_NEAREST, len(pool)), dim=1, largest=False).indices.numpy()
    count = len(near)
    tried, played = max(1, settings.candidates // count), settings.candidates // (4 * count)
    blends = torch.stack([pool[_of_different(by, row, rng)].mean(dim=0) for row in near for _ in range(tried)])
    blends = standardised(blends).reshape(count, tried, BINS, SEGMENT_FRAMES)
    far = _each(targets, goals, blends)
    best = far.topk(min(max(1, played), tried), dim=1, largest=False).indices
    blends, far = blends[torch.arange(count)[:, None], best], far.gather(1, best)
    if played:
        shift = int(rng.integers(SEGMENT_FRAMES))
        sounded = torch.from_numpy(rendered(blends.flatten(0, 1).numpy(), shift, sound, seed))
        far = far + _each(targets, goals, sounded.reshape(blends.shape))
    alike = torch.from_numpy(highest(blends.flatten(0, 1).numpy(), sounds, clips)).amax(dim=1).reshape(far.shape)
    excess = (alike - between_people(sounds, clips, people, seed) + _MARGIN).clamp(min=0.0)
    return blends[torch.arange(count), (far + _FORBIDDEN * excess).argmin(dim=1)].numpy()


def _of_different(people: NDArray[np.str_], near: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Some of the segments `near`, of different people if there are as many."""
    mixed = rng.permutation(near)
    first = np.sort(np.unique(people[mixed], return_index=True)[1])
    return np.asarray(mixed[first[:_BLENDED]] if len(first) >= _BLENDED else mixed[:_BLENDED])


def _each(targets: Sequence[Target], goals: Sequence[Tensor], spectra: Tensor) -> Tensor:
    """How far what the targets say of spectra [W, N, 161, 128] is from the goal of each: [W, N]."""
    words, tried = spectra.shape[:2]
    far = divergence(targets, goals, spectra.flatten(0, 1)).reshape(words, words, tried)
    return far[torch.arange(words), torch.arange(words)]


def _pool(
    sounds: Sounds, clips: NDArray[np.int64], settings: WordSettings, rng: np.random.Generator
) -> tuple[Tensor, NDArray[np.int64]]:
    """Training segments [N, 161, 128], and the positions of their recordings [N]."""
    batches = [draw(sounds, clips, settings.batch, rng) for _ in range(0, settings.candidates, settings.batch)]
    return torch.cat([part.cpu() for part, _ in batches]), torch.cat([part.cpu() for _, part in batches]).numpy()


def divergence(targets: Sequence[Target], goals: Sequence[Tensor], spectra: Tensor) -> Tensor:
    """How far what the targets say of spectra [N, 161, 128] is from each goal: [W, N], over all tasks."""
    total = torch.zeros(len(goals[0]), len(spectra))
    for target, goal in zip(targets, goals, strict=True):
        said = torch.from_numpy(target.predict(spectra.numpy())).log_softmax(dim=1)
        total += (goal * goal.clamp(min=1e-12).log()).sum(dim=1, keepdim=True) - goal @ said.T
    return total
