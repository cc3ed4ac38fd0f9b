"""The report: every number it is given, nothing from elsewhere, and nothing that its labels could make it do."""

from __future__ import annotations

import base64
import copy
import hashlib
import io
import json
import re
import wave
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sottovoce.audio.spectrum import log_spectrum
from sottovoce.audit.results import Results
from sottovoce.errors import ModelError
from sottovoce.report import findings, impact_assessment, transfer, wording
from sottovoce.report.pages import Exhibit, Panel, write_report
from sottovoce.report.table import table

VOID = {"meta", "br", "img", "input", "link", "hr"}
EXECUTED_OR_FETCHED = {"script", "img", "link", "iframe", "object", "embed", "base", "form", "video", "source"}


def score(value: float, spread: float = 0.0332) -> dict[str, float]:
    return {"score": value, "low": value - spread, "high": value + spread}


def share(value: float, spread: float = 0.0332) -> dict[str, float]:
    return {"score": value, "low": max(0.0, value - spread), "high": min(1.0, value + spread)}


def row(value: float, name: str = "CNN", knowledge: str = "informed", input: str = "features", **fit: Any) -> Any:
    return {
        **share(value),
        "attacker": name,
        "knowledge": knowledge,
        "input": input,
        "needs": "labelled recordings as the application receives them",
        "converged": True,
        "validation": value + 0.0031,
        "bits": share(0.9 * value),
        "curve": {},
        "seeds": [value],
        "seconds": 75.0,
        **fit,
    }


def curve(at: float) -> dict[str, Any]:
    """Still rising, over recordings and over steps."""
    steps = [(120 * 2**cycle, at * (0.5 + cycle / 4)) for cycle in range(3)]
    return {"recordings": [(250, at * 0.6), (500, at * 0.8), (1008, at)], "steps": steps}


def originals(best: float) -> list[Any]:
    return [
        row(best, input="original", knowledge="uninformed"),
        row(0.8 * best, "linear on statistics", input="original"),
    ]


def attribute(verdict: str = "leaks", strongest: float = 0.7862, classes: int = 3, **fit: Any) -> dict[str, Any]:
    """What was found about one attribute; `fit` changes the strongest attacker."""
    best = row(strongest, **fit)
    return {
        "classes": classes,
        "class_names": [f"class {number:02}" for number in range(1, classes + 1)],
        "chance": 0.0417,
        "floor": {**score(0.0914), "attacker": "the permitted answer alone"},
        "ceiling": originals(0.9543)[0],
        "leakage": score(strongest - 0.0914),
        "verdict": verdict,
        "cluster": "utterance",
        "strongest": best,
        "attackers": [row(0.4321, "linear on statistics"), best, row(0.1234, knowledge="uninformed")],
        "originals": originals(0.9543),
        "failed": [],
        "confusion": (np.eye(classes, dtype=int) * 9 + np.eye(classes, k=1, dtype=int) * 3).tolist(),
        "people": [{"speaker": f"person {n:03}", "clips": 12, **share(0.9 - n / 99)} for n in range(9)],
        "pooled": [],
    }


def judge(before: float, after: float, kind: str = "seed", name: str = "a sibling") -> dict[str, Any]:
    """Another recogniser, asked about the sound that leaves."""
    known = {"judge": name, "kind": kind, "digest": "5eed" * 16, "input": "sound"}
    return {**known, "original": score(before), "obfuscated": score(after)}


def permitted(before: float, after: float, *judges: dict[str, Any], sound: float | None = None) -> dict[str, Any]:
    heard = None if sound is None else score(sound)
    accuracy = {"original": score(before), "obfuscated": score(after), "sound": heard}
    return {**accuracy, "trained_with": True, "chance": 0.1333, "judges": list(judges)}


def linker(eer: float, **fit: Any) -> dict[str, Any]:
    compared = {"knowledge": "informed", "input": "filtered with filtered", **fit}
    return {"attacker": "voice encoder", **compared, "eer": score(eer), "d_sys": 0.4567, "tpr": score(0.2345)}


LINKAGE = {
    "speakers": 12,
    "recordings": 240,
    "same_pairs": 2280,
    "other_pairs": 26400,
    "strongest": linker(0.2931),
    "ceiling": linker(0.0512, input="original with original"),
    "linkers": [linker(0.4012, attacker="statistics"), linker(0.2931)],
    "failed": [{"attacker": "long linker", "knowledge": "informed", "reason": "out of memory"}],
}
PITCH = {
    "unit": "semitones above 55 Hz",
    "floor": 0.1234,
    "ceiling": score(0.9321),
    "strongest": score(0.4123),
    "error": 21.34,
    "constant_error": 33.21,
    "estimator": "ridge on statistics",
}


