"""The main job from nothing, in a small form: everything that it promises is there."""

import json
import os
from typing import Any

import pytest

from sottovoce import demo
from sottovoce.audit import budgets
from sottovoce.audit.budgets import Effort
from sottovoce.audit.record import verify
from sottovoce.errors import ConfigError
from sottovoce.models.checkpoint import read_folder

TARGET = {
    "architecture": "deepspeech2",
    "settings.maps": 2,
    "settings.hidden": 8,
    "settings.layers": 1,
    "steps": 2,
    "batch": 4,
}


@pytest.fixture
def corpus(shaped, monkeypatch, tmp_path_factory) -> str:
    """Another corpus with words, by utterance as the built-in one, and a few attackers."""
    table = shaped.table.with_name("official.csv")
    lines = shaped.table.read_text().splitlines()
    parts = ["train", "train", "validation", "test", "test"]  # of the five repetitions
    rows = [f"{line},{parts[number % 5]}" for number, line in enumerate(lines[1:])]
    table.write_text("\n".join([f"{lines[0]},split", *rows]))
    effort = Effort(("linear",), ("linear",), (), {}, curves=(), shares=(0.5,), restorer_steps=2)
    monkeypatch.setattr(budgets, "EFFORTS", {"quick": effort})
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path_factory.mktemp("cache")))
    return f"csv:{table}"


def test_everything_from_nothing_and_nothing_twice(corpus, tmp_path):
    notes: list[str] = []
    out = tmp_path / "demo"

    def run(drawing_steps: int) -> dict[str, Any]:
        notes.clear()
        few = {
            "drawing.candidates": 64,
            "voters": 1,
            "voter_steps": 2,
            "judges": False,
            "none.steps": 3,
            "none.measured": 32,
        }
        settings = {"drawing.steps": drawing_steps, **few}
        return demo.run(out, lambda done, total, note: notes.append(note), corpus, TARGET, settings)

    def trained() -> list[str]:
        return [note.split(":")[0] for note in notes if ": training" in note]

    found = run(2)
    assert read_folder(out / "target", "target")["task"] == "word"
    assert read_folder(out / "filter", "filter")["permit"] == ["word"]
    results = json.loads((out / "results.json").read_text())
    assert {key: found[key] for key in results} == results
    assert verify(out) == []
    assert set(results["private"]) == {"gender", "speaker"}
    assert (out / "report.html").stat().st_size > 10_000
    before, after = (sorted(path.name for path in (out / name).iterdir()) for name in ("originals", "protected"))
    assert before == after and len(before) == 10 == found["demo"]["protected"]
    assert all((out / "originals" / name).read_bytes() != (out / "protected" / name).read_bytes() for name in before)
    stages = ["the target", "the filter", "attacking the filter"]
    assert [stage for stage in dict.fromkeys(note.split(":")[0] for note in notes)] == stages
    assert trained() == ["the target", "the filter"]
    said = demo.table(found)
    assert "speaker" in said and "report.html" in said
    card = (out / "filter" / "card.json").read_bytes()
    run(2)
    assert trained() == [] and (out / "filter" / "card.json").read_bytes() == card, "what was finished is kept"
    (out / "filter" / "codebook.npz").write_bytes(b"")
    run(2)
    assert trained() == ["the filter"], "what was altered is not"
    run(3)
    assert trained() == ["the filter"], "nor what was trained with other settings"


def test_a_file_in_the_way_is_refused_before_any_work(tmp_path):
    (tmp_path / "demo").write_text("mine")
    with pytest.raises(ConfigError, match="expected a folder"):
        demo.run(tmp_path / "demo", lambda *_: pytest.fail("work was done"))
    assert (tmp_path / "demo").read_text() == "mine"
