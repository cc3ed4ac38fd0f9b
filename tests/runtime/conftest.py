"""A filter that is tiny, random and right: what the tests of the runtime pass sound through."""

import importlib
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sottovoce.methods.codebook.training import Encoder
from sottovoce.models.architectures import build
from sottovoce.models.codebook import SOUND_SAMPLES, Codebook, nothing
from sottovoce.runtime.export import save_codebook, save_filter
from sottovoce.runtime.filter import Filter

BINS = {"no": 10, "yes": 18}
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


class Tones(torch.nn.Module):
    """Which of two tones is louder, or how loud the sound is above: crude recognisers of a word and a mood."""

    def __init__(self, bins: list[int]) -> None:
        super().__init__()
        self.bins = bins

    def forward(self, spectra: torch.Tensor) -> torch.Tensor:
        return 4.0 * spectra[:, self.bins].mean(dim=2)


class Loud(nn.Module):
    """Something is there unless it is silent."""

    def forward(self, spectra: torch.Tensor) -> torch.Tensor:
        return 20.0 * spectra.square().mean(dim=(1, 2)) - 10.0


@pytest.fixture(scope="session")
def codebook_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    centres = (np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32))
    sounds = rng.integers(0, 256, (3, 3, 3, SOUND_SAMPLES), dtype=np.uint8)
    sounds[nothing(2)] = 128
    book = Codebook(("word", "mood"), centres, (0.9, 0.9), sounds)
    place = tmp_path_factory.mktemp("codebook") / "filter"
    encoder = Encoder([Tones(list(BINS.values())), Tones([60, 120])], Loud())
    save_codebook(place, encoder, book, 0.6, 0.8, {"method": "codebook", "permit": ["word", "mood"]}, {})
    return place


@pytest.fixture(scope="session")
def codebook(codebook_folder: Path) -> Filter:
    return Filter.load(codebook_folder)


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
