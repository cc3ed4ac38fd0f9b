"""Some seconds of what coverage-guided fuzzing does for minutes: the kept inputs, and mutations of them."""

import importlib.util
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("websockets")
HERE = Path(__file__).parent
spec = importlib.util.spec_from_file_location("frame_targets", HERE / "frame_targets.py")
frames = importlib.util.module_from_spec(spec)
spec.loader.exec_module(frames)


@pytest.mark.parametrize("name", sorted(frames.FRAME_TARGETS))
def test_nothing_but_the_streams_output_comes_out(name):
    target = frames.FRAME_TARGETS[name]
    seeds = frames.first_seeds()[name] + [path.read_bytes() for path in sorted((HERE / "corpus" / name).glob("*"))]
    for seed in seeds:
        target(seed)
    rng, end = np.random.default_rng(0), time.monotonic() + 3.0
    while time.monotonic() < end:
        content = bytearray(seeds[rng.integers(len(seeds))])
        for _ in range(int(rng.integers(1, 6))):
            at = int(rng.integers(0, len(content) + 1))
            other = seeds[rng.integers(len(seeds))]
            if rng.integers(3):
                content[at : at + 1] = rng.integers(0, 256, 1, np.uint8).tobytes()
            else:
                content[at : at + int(rng.integers(40))] = other[int(rng.integers(len(other))) :][:40]
        target(bytes(content))


def test_a_conversation_is_taken_apart_as_it_was_put_together():
    parts = ["{}", b"sound", '{"end": true}']
    assert frames.messages(frames.joined(*parts)) == parts
