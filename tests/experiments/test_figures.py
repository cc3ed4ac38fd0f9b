"""Figures 3 and 4 and the paper's first steps: what they are made of, and how their tables are filled."""

import json
from pathlib import Path

import pytest

from sottovoce.experiments import figures, paper_run, runner
from sottovoce.experiments.experiment import Place, digest
from sottovoce.experiments.figure_drawing import over_target, read_by
from sottovoce.experiments.filter_runs import by_attribute


def test_figures_3a_and_4_share_their_runs() -> None:
    for preset in ("compact", "paper"):
        first, other = ({digest(run) for run in each.runs[preset]} for each in (figures.FIGURE3A, figures.FIGURE4))
        assert other < first and (len(first), len(other)) == (27, 18)
    assert figures.FIGURE3A.shelf == figures.FIGURE4.shelf != ""


def test_runs_of_seed_0_come_first_and_attributes_are_declared_to_adr_alone() -> None:
    for each in (figures.FIGURE3A, figures.FIGURE3B, figures.FIGURE4):
        runs = each.runs["compact"]
        assert [run.seed for run in runs] == sorted(run.seed for run in runs)
        assert all(bool(run.filter.settings) == (run.filter.method == "adr") for run in runs)


@pytest.mark.parametrize(("experiment", "split"), [(figures.FIGURE3A, "utterance"), (figures.FIGURE3B, None)])
def test_people_are_named_where_they_are_permitted_and_linked_where_nobody_heard_them(experiment, split) -> None:
    runs = [run for run in experiment.runs["compact"] if run.filter.corpus == figures.PEOPLE]
    assert {target.split for run in runs for target in run.filter.targets} == {split}
    assert {run.attack for run in runs} == {("gender",) if split else ("age_group",)}


def test_who_links_people_is_scored_by_how_often_they_are_rightly_told_apart(monkeypatch) -> None:
    def linker(rate: float, knowledge: str) -> dict[str, object]:
        return {"attacker": "cosine", "knowledge": knowledge, "eer": {"score": rate, "low": rate, "high": 0.5}}

    linkage = {"ceiling": linker(0.02, "uninformed"), "strongest": linker(0.25, "informed"), "uninformed": None}
    audited = {"corpus": {"name": "people"}, "method": "optin", "seed": 0, "permit": ["gender"], "private": {}}
    audited |= {"linkage": linkage, "permitted": {"gender": {"original": {"score": 1}, "obfuscated": {"score": 0.95}}}}
    monkeypatch.setattr(figures, "train_and_audit", lambda run, place: audited)
    linked, named = (figures.FIGURE3B.runs["compact"][i] for i in (6, 0))
    result = figures.train_and_attack(linked, Place(Path(), Path(), Path(), 1))
    entry = result["private"]["speaker"]
    assert (entry["chance"], entry["floor"], entry["uninformed"]) == (0.5, None, None)
    assert entry["strongest"]["score"] == 0.75 and entry["strongest"]["low"] == 0.5
    assert read_by("speaker", result) == {"original": 0.98, "strongest": 0.75}
    assert over_target("speaker", [result]).startswith(b"<?xml")
    (line,) = by_attribute(lambda run: run["method"], [result])
    assert dict(figures.COLUMNS)["attacked"](line) == "speaker, told apart"
    audited["private"] = {}
    assert not figures.train_and_attack(named, Place(Path(), Path(), Path(), 1))["private"]


def test_the_sizes_of_the_paper_are_a_preset_beside(miniature, tmp_path: Path) -> None:
    runs = figures.FIGURE3A.runs["paper"]
    assert {(run.filter.method, run.filter.preset) for run in runs} == {
        ("optin", "paper"),
        ("adr", "paper"),
        ("codebook", "compact"),
    }
    assert {run.attackers for run in runs} == {"standard"}
    assert {target.preset for run in runs for target in run.filter.targets} == {"paper"}


def test_records_of_another_preset_have_its_name(miniature, corpora: Path, tmp_path: Path) -> None:
    experiment = miniature("paper-run")
    experiment.runs["paper"] = experiment.runs["compact"]
    runner.run(experiment, corpora, tmp_path, 1, "paper")
    assert json.loads((tmp_path / "paper-run-paper.json").read_text())["preset"] == "paper"
    assert (tmp_path / "paper-run-paper.svg").is_file()


def test_what_is_kept_of_a_filter_and_its_audit(miniature, corpora: Path, out: Path) -> None:
    runner.run(miniature("figure4"), corpora, out, 1)
    record = json.loads((out / "figure4.json").read_text())
    assert [each["method"] for each in record["runs"]] == ["optin", "adr", "codebook"]
    assert "gender declared to ADR; seeds 0;" in record["caption"] and "attack gender and emotion" in record["caption"]
    for each in record["runs"]:
        assert {*each["private"]} == {"gender", "emotion"}
        for entry in each["private"].values():
            assert {"chance", "floor", "ceiling", "strongest", "uninformed", "informed"} <= entry.keys()
            for name in ("uninformed", "informed"):
                assert entry[name] is None or entry[name]["low"] <= entry[name]["score"] <= entry[name]["high"]
            assert ("unprotected" in entry) == (each["method"] == "adr") == bool(each["declared"])


def test_the_paper_stands_beside_what_it_measured() -> None:
    assert figures.published("ravdess", "optin", "speaker", "gender") == "99.6 / 48.2 / 52.3"
    assert figures.published("ravdess", "adr", "speaker", "emotion") == "92.2 / 15.9 / 70.5"
    assert figures.published("ravdess", "adr", "gender", "speaker") == ""
    assert figures.published("emodb", "adr", "speaker", "gender") == ""


def test_seeds_stand_side_by_side_where_they_differ() -> None:
    high, low = {"score": 0.995}, {"score": 0.5}
    assert figures.seeds([high, low, high]) == "99.5 / 50.0 / 99.5"
    assert figures.seeds([low, low, low]) == "50.0"
    assert figures.seeds([None, None]) == "–"


def test_the_first_steps_resume_where_they_were(miniature, corpora: Path, tmp_path: Path) -> None:
    (run,) = miniature("paper-run").runs["compact"]
    place = Place(corpora, tmp_path, tmp_path / "kept")
    short, found = (
        paper_run.play(type(run)(steps, run.settings, run.target), place) for steps in (run.steps, run.steps + 1)
    )
    assert found["steps"][:2] == short["steps"] and [row["step"] for row in found["steps"]] == [1, 2, 3]
    assert found["whole_steps"] == 7200
    assert found["whole_hours"] == pytest.approx(2 * found["seconds_per_step"], abs=0.06)
    assert found["parameters"]["obfuscator"] > 0 and "| 3 |" in paper_run.TABLE.markdown([found])
