"""The corpus and the filter of `listening.py`: a household where people talk while something can be heard.

Each recording of ESC-10 has two sentences of one actor of RAVDESS laid over it, at the same loudness, before anything
else happens to it. The parts are the folds of ESC-10, so that no source recording is in two of them: 1 to 3 train,
4 validation, 5 test. Every actor is heard in each.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import torch
from yamnet import CLASSES, TASK, load

from sottovoce.audio import io, writer
from sottovoce.audio.level import normalise
from sottovoce.audio.spectrum import SAMPLE_RATE, Wave
from sottovoce.corpora.manifest import split
from sottovoce.jobs.corpus import describe, opened
from sottovoce.jobs.make import loudness
from sottovoce.models.target import from_callable
from sottovoce.progress import Progress
from sottovoce.runtime.export import save_codebook
from sottovoce.training.codebook import PRESETS, train_codebook
from sottovoce.training.loop import Run

SAMPLES = 5 * SAMPLE_RATE
PARTS = {1: "train", 2: "train", 3: "train", 4: "validation", 5: "test"}
LEVEL_RMS = 0.05  # of the event, and of the speech


def mix(corpora: Path, out: Path, seed: int = 0) -> Path:
    """Write the recordings and `clips.csv` (path, event, speaker, gender, split) to `out`; returns the table."""
    table = out / "clips.csv"
    if table.is_file():
        return table
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    spoken = _sentences(corpora / "ravdess", rng)
    rows = []
    for name in CLASSES:
        (folder,) = (corpora / "esc10").glob(f"* - {name}")
        for path in sorted(folder.glob("*.ogg")):
            event = np.resize(io.read(path), SAMPLES)
            actor = len(rows) % len(spoken)
            number = actor + 1
            speech = _laid_end_to_end([spoken[actor].pop(), spoken[actor].pop()])
            clip = f"{len(rows):03}.wav"
            writer.write(out / clip, normalise(event, LEVEL_RMS) + normalise(speech, LEVEL_RMS))
            gender = "female" if number % 2 == 0 else "male"
            rows.append((clip, name, f"{number:02}", gender, PARTS[int(path.name[0])]))
    with open(f"{table}.part", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", TASK, "speaker", "gender", "split"), *rows])
    os.replace(f"{table}.part", table)
    return table


def _sentences(ravdess: Path, rng: np.random.Generator) -> list[list[Path]]:
    """Recordings of speech of each actor, in an order of their own."""
    actors = [sorted(folder.glob("03-01-*")) for folder in sorted(ravdess.glob("Actor_*"))]
    return [[paths[int(i)] for i in rng.permutation(len(paths))] for paths in actors]


def _laid_end_to_end(paths: list[Path]) -> Wave:
    spoken = np.concatenate([io.read(path) for path in paths])
    return np.pad(spoken, (0, max(0, SAMPLES - len(spoken))))[:SAMPLES]


def train(table: Path, model: Path, out: Path, seed: int = 0) -> Path:
    """A filter by which YAMNet, which can only be asked, may hear which of ten events it is; returns its folder."""
    if (out / "card.json").is_file():
        return out
    torch.set_num_threads(1)
    manifest, sounds = opened(f"csv:{table}", Progress())
    parts = split(manifest)
    sound = loudness(sounds, parts.train)
    target = from_callable(load(model, constants=sound), TASK, CLASSES)
    settings = PRESETS["black-box"]
    encoder, book = train_codebook(
        sounds, parts.train, [target], settings, sound, Run(settings.student.steps, seed, Progress())
    )
    card = {
        "method": "codebook",
        "preset": "black-box",
        "permit": [TASK],
        "classes": {TASK: list(CLASSES)},
        "codes": dict(zip(book.tasks, book.sizes, strict=True)),
        "block_s": book.block_s,
        "rate_bits_per_s": book.rate_bits_per_s(book.tasks),
        "corpus": describe(manifest, parts),
        "targets": [{"task": TASK, "digest": target.digest}],
        "seed": seed,
        "command": "python benchmarks/listening.py",
    }
    save_codebook(out, encoder, book, *sound, card, {})
    return out
