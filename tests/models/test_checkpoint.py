"""Folders are complete or not there, and unaltered or refused."""

import errno
import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sottovoce.errors import ModelError
from sottovoce.files import write_file
from sottovoce.models import checkpoint
from sottovoce.models.checkpoint import copy_files, folder_digest, read_folder, write_folder

FILES = {"weights.safetensors": b"\0\1\2", "config.json": b"{}", "target/deep/er.bin": b"x" * 1000}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_folder(tmp_path / "out" / "filter", "filter", FILES, {"permit": ["word"]})
    return tmp_path / "out" / "filter"


def everything(place: Path) -> dict[str, bytes | None]:
    return {
        path.relative_to(place).as_posix(): path.read_bytes() if path.is_file() else None for path in place.rglob("*")
    }


def test_what_is_written_is_read(folder):
    card = read_folder(folder, "filter")
    assert card["permit"] == ["word"]
    assert {name: (folder / name).read_bytes() for name in card["files"]} == FILES
    assert set(card["files"]) == set(FILES)


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(contents=st.dictionaries(st.from_regex(r"([a-z]{1,3}/){0,2}[0-9]{1,4}", fullmatch=True), st.binary(max_size=50)))
def test_any_files_come_back(contents, tmp_path_factory):
    place = tmp_path_factory.mktemp("any") / "folder"
    written = write_folder(place, "target", contents, {})
    assert read_folder(place, "target") == written
    assert copy_files(place, "t") == {
        "t/card.json": (place / "card.json").read_bytes(),
        **{f"t/{name}": content for name, content in contents.items()},
    }


def test_the_digest_is_of_the_files_alone(tmp_path):
    def digest(files, **card):
        return folder_digest(write_folder(tmp_path / "folder", "filter", files, card))

    same = digest(FILES, seed=1)
    assert same == digest(dict(reversed(FILES.items())), seed=2)
    assert same != digest({**FILES, "config.json": b"{ }"}, seed=1)
    assert same != digest({("renamed" if name == "config.json" else name): FILES[name] for name in FILES}, seed=1)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"missing files: {name}"):
        read_folder(folder, "filter")


@pytest.mark.parametrize("name", ["more", "target/more", "target/deep/card.json", "card.json~", "thumbs.db.onnx"])
def test_an_extra_file_is_named(folder, name):
    (folder / name).write_text("")
    with pytest.raises(ModelError, match=f"extra files: {name}"):
        read_folder(folder, "filter")


LITTER = [
    ".DS_Store",
    "._card.json",
    "._config.json",
    "target/.DS_Store",
    "Thumbs.db",
    "target/deep/thumbs.db",
    "desktop.ini",
    "Desktop.ini",
    ".directory",
    ".git/config",
    ".ipynb_checkpoints/card.json",
    "__MACOSX/._card.json",
    "target/@eaDir/er.bin/SYNOINDEX",
    "config.json:Zone.Identifier",
    "target/deep/er.bin:Zone.Identifier",
    "System Volume Information/WPSettings.dat",
    "lost+found/x",
    "#recycle/card.json",
    "target/__pycache__/x.pyc",
]


@pytest.mark.parametrize("name", LITTER)
def test_what_systems_leave_in_folders_is_passed_over(folder, name):
    before = read_folder(folder, "filter")
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("{}")
    assert read_folder(folder, "filter") == before
    assert f"f/{name}" not in copy_files(folder, "f")


def test_a_hidden_file_that_the_card_names_is_a_file_like_any(tmp_path):
    write_folder(tmp_path / "folder", "filter", {".hidden": b"1"}, {})
    read_folder(tmp_path / "folder", "filter")
    (tmp_path / "folder" / ".hidden").write_bytes(b"2")
    with pytest.raises(ModelError, match="altered"):
        read_folder(tmp_path / "folder", "filter")
    (tmp_path / "folder" / ".hidden").unlink()
    with pytest.raises(ModelError, match=r"missing files: \.hidden"):
        read_folder(tmp_path / "folder", "filter")


@pytest.mark.parametrize("name", ["card.json", "config.json", "more"])
def test_a_pipe_in_a_folder_is_refused_and_not_waited_for(folder, name):
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    with pytest.raises(ModelError, match=name):
        read_folder(folder, "filter")


