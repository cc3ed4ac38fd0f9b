"""The law: codewords are nobody's voice unless recordings were asked for, and every place says which of the two it is.

Nobody's voice is measured: no codeword is more similar to any training recording than a segment of one person typically
is to the most similar recording of another person. Recordings fail this measure, so it can fail.
"""

import json
from pathlib import Path

import onnx
import pytest
import torch
from torch import nn

from sottovoce.errors import ConfigError
from sottovoce.jobs import export, make
from sottovoce.models.checkpoint import read_folder, write_folder
from sottovoce.models.onnx_graph import traced
from sottovoce.report.vocabulary import write_vocabulary
from sottovoce.runtime.filter import Filter
from sottovoce.training import codebook
from sottovoce.training.codebook import CodebookSettings
from sottovoce.training.distillation import StudentSettings
from sottovoce.training.words import WordSettings

CLASSES = ("no", "stop", "yes")
SMALL = CodebookSettings(
    student=StudentSettings(steps=10, queries=160, batch=16), drawing=WordSettings(steps=30, candidates=512)
)


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


def trained(shaped, box, out, monkeypatch, report=silent, **asked):
    presets = {name: SMALL for name in ("compact", "student", "black-box")}
    monkeypatch.setattr(codebook, "PRESETS", presets)
    return make.make_filter(make.Wanted(shaped.spec, ("word",), (box,), out, **asked), report)


@pytest.mark.parametrize("preset", ["compact", "student", "black-box"])
def test_by_default_no_codeword_is_like_any_recording(shaped, box, tmp_path, monkeypatch, preset):
    facts = trained(shaped, box, tmp_path / "filter", monkeypatch, preset=preset)["codewords"]
    assert facts["source"] == "synthetic"
    assert facts["highest_similarity"] <= facts["between_people"] < 0.9


def test_recordings_are_asked_for_and_are_like_themselves(shaped, box, tmp_path, monkeypatch):
    facts = trained(shaped, box, tmp_path / "filter", monkeypatch, codewords="recordings")["codewords"]
    assert facts["source"] == "recordings"
    assert facts["highest_similarity"] > 0.98 > facts["between_people"]


def test_the_card_counts_people_and_only_the_log_names_them(shaped, box, tmp_path, monkeypatch):
    told: list[str] = []
    card = trained(
        shaped, box, tmp_path / "f", monkeypatch, lambda _, __, note: told.append(note), codewords="recordings"
    )
    facts = card["codewords"]
    assert 0 < facts["people"] <= 5 and facts["recordings"] >= facts["people"]
    assert (facts["corpus"], facts["licence"]) == (shaped.manifest.name, shaped.manifest.licence)
    named = [note for note in told if "the recordings" in note]
    assert len(named) == 1 and any(name in named[0] for name in ("ada", "bea", "cyn", "dan", "eli"))
    assert not any(name in json.dumps(facts) for name in ("ada", "bea", "cyn", "dan", "eli"))


@pytest.mark.parametrize(("codewords", "said"), [("synthetic", "are synthetic"), ("recordings", "are recordings")])
def test_card_page_and_what_is_exported_say_which_it_is(shaped, box, tmp_path, monkeypatch, codewords, said):
    trained(shaped, box, tmp_path / "filter", monkeypatch, codewords=codewords)
    assert read_folder(tmp_path / "filter", "filter")["codewords"]["source"] == codewords
    write_vocabulary(Filter.load(tmp_path / "filter"), tmp_path / "words.html")
    assert said in (tmp_path / "words.html").read_text(encoding="utf-8")
    card = export.export(export.Wanted(tmp_path / "filter", tmp_path / "out"), silent)
    assert card["codewords"]["source"] == codewords
    whole = onnx.load(tmp_path / "out" / "whole.onnx")
    assert any(entry.key == "codewords" and said in entry.value for entry in whole.metadata_props)


def test_an_older_filter_is_said_to_leave_it_open(shaped, box, tmp_path, monkeypatch):
    trained(shaped, box, tmp_path / "filter", monkeypatch)
    card = read_folder(tmp_path / "filter", "filter")
    files = {name: (tmp_path / "filter" / name).read_bytes() for name in card["files"]}
    kept = {
        key: value for key, value in card.items() if key not in ("codewords", "files", "schema", "kind", "sottovoce")
    }
    write_folder(tmp_path / "older", "filter", files, kept)
    write_vocabulary(Filter.load(tmp_path / "older"), tmp_path / "words.html")
    assert "is not recorded" in (tmp_path / "words.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"codewords": "voices"}, "expected synthetic or recordings"),
        ({"codewords": ""}, "expected synthetic or recordings"),
        ({"codewords": "recordings", "method": "optin"}, "has no codewords"),
        ({"codewords": "recordings", "method": "adr"}, "has no codewords"),
        ({"method": "words"}, "add --codewords recordings"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(shaped, box, tmp_path, monkeypatch, asked, why):
    with pytest.raises(ConfigError, match=why):
        trained(shaped, box, tmp_path / "filter", monkeypatch, **asked)
    assert not list(tmp_path.iterdir())
