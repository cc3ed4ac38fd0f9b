"""Attributes that are numbers: estimated from what leaves, beside the floor and the originals."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self

import numpy as np
import pytest

from sottovoce.attack import regression
from sottovoce.attack.attacker import Observations
from sottovoce.attack.regression import ESTIMATORS
from sottovoce.audio.segment import front_end
from sottovoce.audit import estimation
from sottovoce.audit.cached_jobs import run_jobs
from sottovoce.audit.case import PARTS, Case
from sottovoce.audit.estimation import PITCH, SEMITONES, Estimation, by_answer
from sottovoce.audit.observations import observe_features
from sottovoce.audit.plan import Views
from sottovoce.audit.results import ContinuousFacts
from sottovoce.audit.scores import Scores
from sottovoce.models.target import from_callable


def silent(run_jobs: int, total: int, note: str) -> None:
    pass


@pytest.fixture
def estimated(crowd, tmp_path, monkeypatch) -> Callable[..., dict[str, Any]]:
    """The entries of results for all numbers."""
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "cache"))

    def run(listen: Callable[..., Any] = front_end, case: Case = crowd) -> dict[str, Any]:
        original = observe_features(case, front_end, "original", "", 0, tmp_path)
        features = observe_features(case, listen, "features", listen.__name__, 0, tmp_path)
        found = {}
        for task, number in estimation.numbers(case, Views(original, features, None)).items():
            jobs = {job.digest: job for job in number.originals + number.obfuscated}
            results = dict(zip(jobs, run_jobs([*jobs.values()], 1, silent), strict=True))
            scores = Scores()
            facts = estimation.gather(task, number, results, None, case.cluster(task)[1], scores)
            if facts:
                found[task] = estimation.summary(task, facts, scores).model_dump()
        return found

    return run


def test_what_is_heard_is_estimated(estimated):
    found = estimated()
    assert {*found} == {"hertz", PITCH}
    for entry in found.values():
        assert entry["strongest"]["score"] > 0.8
        assert entry["strongest"] == entry["ceiling"], "a filter that does nothing"
        assert entry["error"] < 0.5 * entry["constant_error"]
        assert entry["estimator"] in entry["estimators"] and len(entry["estimators"]) == len(ESTIMATORS)
        assert entry["floor"] == 0.0
    assert (found["hertz"]["unit"], found[PITCH]["unit"]) == ("as labelled", SEMITONES)


def test_behind_a_wall_nothing_can_be_estimated(estimated, wall):
    for entry in estimated(wall).values():
        assert entry["strongest"]["score"] <= 0.0
        assert entry["ceiling"]["score"] > 0.8, "the originals still tell"
        assert entry["error"] > 0.8 * entry["constant_error"]


def test_what_is_permitted_is_not_estimated(estimated, crowd):
    assert {*estimated(case=replace(crowd, permit=("hertz",)))} == {PITCH}


def test_recordings_without_a_value_are_left_out(estimated, crowd, monkeypatch):
    """As the pitch of what is not voiced."""
    unheard = {float(crowd.sounds.wave(i)[:50].sum()) for part in PARTS for i in crowd.clips(part)[::4]}

    def pitch(wav: np.ndarray) -> float:
        return np.nan if float(wav[:50].sum()) in unheard else regression.pitch(wav)

    monkeypatch.setattr(estimation, "pitch", pitch)
    entry = estimated()[PITCH]
    assert entry["strongest"]["score"] > 0.7 and np.isfinite([entry["error"], entry["constant_error"]]).all()


@pytest.mark.parametrize("part", ["validation", "test"])
def test_what_does_not_vary_is_not_estimated(estimated, crowd, monkeypatch, part):
    monkeypatch.setattr(estimation, "pitch", lambda wav: np.nan)
    clips = list(crowd.manifest.clips)
    for i in crowd.clips(part):
        clips[i] = replace(clips[i], labels={**clips[i].labels, "hertz": "100"})
    same = replace(crowd, manifest=replace(crowd.manifest, clips=tuple(clips)))
    assert same.continuous() == ["hertz"]
    assert estimated(case=same) == {}


class Broken:
    name = "broken"

    def fit(self, *_: object) -> Self:
        raise MemoryError("too many numbers")


class Senseless(Broken):
    def fit(self, *_: object) -> Self:
        return self

    def values(self, heard: Observations) -> np.ndarray:
        return np.full(len(heard), np.nan)


@pytest.mark.parametrize("kind", [Broken, Senseless])
def test_an_estimator_that_breaks_down_is_left_out(estimated, monkeypatch, kind):
    monkeypatch.setitem(ESTIMATORS, "ridge", kind)
    found = estimated()
    assert {*found} == {"hertz", PITCH}
    assert all(entry["estimators"] == ["regression trees on statistics"] for entry in found.values())


def test_where_all_break_down_there_is_no_entry(estimated, monkeypatch):
    for estimator in ESTIMATORS:
        monkeypatch.setitem(ESTIMATORS, estimator, Broken)
    assert estimated() == {}


def test_the_estimator_is_chosen_on_validation_and_scored_on_test(crowd):
    rng = np.random.default_rng(0)
    true = {part: rng.normal(size=len(crowd.clips(part))) for part in PARTS}
    arrays: dict[str, Any] = {f"n/values/{part}": true[part] for part in PARTS}
    arrays["n/cluster"] = np.arange(len(true["test"]))
    for side in ("obfuscated", "originals"):
        for i, (validation, test) in enumerate([(0.5, 0.0), (0.1, 0.3)]):
            arrays[f"n/{side}/{i}/validation"] = true["validation"] + validation
            arrays[f"n/{side}/{i}/test"] = true["test"] + test
    entry = estimation.summary("n", ContinuousFacts(unit="u", estimators=["first", "second"]), Scores(arrays))
    spread = true["test"] - true["test"].mean()
    assert entry.estimator == "second"
    assert entry.error == pytest.approx(0.3)
    assert entry.strongest.score == pytest.approx(1.0 - 0.3**2 / np.square(spread).mean())


def test_the_floor_is_the_mean_behind_each_answer():
    values = {"train": np.array([1.0, 3.0, np.nan, 10.0]), "test": np.zeros(3)}
    answers = {"train": np.array([0, 0, 0, 1]), "test": np.array([1, 0, 2])}
    assert by_answer(answers, values).tolist() == pytest.approx([10.0, 2.0, 14.0 / 3.0])


def test_a_number_that_the_permitted_answer_tells_has_a_high_floor(audited, crowd, little):
    """Who may hear who hums may know roughly how high."""
    bands = [slice(24 + 14 * speaker, 36 + 14 * speaker) for speaker in range(8)]
    target = from_callable(
        lambda spectra: np.stack([9 * spectra[:, band].mean(axis=(1, 2)) for band in bands], axis=1),
        "speaker",
        crowd.manifest.speakers,
    )
    permitted = replace(crowd, targets=(target,), permit=("speaker",))
    tried = replace(little, informed=("nearest",), uninformed=("nearest",), continuous=True)
    found = audited(attributes=["gender"], effort=tried, case=permitted)
    assert found["permitted"]["speaker"]["original"]["score"] == 1.0
    assert found["continuous"]["hertz"]["floor"] > 0.9
    assert found["private"]["gender"]["verdict"] == "implied"


def test_digests_tell_estimations_apart(crowd, tmp_path):
    view = observe_features(crowd, front_end, "original", "", 0, tmp_path)
    (_, values) = estimation.values(crowd)["hertz"]
    other = {**values, "train": values["train"] + 1.0}
    jobs = [Estimation(key, "hertz", v, view) for key in ESTIMATORS for v in (values, other)]
    assert len({job.digest for job in jobs}) == 4