def sample(**changes: Any) -> dict[str, Any]:
    """Results with everything that need not be there left out, changed by `changes`."""
    corpus = {
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
    }
    filter_ = {
        "digest": "ab01" * 16,
        "method": "optin",
        "preset": "compact",
        "permit": ["emotion"],
        "bits_per_block": None,
        "block_s": None,
        "parameters": 759012,
    }
    results = {
        "schema": 5,
        "sottovoce": "0.1.0",
        "date": "2026-11-25T17:40:00Z",
        "names_shown": False,
        "valid": True,
        "controls": {"planted leak": {"passed": True, "detail": "found in 99.9 %"}},
        "seconds": 1312.4,
        "attackers": "quick",
        "seed": 7,
        "tolerance": 0.02,
        "command": "sottovoce audit f --corpus ravdess:r --out a",
        "corpus": corpus,
        "filter": filter_,
        "targets": [{"digest": "77de" * 16, "task": "emotion"}],
        "permitted": {"emotion": permitted(0.6876, 0.6712, judge(0.7012, 0.6934))},
        "private": {"speaker": attribute()},
        "scores": "c0de" * 16,
        "versions": {"numpy": "2.1.3"},
    }
    return valid({**results, **changes})


def valid(results: dict[str, Any]) -> dict[str, Any]:
    """The same as the template gets it, if it is of the form of results.json."""
    return Results.model_validate(results).model_dump(by_alias=True, mode="json")


def everything() -> dict[str, Any]:
    """An audit as large as they come."""
    rng = np.random.default_rng(0)
    families = ["through the target", "duration and level", "nearest neighbour", "linear on statistics", "MLP", "trees"]
    families += ["voice encoder", "CNN", "DeepSpeech2"]

    def many(strongest: float, chance: float) -> list[Any]:
        rows = []
        for input, knowledge in (
            ("features", "uninformed"), ("features", "informed"), ("sound", "informed"), ("restored", "informed"),
            ("inverted", "white-box"),
        ):  # fmt: skip
            for name in families if input == "features" else families[1::3]:
                at = float(chance + (strongest - chance) * rng.uniform(0.1, 0.95 if knowledge == "informed" else 0.5))
                seeds = [at, at - 0.02, at + 0.01]
                given = {"converged": name != "DeepSpeech2", "seeds": seeds, "curve": curve(at)}
                first = {"restored": "restore, then ", "inverted": "invert, then "}.get(input, "")
                rows.append(row(at, first + name, knowledge, input, **given))
        return [*rows, row(strongest, "CNN fine-tuned", converged=False, curve=curve(strongest))]

    def one(
        verdict: str, classes: int, chance: float, strongest: float, ceiling: float, **changes: Any
    ) -> dict[str, Any]:
        rows = many(strongest, chance)
        confusion = rng.multinomial(
            288 // classes, np.eye(classes) * (strongest - chance) + (1 - strongest + chance) / classes
        )
        changed = {
            "chance": chance,
            "floor": {**score(chance + 0.01, 0.01), "attacker": "the permitted answer alone"},
            "ceiling": originals(ceiling)[0],
            "originals": [row(ceiling * (1 - n / 30), name, input="original") for n, name in enumerate(families[3:])],
            "strongest": rows[-1],
            "attackers": rows,
            "leakage": score(strongest - chance - 0.01, 0.06),
            "confusion": confusion.tolist(),
            "pooled": [
                {"utterances": n, **share(at)}
                for n, at in ((1, strongest), (5, strongest + 0.02), (20, strongest + 0.028))
            ],
            **changes,
        }
        return {**attribute(verdict, strongest, classes), **changed}

    everyone = [{"speaker": f"spk-{n:04}", "clips": 12, **share(0.94 - n / 280, 0.04)} for n in range(251)]
    told = {**share(0.9608), "attacker": "the permitted answer alone"}
    broken = [{"attacker": "encoder", "knowledge": "informed", "reason": "RuntimeError: out of memory."}]
    return sample(
        attackers="thorough",
        controls={
            "planted leak": {"passed": True, "detail": "random labels as a tone: found in 99.9 %, chance 4.2 %"},
            "shuffled labels": {"passed": True, "detail": "labels dealt at random: guessed in 4.9 %, chance 4.2 %"},
            "identity filter": {
                "passed": True,
                "detail": "94.1 % through a filter that does nothing, originals 94.1 %",
            },
        },
        private={
            "speaker": one("leaks", 24, 0.0417, 0.7862, 0.9543, people=everyone),
            "gender": one("implied", 2, 0.5, 0.9712, 0.9931, failed=broken, floor=told, leakage=score(0.0104, 0.02)),
            "intensity": one(
                "not shown",
                3,
                0.5333,
                0.5512,
                0.8912,
                people=[],
                pooled=[],
                leakage=score(0.0079, 0.05),
                settle={"verdict": "hidden", "recordings": 1800, "people": 150},
            ),
        },
        continuous={"pitch": PITCH},
        linkage=LINKAGE,
        levels_db=[-25.0, -35.0, -45.0],
        sensitivity_db=-35.0,
        notes=["288 of 1440 protected recordings changed their duration by more than 5 %."],
    )


