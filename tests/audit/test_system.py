"""What can be audited: sound arrives whoever made it, and what is wrong with it is said by name."""

import csv
import shutil
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
import torch
from onnx import TensorProto, helper

from sottovoce import graphs
from sottovoce.audio import io
from sottovoce.audio.segment import cut, front_end
from sottovoce.audit import system
from sottovoce.audit.system import System, of_command, of_filter, of_folder, of_function, of_onnx, opened
from sottovoce.corpora import cache
from sottovoce.corpora.cache import Sounds
from sottovoce.corpora.manifest import Manifest
from sottovoce.corpora.readers.csv_file import CORPUS as csv_file
from sottovoce.corpora.readers.folder import CORPUS as folder_corpus
from sottovoce.errors import AudioError, ConfigError, CorpusError, ModelError
from sottovoce.models.architectures import build
from sottovoce.runtime.export import save_filter
from sottovoce.runtime.filter import Filter

RATE = 16000
KEYS = ["bits_per_block", "block_s", "constant_blocks", "digest", "method", "parameters", "permit", "preset"]
NAMES = ("a/0.wav", "a/1.wav", "b/2.wav", "b/3.wav", "b/4.b.flac", "b/5.wav", "b/6.wav")


def write(path: Path, samples: int = RATE, seed: int = 0, **more: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.random.default_rng(seed).standard_normal(samples), RATE, **more)
    return path


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    for seed, name in enumerate(NAMES):
        write(tmp_path / "corpus" / name, 4000 + 400 * seed, seed)
    return folder_corpus.read(tmp_path / "corpus")


@pytest.fixture
def sounds(manifest: Manifest, tmp_path: Path) -> Sounds:
    return cache.load(manifest, tmp_path / "cache")[1]


@pytest.fixture
def protected(manifest: Manifest, tmp_path: Path) -> Path:
    """A folder as a third party makes it: the same names, other endings."""
    for clip in manifest.clips:
        ending = ".flac" if clip.id == "a/1.wav" else ".wav"
        out = (tmp_path / "protected" / clip.id).with_suffix(ending)
        out.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(out, 0.5 * soundfile.read(clip.path)[0], RATE)
    return tmp_path / "protected"


def silent(done: int, total: int, note: str) -> None:
    pass


# A filter


def test_a_filter_is_heard_as_features_and_as_sound(sounds, tmp_path):
    torch.manual_seed(0)
    sizes = {"width": 4, "blocks": 1}
    card = {"method": "optin", "permit": ["word"], "parameters": 7}
    save_filter(tmp_path / "f", build("compact-autoencoder", sizes), "compact-autoencoder", sizes, 1.5, 1.0, card)
    filter_ = Filter.load(tmp_path / "f")
    made = of_filter(filter_, sounds)
    assert sorted(made.description) == KEYS
    assert made.description == {**made.description, **card, "digest": filter_.digest, "preset": None}
    assert made.path == tmp_path / "f"
    segments = cut(sounds.wave(0))
    np.testing.assert_array_equal(made.features(segments), filter_.obfuscate(segments))
    np.testing.assert_array_equal(made.sound(1), filter_.filter(sounds.wave(1)))
    by_name = opened(str(tmp_path / "f"), None, sounds, 1, silent)
    np.testing.assert_array_equal(by_name.sound(1), made.sound(1))


# A folder


def test_a_folder_is_paired_by_name_whatever_the_ending(manifest, sounds, protected):
    (protected / "notes.txt").write_text("not a sound")
    write(protected / "a" / "._0.wav")  # left by macOS
    made = opened(str(protected), manifest, sounds, 1, silent)
    assert made.features is None and made.path is None and made.notes == ()
    assert sorted(made.description) == KEYS and made.description["method"] == "folder:protected"
    for i, clip in enumerate(manifest.clips):
        np.testing.assert_allclose(made.sound(i), 0.5 * io.read(clip.path), atol=1e-4)


def test_the_digest_of_a_folder_is_that_of_its_sound(manifest, protected):
    before = of_folder(protected, manifest).description["digest"]
    assert of_folder(protected, manifest).description["digest"] == before
    write(protected / "b" / "2.wav", 4800, seed=99)
    assert of_folder(protected, manifest).description["digest"] != before


