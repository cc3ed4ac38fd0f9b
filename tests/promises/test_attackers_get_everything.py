"""Attackers get everything that leaves: a system that hides who speaks in any part of a file is told to leak."""

import csv
import struct
from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sottovoce.jobs.audit import AuditConfig, run_audit

SPEAKERS, TAKES, RATE, SAMPLES = 4, 24, 16000, 4 * 5120
RNG = np.random.default_rng(0)
BASE = RNG.standard_normal(SAMPLES) * 0.05  # the same for every recording
PARTS = np.split(BASE, 4)
ORDERS = [*permutations(range(4))]


def voice(speaker: int, take: int) -> np.ndarray:
    """A hum at a pitch of the speaker's own."""
    rng = np.random.default_rng([speaker, take])
    hertz = 150.0 * (1.0 + speaker / 3.0) * (1.0 + 0.02 * rng.standard_normal())
    harmonics = [np.sin(2 * np.pi * k * hertz * np.arange(SAMPLES) / RATE + rng.uniform(0, 6)) for k in range(1, 6)]
    return np.sum(harmonics, axis=0) * 0.03 + rng.standard_normal(SAMPLES) * 0.003


def write(place: Path, wav: np.ndarray, rate: int = RATE) -> None:
    soundfile.write(place, wav, rate, "PCM_16")


def nothing(place: Path, who: int, take: int, wav: np.ndarray) -> None:
    write(place, BASE)


def channels(place: Path, who: int, take: int, wav: np.ndarray) -> None:
    write(place, np.stack([BASE + wav, BASE - wav], axis=1))


def chunk(place: Path, who: int, take: int, wav: np.ndarray) -> None:
    write(place, wav)
    original = place.read_bytes()
    write(place, BASE)
    whole = place.read_bytes() + b"note" + struct.pack("<I", len(original)) + original
    place.write_bytes(whole[:4] + struct.pack("<I", len(whole) - 8) + whole[8:])


def lowest_bit(place: Path, who: int, take: int, wav: np.ndarray) -> None:
    whole = np.rint(BASE * 32767).astype(np.int16) & ~np.int16(1) | (wav > 0)
    soundfile.write(place, whole.astype(np.int16), RATE, "PCM_16")


def order(place: Path, who: int, take: int, wav: np.ndarray) -> None:
    write(place, np.concatenate([PARTS[k] for k in ORDERS[6 * who + take % 6]]))


def levels(place: Path, who: int, take: int, wav: np.ndarray) -> None:
    gains = np.array([1.0, 0.5, 0.25, 0.125])[[*ORDERS[6 * who + take % 6]]]
    write(place, np.concatenate([gain * part for gain, part in zip(gains, PARTS, strict=True)]))


def length(place: Path, who: int, take: int, wav: np.ndarray) -> None:
    write(place, BASE[: SAMPLES - 8 * (take % 7) - who])


def high_band(place: Path, who: int, take: int, wav: np.ndarray) -> None:
    seconds = np.arange(3 * SAMPLES) / (3 * RATE)
    hidden = np.repeat(wav, 3) * np.cos(2 * np.pi * 12_000 * seconds)
    spectrum = np.fft.rfft(hidden)
    spectrum[: len(spectrum) // 3] = 0.0
    write(place, np.repeat(BASE, 3) * 0.1 + np.fft.irfft(spectrum), 3 * RATE)


def a_few(place: Path, who: int, take: int, wav: np.ndarray) -> None:
    write(place, wav * 0.5 if take % 6 == 0 else BASE)


LEAKS = (channels, chunk, lowest_bit, order, levels, length, high_band, a_few)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    rows = [("path", "speaker")]
    for who in range(SPEAKERS):
        for take in range(TAKES):
            name = f"{who}-{take}.wav"
            write(folder / name, voice(who, take))
            rows.append((name, f"speaker {who}"))
    with (folder / "clips.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder


@pytest.fixture
def audited(corpus, tmp_path, monkeypatch) -> Callable[..., dict]:
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "cache"))

    def run(system: Callable[..., None]) -> dict:
        (tmp_path / "protected").mkdir()
        for who in range(SPEAKERS):
            for take in range(TAKES):
                system(tmp_path / "protected" / f"{who}-{take}.wav", who, take, voice(who, take))
        spec = f"csv:{corpus / 'clips.csv'}"
        only = ("linear", "nearest")
        config = AuditConfig(str(tmp_path / "protected"), spec, tmp_path / "out", "quick", ("speaker",), only=only)
        return run_audit(config, lambda done, total, note: None)

    return run


@pytest.mark.parametrize("system", LEAKS, ids=lambda system: system.__name__)
def test_whatever_says_who_speaks_is_a_leak(system, audited):
    results = audited(system)
    assert results["valid"], results["controls"]
    assert results["private"]["speaker"]["verdict"] == "leaks"


def test_where_nothing_leaves_nothing_leaks(audited):
    results = audited(nothing)
    assert results["valid"], results["controls"]
    assert results["private"]["speaker"]["verdict"] != "leaks"
