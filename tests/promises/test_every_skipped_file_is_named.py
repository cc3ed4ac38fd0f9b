"""Law: of everything below a corpus' folder, each file is a clip, or is named with the reason why it is none.

What is named is a file, or the hidden or linked folder that it lies in. Nothing that the user cannot see, that an
operating system left or that a link leads to becomes a class, and a corpus of which nothing is left is refused.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sottovoce.cli import main
from sottovoce.corpora.catalogue import open_corpus
from sottovoce.errors import CorpusError


def sound(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.random.default_rng(seed).standard_normal(1600), 16000, format="WAV")


@pytest.fixture
def two_classes(tmp_path: Path) -> Path:
    """A folder of two classes with five clips each."""
    for i in range(10):
        sound(tmp_path / "sounds" / ("cat", "dog")[i % 2] / f"{i}.wav", i)
    return tmp_path / "sounds"


def put(name: str) -> Callable[[Path], None]:
    return lambda root: sound(root / name, 99)


def write(name: str, data: bytes) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)

    return make


def link(name: str, target: str, is_folder: bool = False) -> Callable[[Path], None]:
    return lambda root: (root / name).symlink_to(target, is_folder)


ODD = {
    ".git/hooks/a.wav": (put(".git/hooks/a.wav"), ".git"),
    ".ipynb_checkpoints/a.wav": (put(".ipynb_checkpoints/a.wav"), ".ipynb_checkpoints"),
    "cat/.hidden/a.wav": (put("cat/.hidden/a.wav"), "cat/.hidden"),
    "__MACOSX/cat/a.wav": (put("__MACOSX/cat/a.wav"), "__MACOSX"),
    "cat/._0.wav": (put("cat/._0.wav"), "cat/._0.wav"),
    "cat/.DS_Store": (write("cat/.DS_Store", b"\0"), "cat/.DS_Store"),
    "Thumbs.db": (write("Thumbs.db", b"\0"), "Thumbs.db"),
    "desktop.ini": (write("dog/desktop.ini", b"[x]"), "dog/desktop.ini"),
    "other ending": (write("cat/a.opus", b"OggS"), "cat/a.opus"),
    "no ending": (write("cat/a", b"x"), "cat/a"),
    "text": (write("cat/list.txt", b"x"), "cat/list.txt"),
    "at the top": (put("a.wav"), "a.wav"),
    "broken link": (link("cat/gone.wav", "nothing.wav"), "cat/gone.wav"),
    "loop": (link("cat/round.wav", "round.wav"), "cat/round.wav"),
    "linked folder": (link("bird", "dog", True), "bird"),
    "linked parent": (link("dog/up", "..", True), "dog/up"),
    "empty folder": (lambda root: (root / "bird").mkdir(), "bird"),
    "pipe": (lambda root: os.mkfifo(root / "cat" / "pipe.wav"), "cat/pipe.wav"),
}


@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_clip_is_named_and_no_class(two_classes: Path, kind: str) -> None:
    make, name = ODD[kind]
    make(two_classes)
    manifest = open_corpus(f"folder:{two_classes}")
    assert manifest.classes("label") == ("cat", "dog")
    assert len(manifest.clips) == 10
    assert any(repr(name) in note and "skipped" in note for note in manifest.notes), manifest.notes


@pytest.mark.parametrize("name", ["cat/LOUD.WAV", "cat/deeper/a.Wav"])
def test_endings_in_capitals_and_deeper_folders_are_read(two_classes: Path, name: str) -> None:
    sound(two_classes / name, 99)
    manifest = open_corpus(f"folder:{two_classes}")
    assert name in {clip.id for clip in manifest.clips}
    assert any(name in note for note in manifest.notes) == ("deeper" in name), "a deeper file is used, and named"


def test_a_link_to_a_sound_elsewhere_is_used_and_named(two_classes: Path, tmp_path: Path) -> None:
    sound(tmp_path / "elsewhere.wav", 99)
    (two_classes / "cat" / "linked.wav").symlink_to(tmp_path / "elsewhere.wav")
    manifest = open_corpus(f"folder:{two_classes}")
    assert any("outside" in note and "'cat/linked.wav'" in note for note in manifest.notes)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "cat", "dog", ".cat", "cat/.x", "__MACOSX", "dog/deep/er"]),
            st.sampled_from(["a", "b", "._c", ".d", "Thumbs"]),
            st.sampled_from([".wav", ".WAV", ".txt", ".mp4", ".db", ""]),
        ),
        unique=True,
    )
)
def test_clips_and_named_files_are_all_that_is_there(tmp_path_factory: pytest.TempPathFactory, places) -> None:
    root = tmp_path_factory.mktemp("law")
    for number, (folder, stem, ending) in enumerate(places):
        if not (root / folder / (stem + ending)).exists():
            sound(root / folder / (stem + ending), number)
    hidden = {".cat", "cat/.x", "__MACOSX"}
    there = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    seen = {name for name in there if not any(name.startswith(f"{folder}/") for folder in hidden)}
    try:
        manifest = open_corpus(f"folder:{root}")
    except CorpusError as error:
        clips, notes = 0, str(error)
    else:
        clips, notes = len(manifest.clips), "\n".join(manifest.notes)
        assert set(manifest.classes("label")) <= {"cat", "dog"}
    assert clips + sum(map(int, re.findall(r"(\d+) files? skipped", notes))) == len(seen)
    for folder in hidden:
        assert not any(name.startswith(f"{folder}/") for name in there) or repr(folder) in notes


@pytest.mark.parametrize("spec", ["folder", "ravdess", "emodb", "emovdb", "fsdd", "esc10", "librispeech", "voxceleb2"])
def test_every_reader_names_what_it_passes_over(tmp_path: Path, spec: str) -> None:
    sound(tmp_path / "stranger.wav", 0)
    write("notes.pdf", b"x")(tmp_path)
    with pytest.raises(CorpusError) as error:
        open_corpus(f"{spec}:{tmp_path}")
    assert "stranger.wav" in str(error.value) and "notes.pdf" in str(error.value)


def test_the_command_names_what_is_skipped_and_refuses_what_is_nothing(
    two_classes: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("signal.signal", lambda *_: None)  # the interrupts of the test run stay as they are
    write("cat/film.mp4", b"x")(two_classes)
    monkeypatch.setattr("sys.argv", ["sottovoce", "corpora", "check", f"folder:{two_classes}"])
    with pytest.raises(SystemExit) as fine:
        main()
    assert fine.value.code in (0, None) and "film.mp4" in capsys.readouterr().out
    (tmp_path / "nothing").mkdir()
    monkeypatch.setattr("sys.argv", ["sottovoce", "corpora", "check", f"folder:{tmp_path / 'nothing'}"])
    with pytest.raises(SystemExit) as refused:
        main()
    assert refused.value.code == 2
