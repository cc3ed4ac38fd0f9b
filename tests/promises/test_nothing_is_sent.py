"""Nothing is sent: no command opens a socket, or writes but to what it was told to, the cache and temporary folders.

The exceptions have a network by their nature: `corpora fetch`, `serve`, `live`, `cameras`, `studio` (loopback alone),
and a target that is an address. This holds for everything that a command brings with it: other processes, and every
library. One process runs all commands in small sizes, in a home of its own, in an empty network namespace, while its
system calls are traced.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import sottovoce
from sottovoce import doctor

SOURCE = Path(sottovoce.__file__).parent
ROOT = SOURCE.parents[1]
TARGET = {"architecture": "deepspeech2", "settings.maps": 2, "settings.hidden": 8, "steps": 2, "batch": 4}
CODEBOOK = {
    "student.steps": 2,
    "student.queries": 64,
    "student.batch": 4,
    "drawing.steps": 2,
    "drawing.candidates": 64,
    "voters": 1,
    "voter_steps": 2,
    "judges": False,
    "none.steps": 3,
    "none.measured": 32,
}
SIZES = {f"{player}.{size}": 4 for player in ("obfuscator", "deobfuscator") for size in ("width", "blocks")}
SETTINGS = f"""
import functools
from sottovoce import demo
from sottovoce.audit import budgets
from sottovoce.audit.budgets import Effort

effort = Effort(("linear",), ("linear",), (), {{}}, curves=(), shares=(0.5,), restorer_steps=2)
budgets.EFFORTS = {{"quick": effort, "standard": effort}}
demo.run = functools.partial(
    demo.run, corpus="csv:corpus/clips.csv", target_settings={TARGET}, filter_settings={CODEBOOK}
)
"""


def overridden(settings: Mapping[str, object]) -> list[str]:
    """The options that override settings."""
    return [option for name, value in settings.items() for option in ("--set", f"{name}={value}")]


# Runs the commands of its first argument (JSON), and writes for each: status, what was said, what the hook saw.
RUNNER = """
import contextlib, io, json, os, sys
seen = []
def hook(event, details):
    if event.startswith("socket."):
        inside = event == "socket.__new__" and details[1] == 1  # a pair of ends between two processes of ours
        if not inside:
            seen.append([event, repr(details[1:])])
    elif event == "open" and isinstance(details[0], str) and details[2] is not None and details[2] & 3:
        seen.append(["open", os.path.abspath(details[0])])
sys.addaudithook(hook)
import sottovoce.cli
made = []
for words in json.loads(sys.argv[1]):
    seen.clear()
    if len(made) == 1:  # the first command has the process as it is
        exec(open("settings.py").read())
    sys.argv = ["sottovoce", *words]
    said = io.StringIO()
    feed = words[0] == "protect" and "-" in words
    if feed:
        sound = open("sound.raw", "rb")
        os.dup2(sound.fileno(), 0)
    status = None
    with contextlib.redirect_stderr(said):
        try:
            sottovoce.cli.main()
        except SystemExit as stopped:
            status = stopped.code
    made.append([words, status, said.getvalue()[-2000:], list(seen)])
with open("made.json", "w") as file:
    json.dump(made, file)
