"""The report: every number it is given, nothing from elsewhere, and nothing that its labels could make it do."""

from __future__ import annotations

import base64
import copy
import io
import re
import wave
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sottovoce.audio.spectrum import log_spectrum
from sottovoce.audit import report
from sottovoce.audit.report import Exhibit, Panel, write_report
from sottovoce.errors import ModelError

VOID = {"meta", "br", "img", "input", "link", "hr"}
EXECUTED_OR_FETCHED = {"script", "img", "link", "iframe", "object", "embed", "base", "form", "video", "source"}


def score(value: float, spread: float = 0.0332) -> dict[str, float]:
    return {"score": value, "low": value - spread, "high": value + spread}


def attacker(value: float, name: str = "cnn", knowledge: str = "informed", converged: bool = True) -> dict[str, Any]:
    fit = {"knowledge": knowledge, "converged": converged, "validation": value + 0.0031, "seconds": 75.0}
    return {**score(value), "attacker": name, **fit}


def attribute(verdict: str = "leaks", worst: float = 0.7862, **fit: Any) -> dict[str, Any]:
    best = attacker(worst, **fit)
    return {
        "chance": 0.0417,
        "classes": 24,
        "floor": {**score(0.0914), "attacker": "from answer"},
        "ceiling": {**score(0.9543), "attacker": "cnn"},
        "leakage": score(worst - 0.0914),
        "verdict": verdict,
        "cluster": "utterance",
        "worst": best,
        "attackers": [attacker(0.4321, "linear"), best, attacker(0.1234, "cnn", "ignorant")],
        "originals": [attacker(0.9543), attacker(0.8765, "linear")],
    }


@pytest.fixture
def results() -> dict[str, Any]:
    return {
        "schema": 1,
        "valid": True,
        "controls": {"planted leak": {"passed": True, "detail": "found in 99.9 %"}},
        "seconds": 1312.4,
        "command": "sottovoce audit f --corpus ravdess:r --out a",
        "seed": 7,
        "attackers": "quick",
        "sottovoce": "0.1.0",
        "corpus": {
            "spec": "ravdess:r",
            "name": "RAVDESS",
            "digest": "9f2c" * 16,
            "split": "utterance",
            "split_seed": 3,
            "clips": 1440,
            "test_clips": 288,
            "speakers": 24,
            "licence": "CC BY-NC-SA 4.0",
            "citation": "Livingstone (2018), https://doi.org/10.1371/journal.pone.0196391",
        },
        "filter": {
            "digest": "ab01" * 16,
            "method": "optin",
            "preset": "compact",
            "permit": ["emotion"],
            "rate_bits_per_s": None,
            "parameters": 759012,
        },
        "target": {"digest": "77de" * 16},
        "permitted": {"emotion": {"original": score(0.6876), "obfuscated": score(0.6712), "chance": 0.1333}},
        "private": {"speaker": attribute()},
    }


@pytest.fixture
def exhibit() -> Exhibit:
    rng = np.random.default_rng(0)
    sounds = {"original": 0.1, "obfuscated": 5.0, "restored by an attacker": 0.0}
    wavs = {name: (level * rng.uniform(-1, 1, 8000)).astype(np.float32) for name, level in sounds.items()}
    return Exhibit("A clip", tuple(Panel(name, log_spectrum(wav), wav) for name, wav in wavs.items()))


