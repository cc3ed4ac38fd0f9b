"""What the studio shows is what files say, at the time when it is asked; what it starts is a process of its own."""

import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sottovoce.errors import ConfigError
from sottovoce.jobs import progress_file
from sottovoce.progress import silent
from sottovoce.studio import machine as module
from sottovoce.studio.machine import Machine
from sottovoce.studio.pages import pages

# Writes its arguments and says a line, then waits for a file, as an audit takes its time.
SLOW = """
import sys, time, pathlib
out = pathlib.Path(next(word for word in sys.argv if word.startswith("--out=")).removeprefix("--out="))
(out / "words").write_text("\\n".join(sys.argv[1:]))
print("1/40  gender: linear", file=sys.stderr, flush=True)
while not (out / "end").exists():
    time.sleep(0.02)
"""


def until(true) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_audits_are_listed_and_compared_as_files_are_now(site, folder):
    audits = site.client.get("machine.json").json()["audits"]
    assert [Path(each["name"]).name for each in audits] == ["first", "second"]
    assert all(each["earlier"] and each["valid"] and each["private"] for each in audits)
    keys = [each["id"] for each in audits]
    compared = site.client.get(f"compare.json?audits={','.join(keys)}").json()
    assert compared["lines"][0][1:] == [each["name"] for each in audits] and len(compared["warnings"]) == 2
    for wrong in (keys[0], "", f"{keys[0]},../x"):
        assert site.client.get(f"compare.json?audits={wrong}").status_code == 400
    shutil.rmtree(folder / "second")
    (folder / "first" / "results.json").write_text("{")
    (only,) = site.client.get("machine.json").json()["audits"]
    assert "is not the results of an audit" in only["error"]


def test_a_report_is_the_file_and_no_link_to_another(site, folder):
    keys = {path.name: key for key, path in site.studio.machine.audits().items()}
    assert site.client.get(f"report/{keys['first']}").content == (folder / "first" / "report.html").read_bytes()
    (folder / "second" / "report.html").unlink()
    (folder / "second" / "report.html").symlink_to(folder.parent / "secret.html")
    assert site.client.get(f"report/{keys['second']}").status_code == 400


def test_folders_of_other_users_and_hidden_ones_are_not_looked_into(folder, monkeypatch):
    shutil.copytree(folder / "first", folder / ".hidden")
    monkeypatch.setattr(module, "_own", lambda path: path.name != "second")
    assert [path.name for path in Machine((folder,), (), folder / "out").audits().values()] == ["first"]
    assert len(Machine((folder / "second",), (), folder / "out").audits()) == 1, "one that was named is meant"
    with pytest.raises(ConfigError, match="is no folder"):
        Machine((folder / "none",), (), folder / "out")


def test_recordings_are_offered_where_their_folder_was_named(folder):
    (folder / "notes" / "ada").mkdir()
    (folder / "notes" / "ada" / "1.WAV").touch()
    offered = Machine((folder / "notes", folder / "first"), (), folder / "out").systems()
    assert offered["recordings in notes"] == str(folder / "notes") and "recordings in first" not in offered
    assert "recordings in here" not in Machine((folder,), (), folder / "out").systems()


def test_progress_is_kept_while_a_command_runs_and_when_it_was_stopped(folder, site):
    out = folder / "filter"

    def work() -> list[dict]:
        return site.client.get("machine.json").json()["work"]

    with progress_file.ProgressFile("train", out, silent) as report:
        report(40, 40, "loss 0.5")
        (facts,) = work()
        assert (facts["verb"], facts["done"], facts["total"], facts["running"]) == ("train", 40, 40, True)
        assert facts["out"] == str(out) and facts["pid"] == os.getpid()
    assert work() == []
    with pytest.raises(ConfigError), progress_file.ProgressFile("train", out, silent) as report:
        report(0, 0, "training")
        raise ConfigError("nothing to resume")
    assert work() == []
    with pytest.raises(SystemExit), progress_file.ProgressFile("train", out, silent) as report:
        report(1, 2, "loss")
        sys.exit(130)
    dead = subprocess.Popen(["true"])
    dead.wait()
    progress_file.write("train", out, dead.pid, "loss", 1, 2)
    (facts,) = work()
    assert not facts["running"] and facts["done"] == 1


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b'{"updated": "x"}', b'{"updated": 1e300, "out": 1}', b"\xff" * 99]
)
def test_damaged_progress_is_passed_over(folder, content):
    progress_file.write("audit", folder / "a", os.getpid(), "note")
    (place,) = (folder.parent / "cache" / "progress").iterdir()
    assert place.stat().st_mode & 0o777 == 0o600
    place.write_bytes(content)
    assert progress_file.known() == []


def test_where_progress_cannot_be_written_the_work_continues(folder, monkeypatch):
    monkeypatch.setenv("SOTTOVOCE_CACHE", "/proc/none")
    with progress_file.ProgressFile("train", folder, silent) as report:
        report(1, 1, "loss")


