"""The method `codebook`: codes by distillation, and codewords that are played for them."""

from __future__ import annotations

import math

from sottovoce.methods.codebook.similarity import described, speakers
from sottovoce.methods.codebook.training import PRESETS, CodebookSettings, train_codebook
from sottovoce.methods.method import Context, Estimate, Method, Trained
from sottovoce.models.codebook import SHARPNESS
from sottovoce.models.codewords import RECORDINGS
from sottovoce.models.layers import parameter_count
from sottovoce.runtime.export import save_codebook

_STUDENT_S, _DRAWING_S = 0.08, 0.5  # of a step of a student, and of a step of a batch of codewords


def train(context: Context[CodebookSettings]) -> Trained:
    """An encoder and a codebook for all targets."""
    settings, run, clips = context.settings, context.run, context.split.train
    encoder, book, sources = train_codebook(
        context.sounds, clips, context.targets, settings, context.loudness, run, speakers(context.manifest, clips)
    )
    made_of = context.manifest, context.sounds, clips, context.loudness, run.seed, run.report
    card = {
        "codewords": described(book, sources, *made_of),
        "parameters": parameter_count(encoder),
        "codes": dict(zip(book.tasks, book.sizes, strict=True)),
        "classes": {target.task: list(target.classes) for target in context.targets},
        "block_s": book.block_s,
        "bits_per_block": book.bits_per_block(book.tasks),
    }
    return Trained(
        card,
        lambda folder, card, targets: save_codebook(folder, encoder, book, *context.loudness, card, targets),
    )


def estimate(context: Context[CodebookSettings]) -> Estimate:
    """The steps of all students, and those of drawing the codewords."""
    settings, targets = context.settings, context.targets
    students = [target for target in targets if settings.encoder == "student" or not target.differentiable]
    taught = len(students) * settings.student.steps
    words = len(SHARPNESS) * math.prod((settings.codes or len(target.classes)) + 1 for target in targets)
    drawn = settings.drawing.steps * -(-words // settings.drawing.batch) if settings.codewords != RECORDINGS else 0
    return Estimate(taught + drawn, taught * _STUDENT_S + drawn * _DRAWING_S)


METHOD: Method[CodebookSettings] = Method("codebook", CodebookSettings, PRESETS, train, estimate, several_tasks=True)