@pytest.fixture(scope="module")
def exhibit() -> Exhibit:
    rng = np.random.default_rng(0)
    sounds = {"original": 0.1, "obfuscated": 5.0, "restored by an attacker": 0.0}
    wavs = {name: (level * rng.uniform(-1, 1, 8000)).astype(np.float32) for name, level in sounds.items()}
    return Exhibit("A clip", tuple(Panel(name, log_spectrum(wav), wav) for name, wav in wavs.items()))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, exhibit: Exhibit) -> tuple[dict[str, Any], Page, str]:
    """The largest audit, its page and its card."""
    folder, results = tmp_path_factory.mktemp("large"), everything()
    found = page(folder, results, exhibit, exhibit)
    return results, found, (folder / "report.md").read_text(encoding="utf-8")


@pytest.fixture
def results() -> dict[str, Any]:
    return sample()


INLINE = {"a", "br", "code", "em", "span", "strong", "sub"}


class Page(HTMLParser):
    """What a browser would see: elements with their attributes, in order, and the text.

    `blocks` are the texts of paragraphs, cells and the like, `verdicts` those of verdicts, `pictures` those in SVG.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.blocks: list[str] = [""]
        self.verdicts: list[str] = []
        self.pictures: list[list[str]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if (dict(attrs).get("class") or "").startswith("verdict"):
            self.verdicts.append("")
        elif tag == "svg":
            self.pictures.append([])
        elif tag not in INLINE:
            self.blocks.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag not in INLINE:
            self.blocks.append("")

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.text += data
        if "svg" in self.open:
            self.pictures[-1].append(data.strip())
        else:
            self.blocks[-1] += data
            if "span" in self.open and self.verdicts:
                self.verdicts[-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page(folder: Path, results: dict[str, Any], *exhibits: Exhibit) -> Page:
    return Page(write_report(folder, valid(results), exhibits).read_text(encoding="utf-8"))


def card(folder: Path, results: dict[str, Any]) -> str:
    write_report(folder, valid(results), [])
    return (folder / "report.md").read_text(encoding="utf-8")


def shown(results: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every accuracy with its interval that the page has to give."""
    for target in results["permitted"].values():
        yield from (target["original"], target["obfuscated"])
        yield from (one[side] for one in target["judges"] for side in ("original", "obfuscated"))
    for private in results["private"].values():
        yield from (private["floor"], private["strongest"], private["ceiling"], *private["pooled"])
        yield from (*private["attackers"], *private["originals"], *findings.exposed(private["people"]))
    for linker in (results["linkage"] or {"linkers": []})["linkers"]:
        yield from (linker["eer"], linker["tpr"])


def test_every_number_is_on_the_page(large: tuple[dict[str, Any], Page, str]) -> None:
    results, text = large[0], large[1].text
    for found in shown(results):
        assert f"{wording.percent(found['score'])} ({wording.interval(found)})" in text
    for name, private in results["private"].items():
        assert name in text
        assert wording.percent(private["chance"]) in text
        assert wording.points(private["leakage"]["score"]) in text
        assert f"{wording.points(private['leakage']['low'])} to {wording.points(private['leakage']['high'])}" in text
        assert wording.points(private["strongest"]["score"] - private["chance"]) in text
        assert wording.number_with_interval(private["strongest"]["bits"]) in text
        assert all(row["needs"] in text and f"{row['validation']:.1%}"[:-1] in text for row in private["attackers"])
    for _, value in impact_assessment.provenance(results):
        assert value in text
    for value in ("9f2c" * 16, "ab01" * 16, "77de" * 16, "c0de" * 16, results["command"], "759,012", "numpy 2.1.3"):
        assert value in text


def test_the_card_and_the_terminal_have_the_headline(large: tuple[dict[str, Any], Page, str]) -> None:
    results, text, said = large[0], large[2], table(large[0])
    for name, private in results["private"].items():
        for found in (private["floor"], private["strongest"], private["ceiling"]):
            assert f"{found['score']:.1%}"[:-1] in text
        conclusion = findings.conclusion(private, results["tolerance"])
        assert f"**{conclusion}**" in text
        verdict = conclusion.replace(private["verdict"], private["verdict"].upper(), 1).replace(", but", ", BUT")
        assert re.search(
            rf"^{name} .*at least {private['strongest']['score']:.1%}.*: {re.escape(verdict)}$", said, re.M
        )
    for where in (text, said):
        assert "encoder (informed), gender: did not finish: RuntimeError: out of memory." in where
        assert "288 of 1440 protected recordings" in where
        assert "29" in where and "off by 21.34" in where
    assert "c0de" * 16 in text and "planted leak: passed" in text and "35 dB below the sound" in text


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


