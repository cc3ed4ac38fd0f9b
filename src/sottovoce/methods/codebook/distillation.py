"""Distillation: a student learns what a target answers. No label is needed, and no gradient through the target.

A student takes spectra, whatever the target takes. A target of sound is asked about the sound that they are of.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from sottovoce.audio.segment import front_end
from sottovoce.corpora.cache import Sounds
from sottovoce.models.architectures import build
from sottovoce.models.layers import standardised
from sottovoce.models.target import Target
from sottovoce.training.device import device
from sottovoce.training.loop import Run, draw_segments, one_cycle, set_learning_rate, train, update
from sottovoce.training.settings import Positive, Rate

_CORRECTING_RATE, _CORRECTING_DECAY, _CORRECTING_HALF = 3e-4, 0.05, 32


@dataclass(frozen=True)
class StudentSettings:
    """A student, and how it is taught: the target is asked about `queries` segments, once each."""

    architecture: str = "compact-recogniser"
    settings: Mapping[str, int] = field(default_factory=dict)
    queries: Positive = 12_800
    steps: Positive = 3000
    batch: Positive = 32
    learning_rate: Rate = 3e-3
    weight_decay: Rate = 0.05


def distil(sounds: Sounds, clips: NDArray[np.int64], target: Target, settings: StudentSettings, run: Run) -> nn.Module:
    """A student that answers as the target does, which is asked about each of `queries` segments once.

    Every second batch is of mixtures of two segments: the answers to them teach as much, and there are many more of
    them than recordings. Those for a target of sound are mixtures of sound.
    """
    torch.manual_seed(run.seed)
    student = build(settings.architecture, {**settings.settings, "classes": len(target.classes)}).to(device())
    optimiser = torch.optim.AdamW(student.parameters(), weight_decay=settings.weight_decay)
    batches = max(1, settings.queries // settings.batch)
    answers: dict[int, Tensor] = {}

    def lesson(number: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng([run.seed, 1, number])
        segments, _ = draw_segments(sounds, clips, settings.batch, rng)
        share = rng.uniform(0.2, 0.8, (len(segments), 1)).astype(np.float32) if number % 2 else None
        if share is not None and target.takes == "wave":
            segments = share * segments + (1.0 - share) * np.roll(segments, 1, axis=0)
        spectra = torch.from_numpy(front_end(segments)).to(device())
        if share is not None and target.takes == "spectrum":
            part = torch.from_numpy(share[:, None]).to(spectra.device)
            spectra = standardised(part * spectra + (1.0 - part) * spectra.roll(1, 0))
        if number not in answers:
            logits = torch.from_numpy(target.predict(spectra.cpu().numpy(), lambda: segments))
            answers[number] = logits.softmax(dim=1).to(spectra.device)
        return spectra, answers[number]

    def step(number: int, rng: np.random.Generator) -> str:
        set_learning_rate(optimiser, one_cycle(number, settings.steps, settings.learning_rate))
        spectra, posteriors = lesson(number % batches)
        loss = functional.kl_div(student(spectra).log_softmax(dim=1), posteriors, reduction="batchmean")
        return f"student of {target.task}: divergence {update(optimiser, loss):.3f}"

    student.train()
    train(step, {"student": student, "optimiser": optimiser}, run.part(f"student-{target.task}", settings.steps))
    return student.eval().cpu()


def corrected(student: nn.Module, lessons: Sequence[tuple[Tensor, Tensor]], steps: int, seed: int) -> nn.Module:
    """A copy of a student that has also learned `lessons`: spectra [N, 161, 128], and their posteriors [N, C].

    Half of each batch is from the last lesson, half from any of them.
    """
    torch.manual_seed(seed)
    copied = copy.deepcopy(student).requires_grad_(True).train()
    optimiser = torch.optim.AdamW(copied.parameters(), lr=_CORRECTING_RATE, weight_decay=_CORRECTING_DECAY)
    for _ in range(steps):
        halves = [_some(lessons[-1]), _some(lessons[int(torch.randint(len(lessons), ()))])]
        spectra, answers = (torch.cat(parts) for parts in zip(*halves, strict=True))
        loss = functional.kl_div(copied(spectra).log_softmax(dim=1), answers, reduction="batchmean")
        update(optimiser, loss)
    return copied.eval()


def _some(lesson: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    pick = torch.randint(len(lesson[0]), (_CORRECTING_HALF,))
    return lesson[0][pick], lesson[1][pick]
