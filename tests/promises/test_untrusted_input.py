"""The law: whatever comes from others is bounded, and what is wrong with it, or with the place, is one clear sentence.

No file makes a command wait for ever, take memory without bound, run code, command the terminal, or end in a traceback.
Exit status 1 says that a finding is bad, and nothing else.
"""

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile

from sottovoce import cli
from sottovoce.audit import protected_files
from sottovoce.audit.system import of_command
from sottovoce.corpora.readers.csv_file import CORPUS as csv_file
from sottovoce.errors import ModelError
from sottovoce.runtime import bundled, golden
from sottovoce.runtime.engine import FilterConfig
from sottovoce.runtime.filter import Filter

DIGIT = bundled.PLACE / "digit"
CLI = [sys.executable, "-m", "sottovoce.cli"]


@pytest.fixture
def sottovoce(monkeypatch, capfd, tmp_path):
    """Run the command line in this process, for 30 seconds at most."""
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "cache"))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    hooks = threading.excepthook, sys.unraisablehook

    def late(*_):
        raise AssertionError("it waits for ever")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["sottovoce", *map(str, arguments)])
        capfd.readouterr()
        signal.signal(signal.SIGALRM, late)
        signal.alarm(30)
        try:
            cli.main()
        except SystemExit as stopped:
            said = capfd.readouterr()
            return Done(stopped.code or 0, said.out.encode(), said.err.encode())
        finally:
            signal.alarm(0)

    yield run
    threading.excepthook, sys.unraisablehook = hooks
    for number, handler in handlers.items():
        signal.signal(number, handler)


class Done(NamedTuple):
    returncode: int
    stdout: bytes
    stderr: bytes


def sentence(done, status=2):
    """The one sentence that a command ended with."""
    said = done.stderr.decode()
    lines = [line for line in said.splitlines() if line.startswith("sottovoce: ")]
    assert done.returncode == status, said
    assert "Traceback" not in said and len(lines) == 1 and lines[0].endswith("."), said
    assert "\x1b" not in lines[0] and len(lines[0]) < 1000
    return lines[0]


@pytest.fixture
def sound(tmp_path):
    path = tmp_path / "sound.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(8000), 16000)
    return path


def signed(folder: Path) -> Path:
    """The folder with a card that fits its files, as whoever makes a hostile one writes it."""
    card = json.loads((DIGIT / "card.json").read_text())
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "card.json"]
    card["files"] = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }
    (folder / "card.json").write_text(json.dumps(card))
    return folder


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(DIGIT, tmp_path / "hostile"))


