"""The page in Debian's Chromium, on loopback; skipped where Chromium, Playwright or the runtime is missing."""

import functools
import http.server
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from sottovoce.jobs import web
from sottovoce.methods.codebook.training import Encoder
from sottovoce.models.codebook import SOUND_SAMPLES, Codebook, nothing
from sottovoce.runtime import bundled
from sottovoce.runtime.export import save_codebook
from sottovoce.runtime.filter import Filter

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
)
READY_MS = 60_000
POLICY = re.search('content="(default-src[^"]+)"', (web.PAGE / "index.html").read_text())[1]  # type: ignore[index]
# An audio node of the tests that keeps all that reaches the loudspeaker; the server has it beside the page.
RECORDER = """
registerProcessor("recorder", class extends AudioWorkletProcessor {
  process([input]) { if (input[0]) this.port.postMessage(input[0].slice()); return true; }
});
"""
# Puts the recorder in front of every loudspeaker, and keeps what the filter's thread says.
SPIES = """
window.recorded = []; window.said = [];
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (to, ...rest) {
  if (to instanceof AudioDestinationNode)
    this.context.audioWorklet.addModule("recorder.js").then(() => {
      const recorder = new AudioWorkletNode(this.context, "recorder", {numberOfOutputs: 0});
      recorder.port.onmessage = ({data}) => window.recorded.push(data);
      connect.call(this, recorder);
    });
  return connect.call(this, to, ...rest);
};
window.Worker = class extends Worker {
  constructor(...args) {
    super(...args);
    this.addEventListener("message", ({data}) => data.left || window.said.push(data));
  }
};
"""


@dataclass
class Site:
    """The page of some filters at an address; `asked` are the paths that were asked of its server."""

    folder: Path
    url: str
    asked: list[str] = field(default_factory=list)


class Tones(torch.nn.Module):
    """Which of some tones is louder: a crude recogniser."""

    def __init__(self, bins: list[int]) -> None:
        super().__init__()
        self.bins = bins

    def forward(self, spectra: torch.Tensor) -> torch.Tensor:
        return 4.0 * spectra[:, self.bins].mean(dim=2)


class Loud(torch.nn.Module):
    """Something is there unless it is silent."""

    def forward(self, spectra: torch.Tensor) -> torch.Tensor:
        return 20.0 * spectra.square().mean(dim=(1, 2)) - 10.0


@pytest.fixture(scope="session")
def two_tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A filter of two tasks with a memory, blocks of two segments, and codewords of its own for the first blocks."""
    sounds = np.random.default_rng(0).integers(0, 256, (3, 3, 4, SOUND_SAMPLES), dtype=np.uint8)
    sounds[nothing(2)] = 128
    centres = (np.eye(2, dtype=np.float32), np.eye(3, dtype=np.float32))
    book = Codebook(("word", "mood"), centres, (0.9, 0.9), sounds, memory=0.5, block_segments=2)
    card = {
        "method": "codebook",
        "permit": ["word", "mood"],
        "classes": {"word": ["no", "yes"], "mood": ["a", "b", "c"]},
    }
    encoder = Encoder([Tones([10, 18]), Tones([60, 90, 120])], Loud())
    folder = tmp_path_factory.mktemp("filter") / "two-tasks"
    save_codebook(folder, encoder, book, 0.6, 0.8, card, {})
    return folder


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory, two_tasks: Path) -> Path:
    """The page with all bundled filters and the one of two tasks."""
    if not any(place.is_file() for place in web.runtime_places()):
        pytest.skip(f"needs {web.RUNTIME}, which `npm pack` fetches")
    out = tmp_path_factory.mktemp("page") / "page"
    web.export_web([*(bundled.find(name) for name in bundled.known()), two_tasks], out)
    return out


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[[Path], Site]]:
    """Serves folders, each at an origin of its own, as any server of static files does."""
    servers = []

    def start(folder: Path) -> Site:
        site = Site(folder, "")

        class Handler(http.server.SimpleHTTPRequestHandler):
            def end_headers(self) -> None:
                self.send_header("Content-Security-Policy", POLICY)  # a worker obeys that of its own file
                super().end_headers()

            def log_message(self, *_: Any) -> None:
                site.asked.append(self.path)

        handler = functools.partial(Handler, directory=str(folder))
        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        site.url = f"http://127.0.0.1:{servers[-1].server_port}/"
        return site

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="session")
def site(exported: Path, serve: Callable[[Path], Site], tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("site") / "site"
    shutil.copytree(exported, folder)
    (folder / "recorder.js").write_text(RECORDER)
    return serve(folder)


@pytest.fixture(scope="session")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the fake microphone picks up, over and over: codewords of the filter of digits in faint noise."""
    place = tmp_path_factory.mktemp("microphone") / "sound.wav"
    soundfile.write(place, _spoken("digit", 4), 16000, subtype="PCM_16")
    return place


@pytest.fixture(scope="session")
def chromium(microphone: Path) -> Iterator[Callable[..., Any]]:
    """Starts a browser with these flags beside the usual ones; each combination of flags once."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    if CHROMIUM is None:
        pytest.skip("needs Debian's chromium: apt-get install chromium")
    with api.sync_playwright() as driver:

        @functools.cache
        def start(*flags: str) -> Any:
            usual = [*FLAGS, f"--use-file-for-fake-audio-capture={microphone}"]
            return driver.chromium.launch(executable_path=CHROMIUM, args=[*usual, *flags])

        yield start


@pytest.fixture
def open_page(chromium: Callable[..., Any], site: Site) -> Iterator[Callable[..., Any]]:
    """Opens the page with a filter in a fresh profile, waits until the filter is ready, and chooses the microphone."""
    contexts = []

    def open_(
        name: str = "digit", url: str = "", script: str = "", ready: bool = True, flags: tuple[str, ...] = ()
    ) -> Any:
        context = chromium(*flags).new_context(viewport={"width": 1000, "height": 900})
        contexts.append(context)
        context.set_default_timeout(READY_MS)
        page = context.new_page()
        page.add_init_script(SPIES + script)
        page.goto(f"{url or site.url}#{name}")
        if ready:
            page.locator("#status", has_text="is ready").wait_for()
            page.select_option("#source", "microphone")
        return page

    yield open_
    for context in contexts:
        context.close()


def _give(page: Any, wav: Path) -> None:
    """Choose a file as the sound."""
    page.select_option("#source", "file")
    page.set_input_files("#file", wav)


def _spoken(name: str, codewords: int, rest: int = 7000, seed: int = 1) -> np.ndarray:
    """Sound that a bundled filter has answers for: some of its codewords in noise, cut off within a block."""
    rng = np.random.default_rng(seed)
    waves = Filter.load(name).engine.vocabulary().waves()[:, 80:-80]
    wav = np.concatenate([*(waves[i] for i in rng.integers(1, len(waves), codewords)), np.zeros(rest)])
    return np.clip(0.5 * wav + 0.01 * rng.standard_normal(len(wav)), -1, 1).astype(np.float32)


def _written(place: Path, wav: np.ndarray, rate: int = 16000, subtype: str = "PCM_16") -> np.ndarray:
    """Write a WAV file; returns its samples as they are read from it."""
    soundfile.write(place, wav, rate, subtype=subtype)
    return soundfile.read(place, dtype="float32")[0]


@pytest.fixture
def give() -> Callable[..., None]:
    return _give


@pytest.fixture(scope="session")
def spoken() -> Callable[..., np.ndarray]:
    return _spoken


@pytest.fixture(scope="session")
def written() -> Callable[..., np.ndarray]:
    return _written
