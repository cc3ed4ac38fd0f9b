"""The audit as a whole, on a corpus where it is known what leaks, what is hidden and what is implied."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple, Self

import numpy as np
import pytest

from sottovoce.attack import network
from sottovoce.attack.attacker import Heard
from sottovoce.attack.network import NetworkAttacker, SeparableCnn
from sottovoce.attack.statistics import LinearOnStatistics
from sottovoce.audio.segment import cut, front_end
from sottovoce.audit import controls, protocol
from sottovoce.audit.case import Case, hear
from sottovoce.audit.metrics import Interval
from sottovoce.audit.protocol import TOLERANCE, Audit, Effort, verdict
from sottovoce.corpora.manifest import split
from sottovoce.errors import ConfigError, CorpusError
from sottovoce.models.target import Target, from_callable


@pytest.fixture(autouse=True, scope="module")
def little() -> Iterator[None]:
    """An effort that takes seconds: one network, of which nothing is expected."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(protocol, "EFFORTS", {"little": Effort(1, 0, 3)})
        patch.setattr(network, "cnn", lambda cycles, seed: NetworkAttacker("CNN", SeparableCnn, 1, cycles, seed))
        yield


@pytest.fixture(scope="module")
def case(shaped_once) -> Case:
    return Case(shaped_once.manifest, shaped_once.sounds, split(shaped_once.manifest, "utterance"), shaped_once.target)


def silent(done: int, total: int, note: str) -> None:
    pass


def constant(segments: np.ndarray) -> np.ndarray:
    """A filter that lets nothing through: the same noise for whatever is said."""
    noise = np.random.default_rng(0).standard_normal((1, 161, 128), dtype=np.float32)
    return np.repeat(noise, len(segments), axis=0)


def audited(case: Case, listen: Callable[..., Any] = front_end, attributes=("speaker", "gender")) -> dict[str, Any]:
    return Audit(case, attributes, "little", 0, front_end).run(listen, silent)


@pytest.fixture(scope="module")
def through_nothing(case) -> dict[str, Any]:
    return audited(case)


@pytest.fixture(scope="module")
def through_a_wall(case) -> dict[str, Any]:
    return audited(case, constant)


def test_a_filter_that_does_nothing_leaks(through_nothing):
    speaker = through_nothing["private"]["speaker"]
    assert speaker["verdict"] == "leaks"
    assert speaker["leakage"]["low"] > TOLERANCE
    assert speaker["ceiling"]["score"] > 0.9
    assert speaker["worst"]["score"] == speaker["ceiling"]["score"]
    assert (speaker["chance"], speaker["classes"], speaker["cluster"]) == (0.2, 5, "utterance")


def test_nothing_is_called_hidden_for_want_of_evidence(through_nothing):
    gender = through_nothing["private"]["gender"]
    assert gender["worst"]["score"] == gender["ceiling"]["score"] > gender["floor"]["score"] + 0.2
    assert gender["verdict"] != "hidden"


def test_a_filter_that_does_nothing_keeps_what_is_permitted(through_nothing):
    permitted = through_nothing["permitted"]["word"]
    assert permitted["original"] == permitted["obfuscated"]
    assert permitted["original"]["score"] == 1.0


def test_a_filter_that_lets_nothing_through_hides_everything(through_a_wall):
    for attribute in through_a_wall["private"].values():
        assert attribute["verdict"] == "hidden"
        assert attribute["leakage"]["high"] <= 0.0
        for row in attribute["attackers"]:
            assert row["score"] <= attribute["chance"], "of one spectrum there is one guess"
        assert attribute["ceiling"]["score"] > 0.6, "the originals still tell"
    permitted = through_a_wall["permitted"]["word"]
    assert permitted["original"]["score"] == 1.0
    assert permitted["obfuscated"]["score"] <= permitted["chance"]


def test_the_floor_is_never_below_the_best_constant_guess(through_nothing, through_a_wall):
    for results in (through_nothing, through_a_wall):
        for attribute in results["private"].values():
            assert attribute["floor"]["score"] >= attribute["chance"]


def test_controls_pass_where_the_audit_is_sound(through_nothing, through_a_wall):
    for results in (through_nothing, through_a_wall):
        assert set(results["controls"]) == {"planted leak", "shuffled labels", "identity filter"}
        assert all(control["passed"] for control in results["controls"].values())
        assert results["valid"] is True