def test_sound_is_read_when_it_is_asked_for(manifest, protected, monkeypatch):
    made = of_folder(protected, manifest)
    monkeypatch.setattr(system.protected.io, "read", None)
    with pytest.raises(TypeError):
        made.sound(0)


def test_missing_and_foreign_files_are_named_up_to_five(manifest, protected):
    for path in sorted(protected.rglob("*.*"))[:6]:
        path.rename(path.with_name(f"x{path.name}"))
    with pytest.raises(CorpusError) as error:
        of_folder(protected, manifest)
    message = str(error.value)
    assert "6 of its 7 recordings have no protected file ('a/0.wav', 'a/1.wav', " in message
    assert "6 protected files have no original ('a/x0.wav', 'a/x1.flac', " in message
    assert message.count("1 more") == 2 and "expected one for each" in message


def test_an_empty_folder_misses_everything(manifest, tmp_path):
    (tmp_path / "none").mkdir()
    with pytest.raises(CorpusError, match="7 of its 7 recordings have no protected file"):
        of_folder(tmp_path / "none", manifest)


def test_two_files_of_one_recording_are_named(manifest, protected):
    write(protected / "a" / "0.flac", 4000)
    with pytest.raises(CorpusError, match=r"more than one.*'a/0.flac', 'a/0.wav'.*keep one"):
        of_folder(protected, manifest)


def test_files_of_recordings_that_the_corpus_leaves_out_are_left_aside(manifest, protected, tmp_path):
    shutil.copy(tmp_path / "corpus" / "a" / "0.wav", tmp_path / "corpus" / "b" / "twin.WAV")
    write(protected / "b" / "twin.flac", 4000)
    again = folder_corpus.read(tmp_path / "corpus")
    assert len(again.clips) == 7
    assert of_folder(protected, again).notes == (
        "1 protected files belong to recordings that the corpus leaves out ('b/twin')",
    )


def test_files_that_cannot_be_read_are_named(manifest, protected):
    (protected / "a" / "0.wav").write_bytes(b"RIFF, they said")
    (protected / "b" / "2.wav").write_bytes(b"")
    with pytest.raises(CorpusError, match=r"2 protected .* cannot be read \('a/0.wav', 'b/2.wav'\).*first,.*0\.wav"):
        of_folder(protected, manifest)
    write(protected / "a" / "0.wav", 4000)
    write(protected / "b" / "2.wav", 0)
    with pytest.raises(CorpusError, match="length is zero"):
        of_folder(protected, manifest)


def test_a_file_that_is_damaged_later_on_is_named_when_it_is_heard(manifest, protected):
    made = of_folder(protected, manifest)
    (protected / "a" / "0.wav").write_bytes(b"damaged")
    with pytest.raises(AudioError, match=r"0\.wav"):
        made.sound(0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_sound_that_is_not_finite_is_refused(manifest, protected, value):
    wav = np.zeros(4000)
    wav[3999] = value
    soundfile.write(protected / "a" / "0.wav", wav, RATE, subtype="FLOAT")
    with pytest.raises(ModelError, match=r"'a/0\.wav' has samples that are not finite"):
        of_folder(protected, manifest).sound(0)


def test_changed_durations_are_counted_and_named(manifest, protected):
    write(protected / "a" / "0.wav", 4190)  # 4.75 % longer
    write(protected / "b" / "2.wav", 6000)
    write(protected / "b" / "3.wav", 2600)
    (note,) = of_folder(protected, manifest).notes
    assert note.startswith("2 of 7 recordings changed their duration by more than 5 % ('b/2.wav: 0.30 s, ")
    assert note.endswith("what shows by duration alone is attacked as well")


@pytest.mark.parametrize("samples", [900, 17000])
def test_another_recording_under_the_same_name_is_refused(manifest, protected, samples):
    write(protected / "a" / "0.wav", samples)
    with pytest.raises(CorpusError, match=r"1 protected .* 4 times .*'a/0\.wav: 0\.25 s, protected .*named"):
        of_folder(protected, manifest)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100])
