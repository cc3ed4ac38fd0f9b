"""The promise: whatever stalls, dies or restarts, there is silence, never the microphone.

A virtual microphone with listeners never goes away, and none is taken from whoever plays to it. Where nobody can tell
whether a program listens to the microphone itself, the state is unknown. A crash leaves no sound behind.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sottovoce.errors import AudioError
from sottovoce.live import installed_microphone, pulse
from sottovoce.live.live import Watcher
from sottovoce.live.virtual_microphone import VirtualMicrophone

RATE = 16000
FILTER = "level"  # which has a codeword for any sound that is loud enough
NAME = "Quiet"
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
COMMAND = [sys.executable, "-m", "sottovoce.cli"]

sys.path.insert(0, str(BENCHMARKS))
try:
    import fail_closed
    import sound_servers
finally:
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module", params=sorted(sound_servers.SERVERS))
def kind(request):
    if lacking := sound_servers.SERVERS[request.param].lacks():
        pytest.skip(f"{request.param} is not installed: there is no {', '.join(lacking)}")
    return request.param


@pytest.fixture(scope="module")
def running(kind, tmp_path_factory):
    server = sound_servers.SERVERS[kind](tmp_path_factory.mktemp("server"))
    yield server
    server.stop()


@pytest.fixture
def server(running, monkeypatch):
    """A sound server that this process talks to, without virtual microphones."""
    for key, value in running.environment.items():
        monkeypatch.setenv(key, value)
    yield running
    for number, _ in pulse.pipe_modules():
        pulse.pactl("unload-module", number)


@pytest.fixture
def listening(server):
    """Begins to listen to a source, in a program of its own."""
    programs = []

    def listen(source):
        programs.append(sound_servers.recorder(server, f"listening-{time.monotonic_ns()}", source))
        fail_closed.until(lambda: pulse.listeners(source))
        return programs[-1]

    yield listen
    for program in programs:
        program.close()


def elsewhere(monkeypatch, folder):
    """Another runtime folder, at the same sound server."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))


def made_by_hand(folder, *settings):
    words = {"format": "s16le", "channels": "1", "rate": str(RATE), **dict(one.split("=") for one in settings)}
    arguments = [f"{key}={value}" for key, value in words.items()]
    pulse.pactl("load-module", pulse.PIPE_MODULE, f"source_name={NAME}", f"file={folder / 'by-hand'}", *arguments)
    fail_closed.until(lambda: NAME in [one.name for one in pulse.sources()])


# Real sound servers


def test_the_microphone_is_never_in_the_virtual_one_whoever_is_killed_or_restarted(kind):
    found = fail_closed.measure(FILTER, 3, 0.5, kind)
    assert all(like > 0.9 for like in found["control"].values()), "the test hears the microphone where it is"
    for when, sound in found["heard"].items():
        assert not any(sound[name]["suspect"] for name in fail_closed.WINDOWS), when
        assert sound["silent"] < 1.0, f"something was played {when}"
    assert found["the virtual microphone stayed for its listener"]
    assert found["the tool said that somebody hears the microphone itself"]
    assert found["had it been removed, the listener would have heard"]["20 ms"]["suspect"], "which is why it stays"


def test_a_source_that_exists_outlives_whoever_plays_to_it(server, listening):
    microphone = VirtualMicrophone(NAME, RATE)
    assert NAME in server.sources(), "it is there before anything is said of it"
    microphone.close()
    assert NAME in server.sources()
    again = VirtualMicrophone(NAME, RATE)
    again.close()
    assert server.sources().count(NAME) == 1