def test_every_attacker_is_named_with_what_it_knows(through_nothing):
    for attribute in through_nothing["private"].values():
        rows = attribute["attackers"]
        found = [(row["attacker"], row["knowledge"]) for row in rows]
        alone = ["through the target", "linear on statistics", "CNN"]
        assert set(found) == {
            *((name, knowledge) for name in alone for knowledge in ("ignorant", "informed")),
            *((f"restore, then {name}", "informed") for name in alone[1:]),
        }
        assert len(found) == len(set(found))
        assert attribute["worst"] in rows
        assert attribute["worst"]["validation"] == max(row["validation"] for row in rows)
        for row in [*rows, attribute["floor"], attribute["ceiling"]]:
            assert 0.0 <= row["low"] <= row["score"] <= row["high"] <= 1.0


def test_what_the_permitted_answer_says_is_implied(shaped_once):
    """Who may hear who speaks may hear their gender."""
    manifest = shaped_once.manifest
    bands = [slice(32 + 24 * number, 48 + 24 * number) for number in range(5)]
    heard = from_callable(
        lambda spectra: np.stack([9 * spectra[:, band].mean(axis=(1, 2)) for band in bands], axis=1),
        "speaker",
        manifest.speakers,
    )
    parts = split(manifest, "utterance")
    gender = audited(Case(manifest, shaped_once.sounds, parts, heard), attributes=["gender"])["private"]["gender"]
    assert gender["floor"]["score"] == 1.0
    assert gender["verdict"] == "implied"
    assert gender["cluster"] == "utterance", "five speakers are too few to resample"


@pytest.mark.parametrize(
    ("low", "floor", "expected"),
    [
        (0.021, 0.1, "leaks"),
        (0.021, 0.9, "leaks"),
        (0.020, 0.1, "hidden"),
        (-0.5, 0.1, "hidden"),
        (0.000, 0.5, "hidden"),  # exactly half way from chance to the ceiling
        (0.000, 0.51, "implied"),
        (-0.3, 0.9, "implied"),
    ],
)
def test_verdicts(low, floor, expected):
    assert verdict(Interval(low + 0.05, low, low + 0.1), floor, chance=0.1, ceiling=0.9) == expected


def test_a_plain_leak_is_one_however_wide_its_interval():
    assert verdict(Interval(0.11, -0.2, 0.4), 0.1, chance=0.1, ceiling=0.9) == "leaks"


class SamePermutation:
    """A dealer who deals the labels as they were."""

    choice = staticmethod(np.random.default_rng(0).choice)

    def permutation(self, labels: np.ndarray) -> np.ndarray:
        return labels


SABOTAGE = {
    "planted leak": (constant, "_planted", lambda heard, labels, classes: heard),
    "shuffled labels": (
        front_end,
        "np",
        SimpleNamespace(**{**vars(np), "random": SimpleNamespace(default_rng=lambda seed: SamePermutation())}),
    ),
    "identity filter": (front_end, "hear", lambda case, listen, seed: hear(case, constant, seed)),
}


@pytest.mark.parametrize("control", SABOTAGE)
def test_a_control_that_fails_makes_the_audit_invalid(case, monkeypatch, control):
    listen, name, sabotage = SABOTAGE[control]
    monkeypatch.setattr(controls, name, sabotage)
    results = audited(case, listen, ["speaker"])
    assert [name for name, found in results["controls"].items() if not found["passed"]] == [control]
    assert results["valid"] is False


def test_originals_that_are_none_make_the_audit_invalid(case):
    results = Audit(case, ["speaker"], "little", 0, constant).run(front_end, silent)
    assert not results["controls"]["identity filter"]["passed"]
    assert not results["valid"]


class Lucky(NamedTuple):
    """An attacker that is right on a given share of validation and of test."""

    name: str
    case: Case
    validation: float
    test: float
    needs: str = "luck"
    converged_: bool = True

    def fit(self, *_: object) -> Self:
        return self

    def scores(self, heard: Heard) -> np.ndarray:
        parts = {len(part): part for part in (self.case.split.validation, self.case.split.test)}
        truth = self.case.labels("speaker", parts[len(heard)])
        share = self.test if parts[len(heard)] is self.case.split.test else self.validation
        wrong = np.arange(len(truth)) >= share * len(truth)
        return np.eye(5, dtype=np.float32)[(truth + wrong) % 5]