@pytest.mark.parametrize("blocks", [1, 8])
def test_what_a_filter_gives_in_whole_blocks_is_accepted_however_short_the_original_was(
    manifest, protected, rate, blocks
):
    for clip in manifest.clips:
        path = (protected / clip.id).with_suffix(".flac" if clip.id == "a/1.wav" else ".wav")
        soundfile.write(path, np.zeros(round(1.28 * blocks * rate)), rate)
    (note,) = of_folder(protected, manifest).notes
    assert note.startswith("7 of 7 recordings changed their duration")


def listed(tmp_path: Path, *rows: str) -> Manifest:
    table = tmp_path / "corpus" / "clips.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([("path", "word", "start_s", "duration_s"), *(row.split(",") for row in rows)])
    return csv_file.read(table)


@pytest.mark.parametrize("row", ["a/0.wav,yes,0.05,0.1", "a/0.wav,yes,0,"])
def test_what_is_no_whole_file_of_the_corpus_cannot_be_paired(manifest, protected, tmp_path, row):
    with pytest.raises(CorpusError, match=r"no whole files of its folder.*audit the command"):
        of_folder(protected, listed(tmp_path, "b/2.wav,no,,", row))


def test_originals_that_differ_by_their_ending_cannot_be_paired(manifest, protected, tmp_path):
    write(tmp_path / "corpus" / "a" / "0.flac", seed=9)
    with pytest.raises(CorpusError, match="differ by their ending"):
        of_folder(protected, folder_corpus.read(tmp_path / "corpus"))


def test_the_corpus_itself_can_be_audited(manifest, tmp_path):
    made = of_folder(tmp_path / "corpus", manifest)
    np.testing.assert_array_equal(made.sound(2), io.read(manifest.clips[2].path))


# A command

Run = Callable[..., System]


@pytest.fixture
def run(manifest: Manifest, tmp_path: Path) -> Run:
    def through(command: str, **more: object) -> System:
        given = {"manifest": manifest, "cache": tmp_path / "cache", "workers": 2, "report": silent, **more}
        return of_command(command, **given)

    return through


def script(tmp_path: Path, *lines: str) -> str:
    """A command that runs lines of the shell, in which $1 is the file to read and $2 the one to write."""
    path = tmp_path / "program"
    path.write_text("\n".join(("#!/bin/sh", *lines)))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return f"'{path}' {{in}} {{out}}"


def test_a_command_is_given_16_khz_mono_and_what_it_writes_arrives(manifest, run, tmp_path, capfd):
    soundfile.write(manifest.clips[0].path, np.full((12000, 2), [0.1, 0.3]), 48000)
    told = []
    command = script(tmp_path, "echo to stdout", "echo to stderr >&2", 'cp "$1" "$2"')
    made = run(command, report=lambda *steps: told.append(steps[:2]))
    assert [made.sound(i).shape for i in range(7)] == [(len(io.read(clip.path)),) for clip in manifest.clips]
    assert np.median(made.sound(0)) == pytest.approx(0.2, abs=1e-3)
    np.testing.assert_allclose(made.sound(1), io.read(manifest.clips[1].path), atol=1e-4)
    assert told == [(done, 7) for done in range(1, 8)]
    assert made.features is None and made.description["method"] == f"command:{command}"
    assert capfd.readouterr() == ("", "")
    (kept,) = (tmp_path / "cache" / "commands").iterdir()
    assert len(list(kept.iterdir())) == 7, "nothing else is left"


def test_words_may_hold_the_places_and_no_shell_reads_them(run, tmp_path):
    (tmp_path / "copy.py").write_text(
        "import shutil, sys\nassert sys.argv[3] == '$HOME; *', sys.argv\nshutil.copy(sys.argv[1][5:], sys.argv[2][6:])"
    )
    command = f"{sys.executable} -S {tmp_path}/copy.py --in={{in}} --out={{out}} '$HOME; *'"
    assert len(run(command).sound(0)) == 4000


