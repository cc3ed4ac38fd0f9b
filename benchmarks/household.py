"""The corpus and the filter of `listening.py`: a household where people talk over sound events.

Each recording of ESC-10 has two sentences of one actor of RAVDESS laid over it, 6 dB fainter, before anything else
happens to it. The parts are the folds of ESC-10, so that no source recording is in two of them: 1 to 3 train,
4 validation, 5 test. Every actor is in each.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from yamnet import CLASSES, GAIN, TASK, Network, as_target, from_sound

from sottovoce.audio import io, writer
from sottovoce.audio.level import normalise
from sottovoce.audio.segment import FRONT_END
from sottovoce.audio.spectrum import SAMPLE_RATE, Spectrum, Wave
from sottovoce.corpora.corpus import describe, opened
from sottovoce.corpora.splits import split
from sottovoce.methods.codebook import codewords
from sottovoce.methods.codebook.similarity import of_recordings
from sottovoce.methods.codebook.training import PRESETS, train_codebook
from sottovoce.methods.method import loudness
from sottovoce.models.codebook import to_8_bits
from sottovoce.models.codewords import RECORDINGS
from sottovoce.models.target import from_callable
from sottovoce.progress import Progress
from sottovoce.runtime.engine import CODEBOOK, FilterConfig, State
from sottovoce.runtime.export import save_codebook
from sottovoce.runtime.segments import SegmentEngine
from sottovoce.training.loop import Run

SAMPLES = 5 * SAMPLE_RATE
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
    for name in CLASSES:
        (folder,) = (corpora / "esc10").glob(f"* - {name}")
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


class _Mute(SegmentEngine):
    """An engine for a filter that only plays."""

    def step(self, spectra: Spectrum, state: State) -> tuple[Spectrum, State]:
        raise NotImplementedError


def _as_played(network: Network, sound: tuple[float, float]) -> Callable[[Spectrum], NDArray[np.float32]]:
    """YAMNet's scores of spectra [B, 161, 128] that a filter with these constants plays to it."""
    player = _Mute(FilterConfig(FRONT_END, CODEBOOK, {}, *sound), ())
    return lambda spectra: network.scores(from_sound(np.stack([player.sound(spectrum) for spectrum in spectra])))


def _sentences(ravdess: Path, rng: np.random.Generator) -> list[list[Path]]:
    """Recordings of speech of each actor, in an order of their own."""
    actors = [sorted(folder.glob("03-01-*")) for folder in sorted(ravdess.glob("Actor_*"))]
    return [[paths[int(i)] for i in rng.permutation(len(paths))] for paths in actors]


def _laid_end_to_end(paths: list[Path]) -> Wave:
    spoken = np.concatenate([io.read(path) for path in paths])
    return np.pad(spoken, (0, max(0, SAMPLES - len(spoken))))[:SAMPLES]


def train(table: Path, model: Path, out: Path, seed: int = 0) -> Path:
    """A filter that permits YAMNet, which can only be queried, to name one of ten events; returns its folder.

    An encoder learns what YAMNet says of training sounds. The codewords are recordings: those of these sounds are
    chosen that YAMNet recognises best as the filter would play them, by its own front end.
    """
    if (out / "card.json").is_file():
        return out
    torch.set_num_threads(1)
    manifest, sounds = opened(f"csv:{table}", Progress())
    parts = split(manifest)
    sound = loudness(sounds, parts.train)
    network = Network(model)
    target = from_callable(as_target(network, None, GAIN), TASK, CLASSES)
    settings = replace(PRESETS["black-box"], codewords=RECORDINGS)
    run = Run(settings.student.steps, seed, Progress())
    few = replace(settings, drawing=replace(settings.drawing, candidates=64))
    encoder, book, _ = train_codebook(sounds, parts.train, [target], few, sound, run)
    played = from_callable(_as_played(network, sound), TASK, CLASSES)
    found, sources = codewords.recordings(
        sounds, parts.train, [played], codewords.goals(book.centres), settings.drawing, sound, seed
    )
    drawn, low, high = to_8_bits(found.reshape(*book.templates.shape[:2], *found.shape[1:]))
    book = replace(book, templates=drawn, low=low, high=high)
    card = {
        "method": "codebook",
        "preset": "black-box",
        "codewords": of_recordings(manifest, sources, Progress()),
        "permit": [TASK],
        "classes": {TASK: list(CLASSES)},
        "codes": dict(zip(book.tasks, book.sizes, strict=True)),
        "block_s": book.block_s,
        "bits_per_block": book.bits_per_block(book.tasks),
        "corpus": describe(manifest, parts),
        "targets": [{"task": TASK, "digest": target.digest}],
        "seed": seed,
        "command": "python benchmarks/listening.py",
    }
    save_codebook(out, encoder, book, *sound, card, {})
    return out