@pytest.mark.parametrize("name", ["card.json", "config.json"])
@pytest.mark.parametrize("place", ["/dev/zero", "/dev/stdin", "/", "/nowhere"])
def test_a_link_to_what_is_no_file_is_refused(folder, name, place):
    (folder / name).unlink()
    (folder / name).symlink_to(place)
    with pytest.raises(ModelError, match=name):
        read_folder(folder, "filter")


def test_a_link_to_a_file_is_that_file_and_one_to_a_folder_is_not_entered(folder):
    (folder / "config.json").rename(folder.parent / "blob")
    (folder / "config.json").symlink_to("../blob")
    read_folder(folder, "filter")
    (folder / "linked").symlink_to("/")
    with pytest.raises(ModelError, match="extra files: linked"):
        read_folder(folder, "filter")


def test_a_folder_in_the_place_of_a_file_is_refused(folder):
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()
    with pytest.raises(ModelError, match=r"missing files: config\.json"):
        read_folder(folder, "filter")


BAD_CARDS = {
    "deep": b"[" * 200_000,
    "deep table": b'{"a":' * 100_000,
    "deep, closed": b'{"kind": "filter", "schema": 1, "files": {}, "x": ' + b"[" * 500 + b"]" * 500 + b"}",
    "large": b'{"kind": "filter", "schema": 1, "files": {}, "x": "' + b"x" * (1 << 23) + b'"}',
    "NaN": b'{"kind": "filter", "schema": 1, "files": {}, "x": NaN}',
    "infinite": b'{"kind": "filter", "schema": 1, "files": {}, "x": 1e999}',
    "minus infinite": b'{"kind": "filter", "schema": 1, "files": {}, "x": -Infinity}',
    "long number": b'{"kind": "filter", "schema": ' + b"9" * 5000 + b', "files": {}}',
    "beyond 64 bits": b'{"kind": "filter", "schema": 1, "files": {}, "x": 99999999999999999999}',
    "twice": b'{"kind": "target", "kind": "filter", "schema": 1, "files": {}}',
    "UTF-16": '{"kind": "filter", "schema": 1, "files": {}}'.encode("utf-16"),
    "Latin-1": b'{"kind": "filter", "schema": 1, "files": {}, "x": "\xe9"}',
    "half a character": b'{"kind": "filter", "schema": 1, "files": {"\\ud800": ""}}',
    "permit": b'{"kind": "filter", "schema": 1, "files": {}, "permit": 7}',
    "permitted numbers": b'{"kind": "filter", "schema": 1, "files": {}, "permit": [7]}',
    "classes": b'{"kind": "filter", "schema": 1, "files": {}, "classes": {"digit": 7}}',
    "corpus": b'{"kind": "filter", "schema": 1, "files": {}, "corpus": "fsdd"}',
    "files": b'{"kind": "filter", "schema": 1, "files": {"config.json": 7}}',
    "kinds": b'{"kind": ["filter"], "schema": 1, "files": {}}',
}


@pytest.mark.parametrize("name", BAD_CARDS)
def test_a_card_that_cannot_be_is_one_short_sentence(folder, name):
    (folder / "card.json").write_bytes(BAD_CARDS[name])
    with pytest.raises(ModelError) as error:
        read_folder(folder, "filter")
    assert len(str(error.value)) < 500 and "\n" not in str(error.value)


def test_a_byte_order_mark_is_left_out(folder):
    before = read_folder(folder, "filter")
    (folder / "card.json").write_bytes(b"\xef\xbb\xbf" + (folder / "card.json").read_bytes())
    assert read_folder(folder, "filter") == before


@pytest.mark.parametrize("name", FILES)
def test_an_altered_file_is_named(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ModelError, match=f"altered: {name}"):
        read_folder(folder, "filter")


def test_a_folder_of_another_kind_is_refused(folder):
    with pytest.raises(ModelError, match="'filter' folder; expected a target"):
        read_folder(folder, "target")


def test_a_folder_of_another_schema_is_refused(folder):
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**card, "schema": 2}))
    with pytest.raises(ModelError, match="schema 2"):
        read_folder(folder, "filter")


@pytest.mark.parametrize(
    "card", [None, b"", b"{", b"[]", b"3", b"\xff\xfe", b"{}", b'{"kind": "filter", "schema": 1, "files": 7}']
)
def test_a_card_that_is_none_is_refused(folder, card):
    (folder / "card.json").unlink()
    if card is not None:
        (folder / "card.json").write_bytes(card)
    with pytest.raises(ModelError, match=r"no readable card\.json"):
        read_folder(folder, "filter")


