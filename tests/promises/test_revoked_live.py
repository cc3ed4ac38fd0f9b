"""Revoked means zero, live: a sample has the consent of the moment at which it came, however late it is worked on."""

import threading

import numpy as np
import pytest

from sottovoce.live import worker
from sottovoce.live.worker import Link, work

TASKS = ("word", "mood")


class Stop(Exception):
    """Ends the worker of a test."""


class Recording:
    """A stream that waits at its first samples, and keeps what it is fed under which consent."""

    latency_samples = 0

    def __init__(self, go: threading.Event) -> None:
        self.go, self.permit, self.fed = go, TASKS, []

    def permitting(self, tasks):
        self.permit = tuple(tasks)

    def feed(self, samples):
        self.go.wait(20)
        self.fed += [(float(sample), self.permit) for sample in samples]
        if samples[-1] == 9.0:
            raise Stop
        return samples


@pytest.mark.parametrize("revoked", [TASKS, ("mood",)])
def test_sound_that_came_while_a_task_was_revoked_is_never_fed_as_permitted(monkeypatch, revoked):
    monkeypatch.setattr(worker.signal, "signal", lambda *_: None)
    monkeypatch.setattr(worker, "forbid_core_dumps", lambda: None)
    link, go = Link(1000, TASKS), threading.Event()
    stream = Recording(go)

    def run() -> None:
        with pytest.raises(Stop):
            work([link], lambda: stream)

    thread = threading.Thread(target=run)
    thread.start()
    while link.position.value < 0:
        pass
    everything = 3
    kept = sum(1 << bit for bit, task in enumerate(TASKS) if task not in revoked)
    link.put(np.full(10, 0.5, np.float32))  # it waits with these
    for mask, value in ((kept, 1.0), (everything, 2.0), (kept, 3.0), (everything, 9.0)):
        link.permit.value = mask
        link.put(np.full(7, value, np.float32))
    go.set()
    thread.join(20)
    permitted = {value: {permit for sample, permit in stream.fed if sample == value} for value in (1.0, 2.0, 3.0, 9.0)}
    rest = tuple(task for task in TASKS if task not in revoked)
    assert permitted == {1.0: {rest}, 2.0: {TASKS}, 3.0: {rest}, 9.0: {TASKS}}
