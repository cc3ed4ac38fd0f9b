"""A filter that is tiny, random and right: what the tests of the runtime pass sound through."""

import importlib
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from sottovoce.models.architectures import build
from sottovoce.runtime.export import save_filter
from sottovoce.runtime.filter import Filter

SETTINGS = {"width": 4, "blocks": 1}


@pytest.fixture(scope="session")
def filter_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    network = build("compact-autoencoder", SETTINGS)
    folder = tmp_path_factory.mktemp("filters") / "tiny"
    save_filter(folder, network, "compact-autoencoder", SETTINGS, 1.5, 1.0, {"permits": ["nothing"]})
    return folder


@pytest.fixture(scope="session")
def tiny(filter_folder: Path) -> Filter:
    return Filter.load(filter_folder)


FAKE = '''
"""Streams for a worker of the tests: what they give counts up, so that its place in time can be told."""
import os, time
import numpy as np

class Counting:
    """Sample k is 0.1 + (k % 4000) / 10000: never below zero, as the tests' microphone is; late by 100 samples."""
    latency_samples = 100
    def __init__(self, place):
        self.place, self.fed, self.given = place, 0, 0
        if os.path.exists(f"{place}/unable"):
            raise RuntimeError("cannot start")
    def feed(self, samples):
        while os.path.exists(f"{self.place}/stalls"):
            time.sleep(0.01)
        if os.path.exists(f"{self.place}/crashes"):
            raise RuntimeError("crashed")
        if os.path.exists(f"{self.place}/slow"):
            time.sleep(10 * len(samples) / 16000)
        self.fed += len(samples)
        ready = np.arange(self.given, max(self.given, self.fed - self.latency_samples))
        self.given += len(ready)
        return (0.1 + (ready % 4000) / 10000).astype(np.float32)
    def permitting(self, tasks):
        with open(f"{self.place}/permitted", "a") as file:
            file.write(",".join(tasks) + ";")
'''


@pytest.fixture
def counting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[partial[Any]]:
    """What opens a stream of the fakes in a worker, and files in `tmp_path` that make it misbehave."""
    (tmp_path / "sottovoce_fakes.py").write_text(FAKE)
    monkeypatch.syspath_prepend(tmp_path)  # which a spawned process is told of
    yield partial(importlib.import_module("sottovoce_fakes").Counting, str(tmp_path))
    del sys.modules["sottovoce_fakes"]