def test_the_page_is_well_formed_and_can_be_read_aloud(large: tuple[dict[str, Any], Page, str]) -> None:
    found = large[1]
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


def hostile_results(hostile: str) -> dict[str, Any]:
    private = attribute(name=hostile, needs=hostile)
    private["floor"]["attacker"] = private["ceiling"]["attacker"] = hostile
    private["class_names"] = [hostile] * 3
    private["people"] = [{"speaker": hostile, "clips": 2, **share(0.5)}]
    private["failed"] = [{"attacker": hostile, "knowledge": "informed", "reason": hostile}]
    results = sample(
        private={hostile: private},
        permitted={hostile: sample()["permitted"]["emotion"]},
        controls={hostile: {"passed": True, "detail": hostile}},
        continuous={hostile: {**PITCH, "unit": hostile, "estimator": hostile}},
        linkage={**LINKAGE, "strongest": linker(0.2, attacker=hostile, input=hostile)},
        notes=[hostile],
        command=hostile,
        versions={hostile: hostile},
    )
    results["corpus"] |= {"name": hostile, "licence": hostile, "citation": hostile}
    results["filter"] |= {"permit": [hostile], "method": hostile}
    return results


def test_labels_are_text_whatever_they_say(tmp_path: Path, exhibit: Exhibit) -> None:
    hostile = "\"'><script>alert(1)</script><b><img src=http://evil.example/> {{ 7 * 7 }} %s $\\frac{$ &amp;"
    panels = tuple(Panel(hostile, panel.spectrogram, panel.wav) for panel in exhibit.panels)
    found = page(tmp_path, hostile_results(hostile), Exhibit(hostile, panels))
    assert not (EXECUTED_OR_FETCHED | {"b"}) & {name for name, _ in found.elements}
    assert found.open == []
    assert found.text.count(hostile) > 20


def test_labels_are_text_in_markdown_and_on_a_terminal_too(tmp_path: Path) -> None:
    usual = card(tmp_path, hostile_results("usual"))
    text = card(tmp_path, hostile_results("a|b\n# c `d` <b> [e](f)\x1b[31m"))
    assert len(text.splitlines()) == len(usual.splitlines())
    for plain, line in zip(usual.splitlines(), text.splitlines(), strict=True):
        assert len(re.findall(r"(?<!\\)\|", line)) == len(re.findall(r"(?<!\\)\|", plain))
        assert not re.search(r"(?<!\\)[<`\[]", line.replace("`sottovoce verify DIR`", ""))
    assert "a\\|b \\# c \\`d\\` \\<b\\> \\[e\\](f)" in text
    assert not re.search(r"[\x1b\r]", table(hostile_results("\x1b[31mred\r\n")))


