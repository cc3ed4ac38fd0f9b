"""Laws of many cameras: each output is the filter's sound or silence, whatever fails, and none waits for another."""

import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sottovoce.errors import ConfigError
from sottovoce.live import cameras
from sottovoce.live.cameras import Camera, opened, read_cameras
from sottovoce.live.worker import open_filter
from sottovoce.runtime import bundled
from sottovoce.runtime.filter import Filter

sys.path.insert(0, str(Path(__file__).parent))
try:
    from rtsp import RtspServer
finally:
    sys.path.remove(str(Path(__file__).parent))

RATE = 16000
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "cameras.md"
FILTER = "digit"
HELD = 1.0  # seconds of the sound of a camera, which it repeats

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """The sound of every camera: a second of noise again and again, which correlates with nothing but itself."""
    wav = np.tile(0.1 * np.random.default_rng(0).standard_normal(round(HELD * RATE)), 120)
    path = tmp_path_factory.mktemp("camera") / "noise.wav"
    soundfile.write(path, wav, RATE, "PCM_16")
    return path


@pytest.fixture
def server():
    made = RtspServer()
    yield made
    made.close()


@pytest.fixture
def publish(server, noise):
    """Publishes the noise, with a picture if it is to have one, to a path of the server."""
    running = []

    def start(path: str, picture: bool = False) -> subprocess.Popen:
        video = ["-re", "-f", "lavfi", "-i", "testsrc=size=160x120:rate=10", "-c:v", "libx264", "-preset", "ultrafast"]
        command = ["ffmpeg", "-nostdin", "-v", "error", "-re", "-i", str(noise), *(video if picture else [])]
        command += ["-g", "5", "-c:a", "pcm_s16be", "-f", "rtsp", "-rtsp_transport", "tcp", server.url(path)]
        running.append(subprocess.Popen(command))
        wait(lambda: path in server.described)
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.wait()


