"""Whether a filter still says the same when an offset or hum lies under the sound.

python benchmarks/below_speech.py --corpora PATH        # PATH holds ravdess and fsdd
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from sottovoce.audio import io
from sottovoce.audio.segment import cut
from sottovoce.audio.spectrum import SAMPLE_RATE, Wave
from sottovoce.corpora.catalogue import open_corpus
from sottovoce.runtime import bundled
from sottovoce.runtime.filter import Filter

FILTERS = {"digit": "fsdd"}
MOST_CLIPS = 80
OFFSETS = (0.001, 0.005, 0.02, 0.05, 0.2)
HUM_HZ, HUM_LEVELS = (25, 50, 60), (0.002, 0.005, 0.02, 0.05)


def answers(filter_: Filter, waves: list[Wave]) -> np.ndarray:
    """The code of the first task for the last block of each sound, [U]."""
    return np.array([filter_.engine.codes(cut(wave.astype(np.float32)))[-1, 0] for wave in waves])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpora", type=Path, required=True)
    corpora = parser.parse_args().corpora
    found = {}
    for name, corpus in FILTERS.items():
        clips = open_corpus(f"{corpus}:{corpora / corpus}").clips
        waves = [io.read(clip.path) for clip in clips[:: -(-len(clips) // MOST_CLIPS)]]
        filter_ = Filter.load(bundled.PLACE / name)
        clean = answers(filter_, waves)
        same = {f"offset {level}": answers(filter_, [wave + level for wave in waves]) for level in OFFSETS}
        for hertz in HUM_HZ:
            hum = [np.sin(2 * np.pi * hertz * np.arange(len(wave)) / SAMPLE_RATE + 1.0) for wave in waves]
            for level in HUM_LEVELS:
                disturbed = [wave + level * under for wave, under in zip(waves, hum, strict=True)]
                same[f"hum of {hertz} Hz, {level}"] = answers(filter_, disturbed)
        found[name] = {"clips": len(waves)} | {
            what: round(float((said == clean).mean()), 3) for what, said in same.items()
        }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
