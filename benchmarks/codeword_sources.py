"""Where codewords may come from, each source as a function of recognisers that vote: a part of codeword_transfer.py.

Every source gives the sound of one codeword for each goal, [1, W, 20480], or of two, [2, W, 20480]: one for the first
block of a sound, which recognisers shall be less certain about, and one for all later blocks, which know more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from sottovoce.audio.level import normalise, trim_silence
from sottovoce.audio.segment import cut, front_end
from sottovoce.audio.spectrum import BINS, SAMPLE_RATE, SEGMENT_FRAMES, SEGMENT_SAMPLES, Wave
from sottovoce.corpora import espeak
from sottovoce.corpora.cache import Sounds
from sottovoce.corpora.manifest import Manifest
from sottovoce.corpora.splits import Split
from sottovoce.methods.codebook.codewords import CodewordSettings, drawn, recordings
from sottovoce.models.codebook import interpolation
from sottovoce.models.layers import standardised
from sottovoce.models.target import Target, at_file_level, decoded
from sottovoce.training.loop import Run

Array = NDArray[np.float32]
Goal = tuple[int | None, ...]  # a class of each task, or None where it is not permitted

SHIFTS_S = (0.0, 0.3, 0.6)
_LEAST, _SHORTLIST = 0.4, 24  # posterior of a first block's codeword at each shift; candidates scored at each shift
_SOUND = (0.65, 0.85)  # mean and deviation of log spectra on the way to sound
_GRID = (41, 32)
_TELEPHONE_BINS = 69  # up to 3400 Hz
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_SENTENCES = ("Kids are talking by the door.", "Dogs are sitting by the door.")
_VOICES = [("female", f"f{n}") for n in range(1, 6)] + [("male", f"m{n}") for n in range(1, 9)]


@dataclass(frozen=True, eq=False)
class Material:
    """A corpus, the voters of each of its tasks, and the goals: all combinations of classes of permitted tasks.

    `first` is the certainty of the codewords of a first block; with 1.0 these are those of all blocks.
    """

    manifest: Manifest
    sounds: Sounds
    parts: Split
    voters: Mapping[str, Sequence[Target]]
    goals: Sequence[Goal]
    first: float
    seed: int
    pools: dict[str, tuple[Wave, NDArray[np.int64], Array]] = field(default_factory=dict)

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(self.voters)

    def labels(self, clips: NDArray[np.int64], task: str) -> NDArray[np.int64]:
        """The class of each clip [N]."""
        classes = self.manifest.classes(task)
        return np.array([classes.index(self.manifest.clips[i].labels[task]) for i in clips])

    def pool(self, part: str) -> tuple[Wave, NDArray[np.int64], Array]:
        """Segments [N, 20480] of a part, half of one apart, whose clip each is of, and the agreement [W, N]."""
        if part not in self.pools:
            clips = getattr(self.parts, part)
            spare = [max(0, self.sounds.samples(int(i)) - SEGMENT_SAMPLES) for i in clips]
            starts = [np.arange(0, most + 1, SEGMENT_SAMPLES // 2) for most in spare]
            owner = np.repeat(clips, [len(each) for each in starts])
            waves = self.sounds.segments(owner, np.concatenate(starts), SEGMENT_SAMPLES)
            self.pools[part] = waves, owner, agreement(self, waves).mean(axis=0)
        return self.pools[part]


def posteriors(material: Material, waves: Wave) -> list[Array]:
    """For each task the log posteriors [V, N, C] of its voters for sound [N, 20480]."""
    spectra = front_end(waves)
    answers = [np.stack([target.predict(spectra) for target in voters]) for voters in material.voters.values()]
    return [torch.from_numpy(each).log_softmax(dim=2).numpy() for each in answers]


def agreement(material: Material, waves: Wave, shifts: Sequence[float] = (0.0,)) -> Array:
    """The log posterior of each goal's classes, summed over tasks, by each voter at each shift: [V * shifts, W, N]."""
    rows = []
    for shift in shifts:
        answers = posteriors(material, np.roll(waves, -round(shift * SAMPLE_RATE), axis=1))
        by_goal = [
            np.sum([answer[:, :, c] for answer, c in zip(answers, goal, strict=True) if c is not None], axis=0)
            for goal in material.goals
        ]
        rows.append(np.stack(by_goal, axis=1))
    return np.concatenate(rows).astype(np.float32)


