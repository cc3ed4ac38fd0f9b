"""`live` and `serve` as a user starts them: processes, a terminal, signals."""

import contextlib
import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
import soundfile

from sottovoce.runtime import bundled
from sottovoce.runtime.filter import Filter

RATE = 16000
START = [sys.executable, "-m", "sottovoce.cli"]
FILTER = "level"  # bundled; it answers any sound that is loud enough


def call(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*START, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120)


@contextlib.contextmanager
def started(*arguments: object, **options):
    with subprocess.Popen([*START, *map(str, arguments)], **options) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def room(tmp_path):
    """A sound file of 4 s."""
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "room.wav", 0.1 * rng.standard_normal(4 * RATE), RATE, "PCM_16")
    return tmp_path / "room.wav"


def test_a_simulated_microphone_takes_the_same_way_in_time(room, tmp_path):
    out = tmp_path / "out.wav"
    began = time.monotonic()
    done = call("live", FILTER, "--simulate", room, "--out", out, "--headless", "--memory", 1, "--margin-ms", 500)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began > 4.0
    said = json.loads(done.stderr.splitlines()[-1])
    heard, _ = soundfile.read(out, dtype="float32")
    original, _ = soundfile.read(room, dtype="float32")
    stream = Filter.load(bundled.find(FILTER)).stream()
    delay = round(said["latency_ms"] * RATE / 1000)
    expected = stream.feed(original)
    given = heard[delay : delay + len(expected)]
    # On a busy computer a block may come too late, and is silence; all else is what the filter draws.
    assert ((np.abs(given - expected[: len(given)]) <= 2.0**-15) | (given == 0)).all()
    assert said["samples_in"] + said["dropped_burst"] >= 4 * RATE and given.any()


def test_raw_sound_goes_to_standard_output(room):
    done = subprocess.run(
        [*START, "live", FILTER, "--simulate", str(room), "--out", "-", "--headless", "--seconds", "1"],
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert len(done.stdout) >= 2 * 0.9 * RATE


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["live", FILTER, "--simulate", "x.wav"], "--virtual-mic NAME"),
        (["live", FILTER, "--simulate", "x.wav", "--out", "a.wav", "--out-device", "b"], "one of"),
        (["live", FILTER, "--permit", "mood", "--out", "-"], "mood"),
        (["live", FILTER, "--virtual-mic", "no such; name", "--simulate", "x.wav"], "letters"),
        (["serve", FILTER, "--host", "0.0.0.0"], "other machines"),
        (["serve", FILTER, "--protocol", "smoke-signals"], "smoke-signals"),
        (["serve", FILTER, "--forward", "127.0.0.1:1"], "wyoming"),
        (["serve", FILTER, "--protocol", "wyoming", "--forward", "nowhere"], "HOST:PORT"),
        (["serve", FILTER, "--tls-cert", "x.pem"], "both"),
        (["serve", FILTER, "--token-file", "none"], "token"),
    ],
)
def test_mistakes_are_one_sentence_and_exit_status_2(arguments, named):
    done = call(*arguments)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and named in done.stderr


def test_the_keyboard_gives_and_takes_consent_and_stops(room, tmp_path):
    keyboard, terminal = pty.openpty()
    shown = b""

    def until(*texts: bytes) -> None:
        nonlocal shown
        deadline = time.monotonic() + 30
        while not all(text in shown.rpartition(b"\r\x1b[K")[2] for text in texts):
            assert time.monotonic() < deadline, shown[-500:]
            if select.select([keyboard], [], [], 0.1)[0]:
                shown += os.read(keyboard, 1 << 16)

    command = ["live", "digit", "--simulate", room, "--out", tmp_path / "out.wav"]
    with started(*command, stdin=terminal, stdout=terminal, stderr=terminal) as process:
        until(b"STOPPED", b"1:digit+")
        until(b"OBFUSCATED")
        os.write(keyboard, b"1")
        until(b"1:digit-")
        os.write(keyboard, b" ")
        until(b"STOPPED", b"1:digit-")
        os.write(keyboard, b"1 ")
        until(b"OBFUSCATED", b"1:digit+")
        os.write(keyboard, b"q")
        assert process.wait(10) == 0
    for descriptor in (keyboard, terminal):
        os.close(descriptor)
    assert soundfile.info(tmp_path / "out.wav").frames > 0


def test_a_signal_ends_it_in_order(room, tmp_path):
    out = tmp_path / "out.wav"
    with started("live", FILTER, "--simulate", room, "--out", out, "--headless", stderr=subprocess.PIPE) as process:
        assert process.stderr.readline()  # the first report: it runs
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert soundfile.info(out).frames > 0


def test_a_service_says_where_it_is_and_drains():
    pytest.importorskip("websockets")
    with started("serve", FILTER, "--port", 0, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        port = json.loads(process.stdout.readline())["port"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            assert answer.read() == b"ok\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_metrics_are_for_who_has_their_token_and_garbage_leaves_no_trace(tmp_path):
    pytest.importorskip("websockets")
    token = tmp_path / "token"
    token.write_text("the-token-of-the-metrics\n")
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with started("serve", FILTER, "--port", 0, "--metrics-token-file", token, **options) as process:
        port = json.loads(process.stdout.readline())["port"]
        place = f"http://127.0.0.1:{port}/metrics"
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(place, timeout=5)
        asked = urllib.request.Request(place, headers={"Authorization": "Bearer the-token-of-the-metrics"})
        with urllib.request.urlopen(asked, timeout=5) as answer:
            assert b"sottovoce_connections 0" in answer.read()
        for content in (b"SECRET\r\n\r\n", bytes(range(256)), b"GET /?SECRET HTTP/1.1\r\n\r\n", b""):
            with socket.create_connection(("127.0.0.1", port), 5) as garbage:
                garbage.sendall(content)
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        _, written = process.communicate(timeout=10)
        assert process.returncode == 0
        assert b"Traceback" not in written and b"SECRET" not in written


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--protocol", "wyoming", "--metrics-token-file", "TOKEN"), "no TLS, token, metrics or origin"),
        (("--token-file", "TOKEN", "--metrics-token-file", "TOKEN"), "one of their own"),
        (("--metrics-token-file", "none"), "no readable token"),
        (("--forward", "127.0.0.1:1"), "--protocol wyoming"),
        (("--protocol", "wyoming", "--forward", "127.0.0.1"), "no HOST:PORT"),
    ],
)
def test_options_that_do_not_go_together_are_refused_in_a_sentence(tmp_path, arguments, sentence):
    token = tmp_path / "TOKEN"
    token.write_text("a-token-of-some-length\n")
    done = call("serve", FILTER, "--port", 0, *(token if one == "TOKEN" else one for one in arguments))
    assert done.returncode == 2 and sentence in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr


def test_without_websockets_it_says_what_to_install():
    code = "import sys; sys.modules['websockets'] = sys.modules['websockets.asyncio.server'] = None\n"
    code += f"sys.argv = ['sottovoce', 'serve', '{FILTER}']; from sottovoce.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "sottovoce[serve]" in done.stderr
