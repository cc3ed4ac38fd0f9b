"""A table's paths stay below its folder, whatever they are spelled like and wherever links lead."""

import os
import unicodedata
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sottovoce.corpora.below import Below, Outside


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret.wav").write_text("secret")
    corpus = tmp_path / "corpus"
    (corpus / "deeper").mkdir(parents=True)
    for name in ("a.wav", "deeper/b.wav", "~c.wav"):
        (corpus / name).write_text("sound")
    (corpus / "out").symlink_to(tmp_path, True)
    (corpus / "in").symlink_to("deeper", True)
    (corpus / "leak.wav").symlink_to("../secret.wav")
    (corpus / "far.wav").symlink_to("/etc/hostname")
    return corpus


@pytest.mark.parametrize(
    ("name", "relative"),
    [
        ("a.wav", "a.wav"),
        ("./a.wav", "a.wav"),
        ("deeper//b.wav", "deeper/b.wav"),
        ("deeper/../a.wav", "a.wav"),
        ("deeper\\b.wav", "deeper/b.wav"),
        ("in/b.wav", "in/b.wav"),
        ("~c.wav", "~c.wav"),
    ],
)
def test_what_is_below_is_found(folder: Path, name: str, relative: str) -> None:
    found, path = Below(folder).find(name)
    assert found == relative and path == folder / relative and path.is_file()


def test_an_absolute_path_to_a_file_below_is_relative_to_the_folder(folder: Path) -> None:
    assert Below(folder).find(str(folder / "a.wav"))[0] == "a.wav"
    assert Below(folder / ".." / "corpus").find(str(folder.resolve() / "deeper" / "b.wav"))[0] == "deeper/b.wav"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a\0.wav",
        "/etc/hostname",
        "//etc/hostname",
        "../secret.wav",
        "deeper/../../secret.wav",
        "..\\secret.wav",
        "C:\\a.wav",
        "c:/a.wav",
        "\\\\server\\share\\a.wav",
        "http://localhost/a.wav",
        "file:///etc/hostname",
        "s3://bucket/a.wav",
        "~/a.wav",
        "~root/a.wav",
        "~",
        "leak.wav",
        "far.wav",
        "out/secret.wav",
        "out/corpus/../secret.wav",
        "in/../out/secret.wav",
        "\ud800.wav",
        "..",
        "../corpus2/a.wav",
    ],
)
def test_what_leads_out_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(Outside):
        Below(folder).find(name)


def test_a_folder_beside_with_a_longer_name_is_outside(folder: Path) -> None:
    beside = folder.with_name("corpus2")
    beside.mkdir()
    (beside / "a.wav").write_text("other")
    (folder / "beside.wav").symlink_to(beside / "a.wav")
    for name in (str(beside / "a.wav"), "beside.wav"):
        with pytest.raises(Outside):
            Below(folder).find(name)


@pytest.mark.parametrize("written", ["NFC", "NFD"])
@pytest.mark.parametrize("kept", ["NFC", "NFD"])
def test_the_normal_form_of_a_name_does_not_matter(tmp_path: Path, written: str, kept: str) -> None:
    name = "Zoë/José.wav"
    path = tmp_path / unicodedata.normalize(kept, name)
    path.parent.mkdir()
    path.write_text("sound")
    assert Below(tmp_path).find(unicodedata.normalize(written, name))[1].read_text() == "sound"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(["..", ".", "/", "\\", "a.wav", "out", "in", "deeper", "C:", "~", "é", ""]), max_size=8)
)
def test_whatever_is_found_is_below(folder: Path, pieces: list[str]) -> None:
    for joint in ("", "/"):
        with suppress(Outside):
            _, path = Below(folder).find(joint.join(pieces))
            real, root = os.path.realpath(path), os.path.realpath(folder)
            assert real == root or real.startswith(root + os.sep)