def test_a_microphone_that_was_left_behind_with_a_listener_is_taken_over(server, listening, monkeypatch, tmp_path):
    VirtualMicrophone(NAME, RATE).close()
    before = pulse.pipe_modules()
    program = listening(NAME)
    elsewhere(monkeypatch, tmp_path)
    microphone = VirtualMicrophone(NAME, RATE)
    try:
        for _ in range(300):
            microphone.write(np.full(RATE // 100, 0.25, np.float32))
            time.sleep(0.01)
        assert pulse.pipe_modules() == before
        fail_closed.until(lambda: fail_closed.samples(program).any(), 10)
    finally:
        microphone.close()


def test_one_with_a_listener_that_cannot_be_taken_over_stays(server, listening, monkeypatch, tmp_path):
    VirtualMicrophone(NAME, RATE).close()
    before = pulse.pipe_modules()
    listening(NAME)
    Path(before[0][1]["file"]).unlink()
    for _ in range(2):
        with pytest.raises(AudioError, match=r"parec .* listens to 'Quiet'"):
            VirtualMicrophone(NAME, RATE)
        elsewhere(monkeypatch, tmp_path)
    assert pulse.pipe_modules() == before


def test_without_a_listener_it_is_made_anew(server):
    VirtualMicrophone(NAME, RATE).close()
    Path(pulse.pipe_modules()[0][1]["file"]).unlink()
    VirtualMicrophone(NAME, RATE).close()
    assert server.sources().count(NAME) == 1


def test_one_plays_to_a_name_and_no_other(server, monkeypatch, tmp_path):
    first = VirtualMicrophone(NAME, RATE)
    try:
        before = pulse.pipe_modules()
        for _ in range(2):
            with pytest.raises(AudioError, match="another `sottovoce live` plays to 'Quiet'"):
                VirtualMicrophone(NAME, RATE)
            with pytest.raises(AudioError, match="another"):
                installed_microphone.remove(NAME)
            elsewhere(monkeypatch, tmp_path)
        assert pulse.pipe_modules() == before
        VirtualMicrophone(f"{NAME}2", RATE).close()
        assert first.write(np.zeros(160, np.float32)) == 160
    finally:
        first.close()


@pytest.mark.parametrize("setting", ["rate=44100", "rate=8000", "channels=2", "format=s16be", "format=float32le"])
def test_a_source_of_another_form_is_not_taken_over(server, tmp_path, setting):
    made_by_hand(tmp_path, setting)
    before = pulse.pipe_modules()
    with pytest.raises(AudioError, match=rf"{setting.split('=')[1]}.*expected s16le 1ch 16000Hz"):
        VirtualMicrophone(NAME, RATE)
    assert pulse.pipe_modules() == before


def test_a_source_that_something_else_made_is_not_doubled(server):
    settings = [f"master={sound_servers.ROOM}.monitor", f"source_name={NAME}"]
    module = pulse.pactl("load-module", "module-remap-source", *settings).strip()
    try:
        fail_closed.until(lambda: NAME in server.sources())
        with pytest.raises(AudioError, match="did not make"):
            VirtualMicrophone(NAME, RATE)
        fail_closed.until(lambda: [one for one in server.sources() if NAME in one] == [NAME], 5)
    finally:
        pulse.pactl("unload-module", module)


def test_it_is_removed_on_demand_where_nobody_listens(server, listening):
    VirtualMicrophone(NAME, RATE).close()
    program = listening(NAME)
    with pytest.raises(AudioError, match="end that program first"):
        installed_microphone.remove(NAME)
    assert NAME in server.sources()
    program.close()
    fail_closed.until(lambda: not pulse.listeners(NAME))
    assert "no virtual microphone" in installed_microphone.remove(NAME)
    fail_closed.until(lambda: NAME not in server.sources(), 5)


def test_a_microphone_is_made_again_whenever_the_server_or_its_module_goes_away(server):
    microphone = VirtualMicrophone(NAME, RATE)

    def comes_back():
        assert microphone.write(np.zeros(160, np.float32)) in (0, 160), "nothing waits, nothing is raised"
        return NAME in server.sources() and not microphone._lost.is_set()

    try:
        pulse.pactl("unload-module", pulse.pipe_modules()[0][0])
        time.sleep(0.1)
        fail_closed.until(comes_back, 10)
        for number in (signal.SIGTERM, signal.SIGKILL):
            server.stop(number)
            assert microphone.write(np.zeros(160, np.float32)) == 0
            server.start()
            fail_closed.until(comes_back, 10)
            assert server.sources().count(NAME) == 1
    finally:
        microphone.close()


def test_the_server_makes_an_installed_one_itself_at_each_start(server):
    path = installed_microphone.install(NAME, RATE)
    assert installed_microphone.install(NAME, RATE) == path, "twice is once"
    server.stop()
    server.start()
    assert server.sources().count(NAME) == 1
    microphone = VirtualMicrophone(NAME, RATE)
    assert server.sources().count(NAME) == 1, "taken over"
    microphone.close()
    installed_microphone.remove(NAME)
    server.stop()
    server.start()
    assert NAME not in server.sources()


# What nobody can tell


LISTS = {
    "sources": '[{"index":1,"name":"mic","volume":0.00,"properties":{"device.string":"hw:0"}}]',
    "source-outputs": '[{"index":5,"source":1,"volume":0.00,"properties":{"application.name":"Call"}}]',
}
TEXTS = {
    "sources": 'Source #1\n\tState: RUNNING\n\tName: mic\n\tOwner Module: 4\n\tProperties:\n\t\tdevice.string = "hw:0"',
    "source-outputs": 'Source Output #5\n\tSource: 1\n\tProperties:\n\t\tapplication.name = "Call"\n\t\tx = "'
    '\n\tSource: 9"',
}


def stand_in(folder: Path, script: str) -> None:
    """A `pactl` of which JSON and TEXT are the listings."""
    for name in LISTS:
        (folder / f"{name}.json").write_text(LISTS[name])
        (folder / f"{name}.txt").write_text(TEXTS[name])
    program = folder / "pactl"
    text = f"#!/bin/sh\ncd {folder}\nlast() {{ for last; do :; done; echo $last; }}\n{script}\n"
    # Written by another process: a file that this one holds open while a thread forks cannot be run ("text file busy").
    subprocess.run(["tee", program], input=text, text=True, stdout=subprocess.DEVNULL, check=True)
    program.chmod(0o755)


@pytest.fixture
def fake(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return lambda script: stand_in(tmp_path, script)


WHOLE = 'case "$*" in --format=json*) cat $(last $*).json;; list*) cat $(last $*).txt;; esac'
COMMAS = WHOLE.replace(".json;;", ".json | sed s/0[.]00/0,00/g;;")


@pytest.mark.parametrize(
    "script",
    [
        WHOLE,
        f'[ "$LC_ALL" = C ] || exit 1; {WHOLE}',
        COMMAS,
        WHOLE.replace("cat $(last $*).json", "echo unknown option >&2; exit 1"),
        WHOLE.replace("cat $(last $*).json", "echo '{}'"),
        WHOLE.replace("cat $(last $*).json", "echo '[3]'"),
        WHOLE.replace("cat $(last $*).json", "true"),
    ],
)
def test_who_listens_is_told_in_every_language_and_by_old_tools(fake, monkeypatch, script):
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    fake(script)
    assert pulse.listeners("mic") == ["Call (?)"]
    assert [(one.name, one.pipe) for one in pulse.sources()] == [("mic", "hw:0")]


@pytest.mark.parametrize(
    "script",
    [
        "exit 1",
        "true",
        "echo '['",
        "echo '[{}]'",
        "head -c 200 /dev/urandom",
        "kill -9 $$",
        "printf '[%.0s' $(seq 9999)",
        f"{COMMAS.replace('cat $(last $*).txt', 'true')}",
    ],
)
def test_whatever_goes_wrong_with_the_question_nobody_knows(fake, script):
    fake(script)
    deadline = time.monotonic() + 0.5

    def ask() -> bool:  # the thread goes on after the test, and asks nothing then
        return time.monotonic() < deadline and bool(pulse.listeners("mic"))

    watcher = Watcher(ask, every_s=0.05)
    while time.monotonic() < deadline:
        assert watcher.answer() is None
        time.sleep(0.01)


def test_an_answer_counts_only_while_it_is_new():
    answers = [False, True]

    def ask():
        if not answers:
            time.sleep(60)
        return answers.pop(0)

    watcher, seen, deadline = Watcher(ask, every_s=0.1), [], time.monotonic() + 1.0
    while time.monotonic() < deadline:
        if not seen or watcher.answer() is not seen[-1]:
            seen.append(watcher.answer())
        time.sleep(0.01)
    assert [one for one in seen if one is not None] == [False, True] and seen[-1] is None


@pytest.mark.parametrize("script", [COMMAS.replace("cat $(last $*).txt", "true"), WHOLE])
def test_live_never_says_obfuscated_where_nobody_knows_who_listens(fake, tmp_path, monkeypatch, script):
    fake(script)
    (tmp_path / "parec").write_text(f"#!/bin/sh\nexec {sys.executable} {tmp_path}/parec.py\n")
    (tmp_path / "parec").chmod(0o755)
    (tmp_path / "parec.py").write_text(
        "import sys, time\nwhile True:\n    sys.stdout.buffer.write(bytes(320)); sys.stdout.flush(); time.sleep(0.01)"
    )
    command = [*COMMAND, "live", FILTER, "--device", "pulse:mic", "--out", "-", "--headless", "--seconds", "2"]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    states = [json.loads(line)["state"] for line in done.stderr.splitlines() if line.startswith(b"{")]
    assert done.returncode == 0 and states, done.stderr
    assert set(states) <= {"unknown", "clear"} and states[-1] == ("clear" if script == WHOLE else "unknown")


def test_a_microphone_that_does_not_exist_is_one_sentence(fake):
    fake(WHOLE)
    command = [*COMMAND, "live", FILTER, "--device", "pulse:typo", "--out", "-", "--headless", "--seconds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert "no microphone 'typo'" in done.stderr and "mic" in done.stderr


def test_a_left_behind_microphone_is_not_removed_where_nobody_knows_who_listens(fake, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    modules = f"printf '7\\tmodule-pipe-source\\tsource_name={NAME} file=/gone format=s16le channels=1 rate={RATE}\\n'"
    fake(f'echo "$@" >> log; case "$*" in "list short modules") {modules};; esac')
    with pytest.raises(AudioError):
        VirtualMicrophone(NAME, RATE)
    with pytest.raises(AudioError):
        installed_microphone.remove(NAME)
    assert "unload" not in (tmp_path / "log").read_text()


def test_arguments_of_several_lines_and_with_odd_quotes_are_modules_too(fake, tmp_path):
    lines = '1\tlibpipewire-module-rt\t{\n  nice = -11\n}\t\n2\tmodule-pipe-source\tsource_name=a file="/a b"\t\n'
    (tmp_path / "modules").write_text(lines + "3\tmodule-pipe-source\tsource_name=b x='y\n")
    fake("cat modules")
    (first, settings), (second, odd) = pulse.pipe_modules()
    assert (first, settings) == ("2", {"source_name": "a", "file": "/a b"})
    assert second == "3" and odd["source_name"] == "b"


def test_the_configuration_of_a_user_is_kept(fake, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    fake("echo 'Server Name: pulseaudio'")
    (tmp_path / ".config" / "pulse").mkdir(parents=True)
    script = tmp_path / ".config" / "pulse" / "default.pa"
    script.write_bytes(b"# caf\xe9\nload-module module-x")
    for name in ("one", "two"):
        installed_microphone.install(name, RATE)
    assert script.read_bytes().startswith(b"# caf\xe9\nload-module module-x\n")
    fake('case "$*" in info) echo PipeWire;; esac')
    path = installed_microphone.install("one", 48000)
    assert "48000" in path.read_text()
    for name in ("two", "one"):
        installed_microphone.remove(name)
    assert not path.exists() and script.read_bytes().strip() == b"# caf\xe9\nload-module module-x"


# No trace


DUMPABLE = "import ctypes, resource; print(ctypes.CDLL(None).prctl(3), *resource.getrlimit(resource.RLIMIT_CORE))"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can be asked whether a process may be dumped")
@pytest.mark.parametrize(
    "code",
    [
        "from sottovoce.live.worker import Link, work\n"
        "def opener():\n    raise SystemExit\n"
        "try:\n    work([Link(16000, ())], opener)\nexcept SystemExit:\n    pass\n",
        *(
            f"import sys; sys.argv = ['sottovoce', *{words}]\nfrom sottovoce.cli import main\n"
            "try:\n    main()\nexcept SystemExit:\n    pass\n"
            for words in (
                ["live", FILTER, "--devices"],
                ["serve", FILTER, "--tls-cert", "none.pem"],
            )
        ),
    ],
)
def test_no_core_dump_holds_sound(code):
    done = subprocess.run([sys.executable, "-c", code + DUMPABLE], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["0", "0", "0"], done.stderr


@pytest.mark.skipif(not Path("/dev/shm").exists(), reason="shared memory has no names here")
@pytest.mark.parametrize("first", ["tool", "worker"])
def test_no_shared_memory_is_left_behind_by_a_kill(tmp_path, first):
    soundfile.write(tmp_path / "room.wav", np.full(20 * RATE, 0.1), RATE, "PCM_16")
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    command = [*COMMAND, "live", FILTER, "--simulate", str(tmp_path / "room.wav"), "--out", "-", "--headless"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, "TMPDIR": str(scratch)}
    ) as tool:
        assert tool.stdout is not None and tool.stdout.read(RATE)
        pids = [tool.pid, *fail_closed._workers(tool.pid)]
        named = [str(path) for path in Path("/dev/shm").iterdir() if any(f"-{pid}-" in path.name for pid in pids)]
        assert not named, "sound in a file that has a name"
        for pid in pids if first == "tool" else reversed(pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    left = [path for path in scratch.rglob("*") if path.is_file() and path.stat().st_size >= RATE]
    assert not left