class Page(HTMLParser):
    """What a browser would see: elements with their attributes, in order, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page(folder: Path, results: dict[str, Any], *exhibits: Exhibit) -> Page:
    return Page(write_report(folder, results, exhibits).read_text(encoding="utf-8"))


def intervals(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        if "low" in tree:
            yield tree
        for name, branch in tree.items():
            if name != "leakage":
                yield from intervals(branch)
    elif isinstance(tree, list):
        for branch in tree:
            yield from intervals(branch)


@pytest.mark.parametrize("attributes", [1, 6])
def test_every_number_is_on_the_page(tmp_path: Path, results: dict[str, Any], attributes: int) -> None:
    results["private"] = {f"attribute {n}": attribute(worst=0.5 + n / 13) for n in range(attributes)}
    text = page(tmp_path, results).text
    for found in intervals(results):
        assert f"{report.percent(found['score'])} ({report.interval(found)})" in text.replace("\n", " ")
    for name, private in results["private"].items():
        assert name in text
        assert report.percent(private["chance"]) in text
        assert report.points(private["leakage"]["score"]) in text
        assert f"{report.points(private['leakage']['low'])} to {report.points(private['leakage']['high'])}" in text
    for value in ("9f2c" * 16, "ab01" * 16, "77de" * 16, results["command"], "759,012", "1440", "288", "0.1.0"):
        assert value in text
    assert results["corpus"]["citation"] in text


def test_the_page_needs_nothing_but_itself(tmp_path: Path, results: dict[str, Any], exhibit: Exhibit) -> None:
    html = write_report(tmp_path, results, [exhibit]).read_text(encoding="utf-8")
    found = Page(html)
    assert not EXECUTED_OR_FETCHED & {name for name, _ in found.elements}
    for _, attributes in found.elements:
        for name in {"src", "href", "xlink:href"} & attributes.keys():
            assert re.match(r"data:(audio/wav|image/png);base64,|#", attributes[name] or "")
    assert re.findall(r"https?://", html) == ["https://"]  # the citation, as text
    assert "@import" not in html
    assert re.findall(r"url\((?!#)", html) == []


def test_the_page_is_well_formed_and_can_be_read_aloud(
    tmp_path: Path, results: dict[str, Any], exhibit: Exhibit
) -> None:
    results["private"]["gender"] = attribute("implied")
    found = page(tmp_path, results, exhibit, exhibit)
    assert found.open == []
    assert found.all("html")[0]["lang"] == "en"
    ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    levels = [int(name[1]) for name, _ in found.elements if re.fullmatch("h[1-6]", name)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in found.all("svg"))
    assert all(audio["aria-label"] and "controls" in audio for audio in found.all("audio"))
    assert len(found.all("caption")) == len(found.all("table"))
    assert {attributes["aria-labelledby"] for attributes in found.all("div") if "role" in attributes} <= set(ids)


def test_labels_are_text_whatever_they_say(tmp_path: Path, results: dict[str, Any], exhibit: Exhibit) -> None:
    hostile = "\"'><script>alert(1)</script><img src=http://evil.example/> {{ 7 * 7 }} $\\frac{$ &amp;"
    private = attribute(name=hostile)
    private["floor"]["attacker"] = private["ceiling"]["attacker"] = private["cluster"] = hostile
    results["private"] = {hostile: private}
    results["permitted"] = {hostile: results["permitted"]["emotion"]}
    results["controls"] = {hostile: {"passed": True, "detail": hostile}}
    results["corpus"] |= {"name": hostile, "licence": hostile, "citation": hostile}
    results["command"] = hostile
    panels = tuple(Panel(hostile, panel.spectrogram, panel.wav) for panel in exhibit.panels)
    found = page(tmp_path, results, Exhibit(hostile, panels))
    assert not EXECUTED_OR_FETCHED & {name for name, _ in found.elements}
    assert found.open == []
    assert found.text.count(hostile) > 10


def test_the_banner_stands_only_over_an_invalid_audit(tmp_path: Path, results: dict[str, Any]) -> None:
    assert "INVALID" not in page(tmp_path, results).text
    results["valid"] = False
    results["controls"]["shuffled labels"] = {"passed": False, "detail": "guessed in 31.0 %"}
    text = page(tmp_path, results).text
    banner = text[text.index("INVALID") : text.index("In short")]
    assert "shuffled labels: guessed in 31.0 %" in banner
    assert "planted leak" not in banner


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (
            "leaks",
            "Speaker ▲ leaks: an attacker trained on filtered sound names the right one of 24 in 79 % (75\u201382)",
        ),
        ("implied", "Speaker is ◆ implied by what you permitted"),
        ("hidden", "the attackers found nothing beyond what the permitted answer gives away"),
    ],
)
def test_each_verdict_has_its_sentence(tmp_path: Path, results: dict[str, Any], verdict: str, words: str) -> None:
    results["private"] = {"speaker": attribute(verdict)}
    text = page(tmp_path, results).text.replace("\u202f", " ")
    assert words in text
    assert "You permitted emotion. The application recognises it in 67 % of recordings (original: 69 %)." in text
    assert "4 % is chance, 9 % is what the permitted answer itself gives away, 95 % without the filter." in text
    assert ("cannot be ruled out" in text) == (verdict != "leaks")
    assert "safe" not in text.lower()


def test_an_attacker_that_was_still_improving_gives_a_lower_bound(tmp_path: Path, results: dict[str, Any]) -> None:
    assert "at least" not in page(tmp_path, results).text
    results["private"] = {"speaker": attribute(converged=False)}
    text = page(tmp_path, results).text.replace("\u202f", " ")
    assert "in at least 79 %" in text
    assert "at least 78.6 %" in text
    assert "at least +69.5" in text


def test_a_dead_ceiling_is_named(tmp_path: Path, results: dict[str, Any]) -> None:
    words = "this says nothing about the filter"
    assert words not in page(tmp_path, results).text
    results["private"]["speaker"]["ceiling"] |= score(0.05)
    assert words in page(tmp_path, results).text


def test_a_rate_is_a_bound_and_its_absence_is_none(tmp_path: Path, results: dict[str, Any]) -> None:
    assert "no bound" in page(tmp_path, results).text
    results["filter"]["rate_bits_per_s"] = 23.4375
    text = page(tmp_path, results).text
    assert "at most 23.44 bits per second" in text
    assert "no bound" not in text.lower()


def test_what_need_not_be_known_may_be_missing(tmp_path: Path, results: dict[str, Any]) -> None:
    results["corpus"] |= {"licence": "", "citation": None}
    results["filter"]["preset"] = None
    results["private"]["speaker"]["attackers"] = results["private"]["speaker"]["attackers"][1:2]
    text = page(tmp_path, results).text
    assert "not stated" in text
    assert "None" not in text


def test_exhibits_can_be_heard_and_are_absent_where_there_are_none(
    tmp_path: Path, results: dict[str, Any], exhibit: Exhibit
) -> None:
    assert page(tmp_path, results).all("audio") == []
    sounds = page(tmp_path, results, exhibit).all("audio")
    assert len(sounds) == len(exhibit.panels)
    for sound, panel in zip(sounds, exhibit.panels, strict=True):
        with wave.open(io.BytesIO(base64.b64decode((sound["src"] or "").split(",")[1]))) as file:
            assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 16000)
            heard = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767
        assert np.abs(heard).max() <= 0.99 + 1e-4
        scale = min(1.0, 0.99 / max(np.abs(panel.wav).max(), 1e-9))
        np.testing.assert_allclose(heard, panel.wav * scale, atol=1e-4)


def test_the_same_results_give_the_same_bytes(tmp_path: Path, results: dict[str, Any], exhibit: Exhibit) -> None:
    before = copy.deepcopy(results)
    first = write_report(tmp_path / "a", results, [exhibit]).read_bytes()
    assert write_report(tmp_path / "b", results, [exhibit]).read_bytes() == first
    assert results == before


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path, results: dict[str, Any]) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(ModelError, match="could not be written"):
        write_report(tmp_path / "taken", results, [])


@pytest.mark.parametrize(
    ("share", "said"), [(0.786, "79 %"), (0.996, "over 99 %"), (1.0, "100 %"), (0.004, "under 1 %"), (0.0, "0 %")]
)
def test_sentences_say_all_and_none_only_of_all_and_none(share: float, said: str) -> None:
    assert report.whole(share).replace("\u202f", " ") == said


def test_numbers_are_formatted_as_people_write_them() -> None:
    assert report.points(-0.0123) == "\u22121.2"
    assert report.points(-0.0001) == "+0.0"
    assert [report.duration(s).replace("\u202f", " ") for s in (8.24, 59.98, 125, 12000)] == [
        "8.2 s", "1 min 0 s", "2 min 5 s", "3 h 20 min",
    ]  # fmt: skip