HOSTILE = {
    "a terminal's colours": "a\x1b[31mred\x9b1m",
    "another direction": "leaks \u202eneddih\u202c \u2066x\u2069",
    "half a character": "caf\udce9.wav",
    "nothing and more": "nul\x00 bell\x07 back\x08 rub\x7f",
    "lines of other kinds": "a\u2028b\u2029c\x85d\r\ne",
    "invisible": "pay\u200bpal\ufeff\u00ad",
    "the end of a style": "</style></title></svg><script>alert(1)</script>",
    "a comment": "--><!-- x --!> <![CDATA[",
    "an attribute": "x' onload='alert(1)' style=\"background:url(http://evil.example)\"",
    "an entity": "&lt;script&gt; &#0; &#x202e;",
    "a template": "{{ results }} {% include 'x' %} ${7*7} %s",
    "an address": "http://evil.example/x www.evil.example mail@evil.example",
    "a table": "a | b\n|---|---|\n| c | d |",
    "a link": "[a](javascript:alert(1)) ![b](http://evil.example/b.png) <http://evil.example>",
    "a heading": "# a\n===\n---\n> b\n- c\n1. d",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_whatever_a_label_holds_it_shows_and_does_nothing(tmp_path: Path, exhibit: Exhibit, kind: str) -> None:
    hostile = HOSTILE[kind]
    usual, results = sample(), hostile_results("usual")
    written = json.dumps(results).replace('"usual"', json.dumps(hostile))
    panels = tuple(Panel(hostile, panel.spectrogram, panel.wav) for panel in exhibit.panels)
    html = write_report(tmp_path, json.loads(written), [Exhibit(hostile, panels)]).read_text(encoding="utf-8")
    markdown = (tmp_path / "report.md").read_text(encoding="utf-8")
    for text in (html, markdown):
        letters = {letter for letter in text if not letter.isprintable()} - {"\n", "\u202f", "\u00a0", "\u2009"}
        assert not letters, [hex(ord(letter)) for letter in letters]
    found = Page(html)
    assert found.open == [] and "script" not in {name for name, _ in found.elements}
    for name, attributes in found.elements:
        assert not [key for key in attributes if key.startswith("on") or key in ("action", "srcdoc", "formaction")], (
            name
        )
    assert not re.search(r"(?:src|href)=.?(?!data:|#|\.)\w*:", "".join(re.findall(r"<[^>]*>", html)))
    plain = card(tmp_path, hostile_results("usual"))
    assert len(markdown.splitlines()) == len(plain.splitlines()), "a label stays on its line"
    for line, other in zip(markdown.splitlines(), plain.splitlines(), strict=True):
        assert line[:1] == other[:1] or other[:1] in ("u", "U")
        assert not re.match(r"#|>|[-=]+$|[-+] (?!usual)|\d+[.)] ", line) or line[:2] == other[:2], "it begins nothing"
        assert len(re.findall(r"(?<!\\)\|", line)) == len(re.findall(r"(?<!\\)\|", other))
    outside = markdown.replace(usual["corpus"]["citation"], "")
    assert "http://" not in outside and "www.e" not in outside and "l@e" not in outside, "no address becomes a link"


def test_the_page_may_load_and_run_nothing(tmp_path: Path, results: dict[str, Any], exhibit: Exhibit) -> None:
    for exhibits in ([], [exhibit]):
        html = write_report(tmp_path, results, exhibits).read_text(encoding="utf-8")
        metas = Page(html).all("meta")
        (policy,) = (meta["content"] or "" for meta in metas if meta.get("http-equiv") == "Content-Security-Policy")
        rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
        style = html[html.index("<style>") + 7 : html.index("</style>")]
        allowed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        assert rules.pop("style-src-elem") == f"'sha256-{allowed}'"
        assert rules.pop("style-src-attr") == "'unsafe-inline'", "the styles of pictures, which can load nothing"
        if exhibits:
            assert rules.pop("img-src") == rules.pop("media-src") == "data:"
        assert rules == {"default-src": "'none'", "base-uri": "'none'", "form-action": "'none'"}
        assert html.index("Content-Security-Policy") < html.index("<style>")
        assert html.count("<style") == 1 and ("data:" in html) == bool(exhibits)


def test_the_banner_stands_only_over_an_invalid_audit(tmp_path: Path, results: dict[str, Any]) -> None:
    assert "INVALID" not in page(tmp_path, results).text
    results["valid"] = False
    results["controls"]["shuffled labels"] = {"passed": False, "detail": "guessed in 31.0 %"}
    text = page(tmp_path, results).text
    banner = text[text.index("INVALID") : text.index("Terms")]
    assert "shuffled labels: guessed in 31.0 %" in banner
    assert "planted leak" not in banner


def open_(verdict: str, recordings: int | None = None, people: int | None = 29, **changes: Any) -> dict[str, Any]:
    """An attribute with a leakage of -46 to 48 points, and what would settle it."""
    settle = recordings and {"verdict": "hidden", "recordings": recordings, "people": people}
    wide = {"score": 0.01, "low": -0.46, "high": 0.48}
    return attribute(verdict) | {"leakage": wide, "corrected": wide, "settle": settle or None, **changes}


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (attribute("leaks"), "Speaker ▲ leaks"),
        (open_("implied"), "Speaker ○ implied, but a leakage of up to 48 points cannot be ruled out"),
        (open_("not shown", 2900), "Speaker ? not shown: 2,900 test recordings of 29 people would settle it"),
        (open_("not shown", 2900, None), "Speaker ? not shown: 2,900 test recordings would settle it"),
        (open_("not shown"), "Speaker ? not shown: the leakage is too near the tolerance"),
        (open_("not shown", unreadable=True), "Speaker ? not shown: without the filter, the attackers do not"),
    ],
)
def test_each_verdict_has_its_sentence(
    tmp_path: Path, results: dict[str, Any], entry: dict[str, Any], words: str
) -> None:
    results = valid(results | {"private": {"speaker": entry}})
    text = page(tmp_path, results).text.replace("\u202f", " ")
    assert words in text
    assert "You permitted emotion." in text
    assert "The application recognises emotion in 67 % of recordings, and without the filter in 69 %." in text
    assert (
        "An attacker trained on filtered sound (CNN) recognises speaker (one of 3) in 79 % (75–82) of recordings; "
        "guessing gives 4 %, the permitted answer alone 9 %, and without the filter an attacker reaches 95 %."
    ) in text
    assert ("cannot be ruled out" in text) == (entry["verdict"] == "implied")
    sentence = words.split(" ", 2)[2]
    if entry["verdict"] == "not shown":
        assert sentence in card(tmp_path, results) and sentence.removeprefix("not shown") in table(results)
        assert sentence in findings.headline(results)


