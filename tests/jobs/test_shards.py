"""Shards: parts of an audit on several machines come together as what one machine finds, to the last digit."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sottovoce.audit import budgets
from sottovoce.audit.budgets import Effort
from sottovoce.audit.cached_jobs import attacks_folder
from sottovoce.errors import ConfigError, SottovoceError
from sottovoce.experiments import runner
from sottovoce.files import claimed
from sottovoce.jobs.audit import AuditConfig, run_audit
from sottovoce.jobs.audit_shard import run_shard
from sottovoce.parallel import Shard, shard

LITTLE = Effort(("nearest", "linear"), ("linear",), (), {}, curves=(), shares=(0.5,), restorer_steps=2)


@pytest.fixture(autouse=True)
def little(monkeypatch) -> None:
    monkeypatch.setattr(budgets, "EFFORTS", {"quick": LITTLE})


def silent(done: int, total: int, note: str) -> None:
    pass


class Machine:
    """A machine with a cache of its own."""

    def __init__(self, folder: Path, monkeypatch: Any, shaped: Any) -> None:
        self.folder, self._patch = folder, monkeypatch
        self.config = AuditConfig("command:cp {in} {out}", shaped.spec, folder / "out", attributes=("gender",))
        self.notes: list[str] = []

    def audit(self) -> dict[str, Any]:
        self._patch.setenv("SOTTOVOCE_CACHE", str(self.folder / "cache"))
        self.steps: list[tuple[int, int]] = []
        self.notes.clear()
        found = run_audit(self.config, lambda done, total, note: self.notes.append(note) if not total else None)
        return {name: found[name] for name in ("private", "controls", "valid", "scores")}

    def shard(self, number: int, count: int) -> dict[str, Any]:
        self._patch.setenv("SOTTOVOCE_CACHE", str(self.folder / "cache"))
        return run_shard(self.config, Shard(number, count), silent)

    @property
    def outcomes(self) -> set[str]:
        return {path.name for path in (self.folder / "cache" / "attacks").glob("*.npz")}


@pytest.fixture
def machine(tmp_path, monkeypatch, shaped) -> Any:
    return lambda name: Machine(tmp_path / name, monkeypatch, shaped)


def without_seconds(found: dict[str, Any]) -> str:
    def stripped(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: stripped(each) for name, each in value.items() if name != "seconds"}
        return [stripped(each) for each in value] if isinstance(value, list) else value

    return json.dumps(stripped(found))


def test_shards_of_one_cache_are_one_audit_and_a_lost_one_costs_itself_alone(machine):
    whole, parts = machine("whole"), machine("parts")
    expected = without_seconds(whole.audit())
    made = [parts.shard(number, 3) for number in (1, 2, 3)]
    assert sum(each["jobs"] for each in made) == len(parts.outcomes) and not any(each["failed"] for each in made)
    own = {name for name in parts.outcomes if Shard(2, 3).has(name.removesuffix(".npz"))}
    assert len(own) == made[1]["jobs"] > 0
    for name in own:
        (parts.folder / "cache" / "attacks" / name).unlink()
    before = {name: (parts.folder / "cache" / "attacks" / name).stat().st_ino for name in parts.outcomes}
    assert without_seconds(parts.audit()) == expected
    assert all((parts.folder / "cache" / "attacks" / name).stat().st_ino == inode for name, inode in before.items())
    assert not (parts.folder / "out" / ".observations").exists() and not list((parts.folder / "out").glob(".claimed"))


def test_shards_of_other_machines_are_copied_and_need_the_same_key(machine):
    whole, one, other = machine("whole"), machine("one"), machine("other")
    expected = without_seconds(whole.audit())
    for each in (one, other):  # each starts with the key of the first
        (each.folder / "cache").mkdir(mode=0o700, parents=True)
        shutil.copy(whole.folder / "cache" / "key", each.folder / "cache" / "key")
    one.shard(1, 2)
    other.shard(2, 2)
    assert one.outcomes and other.outcomes and not one.outcomes & other.outcomes
    shutil.copytree(other.folder / "cache" / "attacks", one.folder / "cache" / "attacks", dirs_exist_ok=True)
    assert without_seconds(one.audit()) == expected and not one.notes


def test_results_with_another_key_are_counted_and_computed_again(machine):
    one, other = machine("one"), machine("other")
    expected = without_seconds(one.audit())
    made = other.shard(1, 1)["jobs"]
    shutil.copytree(one.folder / "cache" / "attacks", other.folder / "cache" / "attacks", dirs_exist_ok=True)
    assert without_seconds(other.audit()) == expected
    assert other.notes[0].startswith(
        f"{made} of {made} results in {other.folder / 'cache' / 'attacks'} were sealed with"
    )
    assert without_seconds(other.audit()) == expected and not other.notes


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "1/0", "a/b", "1/4/4", "-1/4", "", "1/4 ", "١/٤"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(ConfigError, match=r"--shard is .*expected I/N"):
        shard(text)


def test_every_job_belongs_to_one_shard():
    assert shard("2/4") == Shard(2, 4) and str(Shard(2, 4)) == "2/4" and shard(None) is None
    digests = [f"{number * 0x9E3779B97F4A7C15 % (1 << 64):x}" for number in range(500)]
    for digest in digests:
        assert sum(Shard(i, 7).has(digest) for i in range(1, 8)) == 1


def test_two_audits_in_one_folder_are_refused_and_two_shards_are_not(machine):
    one = machine("one")
    with claimed(one.config.out), pytest.raises(ConfigError, match=r"another process is writing to .*choose another"):
        one.audit()
    with claimed(one.config.out, shared=True), pytest.raises(ConfigError, match="another process is writing"):
        one.audit()
    with claimed(one.config.out, shared=True):
        assert one.shard(1, 2)["jobs"]
    with claimed(one.config.out), pytest.raises(ConfigError, match="another process is writing"):
        one.shard(2, 2)
    assert one.audit()["valid"] is not None


def test_a_claim_ends_with_its_process_and_leaves_nothing(tmp_path):
    with claimed(tmp_path / "out"):
        pass
    assert not (tmp_path / "out").exists()
    with claimed(tmp_path / "out"):
        (tmp_path / "out" / "file").touch()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["file"]


def test_a_cache_that_cannot_be_written_is_refused_before_any_work(machine, monkeypatch):
    one = machine("one")
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(one.folder / "cache"))
    attacks_folder()
    monkeypatch.setattr("os.access", lambda place, mode: False)
    with pytest.raises(
        SottovoceError, match=r"attacks could not be written \(Read-only file system\).*SOTTOVOCE_CACHE"
    ):
        one.audit()


def test_an_unknown_attacker_is_refused_in_a_shard(machine):
    one = machine("one")
    one.config = replace(one.config, only=("nobody",))
    with pytest.raises(ConfigError, match="nobody"):
        one.shard(1, 2)


def test_shards_of_an_experiment_do_each_run_once_and_the_whole_collects_them(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    from counted_jobs import experiment

    counted = replace(experiment(9), side_by_side=False)
    done = []
    for number in (1, 2, 3):
        told = runner.run(counted, tmp_path, tmp_path / "out", 1, shard=Shard(number, 3))
        assert f"shard {number}/3 is complete" in told and not (tmp_path / "out" / "counted.json").exists()
        done.append(len((tmp_path / "runs").read_text().split()))
    assert done[0] < done[1] < done[2] == 9, "every shard has a share"
    lost, torn, other = sorted((tmp_path / "out" / "runs" / "counted").glob("*.json"))[:3]
    lost.unlink()
    torn.write_bytes(torn.read_bytes()[:20])
    other.write_text("{}")
    table = runner.run(counted, tmp_path, tmp_path / "out", 1)
    assert table.count("\n") == 10 and len((tmp_path / "runs").read_text().split()) == 12
