"""What codewords for targets that can only be queried are worth, to the target itself and to a sibling of another seed.

python benchmarks/codewords.py --corpora PATH --out DIR        # PATH holds ravdess and fsdd; about an hour on two cores
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from sottovoce.audio.segment import cut, front_end
from sottovoce.corpora.corpus import opened
from sottovoce.corpora.splits import split
from sottovoce.jobs.train import TrainConfig, make_filter, make_target
from sottovoce.models.target import Target
from sottovoce.models.target_loading import load_target
from sottovoce.models.vote import vote
from sottovoce.progress import Progress
from sottovoce.runtime.filter import Filter

TASKS = {"ravdess": "emotion", "fsdd": "digit"}
SOURCES = ("synthetic", "recordings")


def right(target: Target, spectra: list[np.ndarray], labels: np.ndarray) -> float:
    """The share of recordings that a target names rightly, from their segments [S, 161, 128]."""
    owner = np.repeat(np.arange(len(spectra)), [len(each) for each in spectra])
    return round(float((vote(target.predict(np.concatenate(spectra)), owner).argmax(axis=1) == labels).mean()), 4)


def measured(corpus: str, task: str, corpora: Path, out: Path) -> dict[str, Any]:
    """Two targets that differ in their seed, a filter for the first of them with each kind of codewords, and scores."""
    spec = f"{corpus}:{corpora / corpus}"
    for seed in (0, 1):
        if not (out / f"target-{seed}").is_dir():
            make_target(spec, task, out / f"target-{seed}", "compact", None, seed, "benchmark", Progress())
    targets = {name: load_target(out / f"target-{seed}") for name, seed in (("own", 0), ("sibling", 1))}
    manifest, sounds = opened(spec, Progress())
    test = split(manifest).test
    classes = targets["own"].classes
    labels = np.array([classes.index(manifest.clips[i].labels[task]) for i in test])
    waves = [sounds.wave(int(i)) for i in test]
    originals = [front_end(cut(wave)) for wave in waves]
    found: dict[str, Any] = {name: {"originals": right(target, originals, labels)} for name, target in targets.items()}
    for source in SOURCES:
        place = out / source
        if not place.is_dir():
            make_filter(
                TrainConfig(
                    spec, (task,), (out / "target-0",), place, preset="black-box", settings={"codewords": source}
                ),
                Progress(),
            )
        filter_ = Filter.load(place)
        features = [filter_.obfuscate(cut(wave)) for wave in waves]
        played = [front_end(cut(filter_.filter(wave))) for wave in waves]
        for name, target in targets.items():
            found[name][source] = {"features": right(target, features, labels), "sound": right(target, played, labels)}
        found[source] = filter_.card["codewords"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    found = {corpus: measured(corpus, task, given.corpora, given.out / corpus) for corpus, task in TASKS.items()}
    (given.out / "codewords.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