def best(material: Material, waves: Wave, allowed: NDArray[np.bool_] | None = None, first: Array | None = None) -> Wave:
    """Of candidates [N, 20480], of which `allowed` [W, N] may stand for a goal, one or two for each: [P, W, 20480].

    It is the one with the largest mean log posterior over voters and shifts; for a less certain first block the one
    whose geometric mean posterior is nearest to that certainty, of those that each voter names rightly at each shift.
    `first` [W, N] is the agreement without shift, where it is known.
    """
    first = agreement(material, waves).mean(axis=0) if first is None else first
    allowed = np.ones(first.shape, bool) if allowed is None else allowed
    chosen = []
    for certain in sorted({material.first, 1.0}):
        order = np.argsort(np.where(allowed, np.abs(np.exp(first) - certain) - 1e-3 * first, np.inf), axis=1)
        short = order[:, :_SHORTLIST]
        some, place = np.unique(short, return_inverse=True)
        scores = np.take_along_axis(agreement(material, waves[some], SHIFTS_S), place.reshape(1, *short.shape), axis=2)
        mean, least = scores.mean(axis=0), scores.min(axis=0)
        cost = -mean if certain == 1.0 else np.abs(np.exp(mean) - certain) + (least < np.log(_LEAST))
        cost = np.where(np.take_along_axis(allowed, short, axis=1), cost, np.inf)
        chosen.append(waves[short[np.arange(len(short)), cost.argmin(axis=1)]])
    return np.stack(chosen)


def exemplars(material: Material, part: str) -> Wave:
    """(a1) Recorded segments of a part of the corpus; labels are not looked at."""
    waves, _, first = material.pool(part)
    return best(material, waves, first=first)


def spoken(material: Material) -> Wave:
    """(a2) Sentences of synthetic voices: a digit by its word, a gender by its voice, an emotion by chance."""
    digits = material.tasks == ("digit",)
    texts = _DIGITS if digits else _SENTENCES
    rng = np.random.default_rng([material.seed, 8])
    meant: list[tuple[str, int]] = []
    asked = []
    for (gender, variant), accent, number in product(_VOICES, ("en-us", "en"), range(len(texts))):
        for _ in range(3 if digits else 12):
            rate, pitch, span = (int(rng.integers(*limits)) for limits in ((110, 260), (10, 90), (20, 100)))
            asked.append(espeak.Utterance(f"{accent}+{variant}", texts[number], rate, pitch, span, 100))
            meant.append((gender, number))
    pool = np.stack([_first_segment(sound) for sound in espeak.speak(asked)])
    if digits:  # as full band, and in the telephone band of the corpus
        narrow = soxr.resample(soxr.resample(pool.T, SAMPLE_RATE, 8000), 8000, SAMPLE_RATE).T
        pool, meant = np.ascontiguousarray(np.concatenate([pool, narrow]), np.float32), meant * 2
    allowed = [
        [
            number == goal[0] if digits else goal[-1] is None or gender == ("female", "male")[goal[-1]]
            for gender, number in meant
        ]
        for goal in material.goals
    ]
    return best(material, pool, np.array(allowed))


def _first_segment(sound: bytes) -> Wave:
    wave = soxr.resample(np.frombuffer(sound, "<i2").astype(np.float32) / 32768.0, espeak.SAMPLE_RATE, SAMPLE_RATE)
    first: Wave = cut(normalise(trim_silence(wave.astype(np.float32), margin_s=0.05)))[0]
    return first


def blends(material: Material, sets: Sequence[Sequence[int]]) -> Tensor:
    """Of each goal the mean spectra [W, B, 161, 128] of segments of several people, by their rank in the agreement."""
    waves, owner, first = material.pool("train")
    people = np.array([material.manifest.clips[i].labels["speaker"] for i in owner])
    rows = []
    for order in np.argsort(-first, axis=1):
        ranked = order[np.sort(np.unique(people[order], return_index=True)[1])]
        rows.append([front_end(waves[ranked[[n % len(ranked) for n in some]]]).mean(axis=0) for some in sets])
    return standardised(torch.from_numpy(np.stack([np.stack(row) for row in rows])))