def test_slices_are_cut(manifest, run, tmp_path):
    sliced = listed(tmp_path, "a/0.wav,yes,0.05,0.1", "a/0.wav,no,0.15,0.05", "b/2.wav,no,,")
    made = run(script(tmp_path, 'cp "$1" "$2"'), manifest=sliced)
    assert [len(made.sound(i)) for i in range(3)] == [1600, 800, 4800]
    assert made.notes == ()
    np.testing.assert_allclose(made.sound(0), io.read(manifest.clips[0].path)[800:2400], atol=1e-4)


def test_durations_are_compared(run, tmp_path):
    write(tmp_path / "other.wav", 6000)
    made = run(script(tmp_path, f'cp "{tmp_path}/other.wav" "$2"'))
    assert made.notes[0].startswith("6 of 7 recordings changed their duration")


def test_a_second_run_goes_on_where_the_first_was(run, tmp_path):
    count, mended = tmp_path / "count", tmp_path / "mended"
    fails = f'[ -e {mended} ] || [ "$(wc -l < {count})" -lt 4 ] || exit 3'
    command = script(tmp_path, f"echo ran >> {count}", 'cp "$1" "$2"', fails)
    with pytest.raises(ModelError, match="exit status 3"):
        run(command, workers=1)
    mended.touch()
    before = len(count.read_text().split())
    told = []
    made = run(command, report=lambda done, total, note: told.append(done))
    assert told == [4, 5, 6, 7], "three were there"
    assert len(count.read_text().split()) == before + 4
    again = run(command, report=None)
    assert len(count.read_text().split()) == before + 4
    assert again.description == made.description


def test_a_run_that_is_stopped_ends_what_it_runs(run, tmp_path):
    count = tmp_path / "count"

    def interrupt(done: int, total: int, note: str) -> None:
        raise KeyboardInterrupt

    first = f'if mkdir {tmp_path}/first; then cp "$1" "$2"; else sleep 60; echo late >> {count}; fi'
    with pytest.raises(KeyboardInterrupt):
        run(script(tmp_path, first), report=interrupt)
    assert not count.exists()
    assert not list((tmp_path / "cache" / "commands").glob(".*"))


def test_a_changed_program_is_another_command(run, tmp_path):
    before = run(script(tmp_path, 'cp "$1" "$2"'))
    write(tmp_path / "other.wav", 5000)
    after = run(script(tmp_path, f'cp "{tmp_path}/other.wav" "$2"'))
    assert len(before.sound(0)) == 4000 and len(after.sound(0)) == 5000


def test_a_failing_command_is_quoted_with_its_clip(run, tmp_path):
    last = "echo first >&2; printf 'no such voice\\033[31m: %s\\n\\n' b >&2; exit 7"
    with pytest.raises(ModelError) as error:
        run(script(tmp_path, f'[ "$(wc -c < "$1")" != {44 + 2 * 4800} ] || {{ {last}; }}', 'cp "$1" "$2"'))
    message = str(error.value)
    assert "for 'b/2.wav' with exit status 7 and 'no such voice\\x1b[31m: b' on stderr" in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("exit 1", "exit status 1 and nothing on stderr"),
        ("kill -9 $$", "exit status -9"),
        ("true", "wrote nothing to {out}"),
        ('echo text > "$2"', "is no usable sound"),
        (': > "$2"', "an empty file"),
        ('cp "$(dirname "$0")/silence.wav" "$2"', "length is zero"),
        ('cp "$(dirname "$0")/nan.wav" "$2"', "not finite"),
    ],
)
def test_a_command_without_sound_is_refused(run, tmp_path, line, reason):
    write(tmp_path / "silence.wav", 0)
    soundfile.write(tmp_path / "nan.wav", np.full(4000, np.nan), RATE, subtype="FLOAT")
    with pytest.raises(ModelError) as error:
        run(script(tmp_path, line), workers=1)
    assert "'a/0.wav'" in str(error.value) and reason in str(error.value)
    assert not list((tmp_path / "cache" / "commands").rglob("*.wav")), "nothing bad is kept"