CONFIG = json.loads((DIGIT / "config.json").read_text())
CONFIGS = {
    "deep": b'{"a":' * 100_000,
    "deep list": b"[" * 1_000_000,
    "large": b" " * (1 << 23),
    "empty": b"",
    "no table": b"7",
    "UTF-16": json.dumps(CONFIG).encode("utf-16"),
    "not UTF-8": b'{"front_end": "\xff"}',
    "NaN": json.dumps({**CONFIG, "sound_std": float("nan")}).encode(),
    "infinite": json.dumps({**CONFIG, "sound_std": float("inf")}).encode(),
    "overflow": json.dumps(CONFIG).replace(str(CONFIG["sound_std"]), "1e999").encode(),
    "long number": json.dumps(CONFIG).replace(str(CONFIG["sound_std"]), "9" * 5000).encode(),
    "large number": json.dumps({**CONFIG, "sound_std": 10**400}).encode(),
    "a key twice": json.dumps(CONFIG).replace("{", '{"front_end": 1, ', 1).encode(),
    "text": json.dumps({**CONFIG, "sound_std": "much"}).encode(),
    "truth": json.dumps({**CONFIG, "sound_std": True}).encode(),
    "list": json.dumps({**CONFIG, "architecture": ["codebook"]}).encode(),
    "settings": json.dumps({**CONFIG, "settings": [1]}).encode(),
    "latents": json.dumps({**CONFIG, "architecture": "rdal", "settings": {}}).encode(),
    "latent text": json.dumps({**CONFIG, "architecture": "rdal", "settings": {"latent": "x" * 10**6}}).encode(),
    "latent truth": json.dumps({**CONFIG, "architecture": "rdal", "settings": {"latent": True}}).encode(),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_configuration_that_cannot_be_is_refused(folder, name):
    (folder / "config.json").write_bytes(CONFIGS[name])
    with pytest.raises(ModelError) as error:
        Filter.load(signed(folder))
    assert len(str(error.value)) < 600 and "\n" not in str(error.value)


def test_a_byte_order_mark_does_no_harm(folder):
    text = (folder / "config.json").read_text()
    assert FilterConfig.parse(f"\ufeff{text}") == FilterConfig.parse(text)
    (folder / "config.json").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert Filter.load(signed(folder)).permit == ("digit",)


@pytest.mark.parametrize("name", ["card.json", "config.json"])
def test_a_deep_file_is_one_sentence_of_the_command(sottovoce, folder, sound, tmp_path, name):
    (folder / name).write_bytes(b"[" * 200_000)
    if name != "card.json":
        signed(folder)
    assert name in sentence(sottovoce("protect", folder, sound, tmp_path / "o.wav"))


def test_what_golden_vectors_unpack_to_is_known_before_they_are_unpacked(folder):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|i2", "fortran_order": False, "shape": (1 << 27,)})
    with (
        zipfile.ZipFile(folder / "golden.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("sound.npy", "w", force_zip64=True) as member,
    ):
        member.write(header.getvalue())
        for _ in range(1 << 8):
            member.write(bytes(1 << 20))
    (folder / "whole.onnx").write_bytes(b"")
    assert (folder / "golden.npz").stat().st_size < 1 << 20
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match=r"golden vectors.* unpack to 268435584 bytes"):
            golden.check(signed(folder))
        assert tracemalloc.get_traced_memory()[1] < 1 << 26
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["card.json", "config.json", "codebook.npz", "filter.onnx", "more"])
def test_nothing_waits_for_a_pipe_or_reads_a_device(sottovoce, folder, sound, tmp_path, name):
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    assert name in sentence(sottovoce("protect", folder, sound, tmp_path / "o.wav"))
    (folder / name).unlink()
    (folder / name).symlink_to("/dev/zero")
    assert name in sentence(sottovoce("protect", folder, sound, tmp_path / "o.wav"))


@pytest.mark.parametrize(
    "place", ["/dev/zero", "/dev/null", "PIPE", "/", "/dev/null/x", "x" * 300, "\udcff", "\x1b[31m"]
)
def test_nothing_else_is_taken_for_a_filter_or_a_sound_either(sottovoce, sound, tmp_path, place):
    if place == "PIPE":
        place = tmp_path / "pipe"
        os.mkfifo(place)
    sentence(sottovoce("protect", place, sound, tmp_path / "o.wav"))
    if place != "/":  # a folder like any
        sentence(sottovoce("protect", "digit", place, tmp_path / "o.wav"))
    sentence(sottovoce("verify", place))
    assert not (tmp_path / "o.wav").exists()


def test_a_filter_folder_as_a_file_manager_leaves_it_is_used(sottovoce, folder, sound, tmp_path):
    for name in (".DS_Store", "._card.json", "Thumbs.db", "desktop.ini"):
        (folder / name).write_bytes(b"\0\1")
    done = sottovoce("protect", folder, sound, tmp_path / "o.wav")
    assert done.returncode == 0, done.stderr
    (folder / "more.onnx").write_bytes(b"")
    assert "more.onnx" in sentence(sottovoce("protect", folder, sound, tmp_path / "o.wav"))


def test_the_name_of_a_bundled_filter_is_never_that_of_another_in_silence(sottovoce, sound, tmp_path, monkeypatch):
    (tmp_path / "here" / "digit").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    assert sottovoce("protect", "digit", sound, "o.wav").returncode == 0
    shutil.copytree(DIGIT, "digit", dirs_exist_ok=True)
    assert "./digit" in sentence(sottovoce("protect", "digit", sound, "p.wav"))
    assert sottovoce("protect", "./digit", sound, "p.wav").returncode == 0
    assert sottovoce("protect", "bundled:digit", sound, "q.wav").returncode == 0