def test_the_worst_is_chosen_on_validation_and_scored_on_test(case, monkeypatch):
    lucky = [Lucky("lucky on test", case, 0.5, 1.0), Lucky("good", case, 0.8, 0.6), Lucky("bad", case, 0.1, 0.2)]
    monkeypatch.setattr(Audit, "_families", lambda self: lucky)
    speaker = audited(case, attributes=["speaker"])["private"]["speaker"]
    assert (speaker["worst"]["attacker"], speaker["worst"]["score"]) == ("good", pytest.approx(0.6))
    assert (speaker["ceiling"]["attacker"], speaker["ceiling"]["score"]) == ("good", pytest.approx(0.6))
    assert speaker["leakage"]["score"] == pytest.approx(0.6 - speaker["floor"]["score"])


def test_the_same_seed_gives_the_same_audit(case, through_nothing):
    assert without_seconds(audited(case)) == without_seconds(through_nothing)


def without_seconds(results: Any) -> Any:
    if isinstance(results, dict):
        return {key: without_seconds(value) for key, value in results.items() if key != "seconds"}
    return [without_seconds(value) for value in results] if isinstance(results, list) else results


def test_attackers_on_originals_are_fitted_once(case, monkeypatch, through_a_wall):
    fits = []
    fit = LinearOnStatistics.fit
    monkeypatch.setattr(LinearOnStatistics, "fit", lambda self, *heard: (fits.append(self), fit(self, *heard))[1])
    monkeypatch.setattr(controls, "run", lambda *_: {})
    audit = Audit(case, ["speaker"], "little", 0, front_end)
    first = audit.run(front_end, silent)
    assert len(fits) == 2, "on originals, and informed"
    second = audit.run(constant, silent)
    assert len(fits) == 3
    assert first["private"]["speaker"]["ceiling"] == second["private"]["speaker"]["ceiling"]
    walled = through_a_wall["private"]["speaker"]
    assert [row["score"] for row in second["private"]["speaker"]["attackers"]] == [
        row["score"] for row in walled["attackers"]
    ]


@pytest.mark.parametrize("audits", [1, 2])
def test_progress_ends_where_it_said_it_would(case, monkeypatch, audits):
    monkeypatch.setattr(controls, "run", lambda *_: {})
    audit = Audit(case, ["gender"], "little", 0, front_end)
    for _ in range(audits):
        told: list[int] = []
        audit.run(constant, lambda done, total, note, told=told: told.append(total - done))
    assert told == list(range(len(told)))[::-1]


def test_an_unknown_effort_is_refused_with_the_known_ones(case):
    with pytest.raises(ConfigError, match="'heroic'; known: little"):
        Audit(case, ["speaker"], "heroic", 0, front_end)


def test_who_hears_what(case):
    """Every test clip is heard once and whole; training clips also from further places."""
    sides = hear(case, front_end, seed=3, extra=2)
    assert len(sides.test) == len(case.split.test)
    heard = [front_end(cut(case.sounds.wave(clip))) for clip in case.split.test]
    np.testing.assert_allclose(sides.test.spectra, np.concatenate(heard), atol=1e-5)
    assert np.array_equal(sides.test.owner, np.repeat(np.arange(len(heard)), [len(part) for part in heard]))
    assert np.array_equal(np.bincount(sides.train.owner), np.full(len(case.split.train), 3))
    again = hear(case, front_end, seed=3, extra=2)
    np.testing.assert_array_equal(sides.train.spectra, again.train.spectra)


def test_what_can_be_attacked_and_how_it_is_resampled(case):
    assert case.attackable() == ["gender", "speaker"]
    assert case.cluster("speaker")[0] == "utterance"
    name, cluster = case.cluster("gender")
    assert name == "utterance", "five speakers are too few to resample"
    assert len(set(cluster.tolist())) == len(case.split.test)
    by_speaker = Case(case.manifest, case.sounds, split(case.manifest, "speaker"), case.target)
    assert by_speaker.attackable() == ["gender"], "speakers in test were never heard in training"
    assert by_speaker.cluster("gender")[0] == "utterance", "one speaker is no sample of speakers"


def test_a_class_that_the_target_does_not_know_is_named(case):
    narrow = case.target
    target = Target("word", narrow.classes[:2], False, narrow.logits)
    with pytest.raises(CorpusError, match="also has yes"):
        Case(case.manifest, case.sounds, case.split, target).labels("word", case.split.test)
