"""The corpus and the filter of `listening.py`: a household where people talk over sound events.

Each recording of ESC-10 has two sentences of one actor of RAVDESS laid over it, 6 dB fainter, before anything else
happens to it. The parts are the folds of ESC-10, so that no source recording is in two of them: 1 to 3 train,
4 validation, 5 test. Every actor is in each.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import torch
from home_sounds import CLASSES, SAMPLES, TASK

from sottovoce.audio import io, writer
from sottovoce.audio.level import normalise
from sottovoce.audio.spectrum import Wave
from sottovoce.jobs.train import TrainConfig, make_filter
from sottovoce.models.codewords import RECORDINGS
from sottovoce.models.target_metadata import TargetMetadata, TargetName
from sottovoce.progress import Progress

PARTS = {1: "train", 2: "train", 3: "train", 4: "validation", 5: "test"}
LEVEL_RMS, SPEECH_RMS = 0.05, 0.025  # of the event, and of the speech over it


def mix(corpora: Path, out: Path, seed: int = 0) -> Path:
    """Write the recordings and `clips.csv` (path, event, speaker, gender, split) to `out`; returns the table."""
    table = out / "clips.csv"
    if table.is_file():
        return table
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    spoken = _sentences(corpora / "ravdess", rng)
    rows = []
    for number, name in enumerate(CLASSES, 1):
        (folder,) = (corpora / "esc10").glob(f"{number:03} - *")
        for path in sorted(folder.glob("*.ogg")):
            event = np.resize(io.read(path), SAMPLES)
            actor = len(rows) % len(spoken)
            number = actor + 1
            speech = _laid_end_to_end([spoken[actor].pop(), spoken[actor].pop()])
            clip = f"{len(rows):03}.wav"
            writer.write(out / clip, normalise(event, LEVEL_RMS) + normalise(speech, SPEECH_RMS))
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


def train(table: Path, out: Path, seed: int = 0) -> Path:
    """A filter that permits YAMNet in 8 bits, which can only be queried, to name one of ten events; returns its folder.

    An encoder learns what it answers to training sounds; the codewords are recordings that it recognises best.
    """
    torch.set_num_threads(1)
    target = TargetName.of("home_sounds:eight_bits", TargetMetadata(TASK, CLASSES))
    config = TrainConfig(
        f"csv:{table}",
        (TASK,),
        (target,),
        out,
        preset="black-box",
        settings={"codewords": RECORDINGS},
        seed=seed,
        command="python benchmarks/listening.py",
        reuse=True,
    )
    make_filter(config, Progress())
    return out
