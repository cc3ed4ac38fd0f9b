"""Synthetic codewords for targets that can only be queried: blends of several people, led away from each of them.

1. For each goal, segments of different people that the targets put near to it are averaged; the targets choose a blend.
2. Students, corrected by all that the targets have answered so far, give the gradients by which blends are changed. The
   targets are queried about the result, and so on for some rounds. A blend that is still too similar to a recording
   counts for less in the next round, and for nothing in the last.
3. Out of all rounds the targets choose, as template and as sound, among what is similar to nobody.

Targets of sound are asked about the sound of templates throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sottovoce.audio.griffin_lim import MARGIN_SAMPLES
from sottovoce.audio.segment import front_end
from sottovoce.audio.spectrum import SEGMENT_FRAMES, Wave
from sottovoce.corpora.cache import Sounds
from sottovoce.methods.codebook.codewords import (
    CodewordSettings,
    answers,
    candidates,
    disagreement,
    divergence,
    drawn,
    segments,
)
from sottovoce.methods.codebook.distillation import corrected
from sottovoce.methods.codebook.similarity import between_people, highest
from sottovoce.models.codebook import Array
from sottovoce.models.layers import standardised
from sottovoce.models.target import Target, at_file_level, decoded
from sottovoce.training.loop import Run

_BLENDED = 3  # segments: of two, one can be recognised; of more, targets recognise less
_NEAREST = 24  # recordings that the blends for a goal are made of
_ROUNDS = 4
_QUERIES = 8  # for each codeword and round: 6 are asked, and two more for the blends, so that 6144 do for all there is
_LESS = 0.25
_MARGIN = 0.02  # of similarity, for what 8 bits and the way through sound change
_FORBIDDEN = 1e6  # what similarity above the limit counts for, beside divergences


class Speech(NamedTuple):
    """Recordings `clips`, `people`, whose each of them is, and the mean and deviation of a filter's log spectra."""

    sounds: Sounds
    clips: NDArray[np.int64]
    people: NDArray[np.str_]
    sound: tuple[float, float]


def blended(
    speech: Speech,
    recognisers: Sequence[Sequence[Target]],
    goals: Sequence[Tensor],
    settings: CodewordSettings,
    seed: int,
) -> Array:
    """For each goal the mean spectrum [161, 128] of some people's segments that all recognisers put near to it."""
    waves, owners = candidates(speech.sounds, speech.clips, settings, seed)
    segments = waves[:, MARGIN_SAMPLES:-MARGIN_SAMPLES]
    by = speech.people[np.searchsorted(speech.clips, owners)]
    far = disagreement(segments, recognisers, goals)
    nearest = [_firsts(by, row.argsort())[:_BLENDED] for row in far]  # of different people
    means = [front_end(np.ascontiguousarray(segments[some])).mean(axis=0) for some in nearest]
    return standardised(torch.from_numpy(np.stack(means))).numpy()


class _Asked:
    """Targets, and all that they were queried about, with their answers."""

    def __init__(self, targets: Sequence[Target], sound: tuple[float, float]) -> None:
        self.targets, self.sound = targets, sound
        self.lessons: list[list[tuple[Tensor, Tensor]]] = [[] for _ in targets]

    def __call__(self, spectra: Tensor, waves: Callable[[], Wave] | None = None) -> list[Tensor]:
        """Log posteriors [N, C] of each target for spectra [N, 161, 128], as `answers` gives them."""
        answered = answers(self.targets, spectra, self.sound, waves)
        for own, answer in zip(self.lessons, answered, strict=True):
            own.append((spectra, answer.exp()))
        return answered


