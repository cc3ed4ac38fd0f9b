"""How time and memory grow with the number of clips: reading, decoding, splitting, training and gathering.

    python benchmarks/large_corpus.py make --corpus fsdd:PATH --out FOLDER [--clips 100000]
    python benchmarks/large_corpus.py measure --out FOLDER [--clips 1000,10000,100000] [--json]
    python benchmarks/large_corpus.py index --out FOLDER [--clips 1000000] [--json]

`make` repeats the clips of a corpus, each time at another level and cut a little shorter, so that no two files are
equal; it resumes where it was stopped. `measure` runs each step in a process of its own, with an empty cache, and shows
per clip the processor time and the time that passed, and the largest resident memory. `index` lists a million slices of
one recording in a table, and reads, splits and identifies the corpus without decoding any sound.
"""

from __future__ import annotations

import os

os.environ.update({"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"})  # read at import

import argparse
import csv
import json
import multiprocessing
import resource
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from joblib.externals.loky import get_reusable_executor

from sottovoce.corpora import catalogue, corpus
from sottovoce.corpora.cache import load
from sottovoce.corpora.splits import split
from sottovoce.progress import Progress, silent

_PER_FOLDER = 1000
_STEPS = 100  # of training a target
_BATCH = 32


def make(spec: str, out: Path, clips: int) -> None:
    """Write so many sound files of the clips of a corpus, and tables of 1000 of them, 10,000 and so on."""
    manifest, sounds = corpus.opened(spec, Progress())
    report = Progress()
    tasks = list(manifest.tasks)
    rows: list[list[str]] = []
    for i in range(clips):
        which, repetition = i % len(sounds), i // len(sounds)
        name = f"{i // _PER_FOLDER:04}/{i:07}.flac"
        rows.append([name, *(manifest.clips[which].labels.get(task, "") for task in tasks)])
        path = out / name
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            wav = sounds.wave(which)[: -8 * repetition or None]
            unfinished = path.with_suffix(".unfinished")
            soundfile.write(unfinished, wav * 0.98**repetition, 16000, format="FLAC")
            os.replace(unfinished, path)
        report(i + 1, clips, "written")
    order = np.random.default_rng(0).permutation(clips)
    for count in {10**n for n in range(3, 8) if 10**n < clips} | {clips}:
        with (out / f"{count}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([["path", *tasks], *(rows[i] for i in np.sort(order[:count]))])


def _check(spec: str) -> float:
    found, _ = corpus.check(spec, silent)
    return float(found["hours"]) * 3600.0


def _load(spec: str) -> float:
    _, sounds = load(catalogue.open_corpus(spec))
    return sum(sounds.duration_s(i) for i in range(len(sounds)))


def _open(spec: str) -> float:
    return len(catalogue.open_corpus(spec).clips)


def _target(spec: str) -> float:
    """The same number of steps for any number of clips, so that their time should not grow."""
    from sottovoce.training.loop import Run
    from sottovoce.training.target import TargetSettings, train_target

    manifest, sounds = load(catalogue.open_corpus(spec))
    settings = TargetSettings(batch=_BATCH)
    train_target(manifest, sounds, split(manifest).train, manifest.tasks[0], settings, Run(_STEPS, 0, silent))
    return 0.0


def _draw(spec: str) -> float:
    """An epoch of batches as training draws them."""
    from sottovoce.training.loop import draw

    manifest, sounds = load(catalogue.open_corpus(spec))
    clips = split(manifest).train
    rng = np.random.default_rng(0)
    for _ in range(len(clips) // _BATCH):
        draw(sounds, clips, _BATCH, rng)
    return 0.0


def _gather(spec: str, what: str) -> float:
    from sottovoce.audio.segment import front_end, full_band
    from sottovoce.audit.case import Case
    from sottovoce.audit.observations import observe_features, observe_sound
    from sottovoce.corpora.store import cache_folder

    manifest, sounds = load(catalogue.open_corpus(spec))
    case, place = Case(manifest, sounds, split(manifest)), cache_folder() / "views"
    if what == "gather sound":
        view = observe_sound(case, sounds.wave, "", 0, place)
    else:
        view = observe_features(case, full_band, "original", "", 0, place, for_targets=front_end)
    return float(sum(len(view.part(part)) for part in ("train", "validation", "test")))


WORK: dict[str, Callable[[str], float]] = {
    "first check": _check,
    "second check": _check,
    "read the table": _open,
    "load from the cache": _load,
    "batches of an epoch": _draw,
    "100 steps of a target": _target,
    "gather features": lambda spec: _gather(spec, "gather features"),
    "gather sound": lambda spec: _gather(spec, "gather sound"),
}


def _usage() -> tuple[float, float]:
    """Seconds of the processor and the largest resident MB, of this process and of those that it started."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in both), max(u.ru_maxrss for u in both) / 1024


def _measured(name: str, spec: str) -> dict[str, Any]:
    cpu, base = _usage()
    began = time.monotonic()
    value = WORK.get(name, _index)(spec)
    passed = time.monotonic() - began
    get_reusable_executor().shutdown(wait=True)  # so that what its processes used is known
    after, peak = _usage()
    return {"step": name, "cpu_s": after - cpu, "wall_s": passed, "before_mb": base, "peak_mb": peak, "value": value}


def _alone(name: str, spec: str) -> dict[str, Any]:
    """What a step costs in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measured, name, spec).result()


def measure(out: Path, counts: list[int], steps: list[str]) -> list[dict[str, Any]]:
    """Each step for each number of clips."""
    found = []
    cache = out.resolve() / "cache"
    os.environ["SOTTOVOCE_CACHE"] = str(cache)
    for count in counts:
        for name in steps:
            if name == "first check":
                shutil.rmtree(cache, ignore_errors=True)
            row = {"clips": count, **_alone(name, f"csv:{out / f'{count}.csv'}")}
            found.append(row)
            print(_line(row), flush=True)
            shutil.rmtree(cache / "views", ignore_errors=True)
    shutil.rmtree(cache, ignore_errors=True)
    return found


def _line(row: dict[str, Any]) -> str:
    per = 1000.0 / row["clips"]
    return (
        f"{row['clips']:8} {row['step']:28} {row['cpu_s'] * per:8.3f} ms CPU {row['wall_s'] * per:8.3f} ms per clip "
        f"{row['peak_mb']:7.0f} MB ({row['before_mb']:.0f} before) {row['value']:.0f}"
    )


def index(out: Path, clips: int) -> dict[str, Any]:
    """A table of slices of one recording, read, split and identified."""
    out.mkdir(parents=True, exist_ok=True)
    soundfile.write(out / "long.flac", np.zeros(16000), 16000)
    with (out / "index.csv").open("w", encoding="utf-8", newline="") as file:
        file.write("path,start_s,speaker,word\n")
        file.writelines(f"long.flac,{i / 4},{i % 6112:04},{i % 35}\n" for i in range(clips))
    return {"clips": clips, **_alone("read, split and identify", f"csv:{out / 'index.csv'}")}


def _index(spec: str) -> float:
    manifest = catalogue.open_corpus(spec)
    parts = split(manifest, "speaker")
    assert manifest.digest
    return len(parts.train)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("make", "measure", "index"))
    parser.add_argument("--corpus", default="voices")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clips", default=None, help="how many; for measure several, with commas between them")
    parser.add_argument("--steps", default=",".join(WORK))
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.what == "make":
        make(given.corpus, given.out, int(given.clips or 100_000))
        return
    if given.what == "index":
        found = [index(given.out, int(given.clips or 1_000_000))]
        print(_line(found[0]))
    else:
        counts = [int(count) for count in (given.clips or "1000,10000,100000").split(",")]
        steps = list(WORK) if given.steps == ",".join(WORK) else given.steps.split(",")
        found = measure(given.out, counts, steps)
    if given.json:
        print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
