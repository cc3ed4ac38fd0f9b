"""From magnitudes to sound: what is used here beside the other ways, by quality and cost.

    python benchmarks/decoding.py --corpora PATH [--targets emotion=FOLDER,...] [--filter FOLDER] [--json]

On LibriSpeech, spectral convergence in dB (less is better) and milliseconds per second of sound on one thread. With a
codebook filter and the targets of its tasks also how often each target gives the code's class for what it gets of
the words: as spectra, and decoded in each way, moved by half a segment so that seams are in the middle.
"""

from __future__ import annotations

import os

os.environ.update({"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"})  # read at import

import argparse
import heapq
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sottovoce.audio import io
from sottovoce.audio.griffin_lim import Crossfade, PhaseContinuation, griffin_lim, to_sound
from sottovoce.audio.segment import front_end
from sottovoce.audio.spectrum import (
    HOP_SAMPLES,
    SEGMENT_FRAMES,
    SEGMENT_SAMPLES,
    WINDOW_SAMPLES,
    Spectrum,
    Wave,
    istft,
    stft,
)

_GAMMA = 0.29794  # of a Hamming window: its length squared times this is the width of the Gaussian most like it
_QUIET = 1e-4  # of the loudest: below that phases are left at random


def in_pieces(magnitude: Spectrum, iterations: int, frames: int = SEGMENT_FRAMES) -> Wave:
    """Fast Griffin-Lim piece by piece, each taking up the phase of the last: by segments in filters without words."""
    voice = PhaseContinuation(iterations)
    pieces = [voice.feed(magnitude[:, i : i + frames]) for i in range(0, magnitude.shape[1], frames)]
    return np.concatenate([*pieces, voice.flush()])


def separately(magnitude: Spectrum, iterations: int) -> Wave:
    """Each segment by itself, and joined: codebook filters, whose words are then made but once."""
    voice = Crossfade()
    starts = range(0, magnitude.shape[1], SEGMENT_FRAMES)
    pieces = [voice.feed(griffin_lim(magnitude[:, i : i + SEGMENT_FRAMES], iterations)) for i in starts]
    return np.concatenate([*pieces, voice.flush()])


def gradients(magnitude: Spectrum) -> Wave:
    """Phase-gradient heap integration, frame after frame (Průša and Søndergaard 2016, RTPGHI), one frame ahead."""
    gamma = _GAMMA * WINDOW_SAMPLES**2
    log = np.log(np.maximum(magnitude.astype(np.float64), 1e-8 * magnitude.max() + 1e-12))
    bins, frames = log.shape
    along = np.zeros_like(log)  # of log magnitude over bins and over frames
    along[1:-1] = (log[2:] - log[:-2]) / 2
    across = np.zeros_like(log)
    across[:, 1:-1] = (log[:, 2:] - log[:, :-2]) / 2
    by_time = HOP_SAMPLES * WINDOW_SAMPLES / gamma * along + 2 * np.pi * HOP_SAMPLES * np.arange(bins)[:, None] / 320
    by_bin = -gamma / (HOP_SAMPLES * WINDOW_SAMPLES) * across + np.pi  # windows that start, and not are centred, at 0
    phase = np.random.default_rng(0).uniform(0, 2 * np.pi, log.shape)
    least = np.log(_QUIET) + log.max()
    for n in range(1, frames):
        todo = set(np.flatnonzero(log[:, n] > least).tolist())
        heap = [(-log[m, n - 1], m, n - 1) for m in todo if log[m, n - 1] > least]
        heapq.heapify(heap)
        while todo:
            if not heap:
                loudest = max(todo, key=lambda m: log[m, n])
                todo.discard(loudest)
                heapq.heappush(heap, (-log[loudest, n], loudest, n))
            _, m, at = heapq.heappop(heap)
            if at == n - 1 and m in todo:
                phase[m, n] = phase[m, n - 1] + (by_time[m, n - 1] + by_time[m, n]) / 2
                todo.discard(m)
                heapq.heappush(heap, (-log[m, n], m, n))
            elif at == n:
                for other in (m - 1, m + 1):
                    if other in todo:
                        step = (by_bin[m, n] + by_bin[other, n]) / 2
                        phase[other, n] = phase[m, n] + (other - m) * step
                        todo.discard(other)
                        heapq.heappush(heap, (-log[other, n], other, n))
    return istft((magnitude * np.exp(1j * phase)).astype(np.complex64))


