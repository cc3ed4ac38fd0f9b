"""Long work: nothing is done twice, what breaks down stops nobody, and what was stopped resumes."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest

from sottovoce.audio.segment import front_end
from sottovoce.audit.cached_jobs import JobResult, run_jobs
from sottovoce.audit.observations import View, identity, observe_features
from sottovoce.audit.plan import AttackRun
from sottovoce.errors import CorpusError

NUMBERS = np.arange(3)


def silent(run_jobs: int, total: int, note: str) -> None:
    pass


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@dataclass(frozen=True)
class Sum:
    """Adds a number to an array; `log` is a file that tells of every run."""

    number: int
    log: Path
    before: Callable[[], Any] = field(default=lambda: None)
    cost: int = 0
    inputs: tuple[Path, ...] = ()

    @property
    def digest(self) -> str:
        return identity("sum", self.number)

    @property
    def title(self) -> str:
        return f"sum {self.number}"

    def run(self) -> JobResult:
        with self.log.open("a") as log:
            log.write(f"{self.number} ")
        self.before()
        return JobResult({"number": self.number}, {"a/sum": NUMBERS + self.number, "words": np.array(["one"])})


@pytest.fixture
def log(tmp_path) -> Path:
    (tmp_path / "log").write_text("")
    return tmp_path / "log"


def raised(error: BaseException) -> Callable[[], None]:
    def run() -> None:
        raise error

    return run


def test_what_comes_of_jobs_has_their_order_whatever_they_cost(log):
    found = run_jobs([Sum(i, log, cost=cost) for i, cost in enumerate((1, 3, 2))], 1, silent)
    assert [outcome.facts["number"] for outcome in found] == [0, 1, 2]
    assert log.read_text() == "1 2 0 ", "the longest is begun first"
    for i, outcome in enumerate(found):
        np.testing.assert_array_equal(outcome.arrays["a/sum"], NUMBERS + i)
        assert outcome.facts["seconds"] >= 0.0 and outcome.error == ""


def test_nothing_is_done_twice(log):
    jobs = [Sum(i, log) for i in range(3)]
    first = run_jobs(jobs, 1, silent)
    told: list[Any] = []
    again = run_jobs([*jobs, Sum(9, log)], 1, lambda *step: told.append(step))
    assert log.read_text() == "0 1 2 9 "
    assert [step[:2] for step in told] == [(3, 4), (4, 4)], "what was kept is one step"
    for one, other in zip(first, again, strict=False):
        assert dict(one.facts) == dict(other.facts)
        assert {name: a.tolist() for name, a in one.arrays.items()} == {n: a.tolist() for n, a in other.arrays.items()}


def test_work_that_was_stopped_goes_on_where_it_was(log):
    jobs = [Sum(0, log), Sum(1, log, raised(KeyboardInterrupt())), Sum(2, log)]
    with pytest.raises(KeyboardInterrupt):
        run_jobs(jobs, 1, silent)
    found = run_jobs([Sum(i, log) for i in range(3)], 1, silent)
    assert log.read_text() == "0 1 1 2 "
    assert [outcome.facts["number"] for outcome in found] == [0, 1, 2]


def test_what_breaks_down_stops_nobody_and_is_tried_again(log):
    found = run_jobs([Sum(0, log), Sum(1, log, raised(ValueError("no such luck"))), Sum(2, log)], 1, silent)
    assert [outcome.error for outcome in found] == ["", "ValueError: no such luck", ""]
    assert [outcome.error for outcome in run_jobs([Sum(i, log) for i in range(3)], 1, silent)] == ["", "", ""]
    assert log.read_text() == "0 1 2 1 "


def test_what_is_not_finite_is_a_breakdown(log, cache):
    class Nan(Sum):
        def run(self) -> JobResult:
            return JobResult({}, {"scores": np.array([0.0, np.nan])})

    assert "not finite" in run_jobs([Nan(0, log)], 1, silent)[0].error
    assert not list(cache.rglob("*.npz"))


HARM = {
    "empty": lambda content: b"",
    "cut off": lambda content: content[: len(content) // 2],
    "garbage": lambda content: b"PK" + bytes(500),
    "a bit": lambda content: content[:60] + bytes([content[60] ^ 1]) + content[61:],
}


@pytest.mark.parametrize("harm", HARM)
def test_what_was_kept_and_is_damaged_is_made_again(log, cache, harm):
    run_jobs([Sum(1, log)], 1, silent)
    (kept,) = cache.rglob("*.npz")
    kept.write_bytes(HARM[harm](kept.read_bytes()))
    for _ in range(2):
        found = run_jobs([Sum(1, log)], 1, silent)[0]
        np.testing.assert_array_equal(found.arrays["a/sum"], NUMBERS + 1)
    assert log.read_text() == "1 1 "


def changed(kept: Path, **changes: Any) -> None:
    """Write what was kept anew, in a form that is right, with other content."""
    with np.load(kept, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    np.savez_compressed(kept, **{**arrays, **changes})


POISON = {
    "other scores": lambda kept: changed(kept, **{"a/sum": NUMBERS}),
    "other words": lambda kept: changed(kept, words=np.array(["two"])),
    "other facts": lambda kept: changed(kept, facts=np.array(json.dumps({"number": 7, "seconds": 0.0}))),
    "one array more": lambda kept: changed(kept, more=NUMBERS),
    "another seal": lambda kept: changed(kept, seal=np.array("0" * 64)),
    "what came of another job": lambda kept: shutil.copy(next(iter({*kept.parent.glob("*.npz")} - {kept})), kept),
}


@pytest.mark.parametrize("poison", POISON)
def test_what_somebody_else_wrote_is_not_believed(log, cache, poison):
    """Whoever could write to the cache, at whatever time, lacks the key that seals what is kept there."""
    run_jobs([Sum(2, log)], 1, silent)
    run_jobs([Sum(1, log)], 1, silent)
    POISON[poison](cache / "attacks" / f"{Sum(1, log).digest}.npz")
    for _ in range(2):
        found = run_jobs([Sum(1, log)], 1, silent)[0]
        np.testing.assert_array_equal(found.arrays["a/sum"], NUMBERS + 1)
        assert found.facts["number"] == 1 and {*found.arrays} == {"a/sum", "words"}
    assert log.read_text() == "2 1 1 "


def test_what_came_with_another_cache_is_not_believed(log, cache, tmp_path, monkeypatch):
    run_jobs([Sum(1, log)], 1, silent)
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "other"))
    run_jobs([Sum(2, log)], 1, silent)
    kept = f"{Sum(1, log).digest}.npz"
    shutil.copy(cache / "attacks" / kept, tmp_path / "other" / "attacks" / kept)
    run_jobs([Sum(1, log)], 1, silent)
    assert log.read_text() == "1 2 1 "


@pytest.mark.parametrize("name", ["", "attacks", "key", "the outcome"])
def test_a_cache_that_others_may_write_is_refused(log, cache, name):
    run_jobs([Sum(1, log)], 1, silent)
    place = cache / name if name != "the outcome" else cache / "attacks" / f"{Sum(1, log).digest}.npz"
    place.chmod(0o777)
    with pytest.raises(CorpusError, match=r"may be written by others .*chmod -R go-w.*SOTTOVOCE_CACHE"):
        run_jobs([Sum(1, log)], 1, silent)
    place.chmod(0o700)
    run_jobs([Sum(1, log)], 1, silent)
    assert log.read_text() == "1 ", "nothing is lost"


def test_two_workers_find_what_one_finds(case, tmp_path, monkeypatch):
    view = observe_features(case, front_end, "original", "", 0, tmp_path)
    labels = {part: case.labels("speaker", part) for part in ("train", "validation", "test")}
    linear = AttackRun("linear", "speaker", labels, 5, view, (view,))
    attack_runs = [
        linear,
        replace(linear, family="nearest"),
        replace(linear, share=0.5),
        replace(linear, planted_db=-10.0),
    ]
    one = run_jobs(attack_runs, 1, silent)
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "other"))
    two = run_jobs(attack_runs, 2, silent)
    assert len(list((tmp_path / "other").rglob("*.npz"))) == len(attack_runs)
    for first, second in zip(one, two, strict=True):
        assert {**first.facts, "seconds": 0} == {**second.facts, "seconds": 0}
        for name, scores in first.arrays.items():
            np.testing.assert_array_equal(scores, second.arrays[name])


@dataclass(frozen=True)
class Poison(Sum):
    """Kills the process that it runs in, so often."""

    times: int = 1

    @property
    def title(self) -> str:
        return "poison"

    def run(self) -> JobResult:
        result = super().run()
        if self.log.read_text().split().count(str(self.number)) <= self.times:
            os.kill(os.getpid(), signal.SIGKILL)
        return result


@pytest.mark.parametrize(("times", "error"), [(1, ""), (99, "killed, most likely for want of memory")])
def test_a_job_that_is_killed_is_repeated_alone_and_stops_nobody(log, times, error):
    cloudpickle.register_pickle_by_value(__import__(__name__))
    found = run_jobs([Sum(0, log), Poison(1, log, times=times), *(Sum(i, log) for i in range(2, 6))], 2, silent)
    assert error in found[1].error and bool(found[1].error) == bool(error)
    assert [outcome.facts["number"] for outcome in found if not outcome.error] == [
        i for i in range(6) if i != 1 or not error
    ]
    assert log.read_text().split().count("1") == 2, "once with others, once alone"


def test_every_setting_of_an_attack_run_is_in_its_digest(case, tmp_path):
    labels = {part: case.labels("speaker", part) for part in ("train", "validation", "test")}
    heard, other = View("features", tmp_path, "one"), View("features", tmp_path, "other")
    attack_run = AttackRun("linear", "speaker", labels, 5, heard, (heard,))
    flipped = {**labels, "train": labels["train"][::-1]}
    changes: dict[str, Any] = {
        "family": "mlp",
        "labels": flipped,
        "classes": 6,
        "fitted_on": other,
        "reads": (heard, other),
        "cycles": 1,
        "seed": 1,
        "share": 0.5,
        "planted_db": -15.0,
        "picked": {part: np.arange(2) for part in labels},
    }
    digests = {attack_run.digest, *(replace(attack_run, **{name: value}).digest for name, value in changes.items())}
    assert len(digests) == 1 + len(changes)
    unchanged = {f for f in attack_run.__dataclass_fields__} - {*changes}
    assert unchanged == {"task", "attacker"}, "a name changes nothing, and the attacker follows from its family"
    assert replace(attack_run, task="who").digest == attack_run.digest