def test_an_audit_is_a_process_of_its_own_with_only_what_is_offered(site, folder, in_place_of_audit):
    in_place_of_audit(SLOW)
    answer = site.post("audit", system="digit", corpus="voices", attackers="quick").json()
    out = Path(answer["out"])
    assert out.parent == folder.parent / "audits" and out.name == "digit-voices-1"
    until((out / "words").exists)
    words = (out / "words").read_text().split("\n")
    assert words[1:] == ["--corpus=voices", "--attackers=quick", f"--out={out}"] and Path(words[0]).name == "digit"
    until(lambda: "linear" in site.client.get("machine.json").json()["work"][0]["said"])
    (work,) = site.client.get("machine.json").json()["work"]
    assert work["running"] and work["pid"] != os.getpid() and os.getsid(work["pid"]) != os.getsid(0)
    (out / "end").touch()
    until(lambda: not site.client.get("machine.json").json()["work"][0]["running"])


@pytest.mark.parametrize(
    "wish",
    [
        {},
        {"system": "command:id", "corpus": "voices", "attackers": "quick"},
        {"system": "/etc", "corpus": "voices", "attackers": "quick"},
        {"system": "digit", "corpus": "csv:/etc/passwd", "attackers": "quick"},
        {"system": "digit", "corpus": "voices", "attackers": "--replace"},
        {"system": ["digit"], "corpus": "voices", "attackers": "quick"},
        {"system": "digit", "corpus": None, "attackers": "quick"},
    ],
)
def test_nothing_else_can_be_started(site, folder, wish, in_place_of_audit):
    in_place_of_audit(SLOW)
    for name in ("audit", "plan"):
        answer = site.client.post(name, json=wish, headers={"Origin": site.origin})
        assert answer.status_code == 400 and "load the page again" in answer.text
    assert not (folder.parent / "audits").exists()


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"', b"\xff", b"[" * 9000])
def test_what_is_no_wish_is_one_sentence(site, body):
    headers = {"Origin": site.origin, "Content-Type": "application/json"}
    answer = site.client.post("audit", content=body, headers=headers)
    assert answer.status_code == 400 and "Traceback" not in answer.text


def test_two_tabs_and_two_servers_that_start_the_same_get_a_folder_each(open_studio, folder, in_place_of_audit):
    in_place_of_audit(SLOW.replace('(out / "end")', "(out)"))
    sites = [open_studio(), open_studio()] * 4
    with ThreadPoolExecutor(8) as pool:
        asked = pool.map(lambda site: site.post("audit", system="level", corpus="voices", attackers="quick"), sites)
        outs = [answer.json()["out"] for answer in asked]
    assert len(set(outs)) == 8
    for out in outs:
        until((Path(out) / "words").exists)


def test_why_an_audit_failed_is_shown(site, in_place_of_audit):
    in_place_of_audit("import sys; sys.exit('sottovoce: the corpus has one speaker; name another.')")
    site.post("audit", system="digit", corpus="voices", attackers="quick")
    until(lambda: not site.client.get("machine.json").json()["work"][0]["running"])
    (work,) = site.client.get("machine.json").json()["work"]
    assert work["said"] == "sottovoce: the corpus has one speaker; name another."
    answer = site.post("plan", system="digit", corpus="voices", attackers="quick")
    assert answer.status_code == 400 and answer.text == "the corpus has one speaker; name another."


def test_an_estimate_is_what_audit_says_with_plan(shaped, folder, tmp_path, monkeypatch):
    from sottovoce.studio.starting import Starter

    monkeypatch.setenv("SOTTOVOCE_CACHE", str(shaped.table.parent / "cache"))
    starter = Starter(Machine((folder,), (shaped.spec,), tmp_path / "audits"))
    wish = {"system": "digit", "corpus": shaped.spec, "attackers": "quick"}
    assert "hidden possible" in starter.plan(json.dumps(wish).encode())["plan"]
    assert not (tmp_path / "audits").exists()


def test_without_the_runtime_for_browsers_the_page_of_audits_comes_first(folder):
    files, missing = pages({}, folder / "none.tgz")
    assert files["index.html"] == files["audits.html"] and "npm pack" in missing[0]


def test_the_command_prints_its_address_and_ends_with_ctrl_c(folder):
    command = [sys.executable, "-m", "sottovoce.cli", "studio", str(folder), "--json", "--runtime", "none.tgz"]
    studio = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder)
    said = ""
    while "}" not in said:
        line = studio.stdout.readline()
        assert line, studio.stderr.read()
        said += line
    assert json.loads(said)["url"].startswith("http://127.0.0.1:")
    studio.send_signal(2)
    assert studio.wait(20) == 0
    assert "the page runs no filters, since" in studio.stderr.read()
