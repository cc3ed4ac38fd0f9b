"""Figures 3 and 4 and the paper's first steps, on little: made once, shared, told, and not made twice."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sottovoce.audit import budgets
from sottovoce.audit.budgets import Effort
from sottovoce.errors import ConfigError
from sottovoce.experiments import figure3, figure4, figure_drawing, figure_runs, paper_run, targets
from sottovoce.experiments.catalogue import run_experiment
from sottovoce.experiments.figure_runs import Plan, Setting
from sottovoce.methods.adr import game as adr
from sottovoce.methods.adr.xvector import XVectorSettings
from sottovoce.methods.codebook import training as codebook
from sottovoce.methods.codebook.codewords import CodewordSettings
from sottovoce.methods.codebook.training import CodebookSettings
from sottovoce.methods.optin import game as optin
from sottovoce.methods.optin.game import OptinSettings
from sottovoce.training import target as target_training
from sottovoce.training.target import TargetSettings

RATE = 16000
GAME = OptinSettings("compact-autoencoder", {"width": 4, "blocks": 1}, {"width": 4, "blocks": 1}, 2, 4, "adam")
WORDS = TargetSettings("deepspeech2", {"maps": 2, "hidden": 8, "layers": 1}, 3, 4)
LITTLE = Effort(("nearest", "linear"), ("linear",), (), {}, curves=(), shares=(0.5,), restorer_steps=2)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    xvectors = XVectorSettings({"width": 4, "pooled": 6}, steps=2, batch=6)
    embeddings = replace(adr.PRESETS["compact"], steps=2, batch=8, classifier_steps=2, crops=0, xvector=xvectors)
    monkeypatch.setattr(adr, "PRESETS", {"compact": embeddings})
    monkeypatch.setattr(optin, "PRESETS", {"compact": GAME})
    monkeypatch.setattr(codebook, "PRESETS", {"compact": CodebookSettings(drawing=CodewordSettings(steps=2))})
    monkeypatch.setattr(target_training, "PRESETS", {"compact": WORDS})
    monkeypatch.setattr(budgets, "EFFORTS", {"quick": LITTLE})
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(figure_runs, "SEEDS", (0,))
    for module in (figure3, figure4):
        setting = Setting("csv", "clips.csv", "speaker", ("gender", "emotion"), "gender", "utterance")
        monkeypatch.setattr(module, "PERMIT_SPEAKER", (setting,))


@pytest.fixture
def corpora(tmp_path: Path) -> Path:
    """Four voices that are tones, in two moods that are how loud the noise is."""
    rng = np.random.default_rng(0)
    rows = [("path", "speaker", "gender", "emotion")]
    time = np.arange(RATE) / RATE
    for number in range(48):
        voice, mood = number % 4, number // 4 % 2
        wav = 0.1 * np.sin(2 * np.pi * (300 + 700 * voice) * time + rng.uniform(0, 6))
        soundfile.write(tmp_path / f"{number}.flac", wav + 0.02 * mood * rng.standard_normal(RATE), RATE)
        rows.append((f"{number}.flac", f"voice-{voice}", "female" if voice < 2 else "male", ("calm", "loud")[mood]))
    with (tmp_path / "clips.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return tmp_path


def test_both_figures_come_from_the_same_runs(corpora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    text = figure3.run_a(corpora, out, 1)
    found = json.loads((out / "figure3a.json").read_text())
    assert [each["method"] for each in found["runs"]] == ["optin", "adr", "codebook"]
    assert all([*each["private"]] == ["gender"] for each in found["runs"]), "emotion is of the other figure"
    for each in found["runs"]:
        entry = each["private"]["gender"]
        assert {"chance", "floor", "ceiling", "strongest", "uninformed", "informed"} <= entry.keys()
        assert all(
            entry[name]["low"] <= entry[name]["score"] <= entry[name]["high"] for name in ("uninformed", "informed")
        )
        assert ("unprotected" in entry) == (each["method"] == "adr") == bool(each["declared"])
    assert "| csv | speaker, ADR |" in text and found["caption"] in text and "seeds 0;" in found["caption"]
    assert str(tmp_path) not in json.dumps(found).replace("csv:PATH", "")
    monkeypatch.setattr(targets, "make_target", None)
    for name in ("make_filter", "run_audit", "read_embeddings"):
        monkeypatch.setattr(figure_runs, name, None)
    assert figure3.run_a(corpora, out, 1) == text
    assert "| emotion |" in figure4.run(corpora, out, 1)
    both = json.loads((out / "figure4.json").read_text())["runs"]
    assert [{*each["private"]} for each in both] == [{"gender", "emotion"}] * 3
    for name in ("figure3a", "figure4"):
        assert (out / f"{name}.svg").read_bytes().startswith(b"<?xml")


def test_the_sizes_of_the_paper_are_a_preset_beside(corpora: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(adr, "PRESETS", {"paper": adr.PRESETS["compact"]})
    monkeypatch.setattr(optin, "PRESETS", {"paper": GAME})
    monkeypatch.setattr(target_training, "PRESETS", {"paper": WORDS})
    monkeypatch.setattr(budgets, "EFFORTS", {"standard": LITTLE})
    run_experiment("figure3a", corpora, tmp_path / "out", 1, "paper")
    found = json.loads((tmp_path / "out" / "figure3a-paper.json").read_text())
    assert [(each["preset"], each["attackers"]) for each in found["runs"]] == [
        ("paper", "standard"),
        ("paper", "standard"),
        ("compact", "standard"),
    ]
    assert "opt-in (preset paper)" in found["caption"] and "codebook (preset compact)" in found["caption"]
    assert (tmp_path / "out" / "figure3a-paper.svg").is_file()


@pytest.mark.parametrize(
    ("name", "preset", "said"),
    [
        ("figure5", "compact", "unknown experiment 'figure5'; known: ablation"),
        ("figure4", "huge", "unknown preset 'huge' of an experiment; known: compact, paper"),
        ("rdal", "paper", "--preset paper is for figure3a"),
    ],
)
def test_what_no_experiment_has_is_one_sentence(tmp_path: Path, name: str, preset: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        run_experiment(name, tmp_path, tmp_path, 1, preset)


def test_what_stands_is_whole_after_each_seed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    met = []
    monkeypatch.setattr(figure_runs, "SEEDS", (0, 1))
    monkeypatch.setattr(figure_runs, "_target", lambda *_: None)
    monkeypatch.setattr(figure_runs, "_made", lambda setting, method, seed, *_: met.append((seed, method)) or {})
    settings = (figure_runs.PERMIT_GENDER[0], figure_runs.PERMIT_GENDER[2])
    sizes = [len(found) for found in figure_runs.found_so_far(settings, Plan(tmp_path, tmp_path, "compact", 1))]
    assert sizes == [6, 12] and [seed for seed, _ in met] == [0] * 6 + [1] * 6


def test_the_paper_stands_beside_what_it_measured() -> None:
    assert figure_drawing._published("ravdess", "optin", "speaker", "gender") == "99.6 / 48.2 / 52.3"
    assert figure_drawing._published("ravdess", "adr", "speaker", "emotion") == "92.2 / 15.9 / 70.5"
    assert figure_drawing._published("ravdess", "adr", "gender", "speaker") == ""
    assert figure_drawing._published("emodb", "adr", "speaker", "gender") == ""


def test_seeds_stand_side_by_side_where_they_differ() -> None:
    high, low = {"score": 0.995}, {"score": 0.5}
    assert figure_drawing._seeds([high, low, high]) == "99.5 / 50.0 / 99.5"
    assert figure_drawing._seeds([low, low, low]) == "50.0"
    assert figure_drawing._seeds([None, None]) == "–"


def test_the_first_steps_go_on_where_they_were(shaped, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def opened(spec, report):
        return shaped.manifest, shaped.sounds

    monkeypatch.setattr(paper_run, "opened", opened)
    monkeypatch.setattr("sottovoce.jobs.train.opened", opened)
    monkeypatch.setattr(paper_run, "PRESETS", {"paper": replace(GAME, optimiser="sgd", steps=7200)})
    monkeypatch.setattr(targets, "make_target", lambda spec, task, *rest: _target(shaped.spec, *rest))
    paper_run.run(tmp_path, tmp_path, 1, steps=2)
    short = json.loads((tmp_path / "paper-run.json").read_text())
    text = paper_run.run(tmp_path, tmp_path, 1, steps=3)
    found = json.loads((tmp_path / "paper-run.json").read_text())
    assert found["steps"][:2] == short["steps"] and [row["step"] for row in found["steps"]] == [1, 2, 3]
    assert found["whole_steps"] == 7200 and found["whole_hours"] == pytest.approx(
        2 * found["seconds_per_step"], abs=0.06
    )
    assert found["parameters"]["obfuscator"] > 0 and "| 3 |" in text
    assert (tmp_path / "paper-run.svg").read_bytes().startswith(b"<?xml")


def _target(spec: str, *rest) -> None:
    from sottovoce.jobs.train import make_target

    make_target(spec, "word", *rest)