def test_a_command_that_hangs_is_ended_with_what_it_started(run, tmp_path, manifest):
    late = tmp_path / "late"
    command = script(tmp_path, f"(sleep 2; echo late > {late}) &", "sleep 60")
    short = listed(tmp_path, "a/0.wav,yes,0,0.01", "a/1.wav,no,0,0.01")
    with pytest.raises(ModelError, match=r"took more than 0\.3 s for 'a/"):
        run(command, manifest=short, limit_s=0.2)
    time.sleep(2.2)
    assert not late.exists()


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("cp {in} here", "lacks {out}"),
        ("cp here {out}", "lacks {in}"),
        ("", "lacks {in}"),
        ("no-such-program-anywhere {in} {out}", "'no-such-program-anywhere' is not found"),
        ("cp '{in} {out}", "No closing quotation"),
    ],
)
def test_a_command_that_cannot_be_run_is_refused(run, manifest, sounds, command, reason):
    for refused in (lambda: run(command), lambda: opened(f"command:{command}", manifest, sounds, 1, silent)):
        with pytest.raises(ConfigError) as error:
            refused()
        assert reason in str(error.value)


def test_a_program_that_does_not_start_is_named(run, tmp_path):
    command = script(tmp_path)
    (tmp_path / "program").write_bytes(b"\x7fELF, they said")
    with pytest.raises(ModelError, match="cannot be started"):
        run(command)


def test_a_cache_that_cannot_be_written_is_named(run, tmp_path):
    (tmp_path / "full").write_text("a file, not a folder")
    with pytest.raises(CorpusError, match="SOTTOVOCE_CACHE"):
        run("cp {in} {out}", cache=tmp_path / "full")


def test_the_command_line_names_a_command(manifest, sounds, tmp_path, monkeypatch):
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "elsewhere"))
    made = opened("command:cp {in} {out}", manifest, sounds, 2, silent)
    assert len(made.sound(0)) == 4000
    assert len(list((tmp_path / "elsewhere" / "commands").rglob("*.wav"))) == 7


# A function


