"""What an audit can show, before any attacker is fitted."""

import json
import sys

import numpy as np
import pytest

from sottovoce import cli
from sottovoce.audit.metrics import difference
from sottovoce.audit.power import reach


@pytest.mark.parametrize(("people", "each"), [(24, 12), (125, 20)])
def test_it_is_what_audits_of_a_system_that_leaks_nothing_come_to(people, each):
    rng, cluster = np.random.default_rng(1), np.repeat(np.arange(people), each)
    found = reach(cluster % 2, people, cluster, 0.95)
    ends = [difference(rng.random(len(cluster)) < 0.5, cluster % 2 == 0, cluster % 2, cluster).high for _ in range(60)]
    assert found.independent == pytest.approx(np.mean(ends), abs=0.012)
    assert found.by_people > found.independent and found.chance == 0.5
    assert found.recordings == people * each


def test_hidden_is_possible_with_enough_recordings_only():
    def possible(count: int) -> bool:
        return reach(np.arange(count) % 2, 10, np.arange(count), 0.95).possible

    assert not possible(60) and possible(400)


def test_more_attributes_reach_less():
    labels, cluster = np.arange(288) % 4, np.arange(288)
    assert reach(labels, 24, cluster, 0.9875).independent > reach(labels, 24, cluster, 0.95).independent


@pytest.fixture
def said(monkeypatch, capfd):
    """The exit status, the output and the error output of `sottovoce audit anything` with some options."""

    def run(*options: str) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["sottovoce", "audit", "anything", *options])
        with pytest.raises(SystemExit) as left:
            cli.main()
        return left.value.code, *capfd.readouterr()

    return run


def test_the_command_needs_no_folder_and_writes_none(said, shaped, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, output, _ = said("--corpus", shaped.spec, "--plan", "--permit", "word", "--json")
    plan = json.loads(output)
    assert not status and {*plan["attributes"]} == {"gender", "speaker"} and plan["level"] == pytest.approx(0.975)
    for entry in plan["attributes"].values():
        assert entry["hidden_possible"] is False and entry["by_people"] > 0.02
        assert entry["chance"] == pytest.approx(1 / entry["classes"])
    status, output, _ = said("--corpus", shaped.spec, "--plan")
    assert not status and "hidden possible" in output and "gender" in output
    assert not any(path.name != "cache" for path in tmp_path.iterdir() if path.is_dir() and "audit" in path.name)


def test_without_a_plan_the_folder_is_asked_for_in_one_sentence(said, shaped):
    status, _, error = said("--corpus", shaped.spec)
    assert status == 2 and "--out is missing" in error and "Traceback" not in error