@pytest.mark.parametrize("verdict", ["leaks", "implied", "hidden", "not shown"])
@pytest.mark.parametrize("high", [-0.01, 0.02, 0.0201, 0.26])
def test_only_hidden_and_implied_have_a_reassuring_colour(
    tmp_path: Path, results: dict[str, Any], verdict: str, high: float
) -> None:
    wide = {"score": high - 0.1, "low": high - 0.2, "high": high}
    results["private"]["speaker"] |= {"verdict": verdict, "leakage": wide, "corrected": wide}
    found = page(tmp_path, results)
    coloured = {name for _, attributes in found.elements for name in (attributes.get("class") or "").split()}
    shown = verdict in ("hidden", "implied") and high <= results["tolerance"]
    assert ({"hidden", "implied"} & coloured) == ({verdict} if shown else set())
    assert ("not-shown" in coloured) == (verdict == "not shown")
    doubt = f"{verdict}, but a leakage of up to {round(100 * high, 1):g} points cannot be ruled out"
    assert sum(doubt in words for words in found.verdicts) == 2 * (
        verdict in ("implied", "hidden") and high > results["tolerance"]
    ), "in the summary and in the table"


def test_the_headline_names_what_is_bad_and_what_is_not_shown(results: dict[str, Any]) -> None:
    results["bound"] = {"bits_per_block": 3.0}  # of which the headline needs no more
    results["private"]["speaker"] |= {"verdict": "hidden", "leakage": score(-0.1)}
    hidden = "peaker is hidden from these attackers, within the tolerance of 2 points"
    assert findings.headline(results) == f"S{hidden}"
    results["private"]["gender"] = open_("not shown", 2900)
    results["private"]["age"] = open_("not shown", 31_000, 310)
    unsettled = "hat leaks of gender and age is not shown: 31,000 test recordings of 310 people would settle it"
    assert findings.headline(results) == f"W{unsettled}; s{hidden}"
    results["private"]["speaker"]["verdict"] = "leaks"
    assert findings.headline(results) == f"Speaker leaks; w{unsettled}"
    results["private"] = {"speaker": open_("implied")}
    assert findings.headline(results) == "For speaker, a leakage of up to 48 points cannot be ruled out"
    assert findings.headline({**results, "private": {}}) == "No private attribute was attacked"
    assert "invalid" in findings.headline({**results, "valid": False})


def test_without_a_bound_the_headline_says_what_no_attacker_can_see(tmp_path: Path, results: dict[str, Any]) -> None:
    words = (
        "no bound is known, so what no attacker can see is not ruled out, such as bits that are hidden with a secret"
    )
    for changed in ({}, {"private": {}}, {"valid": False}, {"private": {"speaker": attribute("hidden")}}):
        said = valid({**results, **changed})
        assert words in findings.headline(said)
        assert findings.headline(said) in page(tmp_path, said).blocks
        assert all(words in text for text in (card(tmp_path, said), table(said)))
    results["filter"] |= {"bits_per_block": 3.0, "block_s": 1.28}
    assert words not in findings.headline(results)


@pytest.mark.parametrize("why", ["invalid", "not converged", "nothing to find"])
def test_a_verdict_that_shows_nothing_has_no_colour(tmp_path: Path, results: dict[str, Any], why: str) -> None:
    private = results["private"]["speaker"]
    private |= {"verdict": "hidden", "leakage": score(-0.1)}
    assert findings.status(private, results) == "hidden"
    results["valid"] = why != "invalid"
    private["strongest"]["converged"] = why != "not converged"
    private["ceiling"] |= score(0.05) if why == "nothing to find" else {}
    assert findings.status(private, results) == "open"


@pytest.mark.parametrize("lost", [-0.1, 0.019, 0.021, 0.3])
@pytest.mark.parametrize("whose", ["the target", "as sound", "another recogniser"])
def test_a_loss_of_the_permitted_task_is_reported_as_a_leak_is(
    tmp_path: Path, results: dict[str, Any], lost: float, whose: str
) -> None:
    after = {name: 0.94 - lost * (name == whose) for name in ("the target", "as sound", "another recogniser")}
    others = judge(0.94, 0.945), judge(0.94, after["another recogniser"], name="a stranger")
    results["permitted"]["emotion"] = permitted(0.94, after["the target"], *others, sound=after["as sound"])
    found, loud = page(tmp_path, results), lost > transfer.TOLERATED_LOSS
    words = f"loses {100 * lost:.3g} points of accuracy"
    words += {"as sound": " as sound", "another recogniser": " for another recogniser, a stranger"}.get(whose, "")
    headline = findings.headline(results)
    assert headline in found.blocks
    assert (words in headline) == (words in table(results)) == (words in card(tmp_path, results)) == loud
    assert [words in said for said in found.verdicts if "permitted" in said] == [loud, loud], (
        "in the summary and the table"
    )
    kinds = [attributes.get("class") for name, attributes in found.elements if name in ("li", "span")]
    assert (kinds.count("leaks"), kinds.count("verdict leaks")) == ((2, 4) if loud else (1, 2)), "as one leak has"


