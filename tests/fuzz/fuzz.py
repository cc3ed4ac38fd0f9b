"""Fuzz one target for some time: with atheris where it is installed, else with mutations of the corpus.

    python tests/fuzz/fuzz.py sound-file|filter-folder|websocket|wyoming --seconds 60

Inputs that reach new code are kept in tests/fuzz/corpus by atheris; one that crashes is written beside the corpus, and
the exit status is 1.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from contextlib import nullcontext

import numpy as np

try:
    import atheris
except ImportError:
    atheris = None

with atheris.instrument_imports(include=["sottovoce"]) if atheris else nullcontext():
    from fuzz_targets import SEEDS, TARGETS, seeds

LARGEST_KEPT = 4096
_PLACES = 8


def mutated(content: bytes, rng: np.random.Generator, other: bytes) -> bytes:
    """`content` with a few of its bytes changed, cut, repeated, or taken from another input."""
    bytes_ = bytearray(content)
    for _ in range(int(rng.integers(1, _PLACES))):
        at = int(rng.integers(0, len(bytes_) + 1))
        kind = rng.integers(6)
        if kind == 0 and bytes_:
            bytes_[at % len(bytes_)] = int(rng.integers(256))
        elif kind == 1 and bytes_:
            bytes_[at % len(bytes_)] ^= 1 << int(rng.integers(8))
        elif kind == 2:
            del bytes_[at:]
        elif kind == 3:
            del bytes_[at : at + int(rng.integers(1, 64))]
        elif kind == 4:
            extreme = rng.choice([0, 1, 0x7F, 0x80, 0xFF], 4).astype(np.uint8).tobytes()
            bytes_[at : at + 4] = extreme
        else:
            start = int(rng.integers(0, len(other) + 1))
            bytes_[at:at] = other[start : start + int(rng.integers(1, 64))]
    return bytes(bytes_)


def by_mutation(target: str, seconds: float, seed: int) -> int:
    """How many inputs were tried; AssertionError or whatever comes out is left to the caller."""
    rng, known, tried, end = np.random.default_rng(seed), seeds(target), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        content = mutated(known[rng.integers(len(known))], rng, known[rng.integers(len(known))])
        tried += 1
        try:
            TARGETS[target](content)
        except Exception:
            crash = SEEDS.parent / f"crash-{target}-{hashlib.sha256(content).hexdigest()[:12]}"
            crash.write_bytes(content)
            print(f"{target}: {crash} crashes", file=sys.stderr)
            raise
    return tried


def by_coverage(target: str, seconds: float) -> None:
    """Atheris, which ends the process; what reaches new code is kept if it is small."""
    arguments = [str(SEEDS / target), f"-max_total_time={seconds:.0f}", f"-max_len={LARGEST_KEPT}", "-reduce_inputs=1"]
    atheris.Setup([sys.argv[0], *arguments, f"-artifact_prefix={SEEDS.parent}/crash-{target}-"], TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if atheris is not None:
        by_coverage(given.target, given.seconds)
    else:
        tried = by_mutation(given.target, given.seconds, given.seed)
        print(f"{given.target}: {tried} inputs by mutation, none crashed")
