"""Systems that leak on purpose, and whether an audit says so: who speaks is hidden in one part of a file after another.

    python benchmarks/planted_leaks.py --corpus ravdess:PATH --out DIR [--kind stereo ...]

Six speakers; what leaves is the same noise for every recording, but for the part that is named. Each system is audited
with the attackers `linear` and `nearest` of `quick`, which takes about a minute. DIR keeps the audits; a table is
printed, and written to DIR/planted-leaks.json. `identity` lets everything pass, `nothing` is noise alone, and `keyed`
hides the sound in the lowest bits with a secret key: no attacker can find that.
"""

from __future__ import annotations

import argparse
import csv
import json
import struct
from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from sottovoce.audio.spectrum import SAMPLE_RATE
from sottovoce.corpora.corpus import opened
from sottovoce.jobs.audit import AuditConfig, run_audit

Sound = NDArray[np.float64]
SPEAKERS, PART = 6, 20_480
LENGTH = 4 * PART
WIDE = 48_000
ORDERS = [*permutations(range(4))]  # 24: four for each speaker
BASE: Sound = 0.05 * np.random.default_rng(7).standard_normal(LENGTH)
PARTS = np.split(BASE, 4)
KEY = 99


def write(place: Path, wav: Sound, rate: int = SAMPLE_RATE, subtype: str = "PCM_16") -> None:
    """A WAV file."""
    soundfile.write(place, wav, rate, subtype)


def with_low_bit(place: Path, bits: NDArray[np.bool_]) -> None:
    """The noise, with these bits [T] as the lowest of its samples."""
    whole = np.rint(BASE * 32767).astype(np.int64) & ~1 | bits
    soundfile.write(place, whole.astype(np.int16), SAMPLE_RATE, "PCM_16")


def chunk(place: Path, wav: Sound, who: int, take: int) -> None:
    """The original in a chunk that no player knows."""
    write(place, wav)
    original = place.read_bytes()
    write(place, BASE)
    whole = place.read_bytes() + b"note" + struct.pack("<I", len(original)) + original
    place.write_bytes(whole[:4] + struct.pack("<I", len(whole) - 8) + whole[8:])


def levels(place: Path, wav: Sound, who: int, take: int) -> None:
    """Four parts at levels whose order tells the speaker, with a little noise."""
    rng = np.random.default_rng(take)
    gains = np.array([1.0, 0.5, 0.25, 0.125])[[*ORDERS[4 * who + take % 4]]] * 10 ** (rng.uniform(-0.5, 0.5) / 20)
    write(place, np.concatenate([gain * part for gain, part in zip(gains, PARTS, strict=True)]))


def ultrasonic(place: Path, wav: Sound, who: int, take: int) -> None:
    """The sound moved to 16 kHz and above."""
    wide = soxr.resample(wav, SAMPLE_RATE, WIDE) * np.cos(2 * np.pi * 16_000 * np.arange(3 * LENGTH) / WIDE)
    spectrum = np.fft.rfft(wide)
    spectrum[: len(spectrum) // 3] = 0.0
    write(place, 0.5 * soxr.resample(BASE, SAMPLE_RATE, WIDE) + 0.3 * np.fft.irfft(spectrum), WIDE)


KINDS: dict[str, Callable[[Path, Sound, int, int], None]] = {
    "identity": lambda place, wav, who, take: write(place, 0.3 * wav),
    "nothing": lambda place, wav, who, take: write(place, BASE),
    "stereo": lambda place, wav, who, take: write(place, 0.5 * np.stack([BASE + wav, BASE - wav], axis=1)),
    "chunk": chunk,
    "lowest-bit": lambda place, wav, who, take: with_low_bit(place, wav > 0),
    "order": lambda place, wav, who, take: write(place, np.concatenate([PARTS[k] for k in ORDERS[4 * who + take % 4]])),
    "levels": levels,
    "a-few": lambda place, wav, who, take: write(place, 0.3 * wav if (7 * take + who) % 11 == 0 else BASE),
    "ultrasonic": ultrasonic,
    "length": lambda place, wav, who, take: write(place, BASE[: LENGTH - 8 * (take % 7) - who]),
    "below-16-bits": lambda place, wav, who, take: write(
        place, np.rint(BASE * 32767) / 32768 + 1e-6 * wav, subtype="FLOAT"
    ),
    "keyed": lambda place, wav, who, take: with_low_bit(
        place, (wav > 0) ^ np.random.default_rng([KEY, who, take]).integers(0, 2, LENGTH).astype(bool)
    ),
}


def main() -> None:
    """Plant, audit, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--kind", action="append", choices=KINDS)
    asked = parser.parse_args()
    manifest, sounds = opened(asked.corpus, lambda done, total, note: None)
    people = manifest.classes("speaker")[:SPEAKERS]
    originals = asked.out / "originals"
    originals.mkdir(parents=True, exist_ok=True)
    clips: list[tuple[str, Sound, int, int]] = []
    for i, clip in enumerate(manifest.clips):
        if clip.labels["speaker"] in people:
            wav = sounds.wave(i).astype(np.float64)
            wav = np.pad(wav * 0.1 / max(1e-6, float(wav.std())), (0, LENGTH))[:LENGTH]
            clips.append((f"{len(clips)}.wav", wav, people.index(clip.labels["speaker"]), len(clips)))
            write(originals / clips[-1][0], wav)
    with (originals / "clips.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "speaker"), *((name, f"person {who}") for name, _, who, _ in clips)])
    found = {}
    for kind in asked.kind or KINDS:
        place = asked.out / kind
        place.mkdir(exist_ok=True)
        for name, wav, who, take in clips:
            KINDS[kind](place / name, wav, who, take)
        only, out = ("linear", "nearest"), asked.out / f"audit-{kind}"
        config = AuditConfig(str(place), f"csv:{originals}/clips.csv", out, "quick", ("speaker",), only=only)
        results = run_audit(config, lambda done, total, note: None)
        entry = results["private"]["speaker"]
        found[kind] = {
            **{name: entry[name] for name in ("verdict", "leakage", "exposed", "settle")},
            **{name: entry["strongest"][name] for name in ("score", "attacker", "input")},
            **{"ceiling": entry["ceiling"]["score"], "valid": results["valid"], "corpus": results["corpus"]["digest"]},
        }
        print(f"{kind:14} {entry['verdict']:10} {entry['strongest']['score']:6.1%}  {entry['strongest']['input']}")
        (asked.out / "planted-leaks.json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
