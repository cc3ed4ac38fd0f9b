"""The command line as scripts see it: exit status, one sentence on standard error, JSON on standard output."""

import errno
import http.server
import io
import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import soundfile
from safetensors import SafetensorError

from sottovoce import cli
from sottovoce.audit import budgets, plan
from sottovoce.audit.budgets import Effort
from sottovoce.audit.results import Results
from sottovoce.cli import shared
from sottovoce.corpora import catalogue
from sottovoce.models.checkpoint import read_folder, write_folder
from sottovoce.runtime.filter import Filter
from sottovoce.training import loop

TINY_TARGET = {
    "architecture": "deepspeech2",
    "settings.maps": 2,
    "settings.hidden": 8,
    "settings.layers": 1,
    "steps": 3,
    "batch": 4,
}
TINY_CODEBOOK = {
    "student.steps": 3,
    "student.queries": 64,
    "student.batch": 4,
    "drawing.steps": 3,
    "drawing.candidates": 64,
    "voters": 1,
    "voter_steps": 2,
    "judges": False,
    "none.steps": 3,
    "none.measured": 32,
}
TINY_OPTIN = {
    "obfuscator.body": 256,
    "obfuscator.width": 4,
    "obfuscator.blocks": 1,
    "deobfuscator.width": 4,
    "deobfuscator.blocks": 1,
    "steps": 3,
    "batch": 4,
}
TINY_AUDIT = Effort(("target", "linear"), ("linear",), (), {}, curves=(), shares=(0.5,), restorer_steps=2)


