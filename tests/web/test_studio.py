"""The page of `sottovoce studio` in Chromium: audits side by side, progress, and the start of an audit."""

import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sottovoce.jobs import progress_file
from sottovoce.progress import silent
from sottovoce.studio import pages, starting
from sottovoce.studio.machine import Machine
from sottovoce.studio.server import Studio

RECORD = Path(__file__).parents[1] / "audit" / "schema-2"
HOSTILE = "<script>document.title = 'ran'; parent.document.title = 'ran'</script><img src=http://127.0.0.1:9/>"
SLOW = "import sys, time; print('1/40  gender: linear', file=sys.stderr, flush=True); time.sleep(20)"


@pytest.fixture
def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    """A studio with two audits, of which one report attacks its reader, and with a training that runs."""
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "cache"))
    for name in ("first", "<b>second"):
        shutil.copytree(RECORD, tmp_path / "here" / name)
    report = tmp_path / "here" / "<b>second" / "report.html"
    report.write_text(report.read_text().replace("</body>", f"{HOSTILE}</body>"))
    (tmp_path / "audit.py").write_text(SLOW)
    monkeypatch.setattr(starting, "_AUDIT", (sys.executable, str(tmp_path / "audit.py")))
    files, _ = pages.pages({}, tmp_path / "no-runtime.tgz")
    with Studio(Machine((tmp_path / "here",), ("voices",), tmp_path / "audits"), files) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        with progress_file.ProgressFile("train", tmp_path / "filter", silent) as training:
            training(300, 300, "loss 0.5")
            yield server
        server.shutdown()


@pytest.fixture
def context(chromium: Any) -> Iterator[Any]:
    context = chromium().new_context(viewport={"width": 360, "height": 800})
    context.set_default_timeout(20_000)
    yield context
    context.close()


@pytest.fixture
def page(studio: Studio, context: Any) -> Any:
    page = context.new_page()
    page.goto(studio.access.url)
    page.locator("#audits li").first.wait_for()
    return page


def test_other_tabs_need_no_link_and_other_browsers_do(page, studio, context, chromium):
    address = studio.access.url.split("open?")[0]
    assert page.url == address, "the token is not in the address any more"
    tab = context.new_page()
    tab.goto(address)
    tab.locator("#audits li").first.wait_for()
    other = chromium().new_context()
    stranger = other.new_page()
    for url in (address, studio.access.url):
        assert stranger.goto(url).status == 403
    other.close()


def test_audits_are_side_by_side_and_a_report_runs_nothing(page, studio):
    asked, answers, said = [], [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("response", lambda answer: answers.append((answer.status, answer.url.partition("/report/")[1])))
    page.on("pageerror", lambda error: said.append(str(error)))
    for box in page.locator("#audits input").all():
        box.check()
    page.click("text=Compare 2 audits")
    page.locator("#shown-title:focus").wait_for()
    assert page.locator("#numbers-table thead th").all_inner_texts()[1:] == ["<b>second", "first"]
    assert page.locator("#numbers-table tbody tr").count() > 5 and page.locator("#warnings li").count() == 2
    page.locator("iframe").nth(1).scroll_into_view_if_needed()
    page.wait_for_timeout(1000)  # since nothing can be asked of a frame that runs no scripts
    assert answers.count((200, "/report/")) == 2 and len(page.frames) == 3
    assert page.title() != "ran" and not said
    assert asked and all(url.startswith(f"http://{studio.access.host}{studio.access.path}") for url in asked)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_window(page, scheme):
    page.emulate_media(color_scheme=scheme)
    for box in page.locator("#audits input").all():
        box.check()
    page.click("#show")
    page.locator("#shown-title").wait_for()
    for width in (360, 800, 1600):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_keyboard_reaches_everything(page):
    page.locator("#audits input").first.focus()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "show"
    page.keyboard.press("Enter")
    page.locator("#shown-title:focus").wait_for()
    assert page.locator("#scroll").is_hidden() and page.locator("iframe").count() == 1
    unnamed = "[...document.querySelectorAll('input, select, iframe, progress')].filter((one) => "
    unnamed += "!(one.title || one.ariaLabel || one.labels?.length))"
    assert page.evaluate(f"{unnamed}.length") == 0


def test_progress_and_an_audit_that_is_started(page, tmp_path):
    assert "step 300 of 300" in page.locator("#work").inner_text()
    page.click("#start")
    page.locator("#status", has_text="The audit has started. Its folder is digit-voices-1.").wait_for()
    page.locator("#work", has_text="audit digit-voices-1").wait_for()
    assert (tmp_path / "audits" / "digit-voices-1").is_dir()
    page.locator("#audits input").first.check()
    page.wait_for_timeout(4000)
    assert page.locator("#audits input").first.is_checked(), "what is shown anew keeps the choice"


def test_a_studio_that_has_ended_is_one_sentence(page, studio):
    studio.shutdown()
    studio.socket.close()
    page.locator("#status[data-kind=bad]", has_text="The studio does not answer.").wait_for()
