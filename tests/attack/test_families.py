"""Attackers of other people: they take part in an audit, and their scores are never those of another version."""

import importlib
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sottovoce.attack.attacker import Attacker, Observations
from sottovoce.attack.families import ATTACKERS, outside
from sottovoce.audit.cached_jobs import run_jobs
from sottovoce.audit.observations import View
from sottovoce.audit.plan import AttackRun

CODE = """
import numpy as np
from sottovoce.attack.attacker import Attacker
from sottovoce.attack.families import ATTACKERS

@ATTACKERS.register("constant")
class Constant(Attacker):
    name = "a constant"
    knowledge = ("informed",)

    def fit(self, train, labels, validation, validation_labels, classes):
        self.classes_ = classes
        return self

    def scores(self, observations):
        return np.full((len(observations), self.classes_), ANSWER, np.float32)
"""
LABELS = {part: np.arange(6) % 2 for part in ("train", "validation", "test")}


@pytest.fixture
def constant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Imports a module that registers an attacker, in the place of one that this fixture imported before."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def load(answer: str) -> None:
        (tmp_path / "own_attacker.py").write_text(CODE.replace("ANSWER", answer))
        sys.modules.pop("own_attacker", None)
        ATTACKERS.plugins.pop("constant", None)
        importlib.invalidate_caches()
        importlib.import_module("own_attacker")

    yield load
    ATTACKERS.plugins.pop("constant", None)
    sys.modules.pop("own_attacker", None)


@pytest.fixture
def view(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> View:
    """Six utterances of noise in each part."""
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for part in LABELS:
        folder = tmp_path / "view" / part
        folder.mkdir(parents=True)
        np.save(folder / "spectra.npy", rng.standard_normal((6, 5, 4), dtype=np.float32))
        np.save(folder / "owner.npy", np.arange(6))
        np.save(folder / "outline.npy", np.ones((6, 1), np.float32))
    return View("features", tmp_path / "view", "digest of the view")


def attack(view: View, family: str = "constant") -> AttackRun:
    return AttackRun(family, "speaker", LABELS, 2, view, (view,))


def scored(run: AttackRun, workers: int = 1) -> np.ndarray:
    results = run_jobs([run, replace(run, seed=1)][:workers], workers, lambda *_: None)
    assert not results[0].error
    return results[0].arrays["0/test"]


def test_what_another_attacker_registers_is_offered_by_its_knowledge(constant):
    assert "constant" not in ATTACKERS and outside("informed") == ()
    constant("0.0")
    assert outside("informed") == ("constant",) and outside("uninformed") == ()


def test_a_changed_attacker_is_never_served_the_scores_of_the_old_one(constant, view):
    constant("1.0")
    first = attack(view)
    assert (scored(first) == 1.0).all()
    constant("2.0")
    second = attack(view)
    assert second.digest != first.digest
    assert (scored(second) == 2.0).all()
    constant("1.0")
    assert attack(view).digest == first.digest


def test_what_was_done_is_not_done_again(constant, view, monkeypatch):
    constant("1.0")
    first = scored(attack(view))
    monkeypatch.setattr(AttackRun, "run", None)
    np.testing.assert_array_equal(scored(attack(view)), first)


def test_worker_processes_know_what_was_registered_here(constant, view):
    constant("3.0")
    assert (scored(attack(view), workers=2) == 3.0).all()


def test_worker_processes_know_what_no_module_holds(view, monkeypatch):
    """Such as the class of a notebook, which cannot be imported elsewhere."""

    class Local(Attacker):
        name = "of a notebook"

        def fit(self, train: Observations, *_: Any) -> "Local":
            self.first_ = float(train.spectra[0, 0, 0])
            return self

        def scores(self, observations: Observations) -> np.ndarray:
            return np.full((len(observations), 2), self.first_, np.float32)

    try:
        ATTACKERS.register("local", Local)
        found = scored(attack(view, "local"), workers=2)
    finally:
        ATTACKERS.plugins.pop("local")
    assert (found == view.part("train").spectra[0, 0, 0]).all()


def test_the_slowest_attackers_begin_first(view):
    costs = {name: attack(view, name).cost for name in ATTACKERS}
    assert sorted(costs, key=lambda name: costs[name])[0] == "target" and max(costs, key=lambda n: costs[n]) == (
        "deepspeech2"
    )
