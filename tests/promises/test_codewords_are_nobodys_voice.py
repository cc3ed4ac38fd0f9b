"""The law: codewords are nobody's voice unless recordings were asked for, and every place says which of the two it is.

Nobody's voice is measured: no codeword is more similar to any training recording than a segment of one person typically
is to the most similar recording of another person. Recordings fail this measure, so it can fail.
"""

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import onnx
import pytest
import torch
from torch import nn

from sottovoce import cli
from sottovoce.audit.system import of_filter
from sottovoce.errors import ConfigError
from sottovoce.jobs import export, train
from sottovoce.models.checkpoint import read_folder, write_folder
from sottovoce.models.onnx_graph import traced
from sottovoce.progress import Report
from sottovoce.report import impact_assessment
from sottovoce.report.codewords_page import write_codewords_page
from sottovoce.runtime.filter import Filter

NAMES = ("ada", "bea", "cyn", "dan", "eli")  # who speaks in the corpus
CLASSES = ("no", "stop", "yes")
SMALL = {
    "student.steps": 10,
    "student.queries": 160,
    "student.batch": 16,
    "drawing.steps": 10,
    "drawing.candidates": 160,
    "voters": 0,
    "judges": False,
    "none.steps": 3,
    "none.measured": 32,
}


class Reader(nn.Module):
    """A recogniser of words that is right already: the tones that the corpus has."""

    def forward(self, spectrum: torch.Tensor) -> torch.Tensor:
        return 5.0 * spectrum[:, [10, 14, 18]].mean(dim=2)


def silent(done: int, total: int, note: str) -> None:
    pass


@pytest.fixture(scope="module")
def box(tmp_path_factory) -> Path:
    """A target that can only be queried: a graph."""
    graph = onnx.load_from_string(traced(Reader(), (torch.zeros(2, 161, 128),), ["spectrum"], ["scores"], True))
    for key, value in {"task": "word", "classes": json.dumps(CLASSES)}.items():
        graph.metadata_props.add(key=key, value=value)
    path = tmp_path_factory.mktemp("box") / "target.onnx"
    onnx.save(graph, path)
    return path


class Made(NamedTuple):
    """A filter for a target that can only be queried, its card, and what was told while it was trained."""

    folder: Path
    card: dict[str, Any]
    notes: list[str]


def trained(spec: str, target: Path, out: Path, report: Report = silent, **config: Any) -> dict[str, Any]:
    return train.make_filter(train.TrainConfig(spec, ("word",), (target,), out, **config), report)


@pytest.fixture(scope="module")
def made(shaped_once, box, tmp_path_factory) -> dict[str, Made]:
    """Filters with codewords of both kinds, the first without having been asked for."""

    def one(preset: str, **more: str) -> Made:
        notes: list[str] = []
        folder = tmp_path_factory.mktemp(preset) / "filter"
        settings = SMALL | more
        card = trained(
            shaped_once.spec, box, folder, lambda _, __, note: notes.append(note), preset=preset, settings=settings
        )
        return Made(folder, card, notes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOTTOVOCE_CACHE", str(shaped_once.table.parent / "cache"))
        return {"synthetic": one("compact"), "recordings": one("black-box", codewords="recordings")}


def test_by_default_no_codeword_is_like_any_recording(made):
    facts = made["synthetic"].card["codewords"]
    assert facts["source"] == "synthetic"
    assert facts["highest_similarity"] <= facts["between_people"] < 0.9


def test_recordings_are_asked_for_and_are_like_themselves(made):
    facts = made["recordings"].card["codewords"]
    assert facts["source"] == "recordings"
    assert facts["highest_similarity"] > 0.95, "not 1: a codeword begins between two frames of its recording"
    assert facts["highest_similarity"] > facts["between_people"]


def test_the_card_counts_people_and_only_the_log_names_them(made, shaped):
    facts = made["recordings"].card["codewords"]
    assert 0 < facts["people"] <= len(NAMES) and facts["recordings"] >= facts["people"]
    assert (facts["corpus"], facts["licence"]) == (shaped.manifest.name, shaped.manifest.licence)
    assert not any(name in json.dumps(facts) for name in NAMES)
    (named,) = [note for note in made["recordings"].notes if "the recordings" in note]
    assert any(name in named for name in NAMES)
    assert not any("the recordings" in note for note in made["synthetic"].notes)


@pytest.mark.parametrize("codewords", ["synthetic", "recordings"])
def test_card_page_and_what_is_exported_say_which_it_is(made, tmp_path, codewords):
    folder, said = made[codewords].folder, f"The codewords of this filter are {codewords}"
    assert read_folder(folder, "filter")["codewords"]["source"] == codewords
    write_codewords_page(Filter.load(folder), tmp_path / "words.html")
    assert said in (tmp_path / "words.html").read_text(encoding="utf-8")
    card = export.export(export.ExportConfig(folder, tmp_path / "out"), silent)
    assert card["codewords"] == made[codewords].card["codewords"]
    whole = onnx.load(tmp_path / "out" / "whole.onnx")
    assert any(entry.key == "codewords" and said in entry.value for entry in whole.metadata_props)


@pytest.mark.parametrize("codewords", ["synthetic", "recordings"])
def test_an_audit_of_the_filter_says_which_it_is(made, shaped, codewords):
    description = of_filter(Filter.load(made[codewords].folder), shaped.sounds).description
    assert f"are {codewords}" in impact_assessment.codewords({"filter": description})


def test_an_older_filter_is_said_to_leave_it_open(made, tmp_path):
    folder, card, _ = made["synthetic"]
    files = {name: (folder / name).read_bytes() for name in card["files"]}
    older = {key: value for key, value in card.items() if key not in ("codewords", "files", "schema", "kind")}
    write_folder(tmp_path / "older", "filter", files, older)
    write_codewords_page(Filter.load(tmp_path / "older"), tmp_path / "words.html")
    assert "is not recorded" in (tmp_path / "words.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"settings": {"codewords": "voices"}}, "expected synthetic or recordings"),
        ({"settings": {"codewords": ""}}, "expected synthetic or recordings"),
        ({"settings": {"codewords": "recordings"}, "method": "optin"}, "has no setting 'codewords'"),
        ({"settings": {"codewords": "recordings"}, "method": "adr"}, "has no setting 'codewords'"),
        ({"method": "words"}, "add --codewords recordings"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(shaped, box, tmp_path, asked, why):
    with pytest.raises(ConfigError, match=why):
        trained(shaped.spec, box, tmp_path / "filter", **asked)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        ((), 0, "The codewords of this filter are synthetic"),
        (("--codewords", "recordings"), 0, "The codewords of this filter are recordings"),
        (("--codewords", "voices"), 2, "expected synthetic or recordings"),
    ],
)
def test_the_command_says_which_it_is(shaped, box, tmp_path, monkeypatch, capfd, options, status, said):
    small = [option for name, value in SMALL.items() for option in ("--set", f"{name}={value}")]
    train = ["sottovoce", "train", "--corpus", shaped.spec, "--permit", "word", "--target", str(box), *options, *small]
    monkeypatch.setattr(sys, "argv", [*train, "--out", str(tmp_path / "filter")])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    out, err = capfd.readouterr()
    assert (stopped.value.code or 0) == status
    assert said in (err if status else out)
    assert (tmp_path / "filter").exists() == (status == 0)
