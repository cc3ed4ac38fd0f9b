"""What tests of the audit share: a case that takes no time to attack, and an effort that takes seconds."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from sottovoce.audio.segment import front_end
from sottovoce.audit import budgets, summary
from sottovoce.audit.budgets import Effort
from sottovoce.audit.case import Case
from sottovoce.audit.protocol import audit
from sottovoce.audit.system import System
from sottovoce.corpora import cache
from sottovoce.corpora.catalogue import open_corpus
from sottovoce.corpora.splits import split

LITTLE = Effort(
    ("target", "nearest", "linear"), ("target", "linear"), (), {}, curves=("linear",), shares=(0.5,), restorer_steps=2
)


def silent(done: int, total: int, note: str) -> None:
    pass


@pytest.fixture(scope="session")
def little() -> Effort:
    return LITTLE


@pytest.fixture(scope="session")
def case(shaped_once) -> Case:
    """Five speakers who say three words; the word is permitted."""
    parts = split(shaped_once.manifest, "utterance")
    return Case(shaped_once.manifest, shaped_once.sounds, parts, (shaped_once.target,), ("word",))


@pytest.fixture(scope="session")
def wall() -> Callable[[np.ndarray], np.ndarray]:
    """A filter that lets nothing through: the same noise for whatever is said."""
    noise = np.random.default_rng(0).standard_normal((1, 161, 128), dtype=np.float32)
    return lambda segments: np.repeat(noise, len(segments), axis=0)


@pytest.fixture(scope="session")
def audited(case, tmp_path_factory) -> Callable[..., dict[str, Any]]:
    """Audit what a function makes of segments, or of clips; the numbers, without a record on disk."""

    def run(
        listen: Callable[..., Any] = front_end,
        attributes: Sequence[str] = ("speaker", "gender"),
        effort: Effort = LITTLE,
        case: Case = case,
        seed: int = 0,
        cache: Path | None = None,
        report: Callable[..., None] = silent,
        sound: Callable[[int], Any] | None = None,
    ) -> dict[str, Any]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SOTTOVOCE_CACHE", str(cache or tmp_path_factory.mktemp("cache")))
            patch.setitem(budgets.EFFORTS, "little", effort)
            system = System({"digest": listen.__name__, "permit": []}, None if sound else listen, sound)
            place = tmp_path_factory.mktemp("heard")
            found, _ = audit(case, system, attributes, "little", seed, place, 1, report)
            return summary.findings(found.facts, found.scores).model_dump(mode="json")

    return run


@pytest.fixture(scope="session")
def crowd(tmp_path_factory) -> Case:
    """Eight speakers, each with a band and some pitches of their own, who hum six times each; nothing is permitted."""
    folder, rng = tmp_path_factory.mktemp("crowd"), np.random.default_rng(0)
    rows = [("path", "speaker", "gender", "hertz")]
    for speaker in range(8):
        for take in range(6):
            hertz = 90 + 20 * speaker + 3 * take
            wav = np.sign(np.sin(2 * np.pi * hertz * np.arange(24_000) / 16_000)) + 0.3 * rng.standard_normal(24_000)
            spectrum = np.fft.rfft(wav)
            spectrum[np.abs(np.fft.rfftfreq(24_000, 1 / 16_000) - 1500 - 700 * speaker) < 300] *= 4.0
            name = f"{speaker}-{take}.wav"
            soundfile.write(folder / name, 0.05 * np.fft.irfft(spectrum), 16_000)
            rows.append((name, f"s{speaker}", ("f", "m")[speaker % 2], str(hertz)))
    with (folder / "clips.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    manifest, sounds = cache.load(open_corpus(f"csv:{folder / 'clips.csv'}"), folder / "cache")
    return Case(manifest, sounds, split(manifest, "utterance"))
