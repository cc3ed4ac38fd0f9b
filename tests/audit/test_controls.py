"""The controls: each passes where the audit is sound, and each can fail; and how faint a trace is still found."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self

import numpy as np
import pytest

from sottovoce.attack.attacker import Observations
from sottovoce.attack.classical import LinearOnStatistics
from sottovoce.audio.segment import full_band
from sottovoce.audio.spectrum import BINS, SAMPLE_RATE, SEGMENT_SAMPLES, log_spectrum, magnitude
from sottovoce.audit import controls, evidence, gathering, plan, planted
from sottovoce.audit.cached_jobs import run_jobs
from sottovoce.audit.observations import observe_features
from sottovoce.audit.plan import Views
from sottovoce.audit.planted import plant
from sottovoce.audit.scores import Scores

NAMES = ["planted leak", "shuffled labels", "identity filter"]


def silent(run_jobs: int, total: int, note: str) -> None:
    pass


@pytest.fixture
def checked(case, tmp_path, monkeypatch) -> Callable[..., Any]:
    """The controls of an audit of what `listen` makes of sound, and how faint a tone it finds."""
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "cache"))

    def run(listen: Callable[..., Any] = full_band, levels_db: tuple[float, ...] = (), **input: Any) -> Any:
        original = observe_features(case, input.get("original", full_band), "original", "", 0, tmp_path)
        features = observe_features(case, listen, "features", "s", 0, tmp_path)
        idle = gathering.observe_idle(case, 0, tmp_path)
        if "idle" in input:
            idle = observe_features(case, input["idle"], "idle", "not", 0, tmp_path)
        planned = controls.attack_runs(case, "speaker", Views(original, features, None), idle, levels_db, 0)
        found = dict(zip([b.digest for b in planned.values()], run_jobs([*planned.values()], 1, silent), strict=True))
        scores = Scores()
        evidence.add_controls(case, "speaker", planned, found, 0, scores)
        return controls.judged("speaker", scores), controls.sensitivity_db(levels_db, scores)

    return run


def failing(judged: dict[str, Any]) -> list[str]:
    assert [*judged] == NAMES
    return [name for name, found in judged.items() if not found.passed]


def test_all_pass_where_nothing_or_everything_leaks(checked, wall):
    for listen in (full_band, wall):
        judged, _ = checked(listen)
        assert failing(judged) == []
        assert all(found.detail for found in judged.values())


def test_the_attribute_with_the_most_classes_is_used(case):
    assert controls.attribute(case, ["gender", "speaker"]) == "speaker"
    assert controls.attribute(case, ["gender"]) == "gender"


def test_a_leak_can_be_planted_among_any_number_of_classes(case, tmp_path):
    """A label for every training recording: more than there are bins for tones of their own."""
    who = np.zeros(len(case.manifest.clips), int)
    for part in (case.split.train, case.split.validation, case.split.test):
        who[part] = np.arange(len(part))
    classes = len(case.split.train)
    assert classes > 0.3 * BINS
    clips = [replace(clip, labels={"who": f"{who[i]:02}"}) for i, clip in enumerate(case.manifest.clips)]
    many = replace(case, manifest=replace(case.manifest, clips=tuple(clips)), targets=())
    view = observe_features(many, full_band, "original", "", 0, tmp_path)
    planned = controls.attack_runs(many, "who", Views(view, view, None), view, (), 0)
    planted = planned["planted"]
    assert planted.classes <= 0.3 * BINS and planned["original"].classes == classes
    assert max(labels.max() for labels in planted.labels.values()) < planted.classes
    assert planned["shuffled"].labels is planted.labels


def test_an_attacker_who_overlooks_the_planted_leak_fails(checked, monkeypatch):
    monkeypatch.setattr(plan, "plant", lambda heard, labels, classes, level_db: heard)
    judged, faintest = checked(levels_db=(-10.0,))
    assert failing(judged) == ["planted leak"]
    assert faintest is None


def test_labels_that_are_not_shuffled_fail(checked, case, monkeypatch):
    true = {part: case.labels("speaker", part) for part in ("train", "validation", "test")}
    monkeypatch.setattr(controls, "shuffled", lambda case, task, seed: true)
    assert failing(checked()[0]) == ["shuffled labels"]


def test_an_attacker_who_has_seen_the_test_labels_fails(checked, case, replace_attacker):
    dealt = controls.shuffled(case, "speaker", 0)["test"]

    class Peeking(LinearOnStatistics):
        def scores(self, heard: Observations) -> np.ndarray:
            scores = super().scores(heard)
            return np.eye(5, dtype=np.float32)[dealt] if len(heard) == len(dealt) else scores

    replace_attacker("linear", Peeking)
    assert "shuffled labels" in failing(checked()[0])


@pytest.mark.parametrize("ear", ["idle", "original"])
def test_an_identity_that_changes_something_fails(checked, ear):
    assert failing(checked(**{ear: lambda segments: -full_band(segments)})[0]) == ["identity filter"]


def test_a_control_whose_attacker_breaks_down_fails(checked, replace_attacker):
    class Broken(LinearOnStatistics):
        def fit(self, *_: object) -> Self:
            raise MemoryError

    replace_attacker("linear", Broken)
    judged, faintest = checked(levels_db=(-10.0,))
    assert failing(judged) == NAMES
    assert faintest is None


def test_a_failed_control_makes_the_audit_invalid(audited, monkeypatch):
    monkeypatch.setattr(plan, "plant", lambda heard, labels, classes, level_db: heard)
    found = audited(attributes=["gender"])
    assert [name for name, control in found["controls"].items() if not control["passed"]] == ["planted leak"]
    assert found["valid"] is False


# How faint a trace is found


def test_a_strong_tone_is_found_and_not_an_absurdly_faint_one(checked):
    levels = (-10.0, -30.0, -90.0)
    assert checked(levels_db=levels)[1] in (-10.0, -30.0)
    assert checked(levels_db=(-90.0,))[1] is None
    assert checked()[1] is None, "none was tried"


def test_a_tone_counts_only_if_all_louder_ones_were_found():
    mixed = np.arange(40) % 4
    wrong = (mixed + 1) % 4
    found = {"controls/shuffled labels": mixed, **{f"controls/tone {db:g} dB": mixed for db in (-10, -30)}}
    assert controls.sensitivity_db([-30, -10], found) == -30
    assert controls.sensitivity_db([-30, -10, -20], found) == -10, "an attacker who broke down found nothing"
    assert controls.sensitivity_db([-30, -10, -20], {**found, "controls/tone -20 dB": wrong}) == -10
    assert controls.sensitivity_db([-30, -10], {**found, "controls/tone -10 dB": wrong}) is None


def test_a_planted_tone_has_the_level_that_it_says():
    """Against the reference: a sine added to noise before the spectrum is taken."""
    level_db, bins = -10.0, np.linspace(planted._LOWEST_BIN, BINS - 2, 3).astype(int)
    wav = np.random.default_rng(0).standard_normal(SEGMENT_SAMPLES)
    sine = np.sin(2 * np.pi * 50 * bins[1] * np.arange(SEGMENT_SAMPLES) / SAMPLE_RATE)
    louder = wav + np.sqrt(2.0) * 10 ** (level_db / 20) * sine
    before, expected = (log_spectrum(sound.astype(np.float32)) for sound in (wav, louder))
    heard = Observations(
        (before[None] - planted._MEAN) / planted._DEVIATION, np.array([0]), np.ones((1, 1), np.float32)
    )
    leaked = plant(heard, np.array([1]), 3, level_db).spectra[0]
    slope, offset = np.polyfit(leaked[20:60].ravel(), before[20:60].ravel(), 1)  # nothing was planted there
    np.testing.assert_allclose(slope * leaked[110:150] + offset, before[110:150], atol=1e-3)
    here = slice(bins[1] - 1, bins[1] + 2)
    found, true = (np.square(magnitude(log)).mean(axis=1) for log in (slope * leaked + offset, expected))
    np.testing.assert_allclose(found[here], true[here], rtol=0.15)
    assert found[here].sum() == pytest.approx(true[here].sum(), rel=0.05)


def test_each_class_has_a_tone_of_its_own_and_the_input_stays_as_it_was():
    rng = np.random.default_rng(0)
    heard = Observations(
        rng.standard_normal((5, 161, 128)).astype(np.float32), np.arange(5), np.ones((5, 1), np.float32)
    )
    before = heard.spectra.copy()
    planted = plant(heard, np.arange(5), 5, 0.0)
    np.testing.assert_array_equal(heard.spectra, before)
    peaks = (planted.spectra - before).mean(axis=2).argmax(axis=1)
    assert len(set(peaks.tolist())) == 5
