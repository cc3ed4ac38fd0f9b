"""The method `codebook`: codes by distillation, and codewords that are played for them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sottovoce.corpora.splits import Split
from sottovoce.errors import ConfigError
from sottovoce.methods.codebook.none import BUILT_IN, of_recordings
from sottovoce.methods.codebook.ready import all_ready, ready_codebook
from sottovoce.methods.codebook.similarity import described, speakers
from sottovoce.methods.codebook.training import PRESETS, CodebookSettings, Material, table_shape, train_codebook
from sottovoce.methods.method import Context, Estimate, Method, TrainConfig, Trained
from sottovoce.methods.recognisers import judges, voters
from sottovoce.models.codebook import BLOCKS
from sottovoce.models.codewords import RECORDINGS, SOURCES
from sottovoce.models.layers import parameter_count
from sottovoce.runtime.export import save_codebook

_STUDENT_S, _RECOGNISER_S, _DRAWING_S = 0.08, 0.12, 0.5  # of a step, and of one of a batch of codewords
_JUDGE_STEPS, _READY_S = 1300, 40.0


def check(_: TrainConfig, settings: CodebookSettings) -> None:
    """ConfigError for codewords of an unknown kind, and for blocks of a length that cannot be."""
    if settings.codewords not in SOURCES:
        raise ConfigError(f"the codewords are '{settings.codewords}'; expected {' or '.join(SOURCES)}.")
    if settings.block_segments not in BLOCKS:
        raise ConfigError(f"a block is {settings.block_segments} segments; expected one of {BLOCKS}.")


def train(context: Context[CodebookSettings]) -> Trained:
    """An encoder and a codebook for all targets, and judges of what other recognisers understand."""
    settings, clips, ready = context.settings, context.split.train, all_ready(context.targets)
    if not ready:
        table_shape(context.targets, settings)  # refuses before others are trained what cannot be
    material = Material(
        context.sounds,
        clips,
        speakers(context.manifest, clips),
        context.split.validation if len(context.split.validation) else clips,
        context.targets,
        [voters(context, target, settings.voters, settings.voter_steps) for target in context.targets],
        {**BUILT_IN, **{name: of_recordings(each, part.train) for name, (each, part) in context.negatives.items()}},
        {**BUILT_IN, **{name: of_recordings(each, _unseen(part)) for name, (each, part) in context.negatives.items()}},
        context.loudness,
    )
    make = ready_codebook if ready else train_codebook
    encoder, book, sources, none = make(material, settings, context.run)
    takes_sound = ready and context.targets[0].takes == "wave"
    others = [judge for target in context.targets if settings.judges for judge in judges(context, target)]
    card = {
        "codewords": described(book, sources, context.manifest, context.sounds, clips, context.run),
        "parameters": parameter_count(encoder),
        "codes": dict(zip(book.tasks, book.sizes, strict=True)),
        "classes": {target.task: list(target.classes) for target in context.targets},
        "block_s": book.block_s,
        "bits_per_block": book.bits_per_block(book.tasks),
        "none": {task: none for task in book.tasks},
        "voters": {target.task: len(able) for target, able in zip(context.targets, material.voters, strict=True)},
        "judges": {
            target.task: [{"name": each.name, "judge": each.judge} for each in others if each.task == target.task]
            for target in context.targets
        },
    }
    files = {name: content for judge in others for name, content in judge.files.items()}
    return Trained(
        card,
        lambda folder, card, targets: save_codebook(
            folder, encoder, book, *context.loudness, card, targets, files, takes_sound
        ),
    )


def _unseen(parts: Split) -> NDArray[np.int64]:
    """The recordings that nothing is trained on."""
    return np.concatenate([parts.validation, parts.test])


def estimate(context: Context[CodebookSettings]) -> Estimate:
    """The steps of all students, and those of drawing the codewords."""
    settings, targets = context.settings, context.targets
    if all_ready(targets):
        return Estimate(0, _READY_S)
    students = [target for target in targets if settings.encoder == "student" or not target.differentiable]
    taught = len(students) * settings.student.steps
    words = settings.positions * math.prod((settings.codes or len(target.classes)) + 1 for target in targets)
    drawn = settings.drawing.steps * -(-words // settings.drawing.batch) if settings.codewords != RECORDINGS else 0
    voting = sum(settings.voters * settings.voter_steps for _ in targets)
    judged = sum(_JUDGE_STEPS for _ in targets if settings.judges)
    steps = taught + drawn + voting + judged + settings.none.steps
    own = (taught + settings.none.steps) * _STUDENT_S + (voting + judged) * _RECOGNISER_S
    return Estimate(steps, own + drawn * _DRAWING_S * (1 + settings.voters))


METHOD: Method[CodebookSettings] = Method(
    "codebook", CodebookSettings, PRESETS, train, estimate, check, several_tasks=True
)
