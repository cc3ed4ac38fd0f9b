"""Views of what leaves a system as a whole: one for each of its properties, and one for each planted leak."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sottovoce.attack.attacker import Labels
from sottovoce.audio.segment import cut
from sottovoce.audit.case import PARTS, Case, Part
from sottovoce.audit.leaving import SAMPLES, STEPS, Leaving, described, stacked
from sottovoce.audit.observations import View, identity
from sottovoce.audit.planted_files import CLASSES, KINDS
from sottovoce.audit.view_files import PartFiles
from sottovoce.corpora.store import build_once
from sottovoce.models.checkpoint import path_part
from sottovoce.parallel import ordered

Whole = Callable[[int], Leaving]  # what leaves for a clip
_SHORTEST_STEP_S, _LONGEST_STEP_S = 0.032, 1.28
_PLANTED_IN = {"train": 120, "validation": 60, "test": 60}  # recordings, at most
_MOST_CHANNELS = 4
_PROPERTIES = "properties.json"


@dataclass(frozen=True, eq=False)
class Planted:
    """A leak of one kind in some recordings: what attackers see of it, and the labels that it tells."""

    view: View
    labels: dict[Part, Labels]
    classes: int


def step_s(case: Case) -> float:
    """How long a step is, so that most recordings are described to their end, in seconds."""
    longest = max(case.sounds.duration_s(int(clip)) for part in PARTS for clip in case.clips(part))
    return float(np.clip(longest / STEPS, _SHORTEST_STEP_S, _LONGEST_STEP_S))


def observe_whole(case: Case, whole: Whole, source: str, place: Path, workers: int) -> dict[str, View]:
    """A view for each property of what leaves, by its name; a property that is the same everywhere has none."""
    digest, step = identity(case.digest, "whole", source), step_s(case)

    def build(folder: Path) -> None:
        clips = {part: case.clips(part) for part in PARTS}
        all_ = [int(clip) for part in PARTS for clip in clips[part]]
        vectors = stacked(ordered(described, lambda i: (whole(all_[i]), step), len(all_), workers))
        varied = {name: each for name, each in vectors.items() if np.ptp(each, axis=0).any()}
        bounds = np.cumsum([len(clips[part]) for part in PARTS])[:-1]
        for name, each in varied.items():
            for part, rows in zip(PARTS, np.split(each, bounds), strict=True):
                _write(folder / part, {name: rows[:, :, None]})
        (folder / _PROPERTIES).write_text(json.dumps(list(varied)), encoding="utf-8")

    folder = build_once(place / f"whole-{digest[:16]}", build)
    properties = json.loads((folder / _PROPERTIES).read_text(encoding="utf-8"))
    return {name: View(name, folder, identity(digest, name), name) for name in properties}


def observe_samples(case: Case, whole: Whole, source: str, place: Path) -> View:
    """Segments of the samples of every channel, in 16 bits [S, C, 20480], at the rate at which they leave."""
    digest = identity(case.digest, SAMPLES, source)

    def build(folder: Path) -> None:
        channels = 1
        while (found := _write_samples(folder, case, whole, channels)) > channels:
            channels = found

    return View(SAMPLES, build_once(place / f"samples-{digest[:16]}", build), digest)


def _write_samples(folder: Path, case: Case, whole: Whole, channels: int) -> int:
    """Write what leaves, with silence for channels that a recording lacks; ends at one with more, and returns its."""
    for part in PARTS:
        (folder / part).mkdir(exist_ok=True)
        with PartFiles(folder / part) as out:
            for utterance, clip in enumerate(case.clips(part)):
                segments = _samples(whole(int(clip)))
                own = int(segments.shape[1])
                if own > channels:
                    return own
                out.append("spectra", np.pad(segments, ((0, 0), (0, channels - own), (0, 0))))
                out.append("owner", np.full(len(segments), utterance))
                out.append("outline", np.zeros((1, 1), np.float32))
    return channels


def _samples(leaving: Leaving) -> NDArray[np.int16]:
    channels = np.stack([cut(channel) for channel in leaving.samples.T[:_MOST_CHANNELS]], axis=1)
    return np.asarray(np.clip(np.rint(channels * 32768.0), -32768, 32767), np.int16)


def observe_planted(case: Case, whole: Whole, source: str, seed: int, place: Path, workers: int) -> dict[str, Planted]:
    """Each kind of planted leak, in a sample of the recordings; labels are dealt at random."""
    rng = np.random.default_rng(seed)
    some: dict[Part, NDArray[np.int64]] = {
        part: rng.permutation(case.clips(part))[: _PLANTED_IN[part]] for part in PARTS
    }
    classes = CLASSES if len(some["train"]) >= 15 * CLASSES else 2
    labels: dict[Part, Labels] = {part: rng.permutation(np.arange(len(some[part])) % classes) for part in PARTS}
    digest, step = identity(case.digest, "planted", source, seed), step_s(case)

    def build(folder: Path) -> None:
        pairs = [(part, c, k) for part in PARTS for c, k in zip(some[part], labels[part], strict=True)]

        def arguments(i: int) -> tuple[Leaving, int, float]:
            _, clip, label = pairs[i]
            return whole(int(clip)), int(label), step

        seen = ordered(_planted, arguments, len(pairs), workers)
        for part in PARTS:
            own = [each for (its, _, _), each in zip(pairs, seen, strict=True) if its == part]
            for name, rows in stacked(own).items():
                _write(folder / part, {name: rows[:, :, None]})

    folder = build_once(place / f"planted-{digest[:16]}", build)
    return {name: Planted(View(name, folder, identity(digest, name), name), labels, classes) for name in KINDS}


def _planted(leaving: Leaving, label: int, step: float) -> dict[str, NDArray[np.float32]]:
    """Each kind of leak in one recording, as attackers see it."""
    return {
        name: described(kind.plant(leaving, label), step, (kind.property,))[kind.property]
        for name, kind in KINDS.items()
    }


def _write(folder: Path, arrays: dict[str, NDArray[np.float32]]) -> None:
    folder.mkdir(exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / f"{path_part(name)}.npy", array)
        if not (folder / "owner.npy").exists():
            np.save(folder / "owner.npy", np.arange(len(array)))
            np.save(folder / "outline.npy", np.zeros((len(array), 1), np.float32))
