"""Decoding in several processes and in steps: the same bit for bit, whatever was killed, and however many processes."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sottovoce.audio import io
from sottovoce.corpora import cache, decoding
from sottovoce.corpora.manifest import Manifest
from sottovoce.corpora.readers.folder import CORPUS as folder

_CLIPS = 60
_KILLED = """
import os, sys
from pathlib import Path
from sottovoce.corpora import cache, decoding
from sottovoce.corpora.readers.folder import CORPUS
decoding._PIECE, decoding._KEPT_EVERY_S = 4, 0.0
def progress(done, total):
    if done > 30:
        os.kill(os.getpid(), 9)
cache.load(CORPUS.read(Path(sys.argv[1])), Path(sys.argv[2]), progress)
"""


@pytest.fixture
def manifest(record, tmp_path: Path) -> Manifest:
    for i in range(_CLIPS):
        record(f"sounds/{'ab'[i % 2]}/{i:02}.wav", duration_s=0.05 + 0.002 * i)
    (tmp_path / "sounds/a/00bad.wav").write_bytes(b"no sound")
    return folder.read(tmp_path / "sounds")


def files(place: Path) -> dict[str, bytes]:
    """The content of each file in the one folder of a cache."""
    (kept,) = (place / "sounds").glob("[!.]*")
    return {path.name: path.read_bytes() for path in kept.iterdir()}


def place_of(manifest: Manifest, cache_folder: Path) -> Path:
    """Where the clips of a manifest are decoded; the folder above it is made."""
    cache_folder.mkdir(mode=0o700)
    (cache_folder / "sounds").mkdir(mode=0o700)
    return cache_folder / "sounds" / f".decoding-{manifest.digest[:32]}-{cache.VERSION}"


@pytest.fixture
def expected(manifest: Manifest, tmp_path: Path) -> dict[str, bytes]:
    cache.load(manifest, tmp_path / "serial")
    return files(tmp_path / "serial")


def killed(manifest: Manifest, place: Path) -> Path:
    """The folder that a decoding left that was killed after 30 clips."""
    root = manifest.spec.removeprefix("folder:")
    ended = subprocess.run([sys.executable, "-c", _KILLED, root, str(place)], check=False)
    assert ended.returncode == -signal.SIGKILL
    (left,) = (place / "sounds").glob(".decoding-*")
    return left


def test_several_processes_write_the_same_files(
    manifest: Manifest, expected: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "_FEW", 2)
    monkeypatch.setattr(decoding, "_PIECE", 3)
    monkeypatch.setattr(decoding, "_PIECES_AT_ONCE", 2)
    monkeypatch.setattr(decoding, "usable_cores", lambda: 2)
    told: list[tuple[int, int]] = []
    kept, sounds = cache.load(manifest, tmp_path / "parallel", lambda done, total: told.append((done, total)))
    assert files(tmp_path / "parallel") == expected
    assert list(sounds.failed) == ["a/00bad.wav"] and len(kept.clips) == _CLIPS
    assert told == [(i, _CLIPS + 1) for i in range(1, _CLIPS + 2)]


def test_a_decoding_that_was_killed_resumes(manifest: Manifest, expected: dict[str, bytes], tmp_path: Path) -> None:
    killed(manifest, tmp_path / "resumed")
    told: list[int] = []
    _, sounds = cache.load(manifest, tmp_path / "resumed", lambda done, total: told.append(done))
    assert told[0] > 20, "what was decoded before is not decoded again"
    assert told[-1] == _CLIPS + 1
    assert not list((tmp_path / "resumed" / "sounds").glob(".decoding-*"))
    assert files(tmp_path / "resumed") == expected
    assert list(sounds.failed) == ["a/00bad.wav"]


def test_a_disk_that_was_full_costs_no_more_than_the_last_step(
    manifest: Manifest, expected: dict[str, bytes], tmp_path: Path
) -> None:
    full = _KILLED.replace("os.kill(os.getpid(), 9)", "pass").replace(
        "cache.load", "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000)); cache.load"
    )
    root = manifest.spec.removeprefix("folder:")
    ended = subprocess.run(
        [sys.executable, "-c", full, root, str(tmp_path / "place")], check=False, capture_output=True, text=True
    )
    assert "could not be written" in ended.stderr and "free some space" in ended.stderr
    told: list[int] = []
    cache.load(manifest, tmp_path / "place", lambda done, total: told.append(done))
    assert told[0] > 20
    assert files(tmp_path / "place") == expected


@pytest.mark.parametrize("harm", ["journal torn", "samples lost", "no journal", "other clips", "nonsense"])
def test_what_was_left_and_does_not_fit_is_decoded_again(
    manifest: Manifest, expected: dict[str, bytes], tmp_path: Path, harm: str
) -> None:
    left = place_of(manifest, tmp_path / "place")
    left.mkdir(mode=0o700)
    ids = [clip.id for clip in manifest.clips[:2]]
    line = {"ids": ids, "lengths": [800, 832], "scales": [1.0, 1.0], "failed": {}}
    samples = bytes(2 * (800 + 832))
    text = {
        "journal torn": json.dumps(line)[:-20],
        "samples lost": json.dumps(line) + "\n",
        "no journal": "",
        "other clips": json.dumps(line | {"ids": ["x", "y"]}) + "\n",
        "nonsense": '[3]\n{"ids": 3}\n\xff\n',
    }[harm]
    (left / "journal.jsonl").write_text(text, encoding="latin-1")
    (left / "samples.int16").write_bytes(samples[:-2] if harm == "samples lost" else samples)
    cache.load(manifest, tmp_path / "place")
    assert files(tmp_path / "place") == expected


def test_a_clip_that_failed_before_the_kill_is_tried_again(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = killed(manifest, tmp_path / "place")
    assert "a/00bad.wav" in json.loads((left / "journal.jsonl").read_text().splitlines()[0])["failed"]
    read = io.read

    def with_the_program_that_was_missing(path: Path, *rest: object, **more: object) -> object:
        return read(manifest.clips[0].path if path.name == "00bad.wav" else path, *rest, **more)

    monkeypatch.setattr(io, "read", with_the_program_that_was_missing)
    kept, sounds = cache.load(manifest, tmp_path / "place")
    assert kept is manifest and not sounds.failed and len(sounds) == _CLIPS + 1


def test_another_process_that_decodes_the_same_is_not_disturbed(
    manifest: Manifest, expected: dict[str, bytes], tmp_path: Path
) -> None:
    left = place_of(manifest, tmp_path / "place")
    with decoding.unfinished(left, otherwise=tmp_path) as at:
        assert at == left
        with decoding.unfinished(left, otherwise=tmp_path) as second:
            assert second == tmp_path
        cache.load(manifest, tmp_path / "place")
        assert left.is_dir()
    assert files(tmp_path / "place") == expected


def test_memory_does_not_grow_with_what_is_read(tmp_path: Path) -> None:
    script = f"""
import resource
import numpy as np
from pathlib import Path
from sottovoce.corpora.cache import Sounds
path = Path({str(tmp_path / "samples")!r})
with path.open("wb") as file:
    file.truncate(160 << 20)
clips = 160 << 20 >> 15
starts = np.arange(clips, dtype=np.int64) << 14
sounds = Sounds({{}}, np.asarray(np.memmap(path, np.int16, "r")), starts, np.full(clips, 1 << 14), np.ones(clips))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for i in range(clips):
    sounds.wave(i)
rng = np.random.default_rng(0)
for _ in range(300):
    sounds.segments(rng.integers(0, clips, 32), rng.integers(0, 4000, 32), 8000)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""
    ended = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert float(ended.stdout) < 80.0
