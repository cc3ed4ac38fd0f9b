"""Digests of many files: those of the contents, whatever is remembered, damaged, changed or forbidden."""

import hashlib
import os
import time
from pathlib import Path

import pytest

from sottovoce.corpora import digests
from sottovoce.corpora.digests import file_digests
from sottovoce.files import file_sha256

_FILES = 9


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(digests, "_FEW", 2)
    monkeypatch.setattr(digests, "_AT_ONCE", 4)
    monkeypatch.setattr(digests, "_SETTLED_NS", 0)
    (tmp_path / "sounds").mkdir()
    made = [tmp_path / "sounds" / f"{i}é.wav" for i in range(_FILES)]
    for i, path in enumerate(made):
        path.write_bytes(b"sound" * i)
    time.sleep(0.02)  # a file system's clock may be that coarse
    return made


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are really read."""
    calls: list[Path] = []

    def counted(path: Path) -> str:
        calls.append(path)
        return file_sha256(path)

    monkeypatch.setattr(digests, "file_sha256", counted)
    return calls


def expected(paths: list[Path]) -> list[tuple[Path, str]]:
    return [(path, hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths]


def test_digests_are_in_order_and_read_once(paths: list[Path], read: list[Path]) -> None:
    assert list(file_digests(paths)) == expected(paths)
    assert sorted(read) == sorted(paths)
    assert list(file_digests(paths[::-1])) == expected(paths[::-1])
    assert len(read) == _FILES, "nothing is read again"


def same_size(path: Path) -> None:
    about = path.stat()
    path.write_bytes(bytes(about.st_size))
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))  # as a program may, which cannot set back the change time


def replaced(path: Path) -> None:
    about = path.stat()
    other = path.with_suffix(".other")
    other.write_bytes(bytes(about.st_size))
    os.utime(other, ns=(about.st_atime_ns, about.st_mtime_ns))
    os.replace(other, path)


@pytest.mark.parametrize("change", [same_size, replaced, lambda path: path.write_bytes(b"longer than before" * 9)])
def test_a_file_that_changed_is_read_again(paths: list[Path], read: list[Path], change) -> None:
    list(file_digests(paths))
    read.clear()
    change(paths[5])
    assert list(file_digests(paths)) == expected(paths)
    assert read == [paths[5]]


def test_a_file_that_was_just_written_is_not_remembered(
    paths: list[Path], read: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "_SETTLED_NS", 3_600_000_000_000)
    for _ in range(2):
        assert list(file_digests(paths)) == expected(paths)
    assert len(read) == 2 * _FILES


def test_what_was_read_before_a_stop_is_remembered(paths: list[Path], read: list[Path]) -> None:
    stopped = file_digests(paths)
    for _ in range(5):
        next(stopped)
    stopped.close()
    read.clear()
    assert list(file_digests(paths)) == expected(paths)
    assert read == paths[8:]


def test_a_damaged_memory_is_begun_anew(paths: list[Path], tmp_path: Path) -> None:
    list(file_digests(paths))
    (memory,) = (tmp_path / "cache" / "digests").glob("*.sqlite")
    memory.write_bytes(b"no database" * 1000)
    for _ in range(2):
        assert list(file_digests(paths)) == expected(paths)


def test_without_a_cache_every_file_is_read(paths: list[Path], tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    assert list(file_digests(paths)) == expected(paths)


def test_a_file_that_is_not_there_is_an_error_of_its_own(paths: list[Path]) -> None:
    paths[3].unlink()
    found = dict(file_digests(paths))
    assert isinstance(found.pop(paths[3]), FileNotFoundError)
    assert list(found.items()) == expected([path for path in paths if path != paths[3]])
