"""The audit as a whole, on a corpus where it is known what leaks, what is hidden and what is implied."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pytest

from sottovoce.attack.attacker import Observations
from sottovoce.attack.classical import LinearOnStatistics
from sottovoce.audio.segment import front_end
from sottovoce.audit.budgets import effort
from sottovoce.audit.case import Case
from sottovoce.audit.verdicts import TOLERANCE
from sottovoce.corpora.splits import split
from sottovoce.errors import ConfigError, ModelError
from sottovoce.models.target import from_callable


@pytest.fixture(scope="module")
def through_nothing(audited) -> dict[str, Any]:
    return audited()


@pytest.fixture(scope="module")
def through_a_wall(audited, wall) -> dict[str, Any]:
    return audited(wall)


# What is found


def test_a_filter_that_does_nothing_leaks(through_nothing):
    speaker = through_nothing["private"]["speaker"]
    assert speaker["verdict"] == "leaks"
    assert speaker["leakage"]["low"] > TOLERANCE
    assert speaker["ceiling"]["score"] > 0.9
    assert speaker["strongest"]["score"] == speaker["ceiling"]["score"]
    assert (speaker["chance"], speaker["classes"], speaker["cluster"]) == (0.2, 5, "utterance")


def test_nothing_is_called_hidden_for_want_of_evidence(through_nothing):
    gender = through_nothing["private"]["gender"]
    assert gender["strongest"]["score"] == gender["ceiling"]["score"] > gender["floor"]["score"] + 0.2
    assert gender["verdict"] != "hidden"


def test_a_filter_that_does_nothing_keeps_what_is_permitted(through_nothing):
    permitted = through_nothing["permitted"]["word"]
    assert permitted["original"] == permitted["obfuscated"]
    assert permitted["original"]["score"] == 1.0


def test_a_filter_that_lets_nothing_through_cannot_be_shown_to_by_few_recordings(through_a_wall):
    for attribute in through_a_wall["private"].values():
        assert attribute["verdict"] == "not shown"
        assert attribute["leakage"]["score"] <= 0.0 and attribute["leakage"]["high"] > TOLERANCE
        assert attribute["settle"]["verdict"] == "hidden" and attribute["settle"]["recordings"] > 100
        assert all(row["score"] <= attribute["chance"] for row in attribute["attackers"] if row["input"] == "features")
        assert attribute["ceiling"]["score"] > 0.6, "the originals still tell"
    permitted = through_a_wall["permitted"]["word"]
    assert permitted["original"]["score"] == 1.0
    assert permitted["obfuscated"]["score"] <= permitted["chance"]


def test_a_constant_floor_is_at_chance(through_a_wall):
    for attribute in through_a_wall["private"].values():
        assert attribute["chance"] == 1 / attribute["classes"]
        if attribute["floor"]["attacker"] == "the best constant guess":
            assert attribute["floor"]["score"] == pytest.approx(attribute["chance"])


def test_controls_pass_where_the_audit_is_sound(through_nothing, through_a_wall):
    for results in (through_nothing, through_a_wall):
        assert set(results["controls"]) == {"planted leak", "shuffled labels", "identity filter"}
        assert all(control["passed"] for control in results["controls"].values())
        assert results["valid"] is True


def test_every_attacker_is_named_with_what_it_knows_hears_and_needs(through_nothing):
    for attribute in through_nothing["private"].values():
        rows = attribute["attackers"]
        found = [(row["attacker"], row["knowledge"], row["input"]) for row in rows]
        assert sorted(found) == [
            ("linear on statistics", "informed", "features"),
            ("linear on statistics", "uninformed", "features"),
            ("nearest neighbour", "informed", "features"),
            ("restore, then linear on statistics", "informed", "restored"),
            ("through the target", "informed", "features"),
            ("through the target", "uninformed", "features"),
        ]
        originals = [(row["attacker"], row["knowledge"], row["input"]) for row in attribute["originals"]]
        assert originals == [
            (name, "uninformed", "original") for name in ("through the target", "linear on statistics")
        ]
        assert all(row["needs"] for row in [*rows, *attribute["originals"]])
        assert attribute["strongest"] in rows and attribute["ceiling"] in attribute["originals"]
        assert attribute["strongest"]["validation"] == max(row["validation"] for row in rows)
        for row in [*rows, attribute["floor"], attribute["ceiling"]]:
            assert 0.0 <= row["low"] <= row["score"] <= row["high"] <= 1.0


def test_confusion_people_and_score_tell_the_same_story(through_nothing, case):
    for attribute in through_nothing["private"].values():
        confusion, people = np.array(attribute["confusion"]), attribute["people"]
        assert confusion.sum() == len(case.split.test) == sum(person["clips"] for person in people)
        assert np.trace(confusion) / confusion.sum() == pytest.approx(attribute["strongest"]["score"])
        right = sum(person["score"] * person["clips"] for person in people)
        assert right / confusion.sum() == pytest.approx(attribute["strongest"]["score"])


def test_what_the_permitted_answer_says_is_implied(shaped_once, audited):
    """Who may hear who speaks may hear their gender."""
    manifest = shaped_once.manifest
    bands = [slice(32 + 24 * number, 48 + 24 * number) for number in range(5)]
    heard = from_callable(
        lambda spectra: np.stack([9 * spectra[:, band].mean(axis=(1, 2)) for band in bands], axis=1),
        "speaker",
        manifest.speakers,
    )
    permitted = Case(manifest, shaped_once.sounds, split(manifest, "utterance"), (heard,), ("speaker",))
    gender = audited(attributes=["gender"], case=permitted)["private"]["gender"]
    assert gender["floor"]["score"] == 1.0
    assert gender["floor"]["attacker"] == "the permitted answer alone"
    assert gender["verdict"] == "implied"


def test_two_permitted_answers_together_decide_what_is_implied(shaped_once, case, audited):
    """Who may hear the word, and which of two halves of the speakers, knows what the two say together."""
    (word,) = case.targets
    gender = from_callable(_brighter, "gender", ("female", "male"))
    clips = tuple(
        replace(clip, labels={**clip.labels, "pair": f"{clip.labels['word']} {clip.labels['gender']}"})
        for clip in case.manifest.clips
    )
    both = replace(
        case, manifest=replace(case.manifest, clips=clips), targets=(word, gender), permit=("word", "gender")
    )
    found = audited(attributes=["pair", "speaker"], case=both)
    assert {*found["permitted"]} == {"word", "gender"}
    assert all(entry["original"]["score"] > 0.9 for entry in found["permitted"].values())
    assert {*found["private"]} == {"pair", "speaker"}
    pair = found["private"]["pair"]
    assert pair["verdict"] == "implied" and pair["floor"]["score"] > 0.9
    alone = audited(attributes=["pair"], case=replace(both, targets=(word,)))["private"]["pair"]
    assert alone["floor"]["score"] < 0.8 and alone["leakage"]["score"] > 0.2
    assert alone["verdict"] == "not shown" and alone["settle"]["verdict"] == "leaks", "of few recordings"


def _brighter(spectra: np.ndarray) -> np.ndarray:
    """The loudest band of a speaker as their gender: the upper two are men."""
    bands = [spectra[:, 32 + 24 * number : 48 + 24 * number].mean(axis=(1, 2)) for number in range(5)]
    return 9 * np.stack([np.max(bands[:3], axis=0), np.max(bands[3:], axis=0)], axis=1)


def test_without_a_target_the_floor_is_a_constant_guess(case, audited):
    found = audited(attributes=["gender"], case=replace(case, targets=()))
    gender = found["private"]["gender"]
    assert found["permitted"] == {}
    assert gender["floor"]["score"] == gender["chance"]
    assert gender["floor"]["attacker"] == "the best constant guess"
    assert not any("target" in row["attacker"] for row in gender["attackers"] + gender["originals"])


# How the strongest is chosen, and what is said of it


@dataclass
class Lucky:
    """An attacker that is right about a given share of validation and of test; if hungry, of what it has heard."""

    validation: float
    test: float
    name: str = "lucky"
    converged_: bool = True
    hungry: bool = False
    answers: Callable[[Observations, float, float], np.ndarray] | None = None
    needs = "luck"
    curve_ = ((7, 0.5),)

    def fit(self, train: Observations, *_: object) -> Self:
        self.share_ = len(train) / 60 if self.hungry else 1.0
        return self

    def scores(self, heard: Observations) -> np.ndarray:
        assert self.answers is not None
        return self.answers(heard, self.share_ * self.validation, self.share_ * self.test)


@pytest.fixture
def meet(case, audited, little, replace_attacker) -> Callable[..., dict[str, Any]]:
    """What is found about the speaker by attackers, each its own family or, with `seeded`, each another seed of one."""

    def answers(heard: Observations, validation: float, test: float) -> np.ndarray:
        part = next(part for part in ("validation", "test") if len(case.clips(part)) == len(heard))
        truth = case.labels("speaker", part)
        wrong = np.arange(len(truth)) >= {"validation": validation, "test": test}[part] * len(truth)
        return np.eye(5, dtype=np.float32)[(truth + wrong) % 5]

    def run(*attackers: Any, seeded: bool = False) -> dict[str, Any]:
        for attacker in attackers:
            attacker.answers = answers
            replace_attacker(attacker.name, lambda cycles, seed, one=attacker: one)
        if seeded:
            replace_attacker("seeded", lambda cycles, seed: attackers[seed], seeded=True)
        names = ("seeded",) if seeded else tuple(attacker.name for attacker in attackers)
        tried = replace(little, informed=names, uninformed=("linear",), seeds=len(attackers), curves=())
        silence = np.zeros(19_200, np.float32)
        found: dict[str, Any] = audited(attributes=["speaker"], effort=tried, sound=lambda i: silence)
        return found["private"]["speaker"]

    return run


def test_the_strongest_is_chosen_on_validation_and_scored_on_test(meet):
    speaker = meet(Lucky(0.5, 1.0, "lucky on test"), Lucky(1.0, 0.6, "good"), Lucky(0.1, 0.2, "bad"))
    assert (speaker["strongest"]["attacker"], speaker["strongest"]["score"]) == ("good", pytest.approx(0.6))
    assert speaker["leakage"]["score"] == pytest.approx(0.6 - speaker["floor"]["score"])


@pytest.mark.parametrize("order", [1, -1])
def test_of_attackers_that_are_equal_on_validation_the_stronger_counts(meet, order):
    strongest = meet(*[Lucky(1.0, 0.4, "weak"), Lucky(1.0, 0.8, "strong")][::order])["strongest"]
    assert (strongest["attacker"], strongest["score"]) == ("strong", pytest.approx(0.8))
    assert strongest["curve"]["recordings"], "and it is this one that is tried with fewer recordings"


def test_of_several_seeds_the_best_on_validation_counts(meet):
    strongest = meet(Lucky(0.5, 1.0), Lucky(1.0, 0.6, "second"), Lucky(0.7, 0.8), seeded=True)["strongest"]
    assert strongest["seeds"] == pytest.approx([1.0, 0.6, 0.8])
    assert (strongest["attacker"], strongest["score"], strongest["validation"]) == ("second", pytest.approx(0.6), 1.0)


def test_who_still_gains_from_more_recordings_has_not_converged(meet, case):
    strongest = meet(Lucky(1.0, 0.8, hungry=True))["strongest"]
    heard = len(case.split.train)
    (few, less), (all_, most) = strongest["curve"]["recordings"]
    assert (few, all_, most) == (round(heard / 2), heard, strongest["validation"])
    assert less < most
    assert strongest["converged"] is False


@pytest.mark.parametrize("converged", [True, False])
def test_who_gains_no_more_has_converged_if_its_training_has(meet, converged):
    strongest = meet(Lucky(1.0, 0.8, converged_=converged))["strongest"]
    assert strongest["converged"] is converged
    assert strongest["curve"]["steps"] == [[7, 0.5]]


def test_the_last_point_of_a_curve_is_what_the_attacker_scores(audited, little):
    """Also where the strongest attacker was fitted on originals: not what it scores on them."""
    rng = np.random.default_rng(0)

    def drowned(segments: np.ndarray) -> np.ndarray:
        return front_end(segments) + rng.normal(0.0, 8.0, (len(segments), 161, 128)).astype(np.float32)

    tried = replace(little, informed=(), uninformed=("linear",), curves=())
    speaker = audited(drowned, ["speaker"], tried)["private"]["speaker"]
    curve = [score for _, score in speaker["strongest"]["curve"]["recordings"]]
    assert curve[-1] == speaker["strongest"]["validation"]
    assert max(curve) < speaker["ceiling"]["validation"] == 1.0


# Attackers that break down


class Broken(Lucky):
    def fit(self, *_: object) -> Self:
        raise MemoryError("too many recordings")


class Senseless(Lucky):
    def scores(self, heard: Observations) -> np.ndarray:
        return np.full((len(heard), 5), np.nan, np.float32)


def test_attackers_that_break_down_are_named_and_the_others_go_on(meet):
    speaker = meet(Broken(1.0, 1.0, "broken"), Senseless(1.0, 1.0, "senseless"), Lucky(1.0, 0.8))
    assert [failure["attacker"] for failure in speaker["failed"]] == ["broken", "senseless"]
    assert "too many recordings" in speaker["failed"][0]["reason"]
    assert "not finite" in speaker["failed"][1]["reason"]
    names = [row["attacker"] for row in speaker["attackers"]]
    assert "lucky" in names and not {"broken", "senseless"} & {*names}
    assert speaker["strongest"]["attacker"] == "lucky"


@pytest.mark.parametrize("family", ["linear", "target"])
def test_where_all_attackers_break_down_there_is_one_sentence(audited, little, replace_attacker, family):
    tried = replace(little, informed=(family,), uninformed=(family,), curves=())
    replace_attacker(family, lambda cycles, seed: Broken(1.0, 1.0))
    with pytest.raises(ModelError, match=r"every attacker of 'speaker' .* broke down .*too many recordings.*--attack"):
        audited(attributes=["speaker"], effort=tried)


# The audit as a piece of work


def test_the_same_seed_gives_the_same_audit(audited, through_nothing):
    assert without_seconds(audited()) == without_seconds(through_nothing)


def without_seconds(results: Any) -> Any:
    if isinstance(results, dict):
        return {key: without_seconds(value) for key, value in results.items() if key != "seconds"}
    return [without_seconds(value) for value in results] if isinstance(results, list) else results


def test_attackers_on_originals_are_fitted_once_for_all_systems(audited, wall, monkeypatch, little, tmp_path):
    fits: list[int] = []
    fit = LinearOnStatistics.fit
    monkeypatch.setattr(LinearOnStatistics, "fit", lambda self, *heard: (fits.append(1), fit(self, *heard))[1])
    tried = replace(little, informed=("nearest",), curves=())
    first = audited(attributes=["speaker"], effort=tried, cache=tmp_path)
    before = len(fits)
    second = audited(wall, ["speaker"], tried, cache=tmp_path)
    controls = 3  # planted, shuffled; and on originals, read by another filter
    assert len(fits) - before <= controls
    ceilings = [found["private"]["speaker"]["ceiling"] for found in (first, second)]
    assert {**ceilings[0], "seconds": 0} == {**ceilings[1], "seconds": 0}


def test_progress_ends_where_it_said_it_would(audited):
    told: list[tuple[int, int]] = []
    audited(attributes=["gender"], report=lambda done, total, note: told.append((done, total)))
    ends = [i for i, (done, total) in enumerate(told) if done == total]
    assert ends[-1] == len(told) - 1
    for begin, end in zip([-1, *ends], ends, strict=False):
        steps = [done for done, _ in told[begin + 1 : end + 1]]
        assert steps == sorted(set(steps)), "it never goes back"
        assert len({total for _, total in told[begin + 1 : end + 1]}) == 1


def test_an_unknown_effort_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="'heroic'; known: quick, standard, thorough"):
        effort("heroic")