WAYS: dict[str, Callable[[Spectrum], Wave]] = {
    "whole, 24 steps": lambda m: to_sound(m, 24),
    "in pieces, 8 steps": lambda m: in_pieces(m, 8),
    "in pieces, 24 steps (used)": lambda m: in_pieces(m, 24),
    "in pieces, 64 steps": lambda m: in_pieces(m, 64),
    "each alone, 24 steps (used for words)": lambda m: separately(m, 24),
    "each alone, 64 steps": lambda m: separately(m, 64),
    "in pieces of 160 ms, 24 steps": lambda m: in_pieces(m, 24, 16),
    "in pieces of 40 ms, 24 steps": lambda m: in_pieces(m, 24, 4),
    "phase gradients (heap)": gradients,
}


def convergence_db(wav: Wave, magnitude: Spectrum) -> float:
    """How far the magnitude of a sound is from the one that is asked for."""
    off = np.abs(stft(wav))[:, : magnitude.shape[1]] - magnitude
    return float(20 * np.log10(np.linalg.norm(off) / np.linalg.norm(magnitude)))


def measure(corpora: Path, targets: dict[str, Path], folder: str | None) -> dict[str, Any]:
    """Every way, by name."""
    clips = sorted((corpora / "librispeech" / "test-other").rglob("*.ogg"))[::10][:4]
    waves = [io.read(path, duration_s=6.0) for path in clips]
    found: dict[str, Any] = {}
    for name, way in WAYS.items():
        db, spent, length = [], 0.0, 0.0
        for wav in waves:
            magnitude = np.abs(stft(wav / wav.std()))
            start = time.perf_counter()
            made = way(magnitude)
            spent += time.perf_counter() - start
            length += len(wav) / 16000
            db.append(convergence_db(made, magnitude))
        found[name] = {"convergence_db": float(np.mean(db)), "ms_per_s": 1000 * spent / length}
    if folder is not None:
        for name, right in understood(folder, targets).items():
            found.setdefault(name, {})["understood"] = right
    return found


def understood(folder: str, targets: dict[str, Path]) -> dict[str, dict[str, float]]:
    """Of each task, the share of words for whose sound its target says the class of the code; the last words, twice."""
    from sottovoce.models.target_loading import load_target
    from sottovoce.runtime import bundled
    from sottovoce.runtime.filter import Filter

    loaded = Filter.load(bundled.find(folder))
    book = loaded.engine.vocabulary()
    places = np.array([at for at in np.ndindex(book.sounds.shape[:-1]) if at[0] == book.positions - 1 and min(at[1:])])
    spectra = book.draw(places[:, 1:], places[:, 0])
    loaded_targets = {task: load_target(place) for task, place in targets.items()}
    found: dict[str, dict[str, float]] = {}

    def answered(inputs: Spectrum) -> dict[str, float]:
        right = {}
        for task, target in loaded_targets.items():
            number = book.tasks.index(task)
            expected = book.centres[number].argmax(axis=1)[places[:, 1 + number] - 1]
            right[task] = float((target.predict(inputs).argmax(axis=1) == expected).mean())
        return right

    found["as spectra"] = answered(spectra)
    for name, way in WAYS.items():
        sounds = [way(loaded.config.magnitude(np.tile(one, 2))) for one in spectra]
        middle = np.stack([wav[SEGMENT_SAMPLES // 2 :][:SEGMENT_SAMPLES] for wav in sounds])
        found[name] = answered(front_end(middle))
    return found


def table(found: dict[str, Any]) -> str:
    """The figures as Markdown."""
    tasks = list(next((one["understood"] for one in found.values() if "understood" in one), {}))
    head = ["way to sound", "convergence, dB", "ms per s", *(f"{task}, understood" for task in tasks)]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for name, one in found.items():
        numbers = [f"{one[key]:.1f}" if key in one else "–" for key in ("convergence_db", "ms_per_s")]
        numbers += [f"{one['understood'][task]:.0%}" for task in tasks]
        lines.append(f"| {' | '.join([name, *numbers])} |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, required=True, help="folder that holds librispeech")
    parser.add_argument("--filter", default=None, help="a codebook filter, folder or name")
    parser.add_argument("--targets", default="", help="its targets: TASK=FOLDER, with commas")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    loaded_targets = {
        task: Path(place) for task, place in (pair.split("=") for pair in given.targets.split(",") if pair)
    }
    result = measure(given.corpora, loaded_targets, given.filter)
    print(json.dumps(result, indent=1) if given.json else table(result))