"""
COMMANDS = (
    ("doctor",),
    ("filters", "list"),
    ("filters", "show", "digit", "--out", "out/words.html"),
    ("corpora", "list"),
    ("corpora", "check", "csv:corpus/clips.csv"),
    ("protect", "digit", "corpus/ada-no-0.wav", "out/one.wav"),
    ("protect", "digit", "corpus", "out/all", "--workers", "2"),
    ("protect", "digit", "-", "-", "--sample-rate", "16000"),
    ("target", "--corpus", "csv:corpus/clips.csv", "--task", "word", "--out", "out/target",
     *overridden(TARGET)),
    ("train", "--corpus", "csv:corpus/clips.csv", "--permit", "word", "--target", "out/target", "--out", "out/filter",
     *overridden(CODEBOOK)),
    ("train", "--corpus", "csv:corpus/clips.csv", "--permit", "word", "--target", "out/target", "--method", "optin",
     "--out", "out/optin", "--set", "steps=2", "--set", "batch=4", *overridden(SIZES)),
    ("audit", "out/filter", "--corpus", "csv:corpus/clips.csv", "--attack", "gender", "--workers", "2", "--split",
     "utterance", "--out", "out/audit"),
    ("audit", "command:cp {in} {out}", "--corpus", "csv:corpus/clips.csv", "--attack", "gender", "--split", "utterance",
     "--target", "out/target", "--permit", "word", "--out", "out/copied"),
    ("verify", "out/audit"),
    ("export", "out/filter", "--out", "out/exported"),
    ("export", "out/filter", "--int8", "--out", "out/packed"),
    ("demo", "--out", "out/demo"),
    ("protect", "digit", "nowhere.wav", "out/none.wav"),
)  # fmt: skip
# Of a shell: no network but an empty one, and every call that opens a socket or a file.
ALONE = ("unshare", "--net", "--map-root-user")
TRACED = (
    "strace",
    "-f",
    "-qq",
    "--seccomp-bpf",
    "-e",
    "trace=socket,connect,bind,openat,creat,mkdir,rename",
    "-o",
    "calls",
)


class Made(NamedTuple):
    """What each command did, the folder before all of them, and all system calls; none where they cannot be traced."""

    commands: list[Any]
    folder: Path
    before: dict[Path, bytes]
    calls: list[str]


def can(*words: str) -> bool:
    try:
        return subprocess.run([*words, "true"], capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def environment(folder: Path) -> dict[str, str]:
    """That of a new user on a new machine, with the sources that are under test."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG") if name in os.environ}
    private = {"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp"), "LOGNAME": "new", "OMP_NUM_THREADS": "1"}
    return kept | private | {"PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture(scope="module")
def made(shaped_once, tmp_path_factory) -> Made:
    folder = tmp_path_factory.mktemp("nothing")
    shutil.copytree(shaped_once.table.parent, folder / "corpus", ignore=shutil.ignore_patterns("cache", "*-[34].wav"))
    rows = [row for row in shaped_once.table.read_text().splitlines() if not re.search(r"-[34]\.wav", row)]
    parts = ["split", *(["train", "validation", "test"][number % 3] for number in range(len(rows) - 1))]
    (folder / "corpus" / "clips.csv").write_text(
        "\n".join(f"{row},{part}" for row, part in zip(rows, parts, strict=True))
    )
    for name in ("home", "tmp", "out"):
        (folder / name).mkdir()
    (folder / "sound.raw").write_bytes(bytes(64_000))
    (folder / "run.py").write_text(RUNNER)
    (folder / "settings.py").write_text(SETTINGS)
    alone = ALONE if can(*ALONE) else ()
    traced = TRACED if can(*TRACED[:-1], os.devnull) else ()
    before = files(folder)
    subprocess.run(
        [*alone, *traced, sys.executable, "run.py", json.dumps(COMMANDS)],
        cwd=folder, env=environment(folder), stdout=subprocess.DEVNULL, check=True, timeout=600,
    )  # fmt: skip
    calls = (folder / "calls").read_text(errors="replace").splitlines() if traced else []
    return Made(json.loads((folder / "made.json").read_text()), folder, before, calls)


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_every_command_did_its_work(made):
    statuses = {" ".join(words): (status, said) for words, status, said, _ in made.commands}
    expected = {" ".join(words): 0 for words in COMMANDS} | {" ".join(COMMANDS[-1]): 2}
    assert {words: status for words, (status, _) in statuses.items()} == expected, statuses
    for name in ("words.html", "one.wav", "all", "target", "filter", "audit", "exported", "demo"):
        assert (made.folder / "out" / name).exists(), name


@pytest.mark.parametrize("command", range(len(COMMANDS)), ids=[" ".join(words[:3]) for words in COMMANDS])
def test_no_command_opens_a_socket_or_writes_elsewhere(made, command):
    _, _, _, seen = made.commands[command]
    assert not [event for event in seen if event[0].startswith("socket.")]
    written = {path for event, path in seen if event == "open"}
    assert not [path for path in written if not allowed(made, path)]


def allowed(made: Made, path: str) -> bool:
    """Whether a file may be written: the output, the cache, what is temporary, and what is no file."""
    places = [made.folder / "out", made.folder / "home" / ".cache" / "sottovoce", made.folder / "tmp"]
    return any(path == str(place) or path.startswith(f"{place}/") for place in places) or path.startswith(
        ("/dev/null", "/dev/shm/", "/dev/tty", "/dev/pts/", "/proc/self/")
    )


def test_nothing_is_there_afterwards_but_the_output_and_the_cache(made):
    after = files(made.folder)
    kept = {path: content for path, content in after.items() if path in made.before}
    assert kept == made.before
    new = {path for path in after.keys() - made.before.keys() if path.name not in ("calls", "made.json")}
    elsewhere = [path for path in new if not allowed(made, str(path))]
    assert not elsewhere
    assert not [path for path in new if path.is_relative_to(made.folder / "tmp")], "what is temporary is gone"
    assert [*(made.folder / "home").iterdir()] == [made.folder / "home" / ".cache"]
    assert [*(made.folder / "home" / ".cache").iterdir()] == [made.folder / "home" / ".cache" / "sottovoce"]


def test_the_system_saw_no_socket_and_no_other_file_of_any_process(made):
    if not made.calls:
        pytest.skip("strace is not there, or may not trace here")
    assert len(made.calls) > 1000
    assert not [line for line in made.calls if re.search(r" (socket|connect|bind)\(", line)]
    opened = [line for line in made.calls if re.search(r" (openat|creat)\(", line) and not line.rstrip().endswith(")")]
    written = [line for line in opened if re.search(r"creat\(|O_WRONLY|O_RDWR|O_CREAT", line) and " = -1 " not in line]
    places = {quoted.group(1) for line in written if (quoted := re.search(r'"([^"]*)"', line))}
    assert places
    strange = [place for place in places if not allowed(made, os.path.normpath(made.folder / place))]
    assert not [place for place in strange if place not in ("made.json", str(made.folder / "made.json"))]
    made_folders = [line for line in made.calls if " mkdir(" in line and " = 0" in line]
    folders = [quoted.group(1) for line in made_folders if (quoted := re.search(r'"([^"]*)"', line))]
    known = (str(made.folder / "home" / ".cache"),)
    assert not [
        place for place in folders if place not in known and not allowed(made, os.path.normpath(made.folder / place))
    ]


# Telemetry of onnxruntime, in every process


def leaves(folder: Path, code: str, **more: str) -> tuple[list[str], str]:
    """What a fresh interpreter leaves in an empty home folder, and what it says on standard error."""
    (folder / "home").mkdir()
    (folder / "tmp").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(folder) | more,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return [str(path.relative_to(folder / "home")) for path in files(folder / "home")], done.stderr


FILTER = f"from sottovoce.runtime.filter import Filter; Filter.load({str(SOURCE / 'filters' / 'digit')!r})"
WORKERS = {
    "a program": FILTER,
    "a program that imports onnxruntime next": f"import sottovoce, onnxruntime; {FILTER}",
    "a program that imports one room": "import sottovoce.live.worker, sottovoce.graphs",
    "a child without the environment": (
        "import os, subprocess, sys, sottovoce\n"
        "env = {name: value for name, value in os.environ.items() if name != 'ORT_DISABLE_TELEMETRY'}\n"
        f"subprocess.run([sys.executable, '-c', {FILTER!r}], check=True, env=env)"
    ),
    "a worker of multiprocessing": (
        "import multiprocessing, sottovoce\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('forkserver').Pool(1) as pool: pool.apply(exec, (" + repr(FILTER) + ",))"
    ),
    "a worker of joblib": (
        f"import joblib, sottovoce; joblib.Parallel(2)(joblib.delayed(exec)({FILTER!r}) for _ in '12')"
    ),
}


@pytest.mark.parametrize("kind", WORKERS)
@pytest.mark.parametrize("told", ["nothing", "0", ""])
def test_telemetry_is_off_in_every_process_whatever_the_environment_says(tmp_path, kind, told):
    before = {} if told == "nothing" else {"ORT_DISABLE_TELEMETRY": told}
    found, said = leaves(tmp_path, WORKERS[kind], **before)
    assert not found and "Warning" not in said


@pytest.fixture
def talkative(tmp_path) -> None:
    """Skip where this onnxruntime sends nothing anyhow."""
    (tmp_path / "alone").mkdir()
    if not leaves(tmp_path / "alone", "import onnxruntime")[0]:
        pytest.skip("this onnxruntime has no telemetry on this system")


def test_a_program_that_imported_onnxruntime_first_is_warned_once(talkative, tmp_path):
    found, said = leaves(tmp_path, f"import onnxruntime; import sottovoce; {FILTER}")
    assert found
    assert said.count("RuntimeWarning: onnxruntime was imported before sottovoce, with its telemetry on") == 1
    assert "import sottovoce first" in said


@pytest.mark.parametrize("told", ["1", "true"])
def test_a_program_that_turned_it_off_itself_is_not_warned(tmp_path, told):
    found, said = leaves(tmp_path, f"import onnxruntime; {FILTER}", ORT_DISABLE_TELEMETRY=told)
    assert not found and not said


def test_doctor_looks_whether_it_is_off(talkative, monkeypatch):
    assert doctor.telemetry() == "off"
    assert doctor.examine()["telemetry"] == "off" and "telemetry of onnxruntime: off" in doctor.text(doctor.examine())
    monkeypatch.setattr(doctor, "_OBSERVED", "import onnxruntime")
    assert doctor.telemetry() == "on"
    monkeypatch.setattr(doctor, "_OBSERVED", "1 / 0")
    assert doctor.telemetry() == "unknown (CalledProcessError)"


def python_files() -> Iterator[Path]:
    for name in ("src", "benchmarks", "examples"):
        yield from (ROOT / name).rglob("*.py")


def test_one_file_imports_onnxruntime():
    """Others take their sessions from it; the quantiser of onnxruntime has none that runs."""
    importers = {
        (path.name, name)
        for path in python_files()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in (
            [one.name for one in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        if name.split(".")[0] == "onnxruntime"
    }
    assert {name for name, module in importers if not module.startswith("onnxruntime.quantization")} == {"graphs.py"}