@pytest.mark.parametrize("kinds", [[], ["trained-with"], ["seed"], ["trained-with", "third-party"]])
@pytest.mark.parametrize("known", [True, None])
def test_what_was_measured_with_one_recogniser_alone_is_told_as_a_loss_is(
    tmp_path: Path, results: dict[str, Any], kinds: list[str], known: bool | None
) -> None:
    results["permitted"]["emotion"] = permitted(0.94, 0.94, *(judge(0.9, 0.9, kind) for kind in kinds))
    results["permitted"]["emotion"]["trained_with"] = known
    found, alone = page(tmp_path, results), not {*kinds} - {"trained-with"}
    whom = "the recogniser that the filter was made with" if known else "one recogniser"
    words = f"measured only with {whom}: nothing is shown about others"
    said = [findings.headline(results), table(results).lower(), card(tmp_path, results), found.text]
    assert [words in text for text in said] == [alone] * 4
    assert [words in said for said in found.verdicts if "permitted" in said] == [alone, alone]
    kinds = [attributes.get("class") for name, attributes in found.elements if name in ("li", "span")]
    assert (kinds.count("leaks"), kinds.count("verdict leaks")) == ((2, 4) if alone else (1, 2)), "as one leak has"


def test_the_judge_that_loses_most_stands_beside_the_target(tmp_path: Path, results: dict[str, Any]) -> None:
    others = judge(0.9, 0.6, name="a deaf one"), judge(0.5, 0.45, name="a poor one"), judge(0.9, 0.9)
    results["permitted"]["emotion"] = permitted(0.9, 0.9, *others)
    text = page(tmp_path, results).text.replace("\u202f", " ")
    assert (
        "The application recognises emotion in 90 % of recordings, and without the filter in 90 %. Of 3 other "
        "recognisers the one that loses most (a deaf one) recognises it in 60 %, and without the filter in 90 %."
    ) in text
    assert "for another recogniser, a deaf one (90\u202f% to 60\u202f%); " in findings.headline(results)
    assert {row["judge"] for row in others} <= {block for block in page(tmp_path, results).blocks}
    assert "Digest of another recogniser, emotion" in text


@pytest.mark.parametrize("task", ["emotion", "digit"])
def test_the_law_on_emotions_stands_where_emotion_is_permitted(
    tmp_path: Path, results: dict[str, Any], task: str
) -> None:
    results["permitted"] = {task: results["permitted"]["emotion"]}
    results["filter"]["permit"] = [task]
    said = [page(tmp_path, results).text, card(tmp_path, results)]
    assert ["Article 5(1)(f)" in text for text in said] == [task == "emotion"] * 2


def test_what_a_filter_rejects_is_told_with_its_curve_where_its_card_has_it(
    tmp_path: Path, results: dict[str, Any]
) -> None:
    words = "takes other sounds for one: 3 in music."
    before = page(tmp_path, results)
    curve = [[-1.0 + at / 4, 0.5**at, 0.1 * at] for at in range(8)]
    known = {"threshold": 0.0, "false_alarms_per_hour": {"music": 3.0}, "miss_rate": 0.1, "curve": curve}
    results["filter"]["none"] = {"emotion": known}
    after = page(tmp_path, results)
    assert words in after.text and words not in before.text and words in card(tmp_path, results)
    assert len(after.pictures) == len(before.pictures) + 1
    results["filter"]["none"] = {"emotion": "nonsense"}
    assert page(tmp_path, results).text == before.text


def test_no_sentence_stands_twice(large: tuple[dict[str, Any], Page, str], tmp_path: Path) -> None:
    results = sample(private={"a": attribute("hidden"), "b": attribute("hidden"), "c": attribute("leaks")})
    for found in (large[1], page(tmp_path, results)):
        said = [part for block in found.blocks for part in re.split(r"(?<=[.!?])\s+", " ".join(block.split()))]
        sentences = [part for part in said if len(part.split()) > 3 and part.endswith((".", "!", "?"))]
        assert len(sentences) > 30
        assert [said for said, times in Counter(sentences).items() if times > 1] == []


def test_no_attacker_is_listed_twice_under_one_label(large: tuple[dict[str, Any], Page, str]) -> None:
    results, found, _ = large
    for name, private in results["private"].items():
        rows, originals = private["attackers"], [findings.label(row) for row in private["originals"]]
        assert len({findings.full_label(row) for row in rows}) == len(rows), name
        for picture in found.pictures:
            for label in {findings.label(row) for row in rows}:
                assert picture.count(label) <= 1 + (label in originals), (name, label)


