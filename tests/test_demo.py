"""The main job from nothing, in a small form: everything that it promises is there."""

import json
import os

import pytest

from sottovoce import demo
from sottovoce.audit import budgets
from sottovoce.audit.budgets import Effort
from sottovoce.audit.record import verify
from sottovoce.errors import ConfigError
from sottovoce.methods.codebook import training as codebook
from sottovoce.methods.codebook.codewords import CodewordSettings
from sottovoce.methods.codebook.training import CodebookSettings
from sottovoce.models.checkpoint import read_folder
from sottovoce.training import target as target_training
from sottovoce.training.target import TargetSettings


@pytest.fixture(autouse=True)
def small(shaped, monkeypatch, tmp_path_factory) -> None:
    """Another corpus with words, by utterance as the built-in one, and a few steps of everything."""
    table = shaped.table.with_name("official.csv")
    lines = shaped.table.read_text().splitlines()
    parts = ["train", "train", "validation", "test", "test"]  # of the five repetitions
    rows = [f"{line},{parts[number % 5]}" for number, line in enumerate(lines[1:])]
    table.write_text("\n".join([f"{lines[0]},split", *rows]))
    monkeypatch.setattr(demo, "CORPUS", f"csv:{table}")
    target = TargetSettings("deepspeech2", {"maps": 2, "hidden": 8, "layers": 1}, steps=2, batch=4)
    filter_ = CodebookSettings(drawing=CodewordSettings(steps=2))
    monkeypatch.setattr(target_training, "PRESETS", {"quick": target})
    monkeypatch.setattr(codebook, "PRESETS", {"quick": filter_})
    effort = Effort(("linear",), ("linear",), (), {}, curves=(), shares=(0.5,), restorer_steps=2)
    monkeypatch.setattr(budgets, "EFFORTS", {"quick": effort})
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path_factory.mktemp("cache")))


def test_everything_from_nothing(tmp_path):
    told: list[str] = []
    out = tmp_path / "demo"
    found = demo.run(out, lambda done, total, note: told.append(note))
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
    stages = ["training the target", "training the filter", "attacking the filter"]
    assert [stage for stage in dict.fromkeys(note.split(":")[0] for note in told)] == stages
    said = demo.table(found)
    assert "speaker" in said and "report.html" in said
    demo.run(out, lambda *_: None)  # a second time over the first


def test_a_file_in_the_way_is_refused_before_any_work(tmp_path):
    (tmp_path / "demo").write_text("mine")
    with pytest.raises(ConfigError, match="expected a folder"):
        demo.run(tmp_path / "demo", lambda *_: pytest.fail("work was done"))
    assert (tmp_path / "demo").read_text() == "mine"