def templates(material: Material, sets: Sequence[Sequence[int]], steps: int = 80, realism: float = 3.0) -> Wave:
    """(b) Spectra near to blends that all voters name rightly, also moved, by telephone, with noise and as sound.

    What is added to a blend is coarse, and its mean square counts `realism` times in the loss. Weaker forms of the
    result, between a blend and its template, are candidates, too.
    """
    start = blends(material, sets)
    count, goals = start.shape[1], [goal for goal in material.goals for _ in sets]
    start = start.flatten(0, 1)
    rows, columns = (torch.from_numpy(interpolation(*size)) for size in zip(_GRID, (BINS, SEGMENT_FRAMES), strict=True))
    change = torch.zeros(len(start), *_GRID, requires_grad=True)
    optimiser, rng = torch.optim.Adam([change], lr=0.05), np.random.default_rng([material.seed, 7])
    torch.manual_seed(material.seed)
    lost = torch.zeros_like(start)  # on the way through sound
    for step in range(steps):
        spectra = standardised(start + rows @ change @ columns.T)
        if step % 20 == 10:
            lost = torch.from_numpy(front_end(decoded(spectra.detach().numpy(), _SOUND, 0, step))) - spectra.detach()
        seen = (spectra + lost).roll(int(rng.integers(SEGMENT_FRAMES)), 2) + 0.15 * torch.randn_like(spectra)
        if step % 3 == 2:
            low = seen.detach().amin(dim=(1, 2), keepdim=True)
            rest = low.expand(-1, BINS - _TELEPHONE_BINS, SEGMENT_FRAMES)
            seen = standardised(torch.cat([seen[:, :_TELEPHONE_BINS], rest], dim=1))
        loss = realism * change.square().mean()
        for number, voters in enumerate(material.voters.values()):
            some = [w for w, goal in enumerate(goals) if goal[number] is not None]
            classes = torch.tensor([goals[w][number] for w in some])
            for voter in voters:
                loss = loss + functional.cross_entropy(voter.logits(seen[some]), classes) / len(voters)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    added = (rows @ change @ columns.T).detach()
    forms = torch.stack([standardised(start + share * added) for share in (0.4, 0.6, 0.8, 1.0)], dim=1).flatten(0, 1)
    allowed = np.repeat(np.eye(len(material.goals), dtype=bool), 4 * count, axis=1)
    return best(material, at_file_level(decoded(forms.numpy(), _SOUND)), allowed)


def through_one(material: Material, recorded: bool) -> Wave:
    """(c) Version 0.3: templates by gradients through the first voter alone, or recordings that it alone chooses."""
    targets = [voters[0] for voters in material.voters.values()]
    goals = []
    for number, target in enumerate(targets):
        size = len(target.classes)
        nothing, sure = np.full(size, 1.0 / size, np.float32), 0.95 * np.eye(size, dtype=np.float32) + 0.05 / size
        rows = [nothing if goal[number] is None else sure[goal[number]] for goal in material.goals]
        weaker = [share * np.stack(rows) + (1.0 - share) * nothing for share in sorted({material.first, 1.0})]
        goals.append(torch.from_numpy(np.concatenate(weaker).astype(np.float32)))
    settings = CodewordSettings()
    if recorded:
        clips = material.parts.train
        made = recordings(material.sounds, clips, targets, goals, settings, _SOUND, material.seed)[0]
    else:
        coarse = drawn(targets, goals, settings, _SOUND, Run(0, material.seed, lambda *_: None))
        up, across = interpolation(settings.grid[0], BINS), interpolation(settings.grid[1], SEGMENT_FRAMES).T
        made = standardised(torch.from_numpy(up @ coarse @ across)).numpy()
    return at_file_level(decoded(made, _SOUND)).reshape(-1, len(material.goals), SEGMENT_SAMPLES)


SOURCES: Mapping[str, Callable[[Material], Wave]] = {
    "a1 exemplars of training people": lambda material: exemplars(material, "train"),
    "a1 exemplars of validation people": lambda material: exemplars(material, "validation"),
    "a2 synthetic voices": spoken,
    "b templates from blends of three": lambda material: templates(material, ((0, 1, 2), (3, 4, 5))),
    "c drawn through one network": lambda material: through_one(material, recorded=False),
    "c recordings by one network": lambda material: through_one(material, recorded=True),
}