def test_a_function_is_called_for_each_clip(sounds):
    made = of_function(lambda wav: 0.5 * wav[: len(wav) // 2].astype(np.float64), sounds, "half")
    assert made.sound(1).dtype == np.float32
    np.testing.assert_allclose(made.sound(1), 0.5 * sounds.wave(1)[: sounds.samples(1) // 2])
    assert made.features is None and made.description["method"] == "function:half"
    other = of_function(lambda wav: -wav, sounds, "half")
    assert made.description["digest"] != other.description["digest"], "it is known by what it does"


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (lambda wav: wav * np.nan, "not finite"),
        (lambda wav: wav[:0], "0 samples"),
        (lambda wav: wav[None], "float32 of shape (1, "),
        (lambda wav: (32767 * wav).astype(np.int16), "int16"),
        (lambda wav: None, "object"),
        (lambda wav: np.broadcast_to(wav[0], 24 * 3600 * RATE + 1), "1382400001 samples"),
    ],
)
def test_a_function_that_gives_no_sound_is_refused(sounds, wrong, reason):
    with pytest.raises(ModelError) as error:
        of_function(wrong, sounds, "wrong")
    assert "clip 0 comes out as" in str(error.value) and reason in str(error.value) and "mend" in str(error.value)


# An ONNX graph


def graph(path: Path, nodes: list, given: list, made: list, kind: int = TensorProto.FLOAT) -> Path:
    """An ONNX file from `x` of shape `given` to `y` of shape `made`; strings are free axes."""
    ports = [helper.make_tensor_value_info("x", kind, given)], [helper.make_tensor_value_info("y", kind, made)]
    constants = [
        helper.make_tensor("half", kind, [], [0.5]),
        helper.make_tensor("first", TensorProto.INT64, [1], [0]),
        helper.make_tensor("second", TensorProto.INT64, [1], [1]),
    ]
    whole = helper.make_graph(nodes, "system", *ports, constants)
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


HALVED = [helper.make_node("Mul", ["x", "half"], ["y"])]
FIRST_ROW = [helper.make_node("Slice", ["x", "first", "second", "first"], ["y"])]


@pytest.mark.parametrize("shape", [["t"], [1, "t"], ["b", "t"], [1, 1, "t"], ["b", "c", "t"]])
def test_an_onnx_graph_of_sound_gives_sound(manifest, sounds, tmp_path, shape):
    path = graph(tmp_path / "half.onnx", HALVED, shape, shape)
    made = opened(str(path), manifest, sounds, 1, silent)
    assert made.features is None and made.description["method"] == "onnx:half.onnx"
    np.testing.assert_allclose(made.sound(3), 0.5 * sounds.wave(3))


@pytest.mark.parametrize("batch", ["s", 1])
def test_an_onnx_graph_of_spectra_gives_features(sounds, tmp_path, batch):
    path = graph(tmp_path / "half.onnx", HALVED, [batch, 161, 128], [batch, 161, 128])
    made = of_onnx(path, sounds)
    assert made.sound is None and sorted(made.description) == KEYS
    segments = np.random.default_rng(0).standard_normal((20, 20480), dtype=np.float32)
    np.testing.assert_allclose(made.features(segments), 0.5 * front_end(segments), rtol=1e-6)


@pytest.mark.parametrize(
    ("nodes", "given", "made", "reason"),
    [
        (HALVED, [2, 3, 4, "t"], [2, 3, 4, "t"], "takes [2, 3, 4, 't']; expected float32 sound"),
        (HALVED, [1, 16000], [1, 16000], "takes [1, 16000]"),
        (HALVED, [2, "t"], [2, "t"], "takes [2, 't']"),
        (HALVED, ["s", 80, 128], ["s", 80, 128], "takes ['s', 80, 128]"),
        (HALVED, [4, 161, 128], [4, 161, 128], "takes [4, 161, 128]"),
        (HALVED, [], [], "takes []"),
        (FIRST_ROW, ["s", 161, 128], ["r", 161, 128], "gives (1, 161, 128) for spectra (2, 161, 128)"),
        ([helper.make_node("Concat", ["x", "x"], ["y"], axis=0)], [1, "t"], [2, "t"], "float32 of shape (2, "),
        ([helper.make_node("Log", ["x"], ["y"])], ["t"], ["t"], "not finite"),
        ([helper.make_node("MatMul", ["x", "x"], ["y"])], ["b", "t"], ["b", "t"], "fails on an input (1, "),
    ],
)
def test_an_onnx_graph_of_another_form_is_refused(manifest, tmp_path, nodes, given, made, reason):
    write(tmp_path / "corpus" / "a" / "0.wav", 30000)  # two segments
    sounds = cache.load(folder_corpus.read(tmp_path / "corpus"), tmp_path / "cache")[1]
    with pytest.raises(ModelError) as error:
        of_onnx(graph(tmp_path / "g.onnx", nodes, given, made), sounds)
    assert reason in str(error.value) and "expected" in str(error.value)


def test_an_onnx_file_that_is_no_such_graph_is_refused(sounds, tmp_path, monkeypatch):
    path = graph(tmp_path / "double.onnx", HALVED, ["t"], ["t"], TensorProto.DOUBLE)
    with pytest.raises(ModelError, match=r"takes \['tensor\(double\)'\]"):
        of_onnx(path, sounds)
    path.write_bytes(b"not a graph")
    with pytest.raises(ModelError, match="not a usable ONNX graph"):
        of_onnx(path, sounds)
    with pytest.raises(ModelError, match="is not a usable ONNX graph"):
        of_onnx(tmp_path / "none.onnx", sounds)
    monkeypatch.setattr(graphs, "LARGEST_BYTES", 10)
    with pytest.raises(ModelError, match="at most 1 GiB"):
        of_onnx(path, sounds)


# What is none of these


@pytest.mark.parametrize("text", ["", "nowhere", "corpus/a/0.wav", "x" * 300, "cp {in} {out}", "a\0b", "none.onnx"])
def test_what_cannot_be_audited_is_refused(manifest, sounds, tmp_path, monkeypatch, text):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as error:
        opened(text, manifest, sounds, 1, silent)
    for kind in ("filter's folder", "protected recordings", "*.onnx", "command:PROGRAM"):
        assert kind in str(error.value)


def test_the_folder_of_a_target_is_no_filter(manifest, sounds, tmp_path):
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "card.json").write_text('{"kind": "target", "schema": 1, "files": {}}')
    with pytest.raises(ModelError, match="expected a filter folder"):
        opened(str(tmp_path / "target"), manifest, sounds, 1, silent)
