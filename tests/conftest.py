"""A corpus that takes no time to make or to learn: noise with a louder band for each speaker, a tone for each word."""

import csv
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import soundfile
import torch

from sottovoce.attack.attacker import Attacker
from sottovoce.attack.families import ATTACKERS
from sottovoce.corpora import cache
from sottovoce.corpora.cache import Sounds
from sottovoce.corpora.catalogue import open_corpus
from sottovoce.corpora.manifest import Manifest
from sottovoce.models.target import Target, from_callable
from sottovoce.plugins import Plugin

torch.set_num_threads(1)  # networks are tiny here, and a second thread only gets in the way

RATE = 16000
SAMPLES = 19_200  # 1.2 s: one segment
SPEAKERS = {"ada": "female", "bea": "female", "cyn": "female", "dan": "male", "eli": "male"}
WORDS = {"no": 10, "stop": 14, "yes": 18}  # the bin, 50 Hz wide, of the tone
REPETITIONS = 5


class Shaped(NamedTuple):
    """The corpus: where it is, what it holds, and a target that reads the word off its tone."""

    spec: str
    table: Path
    manifest: Manifest
    sounds: Sounds
    target: Target


@pytest.fixture(scope="session")
def shaped_once(tmp_path_factory: pytest.TempPathFactory) -> Shaped:
    folder = tmp_path_factory.mktemp("shaped")
    rng = np.random.default_rng(0)
    rows = [("path", "speaker", "gender", "word")]
    for number, (speaker, gender) in enumerate(SPEAKERS.items()):
        for word, tone in WORDS.items():
            for repetition in range(REPETITIONS):
                name = f"{speaker}-{word}-{repetition}.wav"
                soundfile.write(folder / name, _sound(number, tone, rng), RATE)
                rows.append((name, speaker, gender, word))
    table = folder / "clips.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    spec = f"csv:{table}"
    manifest, sounds = cache.load(open_corpus(spec), cache=folder / "cache")
    return Shaped(spec, table, manifest, sounds, from_callable(_loudest_tone, "word", tuple(WORDS)))


@pytest.fixture
def shaped(shaped_once: Shaped, monkeypatch: pytest.MonkeyPatch) -> Shaped:
    """The corpus, with its own cache, also for commands."""
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(shaped_once.table.parent / "cache"))
    return shaped_once


@pytest.fixture
def replace_attacker(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts what a function of cycles and seed makes in the place of an attacker, or under a new name."""

    def replace(name: str, make: Callable[..., Any], seeded: bool = False) -> None:
        class Replaced(Attacker):
            def __new__(cls, *settings: int) -> Any:
                return make(*settings)

        Replaced.seeded = seeded
        monkeypatch.setitem(ATTACKERS.plugins, name, Plugin(Replaced, "sottovoce", secrets.token_hex()))

    return replace


def _sound(speaker: int, tone: int, rng: np.random.Generator) -> np.ndarray:
    spectrum = np.fft.rfft(rng.standard_normal(SAMPLES))
    hertz = np.arange(len(spectrum)) * RATE / SAMPLES
    spectrum[np.abs(hertz - 2000 - 1200 * speaker) < 400] *= 3.0
    time = np.arange(SAMPLES) / RATE
    wav = np.fft.irfft(spectrum) + 2.0 * np.sin(2 * np.pi * 50 * tone * time + rng.uniform(0, 6))
    return 0.05 * wav


def _loudest_tone(spectra: np.ndarray) -> np.ndarray:
    return 10.0 * spectra[:, list(WORDS.values())].mean(axis=2)
