"""Nothing is sent, nothing piles up, and the page is small enough to be read."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sottovoce.jobs.web import PAGE

OWN = sorted(place for place in PAGE.iterdir() if place.suffix in (".html", ".js", ".css"))
LARGEST_BYTES = 16_000_000
MOST_LINES = 1000


def test_no_request_leaves_the_origin(open_page, site, give, written, tmp_path):
    """All requests of a page that does everything, its threads included; after loading there are none at all."""
    written(tmp_path / "in.wav", np.zeros(30_000, np.float32))
    site.asked.clear()
    page = open_page("level", ready=False)
    asked = []
    page.context.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url))
    page.reload()
    page.locator("#status", has_text="is ready").wait_for()
    served = len(site.asked)
    for source in ("microphone", "example"):
        page.select_option("#source", source)
        page.click("#start")
        page.locator("#answer", has_not_text="—").wait_for()
        page.locator("[role=switch]").click()
        page.click("#start")
    page.locator("#words button").first.click()
    give(page, tmp_path / "in.wav")
    with page.expect_download():
        page.click("#save")
    inside = (site.url, "blob:" + site.url.rstrip("/"))
    assert asked and not [url for url in asked if not url.startswith(inside)]
    later = [path for path in site.asked[served:] if path not in ("/audio.js", "/recorder.js", "/icon.svg")]
    assert not later, "what was heard cannot be in a request"


@pytest.mark.parametrize(
    "attempt",
    [
        "fetch('http://127.0.0.1:9/')",
        "(new Image().src = 'http://127.0.0.1:9/', fetch('http://127.0.0.1:9/'))",
        "new Promise((_, bad) => (new WebSocket('ws://127.0.0.1:9/').onerror = bad))",
        "new Promise((_, bad) => { document.head.append(Object.assign(document.createElement('script'), "
        "{textContent: 'window.ran = true'})); setTimeout(() => window.ran || bad(), 200); })",
    ],
)
def test_the_policy_refuses_what_the_page_never_does(open_page, attempt):
    page = open_page("level", ready=False)
    caught = "document.addEventListener('securitypolicyviolation', () => window.refused = true);"
    code = f"() => {{ {caught} return (async () => {attempt})().then(() => 'done', () => 'refused'); }}"
    outcome = page.evaluate(code)
    page.wait_for_timeout(200)
    assert outcome == "refused" and page.evaluate("window.refused")


def test_half_an_hour_keeps_memory_flat(open_page, give, tmp_path):
    """Filtered faster than it lasts: the tab's process is no larger after 30 minutes than after the first minutes."""
    place = tmp_path / "long.wav"
    tone = np.rint(8000 * np.sin(np.arange(16000 * 60) / 7)).astype(np.int16)
    with soundfile.SoundFile(place, "w", 16000, 1, "PCM_16") as file:
        for _ in range(30):
            file.write(tone)
    page = open_page("level")
    give(page, place)
    page.locator("#save").click()
    sizes = []
    with page.expect_download(timeout=300_000) as download:
        page.locator("#status", has_text="% of the sound").wait_for()
        while "was saved" not in page.inner_text("#status"):
            sizes.append(max(renderers_kb()))
            page.wait_for_timeout(200)
    download.value.save_as(tmp_path / "out.wav")
    blocks = -(-30 * 60 * 16000 // 20480)
    assert soundfile.info(tmp_path / "out.wav").frames == blocks * 20480
    early, late = sizes[len(sizes) // 5], max(sizes[len(sizes) // 2 :])
    assert late - early < 60_000, sizes


def renderers_kb() -> list[int]:
    """The resident memory of each process that renders a page."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if b"--type=renderer" in (place / "cmdline").read_bytes():
                found.append(int(re.search(r"VmRSS:\s+(\d+)", (place / "status").read_text())[1]))
        except (OSError, TypeError):
            continue
    return found


def test_all_of_it_is_small(exported, two_tasks):
    """With every bundled filter."""
    assert sum(place.stat().st_size for place in exported.rglob("*") if place.is_file()) < LARGEST_BYTES
    assert sum(bool(line.strip()) for place in OWN for line in place.read_text().splitlines()) < MOST_LINES


def test_the_page_loads_nothing_from_elsewhere_and_has_no_scripts_inside():
    html = (PAGE / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*src=)|\son\w+=|style=|https?://", html)
    policy = re.search('content="(default-src[^"]+)"', html)[1]
    assert (
        policy.startswith("default-src 'none';")
        and "unsafe-inline" not in policy
        and "unsafe-eval'" not in (policy.replace("'wasm-unsafe-eval'", ""))
    )
    for place in OWN:
        assert not re.search(r"https?://|eval\(|innerHTML|document\.write", place.read_text()), place


def test_everything_has_a_name_and_the_keyboard_reaches_it(open_page):
    page = open_page("digit")
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("input, select, button, canvas")].filter((each) =>
             !(each.labels?.length || each.textContent.trim() || each.getAttribute("aria-label"))).length"""
    )
    assert unnamed == 0 and page.get_attribute("#status", "role") == "status"
    names = [page.get_by_role(role, name=name) for role, name in (("combobox", "Filter"), ("button", "Start"))]
    names += [page.get_by_role("switch", name="digit"), page.get_by_role("toolbar", name="Codewords")]
    assert all(each.count() == 1 for each in names)
    page.locator("#words button").first.focus()
    for key, expected in (("ArrowRight", "0"), ("ArrowDown", "1"), ("ArrowLeft", "0"), ("ArrowLeft", "nothing")):
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.textContent") == expected
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.textContent") == "9"
    page.keyboard.press("Enter")  # plays it
    page.wait_for_timeout(1600)
    assert page.evaluate("recorded.some((piece) => piece.some((value) => value))")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_at_every_width(open_page, scheme):
    """Contrast of text and ground is 4.5 or more (WCAG AA), and nothing is wider than the window."""
    page = open_page("digit")
    page.emulate_media(color_scheme=scheme)
    pairs = page.evaluate(
        """() => {
          const ground = (each) => {
            for (; each; each = each.parentElement) {
              const colour = getComputedStyle(each).backgroundColor;
              if (colour !== "rgba(0, 0, 0, 0)") return colour;
            }
          };
          const shown = [...document.querySelectorAll("h1, h2, p, small, b, span, label, button, select")];
          return shown.filter((each) => each.textContent.trim() && each.offsetWidth && !each.disabled)
            .map((each) => [getComputedStyle(each).color, ground(each), each.textContent.trim().slice(0, 30)]);
        }"""
    )
    assert len(pairs) > 20
    for ink, ground, text in pairs:
        assert contrast(ink, ground) >= 4.5, (ink, ground, text)
    for width in (360, 800, 1600):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)