def test_nothing_is_called_safe(large: tuple[dict[str, Any], Page, str]) -> None:
    results, found, text = large
    assert not re.search(r"\bsafe\b", (found.text + text + table(results)).lower())


def test_what_is_not_known_of_the_permitted_answer_is_not_said(tmp_path: Path, results: dict[str, Any]) -> None:
    """Without a target nobody answers: neither the application nor the floor is measured."""
    results |= {"targets": [], "permitted": {}}
    results["private"]["speaker"]["floor"] = {**share(0.0417), "attacker": "the best constant guess"}
    text = page(tmp_path, results).text
    assert "▲ leaks" in text
    assert "the permitted answer alone" not in text[: text.index("Terms on this page")]
    assert "How well an application works behind the filter was not measured." in text
    assert "no recogniser was there to answer it" in text
    assert "You permitted emotion." in text


def test_an_attacker_that_was_still_improving_gives_a_lower_bound(tmp_path: Path, results: dict[str, Any]) -> None:
    assert not re.search(r"at least \+?\d", page(tmp_path, results).text)
    results["private"] = {"speaker": attribute(converged=False)}
    text = page(tmp_path, results).text.replace("\u202f", " ")
    assert "in at least 79 %" in text
    assert "at least 78.6 %" in text
    assert "at least +69.5" in text


def test_a_dead_ceiling_is_named(tmp_path: Path, results: dict[str, Any]) -> None:
    words = "this result says nothing about the filter"
    assert words not in page(tmp_path, results).text
    results["private"]["speaker"]["ceiling"] |= score(0.05)
    assert words in page(tmp_path, results).text


def test_a_rate_is_a_bound_and_its_absence_is_none(tmp_path: Path, results: dict[str, Any]) -> None:
    assert "No bound" in page(tmp_path, results).text
    results["filter"] |= {"bits_per_block": 3.0, "block_s": 1.28}
    text = page(tmp_path, results).text
    assert "at most 3 bits pass this filter with each block of 1.28 s" in text
    assert "no bound" not in text.lower()


def test_what_need_not_be_known_may_be_missing(tmp_path: Path, results: dict[str, Any]) -> None:
    results["corpus"] |= {"licence": "", "citation": None}
    results["filter"] = {"digest": "ab01" * 16, "method": "command"}
    results["versions"] = {}
    private = results["private"]["speaker"]
    private |= {"attackers": private["attackers"][1:2], "people": []}
    private["attackers"][0]["curve"] = private["strongest"]["curve"] = {"recordings": [[100, 0.5]], "steps": []}
    found = page(tmp_path, results)
    assert "not stated" in found.text
    assert "None" not in found.text
    assert "What more training" not in found.text
    assert "whether several recordings of one person, put together" in found.text
    assert "Linkability: can two recordings of one person be linked?Not tested." in found.text.replace("\n", "")
    assert "no planted tone was tried" in found.text
    assert "loudest was 10 dB below" in page(tmp_path, {**results, "private": {}, "levels_db": [-10.0, -20.0]}).text
    assert "private" in table({**results, "private": {}})


def test_what_was_examined_is_not_among_what_was_not(large: tuple[dict[str, Any], Page, str]) -> None:
    text = large[1].text
    untested = text[text.index("Words: no attacker") : text.index("Whoever receives the sound")]
    assert "none was run" not in untested
    assert "whether" not in untested
    assert "such as health, age or accent" in untested
    assert "Found at 1" in text and "The faintest planted tone that was found is 35 dB below the sound." in text
    assert text.count("duration and level, on sound") >= 3  # the timing channel has its numbers
    assert "the chance that all 3 intervals contain their true values is at least 85" in text
    assert "spk-0004" in text and "spk-0005" not in text and "spk-0250" in text


def test_only_some_of_many_classes_are_shown(tmp_path: Path, results: dict[str, Any]) -> None:
    results["private"] = {"speaker": attribute(classes=40)}
    text = page(tmp_path, results).text
    assert "Of 40 classes of speaker, those that the strongest attacker most often takes for another" in text
    confused = findings.confused(results["private"]["speaker"])
    assert len(confused) == 10
    assert confused[0] == ("class 01", "class 02", 3)
    assert "class 39" not in text


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
    assert wording.rounded_percent(share).replace("\u202f", " ") == said


def test_numbers_are_formatted_as_people_write_them() -> None:
    assert wording.points(-0.0123) == "\u22121.2"
    assert wording.points(-0.0001) == "+0.0"
    assert [wording.duration(s).replace("\u202f", " ") for s in (8.24, 59.98, 125, 12000)] == [
        "8.2 s", "1 min 0 s", "2 min 5 s", "3 h 20 min",
    ]  # fmt: skip
