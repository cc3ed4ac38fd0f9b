"""Training a codebook filter by distillation: no adversary, and no private label.

1. An encoder learns what the target answers to training sounds and mixtures of them; a small target is its own encoder.
   A second, small network learns when there is none of what is permitted.
2. Each code gets a centre in the space of the target's posteriors.
3. For each code a codeword is chosen by the agreement of the target and of voters, other recognisers of the task, among
   recordings of people that none of them was trained on, or among sounds of synthetic voices. Where not each of the
   recognisers understands these, a template competes with them: a blend of segments of several people, optimised by
   gradients through all recognisers, or, where the target can only be queried, through students of it.

Who speaks is used for one purpose: that a blend is of different people.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from torch import Tensor, nn
from torch.nn import functional

from sottovoce.audio.segment import front_end
from sottovoce.audio.spectrum import Wave
from sottovoce.corpora.cache import Sounds
from sottovoce.errors import ConfigError
from sottovoce.methods.codebook import blends, codewords
from sottovoce.methods.codebook.codewords import CodewordSettings
from sottovoce.methods.codebook.distillation import StudentSettings, distil
from sottovoce.methods.codebook.none import Negatives, NoneSettings, of_recordings, rates, train_presence
from sottovoce.methods.codebook.spoken import spoken
from sottovoce.models.codebook import MOST_CODEWORDS, Array, Codebook, nothing, to_8_bits
from sottovoce.models.codewords import RECORDINGS, SYNTHETIC
from sottovoce.models.target import Target
from sottovoce.training.loop import Run, draw_segments
from sottovoce.training.settings import Positive, Share


@dataclass(frozen=True)
class CodebookSettings:
    """How a codebook filter is made.

    `encoder`: "target" is a copy of the target, which has to be a network of spectra; "student" a network that was
    taught its answers, which is always used for other targets; "ensemble" is the mean of one of these and the voters,
    right more often, and larger. `codes` of each task, 0 for one per class.
    `codewords`: "synthetic" ones are nobody's voice; "recordings" are chosen among recordings. `gradients`: whether
    those of the targets are used for synthetic codewords, where they have any; otherwise the targets are only queried.
    `voters` of each task, trained for `voter_steps`, choose the codewords with the target; `judges`: whether a
    recogniser that never takes part is trained for each task, to measure what others understand. The first blocks of a
    sound have codewords of their own, less sharp ones, for `positions` more than one.
    """

    encoder: Literal["target", "student", "ensemble"] = "target"
    codewords: Literal["synthetic", "recordings"] = SYNTHETIC
    gradients: bool = True
    voters: Annotated[int, 0, 8] = 4
    voter_steps: Positive = 600
    judges: bool = True
    student: StudentSettings = field(default_factory=StudentSettings)
    drawing: CodewordSettings = field(default_factory=CodewordSettings)
    none: NoneSettings = field(default_factory=NoneSettings)
    codes: Annotated[int, 0, 256] = 0
    positions: Annotated[int, 1, 4] = 1
    memory: Share = 1.0
    block_segments: Positive = 1


_COMPACT = CodebookSettings()
PRESETS: Mapping[str, CodebookSettings] = MappingProxyType(
    {
        "compact": _COMPACT,
        "student": replace(_COMPACT, encoder="student"),
        "black-box": replace(_COMPACT, encoder="student", gradients=False),
        "quick": replace(
            _COMPACT,
            student=StudentSettings(queries=3200, steps=300),
            drawing=CodewordSettings(steps=60, candidates=384),
            none=NoneSettings(steps=150),
            voters=2,
            voter_steps=200,
            judges=False,
        ),
    }
)


@dataclass(frozen=True)
class Material:
    """What a codebook is made from: recordings, their targets, and what chooses the codewords.

    Training recordings `clips` of `people`, whose each of them is, and `others`, recordings of people that nothing was
    trained on, from which codewords may be chosen. `sound` are mean and deviation of log spectra on the way back to
    sound. `voters` of each task; `negatives` are what is none of the tasks, `unseen_negatives` what its rates are
    measured on.
    """

    sounds: Sounds
    clips: NDArray[np.int64]
    people: NDArray[np.str_] | None
    others: NDArray[np.int64]
    targets: Sequence[Target]
    voters: Sequence[Sequence[Target]]
    negatives: Negatives
    unseen_negatives: Negatives
    sound: tuple[float, float]


class Mean(nn.Module):
    """The logarithm [B, K] of the mean posterior of several recognisers."""

    def __init__(self, recognisers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.recognisers = nn.ModuleList(recognisers)

    def forward(self, spectra: Tensor) -> Tensor:
        """[B, 161, 128] -> [B, K]."""
        posteriors = [each(spectra).softmax(dim=1) for each in self.recognisers]
        return torch.stack(posteriors).mean(dim=0).clamp(min=1e-12).log()


class Encoder(nn.Module):
    """Log posteriors [B, C] of several recognisers of spectra side by side, each followed by that of none.

    `presence` gives the log odds [B] that there is something for any of them.
    """

    def __init__(self, recognisers: Sequence[nn.Module], presence: nn.Module) -> None:
        super().__init__()
        self.recognisers = nn.ModuleList(recognisers)
        self.presence = presence

    def forward(self, spectra: Tensor) -> Tensor:
        """[B, 161, 128] -> [B, C]."""
        none = functional.logsigmoid(-self.presence(spectra))[:, None]
        parts = [part for each in self.recognisers for part in (each(spectra).log_softmax(dim=1), none)]
        return torch.cat(parts, dim=1)


class Made(NamedTuple):
    """An encoder and a codebook, the positions of the recordings that are codewords, and the rates of none."""

    encoder: nn.Module
    book: Codebook
    sources: NDArray[np.int64]
    none: dict[str, Any]


def table_shape(targets: Sequence[Target], settings: CodebookSettings) -> tuple[int, ...]:
    """Positions, and the codes of each task with that of none; ConfigError for more combinations than there may be."""
    shape = (settings.positions, *((settings.codes or len(target.classes)) + 1 for target in targets))
    if math.prod(shape) > MOST_CODEWORDS:
        raise ConfigError(
            f"{math.prod(shape)} combinations of codes are too many, expected at most {MOST_CODEWORDS}; "
            "permit fewer tasks in one filter, or have fewer positions."
        )
    return shape


def train_codebook(material: Material, settings: CodebookSettings, run: Run) -> Made:
    """An encoder and a codebook for the tasks of the targets of `material`; ConfigError as of `table_shape`."""
    targets, shape = material.targets, table_shape(material.targets, settings)
    centres = [_centres(material.sounds, material.clips, target, settings, run.seed) for target in targets]
    recognisers = [_encoder(material.sounds, material.clips, target, settings, run) for target in targets]
    presence = train_presence(material.sounds, material.clips, material.negatives, settings.none, run)
    if settings.encoder == "ensemble":
        recognisers = [
            Mean([own, *(each.logits for each in able if isinstance(each.logits, nn.Module))])
            for own, able in zip(recognisers, material.voters, strict=True)
        ]
    encoder = Encoder(recognisers, presence).eval()

    def none(segments: Wave) -> NDArray[np.float32]:
        with torch.no_grad():
            return np.asarray(torch.sigmoid(-presence(torch.from_numpy(front_end(segments)))).numpy())

    something = of_recordings(material.sounds, material.others)
    measured = rates(none, something, material.unseen_negatives, settings.none, run.seed)
    goals = codewords.goals(centres, settings.positions)
    sounds, sources = _codewords(material, recognisers, goals, settings, run)
    table = to_8_bits(sounds).reshape(*shape, -1)
    table[nothing(len(centres))] = to_8_bits(np.zeros(1, np.float32))  # silence
    tasks = tuple(target.task for target in targets)
    book = Codebook(
        tasks, tuple(centres), (measured["threshold"],) * len(tasks), table, settings.memory, settings.block_segments
    )
    return Made(encoder, book, sources, measured)


def _codewords(
    material: Material, students: list[nn.Module], goals: Sequence[Tensor], settings: CodebookSettings, run: Run
) -> tuple[Wave, NDArray[np.int64]]:
    """The sounds of all codewords [W, 20640], and the positions of the recordings that they are of."""
    targets, drawing = material.targets, settings.drawing
    able = [[target, *others] for target, others in zip(targets, material.voters, strict=True)]
    if settings.codewords == RECORDINGS:
        pool, owners = codewords.candidates(material.sounds, material.others, drawing, run.seed)
        chosen = codewords.best(pool, able, goals)
        return pool[chosen], np.unique(owners[chosen])
    people = material.clips.astype(np.str_) if material.people is None else material.people
    speech = blends.Speech(material.sounds, material.clips, people, material.sound)
    if settings.gradients and all(isinstance(target.logits, nn.Module) for target in targets):
        base = blends.blended(speech, able, goals, drawing, run.seed)
        templates = codewords.drawn(able, goals, drawing, material.sound, run, base)
    else:
        templates = blends.synthetic(speech, targets, students, goals, drawing, run)
    made = codewords.sounded(templates, material.sound)
    voices = spoken([name for target in targets for name in target.classes], run.seed)
    if not len(voices):
        return made, np.zeros(0, np.int64)
    said = voices[codewords.best(voices, able, goals)]
    clear = codewords.understood(said, able, goals)
    either = np.concatenate([said, made])
    either = either[codewords.best(either, able, goals)]
    return np.where(clear[:, None], said, either), np.zeros(0, np.int64)


def _encoder(
    sounds: Sounds, clips: NDArray[np.int64], target: Target, settings: CodebookSettings, run: Run
) -> nn.Module:
    """The recogniser that gives the codes of one task."""
    if settings.encoder != "student" and isinstance(target.logits, nn.Module):
        return target.logits
    return distil(sounds, clips, target, settings.student, run)


def _centres(sounds: Sounds, clips: NDArray[np.int64], target: Target, settings: CodebookSettings, seed: int) -> Array:
    """Posteriors [K, C] that the codes of a task stand for: its classes, or the means of K groups of answers."""
    classes = len(target.classes)
    if settings.codes in (0, classes):
        return np.eye(classes, dtype=np.float32)
    segments, _ = draw_segments(sounds, clips, 1024, np.random.default_rng([seed, 2]))
    posteriors = torch.from_numpy(target.predict_sound(segments)).softmax(dim=1).numpy()
    grouped = KMeans(settings.codes, n_init=4, random_state=seed).fit(posteriors)
    return np.asarray(grouped.cluster_centers_, np.float32)