def synthetic(
    speech: Speech,
    targets: Sequence[Target],
    students: Sequence[nn.Module],
    goals: Sequence[Tensor],
    settings: CodewordSettings,
    run: Run,
) -> Array:
    """Templates [W, 161, 128] whose answers are near to the goals, and which are no person's voice.

    None is more similar to any recording than two people's recordings are to each other, unless all that was tried for
    its goal are; then it is the least similar.
    """
    sounds, clips, people, sound = speech
    rng, asked = np.random.default_rng([run.seed, 4]), _Asked(targets, sound)
    limit = between_people(sounds, clips, people, run.seed) - _MARGIN
    rounds = [_blends(speech, asked, goals, settings, rng)]
    gentle = replace(settings, steps=max(1, settings.steps // 2), rate=0.4 * settings.rate)
    count = min(_ROUNDS, settings.candidates // (_QUERIES * len(rounds[0])))
    for number in range(count):
        seed = run.seed + number
        students = [
            corrected(student, lessons, 2 * gentle.steps, seed)
            for student, lessons in zip(students, asked.lessons, strict=True)
        ]
        stand_ins = [
            replace(target, logits=student, takes="spectrum") for target, student in zip(targets, students, strict=True)
        ]
        similar = highest(rounds[-1], sounds, clips).max(axis=1) > limit
        less = _LESS if number < count - 1 else 0.0
        base = rounds[-1] * np.where(similar, less, 1.0).astype(np.float32)[:, None, None]
        rounds.append(drawn([[each] for each in stand_ins], goals, gentle, sound, run._replace(seed=seed), base))
        asked(*_forms(rounds[-1], sound, rng))
    if len(rounds) == 1:  # too many codewords to ask about any once more
        return rounds[0]
    return _best(np.stack(rounds), limit, speech, asked, goals, run.seed)


def _blends(
    speech: Speech, asked: _Asked, goals: Sequence[Tensor], settings: CodewordSettings, rng: np.random.Generator
) -> Array:
    """For each goal the average [161, 128] of some people's segments that the targets put nearest to it."""
    sounds, clips, people, _ = speech
    waves, owners = segments(sounds, clips, settings, rng)
    pool = torch.from_numpy(front_end(waves))
    by = people[np.searchsorted(clips, owners)]
    near = divergence(asked(pool, lambda: waves), goals).argsort(dim=1).numpy()
    tried = max(1, settings.candidates // len(near))
    chosen = [_contributors(by, _firsts(owners, row)[:_NEAREST], rng) for row in near for _ in range(tried)]
    blends = standardised(torch.stack([pool[some].mean(dim=0) for some in chosen]))
    best = _own(asked(blends), goals, tried).argmin(dim=1)
    return blends[best + tried * torch.arange(len(near))].numpy()


def _contributors(people: NDArray[np.str_], near: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Some of the segments `near`, of different people as far as there are any."""
    mixed = rng.permutation(near)
    different = _firsts(people, mixed)
    return np.concatenate([different, np.setdiff1d(mixed, different)])[:_BLENDED]


def _firsts(owners: NDArray[Any], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first segment of each owner in an `order` of segments."""
    return np.asarray(order[np.sort(np.unique(owners[order], return_index=True)[1])])


def _forms(templates: Array, sound: tuple[float, float], rng: np.random.Generator) -> tuple[Tensor, Callable[[], Wave]]:
    """Templates [W, 161, 128] as they are, as they sound from two points on, and mixed with each other: [4 W, ...].

    Also what makes the sound [4 W, 20480] of all that.
    """
    shifts = [(int(rng.integers(SEGMENT_FRAMES)), int(rng.integers(1 << 16))) for _ in range(2)]
    played = [decoded(templates, sound, shift, seed) for shift, seed in shifts]
    mixed = standardised(torch.from_numpy(templates + templates[rng.permutation(len(templates))]))
    spectra = torch.cat([torch.from_numpy(np.concatenate([templates, *map(front_end, played)])), mixed])
    parts = (lambda: decoded(templates, sound)), (lambda: decoded(mixed.numpy(), sound))
    return spectra, lambda: at_file_level(np.concatenate([parts[0](), *played, parts[1]()]))


def _best(rounds: Array, limit: float, speech: Speech, asked: _Asked, goals: Sequence[Tensor], seed: int) -> Array:
    """Of [R, W, 161, 128] for each goal the one nearest to it, as template and as sound, that is similar to nobody."""
    count = len(rounds)
    tried = rounds.swapaxes(0, 1).reshape(-1, *rounds.shape[2:])
    waves = decoded(tried, speech.sound, SEGMENT_FRAMES // 3, seed)
    played = front_end(waves)
    answered = asked(torch.from_numpy(tried)), asked(torch.from_numpy(played), lambda: at_file_level(waves))
    far = torch.stack([_own(each, goals, count) for each in answered]).sum(dim=0)
    similar = np.maximum(*(highest(form, speech.sounds, speech.clips).max(axis=1) for form in (tried, played)))
    excess = torch.from_numpy(np.maximum(0.0, similar - limit).reshape(far.shape))
    best = (far + _FORBIDDEN * excess).argmin(dim=1).numpy()
    return np.asarray(rounds[best, np.arange(rounds.shape[1])])


def _own(answered: Sequence[Tensor], goals: Sequence[Tensor], tried: int) -> Tensor:
    """How far each of the spectra that were tried for a goal is from it, [W, N], of answers in order [W N, C]."""
    far = divergence(answered, goals)
    goal = torch.arange(len(far))
    return far.reshape(len(far), len(far), tried)[goal, goal]
