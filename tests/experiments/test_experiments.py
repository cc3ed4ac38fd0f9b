"""Every experiment in miniature: it runs as a whole, is recorded without paths, and is not done twice."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from sottovoce.errors import ConfigError, CorpusError
from sottovoce.experiments import runner
from sottovoce.experiments.catalogue import EXPERIMENTS, listed, run_experiment
from sottovoce.experiments.experiment import Experiment, RunSettings, digest
from sottovoce.experiments.published import read_record

RESULTS = Path(__file__).parents[2] / "results"


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_it_runs_is_recorded_and_is_not_done_twice(name: str, miniature, corpora: Path, out: Path, capsys) -> None:
    experiment = miniature(name)
    text = runner.run(experiment, corpora, out, 1)
    assert text.count("\n") > 1 and "---" in text
    root = out.with_name("out-unfinished") if experiment.beside else out
    record = (root / f"{name}.json").read_text()
    assert str(out) not in record and str(corpora) not in record
    found = json.loads(record)
    assert {"experiment", "question", "command", "sottovoce", "date", "preset", "runs"} <= found.keys()
    runs = experiment.runs["compact"]
    assert [each["seed"] for each in found["runs"]] == [each.seed for each in runs]
    assert all(each["settings"] and each["run_seconds"] >= 0 for each in found["runs"])
    assert experiment.table.markdown(read_record(root / f"{name}.json")) == text
    for ending in experiment.figures:
        assert (root / f"{name}{ending}.svg").read_bytes().startswith(b"<?xml")
    progress = capsys.readouterr().err
    assert experiment.question in progress and experiment.cost in progress
    if f"0 of {len(runs)} runs are to be done" not in progress:  # those of figure4 are also of figure3a
        assert f"{len(runs)} of {len(runs)} runs done" in progress and " left" in progress
    again = replace(experiment, perform=_not_again)
    assert runner.run(again, corpora, out, 1) == text


def _not_again(settings: RunSettings, place: object) -> dict:
    raise AssertionError("this run is kept")


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_what_was_published_is_rendered_by_the_code_of_today(path: Path) -> None:
    record = json.loads(path.read_text())  # of early versions a list, whose name is that of the experiment
    name = record.get("experiment", path.stem) if isinstance(record, dict) else path.stem
    if name not in EXPERIMENTS:
        pytest.skip("made by a benchmark")
    experiment, results = EXPERIMENTS[name], read_record(path)
    text = experiment.table.markdown(results)
    headings = [heading for heading, _ in experiment.table.columns if not heading.startswith("the paper")]
    assert all(heading in text for heading in headings)
    assert "ignorant" not in text and "worst" not in text
    for ending, draw in experiment.figures.items():
        assert (RESULTS / f"{path.stem}{ending}.svg").is_file()
        assert draw(results).startswith(b"<?xml")


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_run_says_by_which_commit_it_was_made(tmp_path: Path, monkeypatch) -> None:
    def git(*arguments: str) -> str:
        who = ["-c", "user.name=nobody", "-c", "user.email="]
        command = ["git", "-C", str(tmp_path), *who, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    source, other = tmp_path / "runner.py", tmp_path / "installed.py"
    for path in (source, other):
        path.write_text("first")
    assert runner.commit(source) is None
    git("init")
    git("add", source.name)
    git("commit", "--message", "first")
    assert runner.commit(source) == git("rev-parse", "--short", "HEAD")
    source.write_text("second")
    assert runner.commit(source) == git("rev-parse", "--short", "HEAD") + "-dirty"
    assert runner.commit(other) is None
    monkeypatch.setenv("PATH", "")
    assert runner.commit(source) is None


def test_published_numbers_stay_where_they_are() -> None:
    text = EXPERIMENTS["codebook"].table.markdown(read_record(RESULTS / "codebook.json"))
    assert "| fsdd, digit | codebook | 2, quick | 3.32 | 100.0 | 100.0 | speaker | 16.7 | 16.7 | 99.7 |" in text
    text = EXPERIMENTS["figure4"].table.markdown(read_record(RESULTS / "figure4.json"))
    assert "uninformed" in text and "99.6 / 48.2 / 52.3" in text
    text = EXPERIMENTS["table1"].table.markdown(read_record(RESULTS / "table1.json"))
    assert "| the paper, Raspberry Pi 2B |  | 1923 | 759,000 |" in text


@pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=EXPERIMENTS)
def test_no_two_runs_have_the_same_settings(experiment: Experiment) -> None:
    for runs in experiment.runs.values():
        assert len({digest(each) for each in runs}) == len(runs)


def test_all_are_listed_with_what_they_answer_need_and_cost() -> None:
    text = listed()
    for each in EXPERIMENTS.values():
        assert f"{each.name}\n  {each.question}\n" in text and each.cost in text
    assert "Corpora: emodb, fsdd, ravdess." in text


@pytest.mark.parametrize(
    ("name", "preset", "expected"),
    [
        ("figure5", "compact", "unknown experiment 'figure5'; expected list, or one of adr-games"),
        ("figure4", "huge", "--preset is 'huge'; expected for the experiment 'figure4': compact, paper"),
        ("rdal", "paper", "--preset is 'paper'; expected for the experiment 'rdal': compact, wide"),
    ],
)
def test_what_no_experiment_has_is_one_sentence(tmp_path: Path, name: str, preset: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        run_experiment(name, tmp_path, tmp_path, 1, preset)


def test_missing_corpora_are_named_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(CorpusError) as error:
        run_experiment("rdal", tmp_path, tmp_path / "out", 1, "compact")
    text = str(error.value)
    assert str(tmp_path / "esc10") in text and "ESC" in text
    assert str(tmp_path / "librispeech") in text and "corpora fetch librispeech" in text
    assert not (tmp_path / "out").exists()


def test_the_record_is_whole_after_each_seed(miniature, tmp_path: Path) -> None:
    runs = tuple(RunSettings(seed=seed) for seed in (0, 0, 1))
    written = []

    def perform(settings: RunSettings, place: object) -> dict:
        path = tmp_path / "adr-games.json"
        written.append(len(json.loads(path.read_text())["runs"]) if path.is_file() else 0)
        return {}

    experiment = miniature(
        "adr-games", runs=tuple(_Numbered(number, seed=each.seed) for number, each in enumerate(runs))
    )
    table = replace(experiment.table, lines=lambda results: [])
    runner.run(replace(experiment, perform=perform, table=table), tmp_path, tmp_path, 1)
    assert written == [0, 0, 2]


class _Numbered(RunSettings):
    def __init__(self, number: int, *, seed: int) -> None:
        super().__init__(seed=seed)
        object.__setattr__(self, "number", number)

    def __repr__(self) -> str:
        return f"{self.number}, {self.seed}"
