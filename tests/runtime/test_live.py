"""Laws of live sound: what leaves is the worker's, in time, or silence; whatever fails, never the microphone."""

import os
import signal
import time
from types import SimpleNamespace

import numpy as np
import pytest

from sottovoce.errors import ConfigError, ModelError
from sottovoce.live.live import Live, run
from sottovoce.live.worker import Link, Worker

RATE = 16000
BLOCK = 160
MICROPHONE = np.full(BLOCK, -0.5, np.float32)  # below zero, as nothing that the fakes draw is


class Observations:
    """A sink that keeps everything."""

    def __init__(self, room: int = 10**9) -> None:
        self.blocks: list[np.ndarray] = []
        self.room = room

    def write(self, samples: np.ndarray) -> int:
        taken = samples[: self.room]
        self.blocks.append(taken)
        return len(taken)

    @property
    def sound(self) -> np.ndarray:
        return np.concatenate([np.zeros(0, np.float32), *self.blocks])


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Microphone:
    """Blocks of 10 ms in real time."""

    def __init__(self) -> None:
        self.due = time.monotonic()
        self.gives = True

    def read(self, timeout_s: float) -> np.ndarray | None:
        early = self.due - time.monotonic()
        if not self.gives or early > timeout_s:
            time.sleep(timeout_s)
            return None
        time.sleep(max(0.0, early))
        self.due += BLOCK / RATE
        return MICROPHONE


@pytest.fixture
def sink():
    return Observations()


@pytest.fixture
def by_hand(sink):
    """A live sound without a worker process: the test is the worker, and the clock."""
    link = Link(RATE, ("word", "mood"))
    worker = SimpleNamespace(links=[link], restarts=0, watch=lambda: None)
    clock = Clock()
    return Live(worker, sink, 100, margin_s=0.01, clock=clock), link, clock


@pytest.fixture
def worker(counting):
    made = Worker(counting, [Link(RATE, ("word", "mood"))])
    yield made
    made.close()


def hear(live, clock, blocks: int = 1) -> None:
    for _ in range(blocks):
        live.feed(MICROPHONE)
        clock.now += BLOCK / RATE


def place(sample: float) -> int:
    """The place in time, up to whole turns, of a sample of the counting fake."""
    return round((float(sample) - 0.1) * 10000)


def play(worker, sink, seconds: float, each=lambda elapsed: None) -> Live:
    """Real time, with something that is done meanwhile."""
    while not worker.ready:
        time.sleep(0.01)
    live, began = Live(worker, sink, 100, margin_s=0.08), time.monotonic()

    def going() -> bool:
        each(time.monotonic() - began)
        return time.monotonic() - began < seconds

    run(live, Microphone(), going)
    return live


# Time


def test_what_was_drawn_leaves_late_by_the_delay_and_what_is_late_is_silence(by_hand, sink):
    live, link, clock = by_hand
    assert live.delay == 260
    drawn = np.arange(1, 2000, dtype=np.float32)
    hear(live, clock, 3)
    link.drawn.write(drawn[:100])
    hear(live, clock, 1)  # 380 on: of the places 220 to 380 nothing is there
    link.drawn.write(drawn[100:700])
    hear(live, clock, 2)
    expected = np.zeros(6 * BLOCK)
    expected[4 * BLOCK :] = drawn[4 * BLOCK - 260 : 6 * BLOCK - 260]
    np.testing.assert_array_equal(sink.sound, expected)
    assert live.counters.obfuscated == 2 * BLOCK and live.counters.silent == 4 * BLOCK
    assert live.state == "obfuscated"
    hear(live, clock, 3)
    assert live.state == "stopped", "the worker gave nothing more"


def test_a_silent_microphone_gives_silence_in_time(by_hand, sink):
    live, _, clock = by_hand
    hear(live, clock)
    for _ in range(100):
        clock.now += 0.05
        live.feed(None)
    assert abs(len(sink.sound) - 5.0 * RATE) <= 0.15 * RATE
    assert not sink.sound.any()


def test_a_burst_is_dropped_so_that_nothing_is_late(by_hand, sink):
    live, _, clock = by_hand
    for _ in range(1000):
        live.feed(MICROPHONE)
    assert len(sink.sound) <= 0.11 * RATE + BLOCK
    assert live.counters.dropped_burst == 1000 * BLOCK - len(sink.sound)
    clock.now += 0.5
    before = live.counters.dropped_burst
    hear(live, clock, 10)
    assert live.counters.dropped_burst == before


@pytest.mark.parametrize("jump", [-7200.0, -2.0, 2.0, 7200.0, 1e9])
def test_a_clock_that_jumps_and_a_computer_that_slept_change_nothing(by_hand, sink, jump):
    live, link, clock = by_hand
    hear(live, clock, 10)
    before = len(sink.sound)
    clock.now += jump
    live.feed(None)
    link.drawn.write(np.full(30 * BLOCK, 0.3, np.float32))
    hear(live, clock, 10)
    assert len(sink.sound) == before + 10 * BLOCK, "no hour of silence, nothing lost"
    np.testing.assert_array_equal(sink.sound[-BLOCK:], np.float32(0.3))
    assert live.counters.clock_jumps == 1


def test_an_output_that_takes_no_more_loses_sound_and_nothing_waits(counting):
    worker = SimpleNamespace(links=[Link(RATE, ())], restarts=0, watch=lambda: None)
    clock = Clock()
    live = Live(worker, Observations(room=40), 100, clock=clock)
    hear(live, clock, 5)
    assert live.counters.dropped_output == 5 * (BLOCK - 40)


