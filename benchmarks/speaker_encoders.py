"""How well speaker encoders tell people apart on original recordings, and what they cost.

    python benchmarks/speaker_encoders.py --corpus kaldi:PATH [--part test] [--clips SUBSTRING]

Prints the equal error rate over pairs of recordings by the cosine of their embeddings, and milliseconds of one thread
for each second of sound. --part takes one part of the default split, --clips the recordings with this in their name.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from sottovoce.attack.linkage import pairs
from sottovoce.attack.speaker_encoder import ENCODERS, embed, installed, speaker_embeddings
from sottovoce.audit.verification import intervals
from sottovoce.corpora.corpus import opened
from sottovoce.corpora.splits import split


def main() -> None:
    """Print a row for each encoder that is installed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--part", choices=("train", "validation", "test"))
    parser.add_argument("--clips", default="")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    manifest, sounds = opened(asked.corpus, lambda done, total, note: None)
    chosen = getattr(split(manifest), asked.part) if asked.part else np.arange(len(manifest.clips))
    chosen = [int(i) for i in chosen if asked.clips in manifest.clips[i].id]
    who = np.array([manifest.clips[i].labels["speaker"] for i in chosen])
    waves = [sounds.wave(i) for i in chosen]
    seconds = sum(len(wav) for wav in waves) / 16_000
    print(f"{manifest.name} {manifest.digest[:16]}: {len(chosen)} recordings, {len({*who})} people, {seconds:.0f} s")
    first, second, same = pairs(who)
    for name in installed():
        began = time.perf_counter()
        vectors = embed(*speaker_embeddings(name, waves))
        spent = 1000.0 * (time.perf_counter() - began) / seconds
        alike = (vectors[first] * vectors[second]).sum(axis=1)
        eer, _ = intervals(alike, same, who[first], who[second])
        print(f"{ENCODERS[name].title}: {eer.score:.1%} ({eer.low:.1%} to {eer.high:.1%}), {spent:.0f} ms", flush=True)


if __name__ == "__main__":
    main()
