"""Laws of the ring: what is read is what was written at that place, or nothing; nobody waits."""

import threading
import time

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sottovoce.live.worker import Ring


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(-5, 60), st.integers(0, 40)), max_size=30))
def test_it_is_the_end_of_all_that_was_written(steps):
    ring, written = Ring(32), np.zeros(0, np.float32)
    for size, back, count in steps:
        written = np.concatenate([written, np.arange(len(written), len(written) + size, dtype=np.float32)])
        ring.write(written[len(written) - size :])
        assert ring.end == len(written)
        start = len(written) - back
        found = ring.read(start, count)
        there = start >= 0 and start >= len(written) - 32
        np.testing.assert_array_equal(found, written[start : start + count] if there else [])


def test_a_gap_is_silence():
    ring = Ring(100)
    ring.write(np.ones(90, np.float32))
    ring.skip(120)
    ring.skip(10)  # behind
    assert ring.end == 120
    np.testing.assert_array_equal(ring.read(80, 100), np.repeat([1, 0], [10, 30]))
    ring.skip(100_000)
    np.testing.assert_array_equal(ring.read(99_900, 200), np.zeros(100))


def test_what_is_written_over_while_it_is_read_is_not_given():
    ring = Ring(1000)
    stop = threading.Event()

    def write() -> None:
        while not stop.wait(0.0005):
            ring.write((np.arange(ring.end, ring.end + 300) % 4096).astype(np.float32))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        seen, deadline = 0, time.monotonic() + 0.5
        while time.monotonic() < deadline:
            start = ring.end - 990
            found = ring.read(start, 900)
            np.testing.assert_array_equal(found, np.arange(start, start + len(found)) % 4096)
            seen += len(found) > 0
        assert seen
    finally:
        stop.set()
        thread.join()