# Other programs


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("yes a very long complaint >&2", "wrote more than"),
        ('cat /dev/zero > "$2"', "wrote more than"),
        ('head -c 4000000 /dev/zero > "$2"', "wrote more than"),
        ('ln -s /dev/zero "$2"', "wrote nothing"),
        ('mkfifo "$2"', "wrote nothing"),
        ('mkdir "$2"', "wrote nothing"),
        ("sleep 60", "took more than"),
    ],
)
def test_a_command_that_is_audited_is_bounded(sound, tmp_path, monkeypatch, line, reason):
    monkeypatch.setattr(protected_files, "_LARGEST_BYTES", 1 << 20)
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\n{line}\n")
    program.chmod(0o755)
    (tmp_path / "clips.csv").write_text("path,word\nsound.wav,yes\n")
    manifest = csv_file.read(tmp_path / "clips.csv")
    began = time.monotonic()
    with pytest.raises(ModelError, match=reason):
        of_command(f"{program} {{in}} {{out}}", manifest, tmp_path / "cache", 1, lambda *_: None, limit_s=1.0)
    assert time.monotonic() - began < 20


# What is said


HOSTILE = "na\x1b]0;OWNED\x07me\x1b[31m\nsottovoce: fine\r\u202egnp\x9b2J\x7f\u2028\ufeff"


def test_no_name_commands_the_terminal(sottovoce, tmp_path, sound):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / f"{HOSTILE}.wav").write_bytes(b"no sound")
    (tmp_path / "clips.csv").write_text(f'path,speaker\nsound.wav,"{HOSTILE}"\n', encoding="utf-8", newline="")
    for arguments in (
        ("protect", "digit", tmp_path / "in", tmp_path / "out"),
        ("protect", "digit", tmp_path / f"{HOSTILE}.wav", tmp_path / "o.wav"),
        ("protect", HOSTILE, sound, tmp_path / "o.wav"),
        ("protect", f"--{HOSTILE}", sound, tmp_path / "o.wav"),
        ("corpora", "check", f"csv:{tmp_path / 'clips.csv'}"),
        ("corpora", "check", f"folder:{HOSTILE}"),
    ):
        done = sottovoce(*arguments)
        for said in (done.stdout.decode(), done.stderr.decode()):
            assert not {*"\x1b\x07\r\u202e\x9b\x7f\u2028\ufeff"} & {*said} and "Traceback" not in said, (
                arguments,
                said,
            )
            assert "sottovoce: fine" not in [line.strip() for line in said.splitlines()], "nor says what was not said"
    told = sottovoce("protect", "digit", tmp_path / "in", tmp_path / "out", "--json").stdout
    assert list(json.loads(told)["failed"]) == [str(tmp_path / "in" / f"{HOSTILE}.wav")]


# Where it runs