# What the user says


def test_stopped_nothing_leaves_and_the_worker_hears_nothing(by_hand, sink):
    live, link, clock = by_hand
    link.drawn.write(np.full(100 * BLOCK, 0.3, np.float32))
    hear(live, clock, 4)
    assert sink.sound.any() and live.state == "obfuscated"
    live.running = False
    before = len(sink.sound)
    hear(live, clock, 4)
    assert live.state == "stopped"
    assert not sink.sound[before:].any()
    assert not link.recorded.read(4 * BLOCK, 4 * BLOCK).any()
    live.running = True
    hear(live, clock, 1)
    assert live.state == "obfuscated"


def test_who_hears_the_microphone_itself_is_seen(by_hand):
    live, _, clock = by_hand
    live._bypassed = lambda: True
    hear(live, clock)
    assert live.state == "clear" and live.report()["state"] == "clear"


def test_where_nobody_knows_who_listens_the_state_is_unknown_whatever_is_played(by_hand):
    live, link, clock = by_hand
    link.drawn.write(np.full(100 * BLOCK, 0.3, np.float32))
    hear(live, clock, 4)
    assert live.state == "obfuscated"
    live._bypassed = lambda: None
    assert live.state == "unknown" and live.report()["state"] == "unknown"
    live.running = False
    assert live.state == "unknown"


def test_consent_is_a_switch(by_hand):
    live, _, _ = by_hand
    assert live.permitted == ("word", "mood")
    live.permit(["mood"])
    assert live.permitted == ("mood",)
    live.permit([])
    assert live.permitted == ()
    with pytest.raises(ConfigError, match="age"):
        live.permit(["age"])


def test_consent_reaches_the_worker(worker, sink, tmp_path):
    live = play(worker, sink, 0.3)
    live.permit(["mood"])
    run(live, Microphone(), lambda: True, seconds=0.6)
    assert (tmp_path / "permitted").read_text() == "mood;"


# The worker


def test_a_worker_draws_what_it_hears_late_by_the_delay(worker, sink):
    live = play(worker, sink, 1.5)
    sound = sink.sound
    late = np.flatnonzero(sound)[0]
    assert live.counters.silent <= 0.5 * RATE
    places = [place(sample) for sample in sound[late:] if sample]
    assert (np.diff(places) % 4000 == 1).all(), "without a break"
    # Place k was drawn of what was heard `delay` before, by a worker that began at place 0 of its ring.
    assert places[0] == (late - live.delay) % 4000


def test_an_overload_is_over_within_a_second(worker, sink, tmp_path):
    def overload(elapsed: float) -> None:
        if 0.5 < elapsed < 2.0:
            (tmp_path / "slow").touch()  # ten times slower than real time
        else:
            (tmp_path / "slow").unlink(missing_ok=True)

    live = play(worker, sink, 4.0, overload)
    assert live.counters.dropped_slow > 0.5 * RATE, "dropped, not queued"
    assert (sink.sound >= 0).all()
    last = sink.sound[-RATE:]
    assert (last > 0).all(), "a second after the overload all is there"
    assert (np.diff([place(sample) for sample in last]) % 4000 == 1).all()
    assert worker.restarts == 0


def test_killed_again_and_again_it_gives_silence_and_comes_back(worker, sink):
    killed = []

    def kill(elapsed: float) -> None:
        if elapsed > 0.4 * (len(killed) + 1) and worker.pid not in killed and len(killed) < 10:
            killed.append(worker.pid)
            os.kill(worker.pid, signal.SIGKILL)

    live = play(worker, sink, 8.0, kill)
    assert live.counters.restarts == len(killed) == 10
    assert (sink.sound >= 0).all(), "the microphone is below zero"
    assert live.counters.silent > 0
    assert (sink.sound[-BLOCK:] > 0).all(), "it came back"
    assert abs(len(sink.sound) - 8.0 * RATE) < 0.2 * RATE


@pytest.mark.parametrize("fault", ["crashes", "stalls"])
def test_a_worker_that_crashes_or_stalls_is_replaced(worker, sink, tmp_path, fault):
    def break_down(elapsed: float) -> None:
        if 0.5 < elapsed < 1.0:
            (tmp_path / fault).touch()
        elif elapsed > 4.0:
            (tmp_path / fault).unlink(missing_ok=True)

    live = play(worker, sink, 8.0, break_down)
    assert live.counters.restarts >= 1
    assert (sink.sound >= 0).all()
    assert (sink.sound[-BLOCK:] > 0).all()


def test_a_worker_that_cannot_start_is_said(counting, tmp_path):
    (tmp_path / "unable").touch()
    worker = Worker(counting, [Link(RATE, ())])
    with pytest.raises(ModelError, match="does not start"):
        for _ in range(1000):
            worker.watch()
            time.sleep(0.02)
    worker.close()


def test_an_unplugged_microphone_is_silence_and_comes_back(worker, sink):
    while not worker.ready:
        time.sleep(0.01)
    microphone, began = Microphone(), time.monotonic()
    live = Live(worker, sink, 100)

    def unplug() -> bool:
        elapsed = time.monotonic() - began
        microphone.gives = not 0.5 < elapsed < 2.0
        return elapsed < 3.0

    run(live, microphone, unplug)
    assert (sink.sound >= 0).all()
    assert abs(len(sink.sound) - 3.0 * RATE) < 0.2 * RATE, "silence came in its place, and in time"
    assert (sink.sound[-BLOCK:] > 0).all()