class Said(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Sottovoce = Callable[..., Said]


def overridden(settings: Mapping[str, object]) -> list[str]:
    """The options that override settings."""
    return [option for name, value in settings.items() for option in ("--set", f"{name}={value}")]


@pytest.fixture
def sottovoce(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Sottovoce:
    """Run the command line in this process, by the function that its script calls."""

    def run(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["sottovoce", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        said = capfd.readouterr()
        return Said(int(stopped.value.code or 0), said.out, said.err)

    return run


def small(patch: pytest.MonkeyPatch) -> None:
    """Efforts that take a second."""
    patch.setattr(budgets, "EFFORTS", {"quick": TINY_AUDIT, "standard": TINY_AUDIT})


@pytest.fixture
def quick(shaped, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Little work, none of which was done before."""
    small(monkeypatch)
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path_factory.mktemp("cache")))


class Made(NamedTuple):
    """What the first commands of a chain wrote."""

    target: Path
    filter: Path


@pytest.fixture(scope="module")
def made(shaped_once, tmp_path_factory) -> Iterator[Made]:
    """A target and a filter, trained for three steps; tests that change them take a copy."""
    from sottovoce.jobs import train

    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        small(patch)
        patch.setenv("SOTTOVOCE_CACHE", str(shaped_once.table.parent / "cache"))
        target, filter_ = folder / "target", folder / "filter"
        train.make_target(shaped_once.spec, "word", target, "quick", "utterance", 0, "test", _silent, TINY_TARGET)
        config = train.TrainConfig(shaped_once.spec, ("word",), (target,), filter_, "optin", "quick", TINY_OPTIN)
        train.make_filter(config, _silent)
        yield Made(folder / "target", folder / "filter")


def _silent(done: int, total: int, note: str) -> None:
    pass


def refused(said: Said, *words: str) -> None:
    """Exit status 2, nothing on standard output, one sentence with these words on standard error."""
    sentences = [line for line in said.err.splitlines() if line.startswith("sottovoce: ")]
    assert said.status == 2, said
    assert said.out == ""
    assert len(sentences) == 1, said.err
    assert said.err.rstrip().endswith(sentences[0]), "it comes last"
    assert "Traceback" not in said.err
    for word in words:
        assert word in sentences[0]


def write_corpus(folder: Path, rows: list[dict[str, str]], bad: tuple[str, ...] = ()) -> str:
    """A CSV file of clips of 0.1 s of noise, those in `bad` silent, and its spec."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    lines = [",".join(["path", *rows[0]])]
    for number, row in enumerate(rows):
        name = f"{number}.wav"
        soundfile.write(folder / name, 0.1 * rng.standard_normal(1600) * (name not in bad), 16000)
        lines.append(",".join([name, *row.values()]))
    (folder / "clips.csv").write_text("\n".join(lines))
    return f"csv:{folder / 'clips.csv'}"


# What is known, and what a folder holds


def test_fetching_shows_the_licence_and_wants_it_accepted(sottovoce, tmp_path, monkeypatch):
    asked = []

    def fetch(name, out, mirror, report):
        asked.append((name, out, mirror))
        return {"corpus": name, "spec": f"{name}:{out}", "archives": {}}

    monkeypatch.setattr("sottovoce.corpora.download.fetch", fetch)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    refused(sottovoce("corpora", "fetch", "ravdess", "--out", tmp_path), "licence", "--yes")
    refused(sottovoce("corpora", "fetch", "voxceleb2", "--out", tmp_path, "--yes"), "not openly served")
    refused(sottovoce("corpora", "fetch", "timit", "--out", tmp_path, "--yes"), "'timit'", "ravdess")
    assert asked == []
    said = sottovoce("corpora", "fetch", "ravdess", "--out", tmp_path, "--yes", "--mirror", "http://here/", "--json")
    assert said.status == 0 and said.json["spec"] == f"ravdess:{tmp_path}"
    assert "CC BY-NC-SA 4.0" in said.err and "http://here/" in said.err
    assert asked == [("ravdess", tmp_path, "http://here/")]


def test_a_licence_that_is_declined_fetches_nothing(sottovoce, tmp_path, monkeypatch):
    monkeypatch.setattr("sottovoce.corpora.download.fetch", None)
    answer = io.StringIO("n\n")
    answer.isatty = lambda: True
    monkeypatch.setattr(sys, "stdin", answer)
    assert sottovoce("corpora", "fetch", "ravdess", "--out", tmp_path).status == 2


def test_the_known_corpora_are_listed(sottovoce):
    said = sottovoce("corpora", "list", "--json")
    assert (said.status, said.err) == (0, "")
    assert [entry["name"] for entry in said.json] == list(catalogue.CORPORA)
    assert all(entry["title"] and entry["licence"] for entry in said.json)
    assert "ravdess" in sottovoce("corpora", "list").out


def test_a_corpus_is_checked(sottovoce, shaped):
    said = sottovoce("corpora", "check", shaped.spec, "--json")
    assert said.status == 0
    assert said.json["clips"] == 75
    assert said.json["speakers"] == 5
    assert said.json["hours"] == pytest.approx(75 * 1.2 / 3600, abs=1e-3)
    assert said.json["labels"] == {
        "gender": ["female", "male"],
        "speaker": ["ada", "bea", "cyn", "dan", "eli"],
        "word": ["no", "stop", "yes"],
    }
    assert said.json["digest"] == shaped.manifest.digest
    assert "75 clips, 5 speakers" in sottovoce("corpora", "check", shaped.spec).out


def test_a_clip_that_cannot_be_used_is_a_finding(sottovoce, shaped, tmp_path):
    rows = [{"word": word} for word in ("yes", "no", "yes", "no")]
    said = sottovoce("corpora", "check", write_corpus(tmp_path / "c", rows, bad=("2.wav",)), "--json")
    assert said.status == 1
    assert said.json["clips"] == 3
    assert any("2.wav" in note for note in said.json["notes"])


# Mistakes


@pytest.mark.parametrize("spec", ["timit:somewhere", "nonsense", "csv:", "csv:/nowhere/at/all.csv", "", ":"])
def test_a_corpus_that_is_none_is_refused(sottovoce, tmp_path, spec):
    refused(sottovoce("corpora", "check", spec))
    refused(sottovoce("target", "--corpus", spec, "--task", "word", "--out", tmp_path / "t"))
    assert not list(tmp_path.iterdir())


def test_what_is_unknown_is_refused_with_what_is_known(sottovoce, shaped, made, quick, tmp_path):
    common = ("--corpus", shaped.spec, "--out", tmp_path / "out")
    target, train, audit = ("target", *common), ("train", *common, "--target", made.target), ("audit", made.filter)
    audit = (*audit, *common)
    refused(sottovoce(*target, "--task", "mood"), "'mood'", "gender, speaker, word")
    refused(sottovoce(*target, "--task", "word", "--preset", "huge"), "'huge'", "compact, quick")
    refused(sottovoce(*target, "--task", "word", "--split", "halves"), "'halves'", "utterance, speaker, official")
    refused(sottovoce(*train, "--permit", "word", "--method", "magic"), "'magic'", "codebook, optin, raw")
    refused(sottovoce(*train, "--permit", "word", "--preset", "huge"), "'huge'", "compact, student, black-box, quick")
    refused(sottovoce(*train, "--permit", "word", "--set", "stepps=3"), "'stepps'", "student.steps, student.batch")
    refused(sottovoce(*train, "--permit", "word", "--set", "student.steps=many"), "student.steps is 'many'", "number")
    refused(sottovoce(*train, "--permit", "word", "--set", "student.steps"), "NAME=VALUE")
    refused(sottovoce(*train, "--permit", "word", "--hide", "gender"), "no setting 'hide'")
    refused(sottovoce(*target, "--task", "word", "--set", "batch=0"), "batch is '0'", "at least 1")
    refused(sottovoce(*train, "--permit", "speaker"), "states the task word", "got speaker")
    refused(sottovoce(*train, "--permit", "word,speaker"), "one each")
    two = ("train", *common, "--target", f"{made.target},{made.target}", "--permit", "word,speaker")
    refused(sottovoce(*two, "--method", "optin"), "one task")
    refused(sottovoce(*audit, "--attackers", "heroic"), "'heroic'", "quick, standard")
    refused(sottovoce(*audit, "--attack", "mood"), "'mood'", "gender, speaker")
    refused(sottovoce(*audit, "--permit", "mood"), "permit mood;", "expected word")
    refused(sottovoce(*audit, "--split", "halves"), "'halves'", "utterance, speaker, official")
    refused(sottovoce(*audit, "--target", tmp_path / "nowhere"), "nowhere")
    refused(sottovoce("audit", tmp_path / "nowhere", *common), "cannot be audited", "command:")
    refused(sottovoce("audit", "command:cp {in}", *common), "lacks {out}")
    refused(sottovoce("audit", f"command:{'x' * 300} {{in}} {{out}}", *common), "not found")
    refused(sottovoce(*audit, "--attack", "speaker,word"), "'word'")
    refused(sottovoce("experiment", "cold-fusion", "--corpora", tmp_path), "'cold-fusion'", "first-light")
    assert not list(tmp_path.iterdir()), "a refused command writes nothing"


@pytest.mark.parametrize(
    "arguments",
    [
        ("fly",),
        ("target",),
        ("target", "--corpus", "voices", "--task", "w", "--out", "o", "--seed", "-1"),
        ("audit", "f", "--corpus", "voices", "--out", "o", "--max-leakage", "much"),
        ("protect", "f", "a", "b", "--sample-rate", "high"),
    ],
)
def test_wrong_usage_has_status_2(sottovoce, arguments):
    said = sottovoce(*arguments)
    assert said.status == 2
    assert "Usage" in said.err and "Traceback" not in said.err


CORPORA = {
    "one class": ([{"word": "yes", "speaker": f"s{i % 4}"} for i in range(12)], [], "at least two classes"),
    "one speaker": (
        [{"word": "yn"[i % 2], "speaker": "me"} for i in range(12)],
        ["--split", "speaker"],
        "at least three speakers",
    ),
    "a speaker on both sides": (
        [{"word": "yn"[i % 2], "speaker": f"s{i % 4}", "split": "train" if i < 6 else "test"} for i in range(12)],
        ["--split", "speaker"],
        "more than one part",
    ),
    "no official split": ([{"word": "yn"[i % 2], "speaker": "me"} for i in range(12)], ["--split", "official"], "part"),
    "two clips": ([{"word": "yes"}, {"word": "no"}], [], "occurs once"),
    "unlabelled clips": (
        [{"word": ("yes", "no", "")[i % 3], "speaker": "me"} for i in range(12)],
        [],
        "no label 'word'",
    ),
}


@pytest.mark.parametrize("name", CORPORA)
def test_a_corpus_that_cannot_be_learnt_from_is_refused(sottovoce, shaped, quick, tmp_path, name):
    rows, options, sentence = CORPORA[name]
    spec = write_corpus(tmp_path / "c", rows)
    refused(sottovoce("target", "--corpus", spec, "--task", "word", "--out", tmp_path / "t", *options), sentence)
    assert not (tmp_path / "t").exists()


# The whole chain


def test_a_target_can_be_split_by_fragment(sottovoce, shaped, quick, tmp_path):
    command = ("target", "--corpus", shaped.spec, "--task", "word", "--split", "fragment", "--out", tmp_path / "t")
    said = sottovoce(*command, *overridden(TINY_TARGET), "--json")
    assert said.status == 0, said.err
    assert said.json["corpus"]["split"] == "fragment"
    assert said.json["corpus"]["spec"] == "fragments:csv:clips.csv"


@pytest.mark.parametrize("method", ["optin", "raw", "codebook"])
def test_from_a_corpus_to_a_filter(sottovoce, shaped, quick, tmp_path, method):
    corpus = ("--corpus", shaped.spec)
    tiny = overridden(TINY_TARGET)
    said = sottovoce(
        "target", *corpus, "--task", "word", "--split", "utterance", "--out", tmp_path / "t", "--json", *tiny
    )
    assert said.status == 0, said.err
    assert said.json["classes"] == ["no", "stop", "yes"]
    assert said.json["corpus"]["split"] == "utterance"

    train = ("train", *corpus, "--permit", "word", "--target", tmp_path / "t", "--method", method, "--seed", 3)
    tiny = overridden(TINY_CODEBOOK | {"judges": True} if method == "codebook" else TINY_OPTIN)
    said = sottovoce(*train, *tiny, "--out", tmp_path / "f", "--json")
    assert said.status == 0, said.err
    card = json.loads((tmp_path / "f" / "card.json").read_text())
    assert said.json == card
    assert (card["method"], card["permit"], card["seed"]) == (method, ["word"], 3)
    assert card["targets"][0]["digest"] and card["corpus"]["digest"] == shaped.manifest.digest
    assert card["corpus"]["split"] == "utterance", "test clips of the target stay unheard"
    assert f"--method {method}" in card["command"]
    if method == "codebook":
        (judge,) = card["transfer"]["word"]
        assert judge["judge"] == "the same architecture, another seed" and 0.0 <= judge["filtered"] <= 1.0
        assert (tmp_path / "f" / "judges" / judge["name"] / "weights.safetensors").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f", "t"], "nothing unfinished is left"


def optin_of(shaped: Any, made: Made) -> tuple[object, ...]:
    """The command that trains an opt-in filter, but for its --out."""
    train = ("train", "--corpus", shaped.spec, "--permit", "word", "--method", "optin", "--target", made.target)
    return (*train, *overridden(TINY_OPTIN))


def audit_of(made: Made, shaped: Any, out: Path, attack: str = "gender") -> tuple[object, ...]:
    """The command, without processes of its own."""
    return ("audit", made.filter, "--corpus", shaped.spec, "--out", out, "--attack", attack, "--workers", 1)


def test_from_a_filter_to_a_report(sottovoce, shaped, made, quick, tmp_path):
    audit = audit_of(made, shaped, tmp_path / "a", "speaker,gender")
    said = sottovoce(*audit, "--max-leakage", 1)
    assert said.status == 0, said.err
    assert "permitted: word" in said.out and "speaker" in said.out
    results = json.loads((tmp_path / "a" / "results.json").read_text())
    Results.model_validate(results)
    assert {*results["private"]} == {"speaker", "gender"} and {*results["permitted"]} == {"word"}
    assert results["corpus"]["split"] == "utterance"
    assert (results["filter"]["method"], results["filter"]["permit"]) == ("optin", ["word"])
    page = (tmp_path / "a" / "report.html").read_text(encoding="utf-8")
    assert results["filter"]["digest"][:12] in page
    assert [sottovoce("verify", tmp_path / "a").status, results["valid"]] == [0, True]

    scores = {task: entry["leakage"]["score"] for task, entry in results["private"].items()}
    leaks = max(scores, key=scores.__getitem__)  # which it is, is a matter of the processor's rounding
    assert scores[leaks] > 0, "three steps of training hide nothing"
    said = sottovoce(*audit, "--max-leakage", 0, "--json")
    assert said.status == 1
    other = {key: said.json[key] for key in ("seconds", "date", "command")}
    assert said.json == {**results, **other}
    last = said.err.strip().splitlines()[-1]
    assert f"{leaks} leaks {100 * scores[leaks]:.1f} points, more than the 0.0 of --max-leakage" in last


def test_an_audit_does_not_replace_another(sottovoce, shaped, made, quick, tmp_path):
    audit = audit_of(made, shaped, tmp_path / "a")
    assert sottovoce(*audit).status == 0
    before = (tmp_path / "a" / "results.json").read_bytes()
    refused(sottovoce(*audit, "--seed", 1), "another audit (different: seed)", "--replace")
    refused(sottovoce(*audit, "--attack", "speaker"), "different: attributes")
    assert (tmp_path / "a" / "results.json").read_bytes() == before
    assert sottovoce(*audit, "--seed", 1, "--replace").status == 0
    (tmp_path / "a" / "results.json").write_text("{}")
    refused(sottovoce(*audit), "another audit (different: form)")


def test_an_audit_in_8_bits_leaves_the_filter_of_another_audit_alone(sottovoce, shaped, made, quick, tmp_path):
    audit = audit_of(made, shaped, tmp_path / "a")
    assert sottovoce(*audit).status == 0
    refused(sottovoce(*audit, "--int8"), "another audit (different: system)", "--replace")
    assert not (tmp_path / "a" / "filter-int8").exists()
    assert sottovoce(*audit, "--int8", "--replace").status == 0
    assert sottovoce(*audit, "--int8").status == 0, "the same audit is repeated"


@pytest.mark.parametrize("kind", ["target", "train"])
def test_a_training_does_not_replace_another(sottovoce, shaped, made, quick, tmp_path, kind):
    train = (
        optin_of(shaped, made)
        if kind == "train"
        else ("target", "--corpus", shaped.spec, "--task", "word", *overridden(TINY_TARGET))
    )
    train = (*train, "--out", tmp_path / "o")
    assert sottovoce(*train).status == 0
    assert sottovoce(*train).status == 0, "the same training"
    before = (tmp_path / "o" / "card.json").read_bytes()
    refused(sottovoce(*train, "--seed", 1), "of another training", "--replace")
    assert (tmp_path / "o" / "card.json").read_bytes() == before
    assert sottovoce(*train, "--seed", 1, "--replace").status == 0
    refused(sottovoce(*train), "of another training")


def test_some_attackers_alone_can_be_tried(sottovoce, shaped, made, quick, tmp_path):
    audit = (*audit_of(made, shaped, tmp_path / "a"), "--attacker")
    said = sottovoce(*audit, "nearest", "--json")
    rows = said.json["private"]["gender"]["attackers"] + said.json["private"]["gender"]["originals"]
    assert {row["attacker"].rpartition("then ")[2] for row in rows} == {"nearest neighbour"}
    assert any("nearest" in note for note in said.json["notes"])
    refused(sottovoce(*audit, "mind-reader"), "unknown attacker 'mind-reader'", "linear, nearest")


def test_audits_are_compared(sottovoce, shaped, made, quick, tmp_path):
    one, other = audit_of(made, shaped, tmp_path / "one"), audit_of(made, shaped, tmp_path / "other", "speaker")
    assert [sottovoce(*one).status, sottovoce(*other, "--seed", 1).status] == [0, 0]
    said = sottovoce("compare", tmp_path / "one", tmp_path / "other")
    assert said.status == 0, said.err
    for words in ("word ", "permitted, ", "gender ", "private, ", "speaker ", "bits per block", "no bound"):
        assert words in said.out
    assert "warning: the seeds differ" in said.out and "corpora" not in said.out
    both = sottovoce("compare", tmp_path / "one", tmp_path / "other", "--json").json
    assert [[*audit["private"]] for audit in both["audits"]] == [["gender"], ["speaker"]]
    stored = json.loads((tmp_path / "one" / "results.json").read_text())
    assert both["audits"][0]["private"]["gender"]["leakage"] == stored["private"]["gender"]["leakage"]
    refused(sottovoce("compare", tmp_path / "one"), "expected the folders of two or more")
    refused(sottovoce("compare", tmp_path / "one", tmp_path), "results.json")


def test_an_audit_that_is_invalid_is_a_bad_finding(sottovoce, shaped, made, quick, tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "plant", lambda heard, labels, classes, level_db: heard)
    said = sottovoce(*audit_of(made, shaped, tmp_path / "a"))
    assert said.status == 1
    assert "INVALID" in said.out and "planted leak" in said.out


def test_a_filter_is_attacked_in_every_way(sottovoce, shaped, made, quick, tmp_path, monkeypatch):
    """As features, as sound, restored, and inverted by its weights."""
    thorough = replace(TINY_AUDIT, on_sound=("linear",), inversion_steps=2)
    monkeypatch.setitem(budgets.EFFORTS, "standard", thorough)
    said = sottovoce(*audit_of(made, shaped, tmp_path / "a"), "--json")
    assert said.status == 0, said.err
    found = {(row["knowledge"], row["input"]) for row in said.json["private"]["gender"]["attackers"]}
    assert found == {
        ("informed", "features"),
        ("informed", "sound"),
        ("uninformed", "features"),
        ("uninformed", "sound"),
        ("informed", "restored"),
        ("white-box", "inverted"),
    }
    assert [path.name for path in (tmp_path / "a").iterdir() if path.name.startswith(".")] == []


def test_a_killed_audit_resumes(sottovoce, shaped, made, quick, tmp_path, monkeypatch):
    whole = sottovoce(*audit_of(made, shaped, tmp_path / "whole"), "--json").json
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "cache"))
    told: list[str] = []

    def killed(done: int, total: int, note: str) -> None:
        told.append(note)
        if note.startswith("gender") and done == 3:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(shared, "Progress", lambda: killed)
        said = sottovoce(*audit_of(made, shaped, tmp_path / "a"))
    assert said.status == 130
    assert not (tmp_path / "a" / "results.json").exists()
    refused(sottovoce("verify", tmp_path / "a"), "audit again")
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cache" / "attacks").iterdir()}
    assert len(kept) == 3
    hearing = [path.name for path in (tmp_path / "a" / ".observations").iterdir()]
    with monkeypatch.context() as patch:
        patch.setattr(Filter, "obfuscate", lambda self, segments: pytest.fail("it was observed again"))
        again = sottovoce(*audit_of(made, shaped, tmp_path / "a"), "--json")
    assert hearing and again.status == 0, again.err
    now = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cache" / "attacks").iterdir()}
    assert kept.items() <= now.items() and len(now) > 3
    numbers = ("private", "permitted", "controls")
    assert all(without_seconds(again.json[key]) == without_seconds(whole[key]) for key in numbers)


def without_seconds(results: Any) -> Any:
    if isinstance(results, dict):
        return {key: without_seconds(value) for key, value in results.items() if key != "seconds"}
    return [without_seconds(value) for value in results] if isinstance(results, list) else results


def test_a_record_is_verified(sottovoce, shaped, made, quick, tmp_path):
    out = tmp_path / "a"
    assert sottovoce(*audit_of(made, shaped, out)).status == 0
    said = sottovoce("verify", out, "--json")
    right = ["every digest and every number is right", "the pages are those that the results give"]
    assert (said.status, said.json) == (0, {"verified": True, "right": right, "wrong": [], "notes": []})
    results = json.loads((out / "results.json").read_text())
    results["private"]["gender"]["verdict"] = "hidden"
    (out / "results.json").write_text(json.dumps(results))
    said = sottovoce("verify", out)
    assert said.status == 1
    assert "verdict is hidden" in said.out and "digests.json" in said.out
    (out / "results.json").write_text("{")
    refused(sottovoce("verify", out), "results.json")
    refused(sottovoce("verify", tmp_path / "nowhere"), "digests.json")


@pytest.fixture
def keys(tmp_path) -> Path:
    """A folder with two pairs of keys."""
    pytest.importorskip("cryptography")
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    (tmp_path / "keys").mkdir()
    for name in ("auditor", "stranger"):
        key, pem = Ed25519PrivateKey.generate(), form.Encoding.PEM
        private = key.private_bytes(pem, form.PrivateFormat.PKCS8, form.NoEncryption())
        public = key.public_key().public_bytes(pem, form.PublicFormat.SubjectPublicKeyInfo)
        (tmp_path / "keys" / f"{name}-private.pem").write_bytes(private)
        (tmp_path / "keys" / f"{name}.pem").write_bytes(public)
    return tmp_path / "keys"


def test_a_record_is_signed_and_its_attackers_are_fitted_again(sottovoce, shaped, made, quick, tmp_path, keys):
    out, private = tmp_path / "a", keys / "auditor-private.pem"
    assert sottovoce(*audit_of(made, shaped, out)).status == 0
    assert not (out / "statement.intoto.json").exists()
    assert sottovoce(*audit_of(made, shaped, out), "--sign", private).status == 0, "an audit that is there is resumed"
    secret = "".join(private.read_text().splitlines()[1:-1])
    for path in out.iterdir():
        content = path.read_bytes()
        assert secret.encode() not in content and private.name.encode() not in content, "the key stays with its owner"
    said = sottovoce("verify", out)
    assert said.status == 0 and "the signature in statement.intoto.json was not checked: add --key" in said.out
    fitted = ("--rerun", 2, "--corpus", shaped.spec, "--workers", 1)
    said = sottovoce("verify", out, made.filter, "--key", keys / "auditor.pem", *fitted)
    assert said.status == 0, said
    assert said.out.splitlines()[-1] == "2 of 2 attackers that were fitted again agree with the record"
    said = sottovoce("verify", out, "--key", keys / "stranger.pem", "--json")
    assert said.status == 1 and said.json["wrong"] == [
        "statement.intoto.json was not signed with this key, or was changed afterwards"
    ]
    refused(sottovoce("verify", out, "--key", private), "holds a private key")
    refused(sottovoce("verify", out, "--key", tmp_path / "nowhere"), "nowhere")
    refused(sottovoce("verify", out, "--rerun", 2), "--rerun needs what was audited")
    refused(sottovoce("verify", out, made.filter, "--corpus", shaped.spec), "add --rerun N")
    refused(sottovoce(*audit_of(made, shaped, tmp_path / "b"), "--sign", keys / "auditor.pem"), "is no key that can be")
    assert not (tmp_path / "b").exists(), "nothing was attacked yet"
    assert sottovoce(*audit_of(made, shaped, out)).status == 0
    assert not (out / "statement.intoto.json").exists(), "what was signed of the former record is not left behind"
    assert sottovoce("verify", out, "--key", keys / "auditor.pem").status == 1


def test_signatures_without_their_package_are_refused_with_what_to_install(
    sottovoce, shaped, made, quick, tmp_path, monkeypatch
):
    for name in ("cryptography", "cryptography.exceptions"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("sottovoce.audit.signing_keys", "sottovoce.audit.statement"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    (tmp_path / "key").write_text("")
    signed = (*audit_of(made, shaped, tmp_path / "a"), "--sign", tmp_path / "key")
    refused(sottovoce(*signed), "pip install 'sottovoce[sign]'")
    refused(sottovoce("verify", tmp_path / "a", "--key", tmp_path / "key"), "pip install 'sottovoce[sign]'")


def test_the_same_commands_give_the_same_filter(sottovoce, shaped, made, quick, tmp_path):
    train = (*optin_of(shaped, made), "--json")
    first, again = (sottovoce(*train, "--out", tmp_path / name).json for name in "ab")
    assert first["files"] == again["files"]
    assert first["files"] != sottovoce(*train, "--out", tmp_path / "c", "--seed", 1).json["files"]


# Training that is stopped


def test_a_killed_training_leaves_no_filter_and_goes_on(sottovoce, shaped, made, quick, tmp_path, monkeypatch):
    def killed(done: int, total: int, note: str) -> None:
        if "L_t" in note and done == 2:
            raise KeyboardInterrupt

    train = optin_of(shaped, made)
    whole = sottovoce(*train, "--out", tmp_path / "whole", "--json").json
    monkeypatch.setattr(loop, "_SAVE_EVERY_S", 0)
    with monkeypatch.context() as patch:
        patch.setattr(shared, "Progress", lambda: killed)
        said = sottovoce(*train, "--out", tmp_path / "f")
    assert said.status == 130
    assert "Traceback" not in said.err
    assert not (tmp_path / "f").exists()
    assert [path.name for path in tmp_path.iterdir() if path.name != "whole"] == [".f.partial"]
    told: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(
            shared, "Progress", lambda: lambda done, total, note: told.append(done) if "L_t" in note else None
        )
        said = sottovoce(*train, "--out", tmp_path / "f", "--json")
    assert told == [2, 3], "it resumes"
    assert said.json["files"]["weights.safetensors"] == whole["files"]["weights.safetensors"]
    assert not (tmp_path / ".f.partial").exists()


def test_who_stops_a_command_is_told_how_to_go_on(sottovoce, shaped, made, quick, tmp_path, monkeypatch):
    def killed(*_: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(shared, "Progress", lambda: killed)
    before = signal.getsignal(signal.SIGINT)
    train = optin_of(shaped, made)
    said = sottovoce(*train, "--out", tmp_path / "f")
    signal.signal(signal.SIGINT, before)
    assert said.status == 130
    assert said.err.strip() == "sottovoce: stopped; repeat the command and it resumes where training was last saved."


# Folders that are not what they should be


def missing(folder: Path) -> None:
    (folder / "filter.onnx").unlink()


def extra(folder: Path) -> None:
    (folder / "more.txt").write_text("more")


def altered(folder: Path) -> None:
    content = bytearray((folder / "filter.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "filter.onnx").write_bytes(content)


def of_another_kind(folder: Path) -> None:
    shutil.rmtree(folder)
    shutil.copytree(folder.parent / "target", folder)


def not_there(folder: Path) -> None:
    shutil.rmtree(folder)


def no_card(folder: Path) -> None:
    (folder / "card.json").unlink()


@pytest.mark.parametrize("harm", [missing, extra, altered, of_another_kind, not_there, no_card])
def test_a_filter_folder_that_is_not_whole_is_refused(sottovoce, shaped, made, quick, tmp_path, harm):
    shutil.copytree(made.target, tmp_path / "target")
    shutil.copytree(made.filter, tmp_path / "f")
    harm(tmp_path / "f")
    refused(sottovoce("protect", tmp_path / "f", clip(shaped), tmp_path / "o.wav"), str(tmp_path / "f"))
    refused(sottovoce("audit", tmp_path / "f", "--corpus", shaped.spec, "--out", tmp_path / "a"), str(tmp_path / "f"))
    assert not (tmp_path / "o.wav").exists() and not (tmp_path / "a").exists()


def test_a_target_folder_that_is_not_whole_is_refused(sottovoce, shaped, made, quick, tmp_path):
    shutil.copytree(made.target, tmp_path / "t")
    (tmp_path / "t" / "config.json").write_text("{}")
    train = (
        "train",
        "--corpus",
        shaped.spec,
        "--permit",
        "word",
        "--method",
        "optin",
        "--target",
        tmp_path / "t",
        "--out",
        tmp_path / "f",
    )
    refused(sottovoce(*train), "altered: config.json")
    assert not (tmp_path / "f").exists()


def test_what_is_in_the_way_is_not_lost(sottovoce, shaped, made, quick, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.jpg").write_text("me")
    train = optin_of(shaped, made)
    refused(sottovoce(*train, "--out", tmp_path / "photos"), "in the way")
    assert (tmp_path / "photos" / "me.jpg").read_text() == "me"


def test_what_is_in_the_way_is_noticed_before_the_training(sottovoce, shaped, made, quick, tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.jpg").write_text("me")
    steps: list[str] = []
    monkeypatch.setattr(shared, "Progress", lambda: lambda done, total, note: steps.append(note))
    train = optin_of(shaped, made)
    refused(sottovoce(*train, "--out", tmp_path / "photos"), "in the way")
    assert not [note for note in steps if "L_t" in note]


def test_the_folder_of_a_target_is_not_the_one_where_one_is(sottovoce, shaped, quick, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = sottovoce("target", "--corpus", shaped.spec, "--task", "word", "--split", "utterance", "--out", ".")
    assert said.status == 2
    assert "current folder" in said.err


@pytest.mark.parametrize("place", [".", "audit", "targets"])
def test_an_audit_is_not_written_into_the_filter_that_it_is_of(sottovoce, shaped, made, quick, tmp_path, place):
    shutil.copytree(made.filter, tmp_path / "f")
    audit = ("audit", tmp_path / "f", "--corpus", shaped.spec, "--attack", "gender", "--out")
    refused(sottovoce(*audit, tmp_path / "f" / place), "lies in the folder that is audited")
    read_folder(tmp_path / "f", "filter")


def test_a_bound_that_is_not_a_number_is_refused(sottovoce, shaped, made, quick, tmp_path):
    audit = ("audit", made.filter, "--corpus", shaped.spec, "--out", tmp_path / "a", "--attack", "gender")
    assert sottovoce(*audit, "--max-leakage", "nan").status == 2


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), SafetensorError("I/O error")])
def test_a_full_disk_in_the_midst_of_training_is_one_sentence(
    sottovoce, shaped, made, quick, tmp_path, monkeypatch, error
):
    def full(*_: object) -> None:
        raise error

    monkeypatch.setattr(loop, "_SAVE_EVERY_S", 0)
    monkeypatch.setattr(loop, "save_file", full)
    train = optin_of(shaped, made)
    refused(sottovoce(*train, "--out", tmp_path / "f"), "could not be written")
    assert not list(tmp_path.iterdir())


def test_a_torn_state_of_training_is_no_traceback(sottovoce, shaped, made, quick, tmp_path):
    (tmp_path / ".f.partial").write_bytes(b"torn")
    train = optin_of(shaped, made)
    said = sottovoce(*train, "--out", tmp_path / "f")
    assert said.status in (0, 2) and "Traceback" not in said.err


# Sound


def clip(shaped) -> Path:
    return shaped.table.parent / "ada-no-0.wav"


def test_one_file_is_protected(sottovoce, shaped, made, tmp_path):
    said = sottovoce("protect", made.filter, clip(shaped), tmp_path / "o.wav", "--json")
    assert said.status == 0, said.err
    assert said.json["files"] == 1 and said.json["failed"] == {}
    assert said.json["seconds_of_audio"] == pytest.approx(1.2)
    assert soundfile.info(tmp_path / "o.wav").frames == 19_200


def test_the_other_files_of_a_folder_are_protected(sottovoce, shaped, made, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.wav", "c.wav"):
        shutil.copy(clip(shaped), tmp_path / "in" / name)
    (tmp_path / "in" / "b.wav").write_text("RIFF, they said")
    said = sottovoce("protect", made.filter, tmp_path / "in", tmp_path / "out", "--json")
    assert said.status == 2
    assert said.json["files"] == 2 and list(said.json["failed"]) == [str(tmp_path / "in" / "b.wav")]
    assert [line for line in said.err.splitlines() if line.startswith("sottovoce: ") and "b.wav" in line]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.wav", "c.wav"]


def test_sound_that_is_not_there_is_refused(sottovoce, shaped, made, tmp_path):
    (tmp_path / "empty").mkdir()
    refused(sottovoce("protect", made.filter, tmp_path / "nowhere.wav", tmp_path / "o.wav"), "nowhere.wav")
    refused(sottovoce("protect", made.filter, tmp_path / "empty", tmp_path / "o"), "empty")
    refused(sottovoce("protect", made.filter, "-", tmp_path / "o.raw"), "needs -")
    refused(sottovoce("protect", made.filter, clip(shaped), tmp_path / "o.wav", "--sample-rate", 10), "10 Hz")
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


# As a process of its own


def process(*arguments: object, code: str = "", stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    start = [sys.executable, "-c", code] if code else [sys.executable, "-m", "sottovoce.cli"]
    return subprocess.run([*start, *map(str, arguments)], capture_output=True, input=stdin, check=False)


def test_a_process_says_one_sentence_and_exits_with_2(tmp_path):
    done = process("protect", tmp_path / "nowhere", "a.wav", "b.wav")
    refused(Said(done.returncode, done.stdout.decode(), done.stderr.decode()), "nowhere")


def test_protecting_needs_no_training_parts(shaped, made, tmp_path):
    """With torch and all else that a device does not have out of reach, a stream of raw sound is protected."""
    absent = ["torch", "safetensors", "onnx", "sklearn", "scipy", "jinja2", "matplotlib", "joblib"]
    code = f"import sys; sys.modules.update(dict.fromkeys({absent})); from sottovoce.cli import main; main()"
    sound = (1000 * np.random.default_rng(0).standard_normal(24_000)).astype("<i2").tobytes()
    done = process("protect", made.filter, "-", "-", code=code, stdin=sound)
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(done.stdout) == len(sound)
    assert done.stdout != sound
    done = process("train", "--corpus", shaped.spec, "--permit", "word", "--target", "t", "--out", "o", code=code)
    refused(Said(done.returncode, done.stdout.decode(), done.stderr.decode()), "pip install 'sottovoce[train]'")


def test_doctor_says_what_is_installed(sottovoce):
    said = sottovoce("doctor", "--json")
    assert said.status == 0
    assert said.json["parts"]["device"]["numpy"] == np.__version__
    assert set(said.json["parts"]) >= {"device", "train", "audit"}
    missing = {part for part, names in said.json["parts"].items() if None in names.values()}
    assert len(said.json["advice"]) == len(missing - {"device"})
    assert np.__version__ in sottovoce("doctor").out


def test_what_a_folder_says_of_itself_is_true(made):
    assert read_folder(made.filter, "filter")["permit"] == ["word"]
    assert read_folder(made.target, "target")["task"] == "word"


# Filters that come along, and codebooks


@pytest.fixture(scope="module")
def drawn(shaped_once, made, tmp_path_factory) -> Path:
    """A codebook filter for the target of `made`."""
    from sottovoce.jobs import train

    folder = tmp_path_factory.mktemp("drawn") / "filter"
    with pytest.MonkeyPatch.context() as patch:
        small(patch)
        patch.setenv("SOTTOVOCE_CACHE", str(shaped_once.table.parent / "cache"))
        config = train.TrainConfig(shaped_once.spec, ("word",), (made.target,), folder, settings=TINY_CODEBOOK)
        train.make_filter(config, _silent)
    return folder


def test_a_codebook_from_its_audit_to_its_words(sottovoce, shaped, quick, drawn, tmp_path):
    audit = ("audit", drawn, "--corpus", shaped.spec, "--attack", "speaker", "--workers", 1, "--out", tmp_path / "a")
    said = sottovoce(*audit, "--json")
    assert said.status == 0, said.err
    bound = said.json["bound"]
    assert bound["codes"] == {"word": 4} and said.json["filter"]["bits_per_block"] == bound["bits_per_block"]
    assert sottovoce("verify", tmp_path / "a").status == 0
    assert "The bound" in (tmp_path / "a" / "report.html").read_text(encoding="utf-8")
    said = sottovoce(*audit, "--constant", 3, "--replace", "--json")
    assert said.json["bound"]["constant_blocks"] == 3
    assert sottovoce("verify", tmp_path / "a").status == 0

    said = sottovoce("filters", "show", drawn, "--out", tmp_path / "words.html", "--json")
    assert (said.json["codewords"], said.json["page"]) == (4, str(tmp_path / "words.html"))
    assert {*said.json["none"]} == {"word"}
    page = (tmp_path / "words.html").read_text(encoding="utf-8")
    assert "<figcaption>stop</figcaption>" in page and "While nothing is permitted" in page


def test_protecting_with_a_codebook(sottovoce, drawn, tmp_path):
    soundfile.write(tmp_path / "in.wav", 0.1 * np.random.default_rng(0).standard_normal(30_000), 16000)
    assert sottovoce("protect", drawn, tmp_path / "in.wav", tmp_path / "out.wav").status == 0
    assert soundfile.info(tmp_path / "out.wav").frames == 2 * 20480
    assert sottovoce("protect", drawn, tmp_path / "in.wav", tmp_path / "out.wav", "--constant", 3).status == 0
    assert soundfile.info(tmp_path / "out.wav").frames == 3 * 20480
    shipped = ("protect", "--permit", "speech", tmp_path / "in.wav", tmp_path / "by-name.wav")
    assert sottovoce(*shipped).status == 0
    assert "speech" in sottovoce("filters", "list").out

    refused(sottovoce("protect", drawn, tmp_path / "in.wav", tmp_path / "o.wav", "--permit", "age"), "no codes for age")
    refused(sottovoce("protect", tmp_path / "in.wav", tmp_path / "o.wav"), "permits nothing")
    refused(sottovoce("protect", "--permit", "age", tmp_path / "in.wav", tmp_path / "o.wav"), "permits age")
    refused(sottovoce("protect", drawn), "FILTER IN OUT")


def test_answers_are_written_as_data(sottovoce, drawn, made, tmp_path):
    wav = (3000 * np.random.default_rng(0).standard_normal(30_000)).astype("<i2")
    soundfile.write(tmp_path / "in.wav", wav, 16000)
    ask = ("protect", drawn, tmp_path / "in.wav")
    assert sottovoce(*ask, tmp_path / "out.csv", "--output", "labels").status == 0
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[0] == "start_s,end_s,task,class"
    assert [line.rpartition(",")[0] for line in lines[1:]] == ["0.0,1.28,word", "1.28,2.56,word"]
    assert sottovoce(*ask, tmp_path / "out.jsonl", "--output", "labels").status == 0
    lines = (tmp_path / "out.jsonl").read_text()
    assert [json.loads(line)["end_s"] for line in lines.splitlines()] == [1.28, 2.56]
    done = process("protect", drawn, "-", "-", "--output", "labels", stdin=wav.tobytes())
    assert done.stdout.decode() == lines

    refused(sottovoce(*ask, tmp_path / "o.csv", "--output", "text"), "expected sound or labels")
    refused(sottovoce(*ask, tmp_path / "o.wav", "--output", "labels"), "give it the ending .csv")
    refused(sottovoce(*ask, tmp_path / "o.csv", "--output", "labels", "--rate", 8000), "no sample rate")
    refused(sottovoce("protect", drawn, "-", "-", "--output", "labels", "--format", "wav"), "expected csv or jsonl")
    refused(sottovoce("protect", made.filter, *ask[2:], tmp_path / "o.csv", "--output", "labels"), "has no codes")


def test_a_filter_is_exported_and_checked(sottovoce, drawn, tmp_path):
    said = sottovoce("export", drawn, "--int8", "--out", tmp_path / "out", "--json")
    assert said.status == 0, said.err
    assert said.json["quantised"] == "8 bits, weights" and {"whole.onnx", "golden.npz"} <= {*said.json["files"]}
    checked = sottovoce("export", tmp_path / "out", "--check", "--json")
    assert checked.status == 0 and max(checked.json.values()) < 0.01
    assert sottovoce("protect", tmp_path / "out", "-", "o.wav").status == 2
    refused(sottovoce("export", drawn, "--to", "pdf", "--out", tmp_path / "o"), "expected onnx")
    refused(sottovoce("export", drawn), "--out is missing")
    refused(sottovoce("export", drawn, "--check"), "holds no golden vectors")


def test_an_export_that_is_off_exits_with_1(drawn, tmp_path):
    out = tmp_path / "out"
    assert process("export", drawn, "--out", out).returncode == 0
    files = {path.name: path.read_bytes() for path in out.iterdir() if path.name != "card.json"}
    kept = dict(np.load(io.BytesIO(files["golden.npz"])))
    kept["features"] = kept["features"] + np.float16(1.0)
    buffer = io.BytesIO()
    np.savez(buffer, **kept)
    write_folder(out, "filter", {**files, "golden.npz": buffer.getvalue()}, {"permit": ["word"]})
    done = process("export", out, "--check")
    assert done.returncode == 1 and b"off by 1" in done.stderr


def test_a_folder_is_protected_by_several_and_goes_on(sottovoce, shaped, made, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.wav", "b.wav", "c.wav"):
        shutil.copy(clip(shaped), tmp_path / "in" / name)
    ask = ("protect", made.filter, tmp_path / "in", tmp_path / "out", "--workers", 2, "--json")
    assert sottovoce(*ask).json["files"] == 3
    (tmp_path / "out" / "b.wav").unlink()
    again = sottovoce(*ask).json
    assert (again["files"], again["finished_before"]) == (1, 2)


def test_a_filter_without_words_cannot_show_them(sottovoce, made, tmp_path):
    refused(sottovoce("filters", "show", made.filter, "--out", tmp_path / "words.html"), "no codewords")
    assert not list(tmp_path.iterdir())


def test_codes_and_blocks_that_cannot_be(sottovoce, shaped, quick, made, tmp_path):
    train = ("train", "--corpus", shaped.spec, "--permit", "word", "--target", made.target, "--out", tmp_path / "f")
    refused(sottovoce(*train, "--block", 3), "a block is 3 segments", "1, 2, 4, 8, 16")
    refused(sottovoce(*train, "--permit", "word,word"), "different tasks")


def test_a_target_behind_an_address(sottovoce, shaped, quick, tmp_path):
    """Only its answers are had: a codebook can be trained for it, the opt-in game cannot."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.say({"task": "word", "classes": ["no", "stop", "yes"]})

        def do_POST(self) -> None:
            spectra = np.load(io.BytesIO(self.rfile.read(int(self.headers["Content-Length"]))))
            self.say({"scores": (10.0 * spectra[:, [10, 14, 18]].mean(axis=2)).tolist()})

        def say(self, content: Any) -> None:
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/"
        train = ("train", "--corpus", shaped.spec, "--permit", "word", "--target", address, "--preset", "compact")
        refused(sottovoce(*train, "--method", "optin", "--out", tmp_path / "o"), "gradients")
        said = sottovoce(*train, *overridden(TINY_CODEBOOK), "--out", tmp_path / "f", "--json")
        server.shutdown()
    assert said.status == 0, said.err
    assert said.json["classes"] == {"word": ["no", "stop", "yes"]}
    assert not (tmp_path / "f" / "targets").exists(), "nothing of it is ours to keep"


def test_a_judge_is_named_on_the_command_line_and_a_loss_decides_the_exit_status(
    sottovoce, shaped, made, quick, tmp_path
):
    """A judge of a task that is not permitted is refused; the last line says who loses what."""
    audit = audit_of(made, shaped, tmp_path / "a")
    judge = tmp_path / "judges.py"
    judge.write_text(
        "import numpy as np\n"
        "def deaf(waves, rate):\n"
        "    return np.eye(3)[np.zeros(len(waves), int)]\n"
        "def other(waves, rate):\n"
        "    return np.zeros((len(waves), 2))\n"
    )
    named = ("--judge", made.target, "--judge", "judges:deaf", "--task", ",word", "--classes", ";no,stop,yes")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        said = sottovoce(*audit, *named, "--max-loss", 0, "--json")
        wrong = ("--judge", "judges:other", "--task", "gender", "--classes", "female,male")
        refused(sottovoce(*audit, *wrong), "recognises 'gender', which no target of this audit answers; expected word")
    refused(sottovoce(*audit, "--max-loss", 2), "--max-loss is 2.0; expected a share from 0 to 1")
    own, deaf = said.json["permitted"]["word"]["judges"]
    assert (own["kind"], deaf["kind"], deaf["judge"]) == ("trained-with", "third-party", "judges:deaf")
    assert own["original"] == said.json["permitted"]["word"]["original"] and deaf["original"] == deaf["obfuscated"]
    lost = [one["original"]["score"] - one["obfuscated"]["score"] for one in (said.json["permitted"]["word"], own)]
    last = said.err.strip().splitlines()[-1]
    assert (said.status == 1) == (max(lost) > 0) == ("more than the 0.0 of --max-loss" in last), said.err
