"""Private folders: what others could have written there is refused in one sentence, whatever way it came there."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from sottovoce import private
from sottovoce.errors import CorpusError

NOBODY = 65534


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A private folder with a file and a folder with a file."""
    made = private.private_folder(tmp_path / "cache")
    private.write_private(made / "one.npz", b"one")
    private.write_private(made / "deep" / "two.npy", b"two")
    return made


def others(path: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can give files away")
    os.chown(path, NOBODY, NOBODY)


def mode(bits: int) -> Callable[[Path], None]:
    return lambda path: path.chmod(path.stat().st_mode | bits)


def link(path: Path) -> None:
    """The same content, from elsewhere."""
    elsewhere = path.parents[1] / f"elsewhere-{path.name}"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


HARM = {
    "another owner": (others, "belongs to another user"),
    "the group may write": (mode(stat.S_IWGRP), "may be written by others"),
    "all may write": (mode(stat.S_IWOTH), "may be written by others"),
    "a link": (link, "is a link"),
}


def refused(what: Callable[[], object], sentence: str) -> None:
    with pytest.raises(CorpusError, match=sentence) as error:
        what()
    said = str(error.value)
    assert "\n" not in said and said.endswith(".")
    assert all(word in said for word in ("expected", "delete it", "SOTTOVOCE_CACHE"))


@pytest.mark.parametrize("harm", HARM)
@pytest.mark.parametrize("name", [".", "one.npz", "deep", "deep/two.npy"])
def test_what_others_could_have_written_is_refused_at_any_depth(folder: Path, name: str, harm: str) -> None:
    private.check_private(folder)
    change, sentence = HARM[harm]
    change(folder / name if name != "." else folder)
    refused(lambda: private.check_private(folder), sentence)
    if name == ".":
        refused(lambda: private.private_folder(folder), sentence)
    if name == "one.npz":
        refused(lambda: private.read_private(folder / name), sentence)


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022, 0o077])
def test_what_is_made_here_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        made = private.private_folder(tmp_path / "cache")
        private.write_private(made / "new" / "one.npz", b"one")
        private.secret(made)
        (made / "built").mkdir()
        (made / "built" / "by others.wav").write_bytes(b"")
        private.make_private(made / "built")
    finally:
        os.umask(before)
    for path in (made, *made.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
    private.check_private(made)


def test_a_folder_that_others_may_only_read_is_believed(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    private.check_private(folder)
    assert private.read_private(folder / "one.npz") == b"one"


def test_what_is_not_there_is_nothing_and_what_is_in_the_way_is_named(tmp_path: Path) -> None:
    assert private.read_private(tmp_path / "nowhere" / "x") is None
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CorpusError, match="SOTTOVOCE_CACHE"):
        private.private_folder(tmp_path / "file" / "cache")
    with pytest.raises(CorpusError, match="SOTTOVOCE_CACHE"):
        private.private_folder(tmp_path / "file")


def test_a_file_appears_whole_or_not_at_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(CorpusError, match="No space left"):
        private.write_private(folder / "one.npz", b"new")
    assert (folder / "one.npz").read_bytes() == b"one"
    assert sorted(path.name for path in folder.iterdir()) == ["deep", "one.npz"]


def test_the_secret_of_a_folder_stays_the_same_and_is_another_elsewhere(tmp_path: Path) -> None:
    one, other = (private.secret(tmp_path / name) for name in ("one", "other"))
    assert one == private.secret(tmp_path / "one") != other and len(one) == 32
    (tmp_path / "one" / "key").write_bytes(b"short")
    with pytest.raises(CorpusError, match=r"key has 5 bytes, expected 32: copy it once more, or delete it"):
        private.secret(tmp_path / "one")
    (tmp_path / "other" / "key").chmod(0o644)
    with pytest.raises(CorpusError, match=r"key can be read by others.*chmod 600"):
        private.secret(tmp_path / "other")


def test_a_folder_in_the_place_of_a_file_is_named(folder: Path) -> None:
    with pytest.raises(CorpusError, match=r"deep is a folder, expected a file of the cache"):
        private.read_private(folder / "deep")