def shell(line, tmp_path, **environment):
    path = {"SOTTOVOCE": " ".join(CLI), "SOTTOVOCE_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        ["timeout", "-k", "1", "50", "bash", "-c", line],
        capture_output=True,
        cwd=tmp_path,
        env={**os.environ, **path, **environment},
        timeout=60,
    )
    assert b"Traceback" not in done.stderr and b"Exception ignored" not in done.stderr, done.stderr
    return done


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("$SOTTOVOCE corpora list | head -1 >/dev/null; exit ${PIPESTATUS[0]}", 0),
        ("$SOTTOVOCE corpora list --json | true; exit ${PIPESTATUS[0]}", 0),
        ("$SOTTOVOCE --help | true; exit ${PIPESTATUS[0]}", 0),
        ("$SOTTOVOCE corpora list > /dev/full", 2),
        ("$SOTTOVOCE corpora list --json > /dev/full", 2),
        ("$SOTTOVOCE corpora list >&-", 0),
        ("$SOTTOVOCE corpora list 2>&-", 0),
        ("$SOTTOVOCE corpora list <&- >&- 2>&-", 0),
        ("$SOTTOVOCE protect digit sound.wav o.wav <&- >&- 2>&-", 0),
        ("$SOTTOVOCE protect digit sound.wav o.wav 2>/dev/full", 0),
        ("$SOTTOVOCE protect digit nowhere.wav o.wav 2>/dev/full", 2),
        ("$SOTTOVOCE protect digit nowhere.wav o.wav 2>&-", 2),
        ("$SOTTOVOCE protect digit - - <&-", 2),
        ("$SOTTOVOCE protect digit - - < sound.wav >&-", 2),
        ("$SOTTOVOCE protect digit - - < sound.wav > /dev/full", 2),
        ("$SOTTOVOCE protect digit - - < sound.wav > /dev/null", 2),
        ("head -c 3000000 /dev/zero | $SOTTOVOCE protect digit - - | head -c 9 >/dev/null; exit ${PIPESTATUS[1]}", 2),
        ("$SOTTOVOCE protect digit sound.wav /proc/o.wav", 2),
        ("$SOTTOVOCE protect digit sound.wav sound.wav/o.wav", 2),
        ("$SOTTOVOCE protect digit sound.wav $(printf 'x%.0s' {1..300}).wav", 2),
        ("ulimit -f 4; $SOTTOVOCE protect digit sound.wav o.wav", 2),
        ("ulimit -f 0; $SOTTOVOCE filters show digit --out page.html", 2),
        ("PYTHONIOENCODING=cp1252 $SOTTOVOCE --help", 0),
        ("PYTHONIOENCODING=ascii $SOTTOVOCE protect digit 小明.wav o.wav", 2),
        ("LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 $SOTTOVOCE protect digit 小明.wav o.wav", 2),
        ("$SOTTOVOCE protect digit $'caf\\xe9.wav' o.wav", 2),
        ("$SOTTOVOCE frobnicate", 2),
        ("$SOTTOVOCE", 2),
        ("echo | $SOTTOVOCE corpora fetch fsdd --out x", 2),
    ],
)
def test_streams_may_be_closed_full_or_old(sound, tmp_path, line, status):
    done = shell(line, tmp_path)
    assert done.returncode == status, (done.stdout[-300:], done.stderr)
    if status == 2 and "2>" not in line and done.stderr:
        assert done.stderr.decode(errors="replace").strip().splitlines()[-1].startswith("sottovoce: ")


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "cp437", "utf-8", "utf-16"])
def test_labels_reach_consoles_that_cannot_show_them(sound, tmp_path, encoding):
    (tmp_path / "clips.csv").write_text("path,speaker\nsound.wav,小明\n", encoding="utf-8")
    done = shell("$SOTTOVOCE corpora check csv:clips.csv", tmp_path, PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    done = shell("$SOTTOVOCE corpora check csv:clips.csv --json", tmp_path, PYTHONIOENCODING=encoding)
    json.loads(done.stdout.decode(encoding))


def test_names_that_are_not_utf_8_are_protected_and_resumed(sottovoce, sound, tmp_path):
    (tmp_path / "in").mkdir()
    shutil.copy(sound, os.fsencode(tmp_path) + b"/in/caf\xe9.wav")
    for text in ("1 files", "0 files (1 were finished before)"):
        done = sottovoce("protect", "digit", tmp_path / "in", tmp_path / "out")
        assert done.returncode == 0 and text in done.stdout.decode(), done.stderr
    assert os.listdir(os.fsencode(tmp_path / "out")) == [b"caf\xe9.wav"]


def test_a_user_without_a_home_is_told_what_to_do(sound, tmp_path):
    """As in a container that runs as a number: no HOME and no entry of that number."""
    code = "import pwd, sys; pwd.getpwuid = lambda number: {}[number]\nfrom sottovoce.cli import main; main()"
    environment = {k: v for k, v in os.environ.items() if k not in ("HOME", "SOTTOVOCE_CACHE", "XDG_CACHE_HOME")}

    def run(*arguments, **more):
        start = [sys.executable, "-c", code, *map(str, arguments)]
        return subprocess.run(start, capture_output=True, env={**environment, **more}, timeout=60, check=False)

    (tmp_path / "clips.csv").write_text("path,speaker\nsound.wav,ana\n")
    check = ("corpora", "check", f"csv:{tmp_path / 'clips.csv'}")
    assert "SOTTOVOCE_CACHE" in sentence(run("corpora", "check", "voices"))
    assert run(*check, SOTTOVOCE_CACHE=str(tmp_path / "cache")).returncode == 0
    assert "does not exist" in sentence(run("corpora", "check", "folder:~/sounds"))
    assert run("protect", "digit", sound, tmp_path / "o.wav").returncode == 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_a_command_in_one_sentence_and_leaves_nothing_half_done(sound, tmp_path, number, status):
    process = subprocess.Popen(
        [*CLI, "protect", "digit", "-", "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    maps, end = Path(f"/proc/{process.pid}/maps"), time.monotonic() + 20
    while "onnxruntime" not in maps.read_text() and time.monotonic() < end:  # then it is at work
        time.sleep(0.05)
    process.send_signal(number)
    said = process.communicate(timeout=20)[1].decode()
    assert process.returncode == status
    assert said.count("\n") == 1 and said.startswith("sottovoce: stopped"), said


def test_a_signal_while_it_starts_is_no_traceback():
    for delay_s in (0.05, 0.1, 0.2, 0.3):
        process = subprocess.Popen([*CLI, "doctor"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        time.sleep(delay_s)
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=20)[1]
        assert process.returncode in (143, -signal.SIGTERM, 0) and b"Traceback" not in said, said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_command_that_computes_in_another_language(number):
    """As onnxruntime and hashlib do: no handler of Python is called before the one call is over."""
    code = """
import hashlib, sys
from sottovoce import cli
from sottovoce.runtime import bundled
def known(*_):
    print("at work", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", (1 << 31) - 1)
bundled.known = known
cli._PATIENCE_S = 0.5
sys.argv = ["sottovoce", "filters", "list"]
cli.main()
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"at work\n"
        time.sleep(0.5)  # then it is within the call
        process.send_signal(number)
        said = process.communicate(timeout=10)[1].decode()
    finally:
        process.kill()
    assert process.returncode == 128 + number and said.startswith("sottovoce: stopped"), said


def test_nohup_is_respected():
    code = """
import signal, sys
signal.signal(signal.SIGHUP, signal.SIG_IGN)
sys.argv = ["sottovoce", "filters", "list"]
from sottovoce import cli
try:
    cli.main()
finally:
    print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "True"


def failing(error, **environment):
    code = f"""
import sys
from sottovoce.runtime import bundled
def known(*_):
    raise {error}
bundled.known = known
sys.argv = ["sottovoce", "filters", "list"]
from sottovoce.cli import main
main()
"""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env={**os.environ, **environment}, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ("ValueError('a\\x1b[31m\\nb')", 70),
        ("AssertionError()", 70),
        ("RecursionError('deep')", 70),
        ("KeyError('x')", 70),
        ("UnicodeEncodeError('ascii', 'x', 0, 1, 'no')", 70),
        ("MemoryError()", 2),
        ("OSError(28, 'No space left on device', '/x')", 2),
        ("PermissionError(13, 'Permission denied')", 2),
        ("TimeoutError()", 2),
        ("BrokenPipeError(32, 'Broken pipe')", 2),
        ("KeyboardInterrupt()", 130),
        ("SystemExit(3)", 3),
    ],
)
def test_what_nobody_thought_of_is_one_sentence_and_never_a_bad_finding(error, status):
    done = failing(error)
    assert done.returncode == status and done.stdout == b"", done.stderr
    assert b"Traceback" not in done.stderr
    if status in (2, 70):
        sentence(done, status)
    if status == 70:
        assert b"report it" in done.stderr and b"SOTTOVOCE_DEBUG" in done.stderr
        assert b"Traceback" in failing(error, SOTTOVOCE_DEBUG="1").stderr


def test_a_finding_is_not_lost_with_the_reader(folder, tmp_path):
    """`sottovoce corpora check ... | true` still says by its status that a clip is unusable."""
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    soundfile.write(tmp_path / "good.wav", 0.1 * np.random.default_rng(0).standard_normal(8000), 16000)
    (tmp_path / "clips.csv").write_text("path,speaker\ngood.wav,a\nbad.wav,b\n")
    done = shell("$SOTTOVOCE corpora check csv:clips.csv | true; exit ${PIPESTATUS[0]}", tmp_path)
    assert done.returncode == 1, done.stderr
