"""How fast a filter is in a browser's tab, beside the same filter in Python, on one machine in one run.

    python benchmarks/browser.py [--seconds 120] [--pictures DIR]

Needs Debian's chromium, the extra `browser`, and the package of onnxruntime-web (see docs/studio.md). Prints, for each
bundled filter, the time of a block (p50, p99) here and there, the time to load, and the bytes that are loaded. With
`--pictures`, it also saves the page as pictures, at three widths, light and dark.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from playwright.sync_api import sync_playwright

from sottovoce.jobs.web import export_web
from sottovoce.runtime import bundled
from sottovoce.runtime.filter import Filter

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
]
FLAGS += ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
SPY = """
window.said = [];
window.Worker = class extends Worker {
  constructor(...args) {
    super(...args);
    this.addEventListener("message", ({data}) => data.block && window.said.push(data.block.ms));
  }
};
"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder on loopback."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


def native_ms(name: str, wav: np.ndarray) -> list[float]:
    """Milliseconds of each block of a stream in Python."""
    loaded, times = Filter.load(name), []
    stream, samples = loaded.stream(), round(loaded.block_s * 16000)
    for block in wav[: len(wav) // samples * samples].reshape(-1, samples):
        begun = time.perf_counter()
        stream.feed(block)
        times.append(1000 * (time.perf_counter() - begun))
    return times[3:]


def browser_ms(page: Any, sound: Path) -> list[float]:
    """Milliseconds of each block of the same sound in the tab."""
    page.select_option("#source", "file")
    page.set_input_files("#file", sound)
    with page.expect_download(timeout=600_000):
        page.click("#save")
    times: list[float] = page.evaluate("said")
    return times[3:]


def share(times: list[float]) -> str:
    return f"{np.percentile(times, 50):7.2f} {np.percentile(times, 99):7.2f}"


def measure(url: str, browser: Any, seconds: int, scratch: Path) -> None:
    print(f"{'filter':14}{'native p50, p99':>18}{'tab p50, p99 (ms)':>20}{'load s':>8}{'kB loaded':>11}")
    for name in bundled.known():
        waves = Filter.load(name).engine.vocabulary().waves()[:, 80:-80]
        order = np.random.default_rng(0).integers(0, len(waves), seconds * 16000 // 20480)
        wav = (0.5 * waves[order]).ravel().astype(np.float32)
        soundfile.write(scratch / "in.wav", wav, 16000, subtype="FLOAT")
        page = browser.new_page()
        loaded: list[int] = []
        page.on("requestfinished", lambda request, to=loaded: to.append(request.sizes()["responseBodySize"]))
        page.add_init_script(SPY)
        begun = time.perf_counter()
        page.goto(f"{url}#{name}")
        page.locator("#status", has_text="is ready").wait_for(timeout=120_000)
        load_s = time.perf_counter() - begun
        tab = browser_ms(page, scratch / "in.wav")
        size = sum(loaded) // 1000
        print(f"{name:14}{share(native_ms(name, wav)):>18}{share(tab):>20}{load_s:8.2f}{size:11}", flush=True)
        page.close()


def take_pictures(url: str, browser: Any, place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True)
    for scheme in ("light", "dark"):
        for width in (360, 800, 1600):
            page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            page.goto(f"{url}#digit")
            page.locator("#status", has_text="is ready").wait_for(timeout=120_000)
            page.screenshot(path=place / f"ready-{width}-{scheme}.png", full_page=True)
            page.select_option("#source", "example")
            page.click("#start")
            page.wait_for_timeout(9000)
            page.screenshot(path=place / f"running-{width}-{scheme}.png", full_page=True)
            page.workers[-1].evaluate("() => self.close()")
            page.locator("#status[data-kind=bad]").wait_for(timeout=60_000)
            page.screenshot(path=place / f"dead-{width}-{scheme}.png", full_page=True)
            page.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=120, help="how much sound each filter gets")
    parser.add_argument("--pictures", type=Path, help="a folder for pictures of the page")
    parser.add_argument("--runtime", type=Path, help="the package of onnxruntime-web")
    asked = parser.parse_args()
    if asked.seconds < 30:
        parser.error(
            "--seconds is too short for blocks of 5.12 s, of which the first three do not count; expected 30 or more"
        )
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as driver:
        folder = Path(scratch) / "page"
        export_web([bundled.find(name) for name in bundled.known()], folder, asked.runtime)
        print(f"{sum(each.stat().st_size for each in folder.rglob('*') if each.is_file()) / 1e6:.1f} MB in all")
        with served(folder) as url:
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            measure(url, browser, asked.seconds, Path(scratch))
            if asked.pictures:
                take_pictures(url, browser, asked.pictures)
            browser.close()


if __name__ == "__main__":
    main()
