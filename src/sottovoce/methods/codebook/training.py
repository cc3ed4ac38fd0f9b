"""Training a codebook filter by distillation alone: no adversary, no label, private or other.

1. An encoder learns what the target answers to training sounds and mixtures of them; a small target is its own encoder.
2. Each code gets a centre in the space of the target's posteriors.
3. The codewords are made: templates to which the target answers what their codes stand for, also after a way through
   sound. They are optimised by gradients through the target, or, where it can only be queried or takes sound, by
   gradients through students of it, starting from blends of several people's segments. They can be recordings instead.

Who speaks is used for one purpose: that a blend is of different people.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from torch import Tensor, nn

from sottovoce.corpora.cache import Sounds
from sottovoce.errors import ConfigError
from sottovoce.methods.codebook import codewords
from sottovoce.methods.codebook.blends import Material, synthetic
from sottovoce.methods.codebook.codewords import CodewordSettings
from sottovoce.methods.codebook.distillation import StudentSettings, distil
from sottovoce.models.codebook import BLOCKS, SHARPNESS, Array, Codebook, to_8_bits
from sottovoce.models.codewords import RECORDINGS, SOURCES, SYNTHETIC
from sottovoce.models.target import Target
from sottovoce.training.loop import Run, draw_segments
from sottovoce.training.settings import Positive, Share


@dataclass(frozen=True)
class CodebookSettings:
    """How a codebook filter is made.

    `encoder`: "target" is a copy of the target, which has to be a network of spectra; "student" a network that was
    taught its answers, which is always used for other targets. `codes` of each task, 0 for one per class.
    `codewords`: "synthetic" ones are computed; "recordings" are chosen among training recordings. `gradients`: whether
    those of the targets are used for synthetic codewords, where they have any; otherwise the targets are only queried.
    """

    encoder: Literal["target", "student"] = "target"
    codewords: Literal["synthetic", "recordings"] = SYNTHETIC
    gradients: bool = True
    student: StudentSettings = field(default_factory=StudentSettings)
    drawing: CodewordSettings = field(default_factory=CodewordSettings)
    codes: Annotated[int, 0, 256] = 0
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
        ),
    }
)
_MOST_CODEWORDS = 4096


class Encoder(nn.Module):
    """Log posteriors [B, C] of several recognisers side by side, of standardised log spectra [B, 161, 128]."""

    def __init__(self, recognisers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.recognisers = nn.ModuleList(recognisers)

    def forward(self, spectra: Tensor) -> Tensor:
        """[B, 161, 128] -> [B, C]."""
        return torch.cat([recogniser(spectra).log_softmax(dim=1) for recogniser in self.recognisers], dim=1)


def train_codebook(
    sounds: Sounds,
    clips: NDArray[np.int64],
    targets: Sequence[Target],
    settings: CodebookSettings,
    sound: tuple[float, float],
    run: Run,
    people: NDArray[np.str_] | None = None,
) -> tuple[Encoder, Codebook, NDArray[np.int64]]:
    """An encoder and a codebook for the tasks of `targets`, from the sound of `clips`; no label is learned from.

    Also the positions of the recordings that are codewords: none where these are synthetic. `sound` are the mean and
    deviation that the filter gives to its log spectra on the way back to sound. `people` says whose each of `clips` is,
    so that no codeword is one person's; without it, each is taken for another's. ConfigError for codewords of an
    unknown kind, and for more combinations of codes than can be drawn.
    """
    if settings.codewords not in SOURCES:
        raise ConfigError(f"the codewords are '{settings.codewords}'; expected {' or '.join(SOURCES)}.")
    if settings.block_segments not in BLOCKS:
        raise ConfigError(f"a block is {settings.block_segments} segments; expected one of {BLOCKS}.")
    centres = [_centres(sounds, clips, target, settings, run.seed) for target in targets]
    shape = (len(SHARPNESS), *(len(table) + 1 for table in centres))
    if math.prod(shape) > _MOST_CODEWORDS:
        raise ConfigError(
            f"{math.prod(shape)} combinations of codes are too many to draw, expected at most {_MOST_CODEWORDS}; "
            "permit fewer tasks in one filter."
        )
    encoder = Encoder([_encoder(sounds, clips, target, settings, run) for target in targets]).eval()
    goals = codewords.goals(centres)
    sources = np.zeros(0, np.int64)
    if settings.codewords == RECORDINGS:
        templates, sources = codewords.recordings(sounds, clips, targets, goals, settings.drawing, sound, run.seed)
    elif settings.gradients and all(isinstance(target.logits, nn.Module) for target in targets):
        templates = codewords.drawn(targets, goals, settings.drawing, sound, run)
    else:
        people = clips.astype(np.str_) if people is None else people
        material = Material(sounds, clips, people, sound)
        templates = synthetic(material, targets, list(encoder.recognisers), goals, settings.drawing, run)
    drawn, low, high = to_8_bits(templates.reshape(*shape, *templates.shape[1:]))
    tasks = tuple(target.task for target in targets)
    book = Codebook(tasks, tuple(centres), drawn, low, high, settings.memory, settings.block_segments)
    return encoder, book, sources


def _encoder(
    sounds: Sounds, clips: NDArray[np.int64], target: Target, settings: CodebookSettings, run: Run
) -> nn.Module:
    """The recogniser that gives the codes of one task."""
    if settings.encoder == "target" and isinstance(target.logits, nn.Module):
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