def test_a_card_may_not_reach_out_of_its_folder(folder):
    (folder.parent / "secret").write_bytes(b"")
    card = json.loads((folder / "card.json").read_text())
    card["files"]["../secret"] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match=r"missing files: \.\./secret"):
        read_folder(folder, "filter")


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.write_text("a file")])
def test_what_is_no_folder_is_refused(tmp_path, make):
    make(tmp_path / "thing")
    with pytest.raises(ModelError, match="is not a folder"):
        read_folder(tmp_path / "thing", "filter")


def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def nth(number: int, function):
    """`function`, but its call with that number finds the disk full."""
    calls = iter(range(1, 100))
    return lambda *args, **kwargs: (full if next(calls) == number else function)(*args, **kwargs)


@pytest.mark.parametrize("call", [1, 2, 4])
def test_a_full_disk_leaves_the_old_folder_and_nothing_else(folder, monkeypatch, call):
    before = everything(folder.parent)
    monkeypatch.setattr(Path, "write_bytes", nth(call, Path.write_bytes))
    with pytest.raises(ModelError, match="No space left"):
        write_folder(folder, "filter", {"new": b"1", "newer": b"2", "newest": b"3"}, {})
    monkeypatch.undo()
    assert everything(folder.parent) == before


def test_a_full_disk_leaves_nothing_where_nothing_was(tmp_path, monkeypatch):
    for part, name in ((Path, "write_bytes"), (os, "replace")):
        with monkeypatch.context() as patch:
            patch.setattr(part, name, full)
            with pytest.raises(ModelError, match="No space left"):
                write_folder(tmp_path / "out", "filter", FILES, {})
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("call", [1, 2])
def test_a_rename_that_fails_leaves_the_old_folder(folder, monkeypatch, call):
    before = everything(folder.parent)
    monkeypatch.setattr(checkpoint.os, "replace", nth(call, os.replace))
    with pytest.raises(ModelError, match="nothing was changed"):
        write_folder(folder, "filter", {"new": b"1"}, {})
    monkeypatch.undo()
    assert everything(folder.parent) == before


def test_a_kill_while_writing_leaves_the_old_folder(folder, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    before = everything(folder.parent)
    monkeypatch.setattr(Path, "write_bytes", killed)
    with pytest.raises(KeyboardInterrupt):
        write_folder(folder, "filter", {"new": b"1"}, {})
    assert everything(folder.parent) == before


def test_a_folder_of_its_kind_is_replaced_whole(folder):
    write_folder(folder, "filter", {"new": b"1"}, {})
    assert set(everything(folder.parent)) == {"filter", "filter/card.json", "filter/new"}
    assert list(read_folder(folder, "filter")["files"]) == ["new"]


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "empty").mkdir()
    write_folder(tmp_path / "empty", "filter", FILES, {})
    read_folder(tmp_path / "empty", "filter")


def test_what_belongs_to_others_is_not_overwritten(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.jpg").write_text("me")
    (tmp_path / "letter").write_text("dear")
    before = everything(tmp_path)
    for name in ("photos", "letter", "letter/inside"):
        with pytest.raises(ModelError):
            write_folder(tmp_path / name, "filter", FILES, {})
    assert everything(tmp_path) == before


def test_a_folder_of_another_kind_is_not_overwritten(folder):
    before = everything(folder)
    with pytest.raises(ModelError, match="in the way"):
        write_folder(folder, "target", {"new": b"1"}, {})
    assert everything(folder) == before


def test_a_single_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    write_file(tmp_path / "deep" / "results.json", b"old")
    monkeypatch.setattr(checkpoint.os, "replace", full)
    with pytest.raises(ModelError, match="No space left"):
        write_file(tmp_path / "deep" / "results.json", b"new")
    monkeypatch.undo()
    assert everything(tmp_path / "deep") == {"results.json": b"old"}
    write_file(tmp_path / "deep" / "results.json", b"new")
    assert everything(tmp_path / "deep") == {"results.json": b"new"}


def test_a_single_file_has_the_rights_of_any_new_file(tmp_path):
    write_file(tmp_path / "ours", b"")
    (tmp_path / "any").write_bytes(b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "any").stat().st_mode