def wait(condition, seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def likeness(wav: np.ndarray, noise: Path) -> float:
    """The highest correlation of a second of a sound with the second that the cameras repeat; about 0.04 by chance."""
    second = soundfile.read(noise, frames=round(HELD * RATE))[0]
    spectrum = np.conj(np.fft.rfft(second / np.linalg.norm(second)))
    found = [0.0]
    for start in range(0, len(wav) - len(second) + 1, len(second) // 2):
        part = wav[start : start + len(second)]
        if part.any():
            found.append(np.abs(np.fft.irfft(np.fft.rfft(part / np.linalg.norm(part)) * spectrum)).max())
    return float(max(found))


def play(listed: list[Camera], each: Callable[[dict], bool]) -> dict:
    """Run cameras until `each`, given reports, returns True -> the last report."""
    folder = bundled.find(FILTER)
    opener = partial(open_filter, folder, RATE, ("digit",), 0.5)
    with opened(listed, opener, Filter.load(folder).stream(RATE).latency_samples, RATE) as running:
        deadline = time.monotonic() + 180

        def going() -> bool:
            assert time.monotonic() < deadline, running.report()
            return not each(running.report())

        running.run(going)
        return running.report()


def states(report: dict) -> dict[str, str]:
    return {name: one["state"] for name, one in report.items()}


def test_the_likeness_finds_a_camera_far_below_another_sound(noise):
    wav, _ = soundfile.read(noise, frames=5 * RATE, start=777)
    other = np.sin(np.arange(len(wav)) * 0.3)
    assert likeness(other, noise) < 0.06
    assert likeness(other + wav, noise) > 0.1, "20 dB below"


@needs_ffmpeg
def test_a_camera_that_hangs_up_and_one_that_stalls_are_silent_and_come_back(
    tmp_path, server, publish, noise, monkeypatch
):
    monkeypatch.setattr(cameras, "_MUTE_S", 2.0)
    listed = [Camera(name, server.url(name), str(tmp_path / f"{name}.wav")) for name in ("steady", "drops", "stalls")]
    listed.append(Camera("absent", server.url("absent"), str(tmp_path / "absent.wav")))
    for camera in listed[:3]:
        publish(camera.name)
    all_run = {"steady": "obfuscated", "drops": "obfuscated", "stalls": "obfuscated", "absent": "stopped"}
    seen: list[dict] = []

    def fail(report: dict) -> bool:
        if not seen and states(report) == all_run:
            seen.append(report)
            server.drop("drops")
            server.stalled.add("stalls")
        elif len(seen) == 1 and report["drops"]["connections_in"] > 1 and report["stalls"]["connections_in"] > 1:
            seen.append(report)
            server.stalled.discard("stalls")
        return len(seen) == 2 and states(report) == all_run

    report = play(listed, fail)
    for name in all_run:
        wav, _ = soundfile.read(tmp_path / f"{name}.wav")
        assert likeness(wav, noise) < 0.09, name
        given = report[name]["obfuscated"] + report[name]["silent"] - report[name]["dropped_output"]
        assert abs(len(wav) - given) < RATE, "silence comes in time where nothing else does"
    assert report["absent"]["connections_in"] > 2 and report["absent"]["obfuscated"] == 0
    lost = {name: seen[1][name]["silent"] - seen[0][name]["silent"] for name in all_run}
    assert lost["stalls"] > RATE and lost["steady"] < lost["stalls"] / 2, "no camera waits for another"


@needs_ffmpeg
def test_a_worker_that_is_killed_is_followed_by_another(tmp_path, noise):
    listed = [Camera(name, str(noise), str(tmp_path / f"{name}.wav"), ("-re",)) for name in ("one", "two")]
    filtered: list[int] = []

    def kill(report: dict) -> bool:
        if {*states(report).values()} != {"obfuscated"}:
            return False
        if not filtered:
            (worker,) = multiprocessing.active_children()
            worker.kill()
            filtered.extend(one["obfuscated"] for one in report.values())
        again = all(one["obfuscated"] > before + RATE for one, before in zip(report.values(), filtered, strict=True))
        return again and report["one"]["restarts"] == 1

    play(listed, kill)
    for camera in listed:
        assert likeness(soundfile.read(camera.sink)[0], noise) < 0.09


@needs_ffmpeg
def test_an_output_that_goes_away_comes_back_and_no_camera_waits_for_it(tmp_path, server, noise):
    listed = [
        Camera("away", str(noise), server.url("away"), ("-re",)),
        Camera("here", str(noise), str(tmp_path / "here.wav"), ("-re",)),
    ]
    dropped = []

    def fail(report: dict) -> bool:
        if not dropped and "away" in server.described and report["away"]["obfuscated"]:
            dropped.append(True)
            server.hang_up("away")
        return bool(dropped) and report["away"]["connections_out"] > 1 and "away" in server.described

    assert play(listed, fail)["here"]["dropped_output"] == 0


def test_the_program_that_writes_reads_nothing_but_what_it_is_given():
    camera = Camera("front", "rtsp://name:secret@camera/1", "rtsp://server/front", ("-x",))
    command = camera.write_command(RATE)
    assert [command[place + 1] for place, word in enumerate(command) if word == "-i"] == ["pipe:0"]
    assert camera.source not in command


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no camera"),
        ("[front", "no readable TOML"),
        ("front = 1", "has to be a table"),
        ('[front]\nfrom = "a"', "has to be a table"),
        ('[front]\nfrom = "a"\nto = "b"\nvia = "c"', "has to be a table"),
        ('[front]\nfrom = 1\nto = "b"', "text in quotation marks"),
        ('[front]\nfrom = "a"\nto = " "', "text in quotation marks"),
        ('[front]\nfrom = "a"\nto = "-y"', "begins with -"),
        ('[front]\nfrom = "a"\nto = "b"\noptions = "\'"', "split into words"),
        ('[front]\nfrom = "a"\nto = "b"\n[back]\nfrom = "c"\nto = "b"', "output"),
        ('[front]\nfrom = "a"\nto = "a"', "output"),
        ('[front]\nfrom = "a"\nto = "TABLE"', "exists"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused_in_a_sentence(tmp_path, text, said):
    table = tmp_path / "cameras.toml"
    table.write_text(text.replace("TABLE", str(table)))
    with pytest.raises(ConfigError, match=re.escape(said)):
        read_cameras(table)


def test_without_ffmpeg_it_says_what_to_install(tmp_path):
    (tmp_path / "cameras.toml").write_text('[front]\nfrom = "a"\nto = "b.wav"')
    command = [sys.executable, "-m", "sottovoce.cli", "cameras", FILTER, str(tmp_path / "cameras.toml")]
    environment = {**os.environ, "PATH": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "install ffmpeg" in done.stderr and len(done.stderr.splitlines()) == 1


# The commands of the page


def block(beginning: str, language: str = "") -> str:
    """The block of the page, fenced or indented, that begins so."""
    text = PAGE.read_text(encoding="utf-8")
    fenced = re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    indented = [
        re.sub("^    ", "", one, flags=re.MULTILINE) for one in re.findall(r"(?:^ {4}.*\n)+", text, re.MULTILINE)
    ]
    (chosen,) = [one for one in (fenced if language else indented) if one.startswith(beginning)]
    return chosen


@pytest.fixture
def run_page(server, tmp_path):
    """Runs a command of the page, with the port of the server in place of the usual one, until the test ends."""
    running = []
    (tmp_path / "sottovoce").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m sottovoce.cli "$@"\n')
    (tmp_path / "sottovoce").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}

    def start(command: str) -> None:
        command = command.replace(":8554", f":{server.port}")
        running.append(subprocess.Popen(["sh", "-c", command], cwd=tmp_path, env=environment, start_new_session=True))

    yield start
    for process in running:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(15)


def record(url: str, out: Path, seconds: float) -> None:
    """As a recorder does: play a stream into a file."""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-rtsp_transport", "tcp", "-i", url, "-t", str(seconds), str(out)]
    subprocess.run(command, check=True, timeout=120)


@needs_ffmpeg
def test_the_table_of_the_page_is_run_and_the_picture_joins_the_filtered_sound(
    tmp_path, server, publish, run_page, noise
):
    publish("front_raw", picture=True)
    publish("garden_raw")
    (tmp_path / "cameras.toml").write_text(block("[front]", "toml").replace(":8554", f":{server.port}"))
    run_page(block("sottovoce cameras"))
    wait(lambda: "front_sound" in server.described)
    run_page(block("ffmpeg -v error -rtsp_transport tcp -i rtsp://127.0.0.1:8554/front_raw -rtsp_transport"))
    wait(lambda: "front" in server.described)
    record(server.url("front"), tmp_path / "front.mkv", 6.0)
    shown = [
        "ffprobe",
        "-v",
        "error",
        "-show_entries",
        "stream=codec_type",
        "-of",
        "csv=p=0",
        str(tmp_path / "front.mkv"),
    ]
    assert subprocess.run(shown, capture_output=True, text=True).stdout.split() == ["video", "audio"]
    subprocess.run(
        ["ffmpeg", "-v", "error", "-i", tmp_path / "front.mkv", "-ac", "1", tmp_path / "front.wav"], check=True
    )
    for wav in (soundfile.read(tmp_path / "front.wav")[0], soundfile.read(tmp_path / "garden.wav")[0]):
        assert len(wav) > 2 * RATE and likeness(wav, noise) < 0.09


@needs_ffmpeg
def test_the_pipe_of_the_page_is_run(tmp_path, server, publish, run_page, noise):
    publish("front_raw")
    run_page(block("ffmpeg -v error -rtsp_transport tcp -i rtsp://127.0.0.1:8554/front_raw -map 0:a"))
    wait(lambda: "front_sound" in server.described)
    record(server.url("front_sound"), tmp_path / "front.wav", 4.0)
    wav, _ = soundfile.read(tmp_path / "front.wav")
    assert len(wav) > 2 * RATE and likeness(wav, noise) < 0.09


@needs_ffmpeg
def test_the_command_reports_every_camera_without_its_address(tmp_path, noise):
    (tmp_path / "cameras.toml").write_text(f'[front]\nfrom = "{noise}"\noptions = "-re"\nto = "front.wav"')
    command = [sys.executable, "-m", "sottovoce.cli", "cameras", FILTER, "cameras.toml", "--seconds", "4"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stderr.splitlines()[-1])
    assert report["front"]["samples_in"] > RATE and str(noise) not in done.stderr
