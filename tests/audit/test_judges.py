"""Judges: recognisers that training never saw measure what is permitted, on the very sound that leaves."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sottovoce.audio.segment import cut, front_end
from sottovoce.audit import judges, metrics, summary
from sottovoce.audit.case import Case, Judge
from sottovoce.audit.results import Permitted
from sottovoce.audit.scores import Scores
from sottovoce.audit.system import System
from sottovoce.errors import ConfigError
from sottovoce.models.architectures import build
from sottovoce.models.target import Target, from_callable
from sottovoce.models.target_loading import load_target, save_target

CLASSES = ("no", "stop", "yes")
SIZES = {"maps": 2, "hidden": 8, "layers": 1, "classes": 3}


def silent(done: int, total: int, note: str) -> None:
    pass


def noisy(case: Case) -> Callable[[int], np.ndarray]:
    """What leaves a system that puts noise in the place of every third clip, and adds a little to the others."""

    def sound(clip: int) -> np.ndarray:
        wav = case.sounds.wave(clip)
        noise = 0.1 * np.random.default_rng(clip).standard_normal(len(wav), dtype=np.float32)
        return noise if clip % 3 == 0 else wav + 0.1 * noise

    return sound


def blurred(segments: np.ndarray) -> np.ndarray:
    """Spectra of which many are lost in noise."""
    rng = np.random.default_rng(int(1e6 * np.abs(segments).sum()))
    return front_end(segments) + rng.normal(0.0, rng.choice([0.1, 20.0]), (161, 128)).astype(np.float32)


@pytest.fixture
def measured(case) -> Callable[..., Permitted]:
    """What an audit says of the permitted word, with these judges."""

    def run(system: System, *others: Judge) -> Permitted:
        facts, scores = judges.gather(replace(case, judges=others), system, silent)
        known = Scores({"word/labels/test": case.labels("word", "test"), "word/cluster": case.cluster("word")[1]})
        both = {f"word/answers/{side}": known["word/labels/test"] for side in ("original", "obfuscated")}
        return summary.permitted("word", facts["word"], Scores(known | both | scores))

    return run


def system(features: Any = None, sound: Any = None, **description: Any) -> System:
    return System({"digest": "d", "permit": [], **description}, features, sound)


# What is measured


def test_a_judge_that_is_the_target_scores_what_the_target_does(case, audited, measured):
    """Against the whole audit, which observes what leaves for its attackers."""
    judge = Judge("itself", "trained-with", case.targets[0])
    for more in ({"sound": noisy(case)}, {"listen": blurred}):
        whole = audited(case=replace(case, judges=(judge,)), attributes=["gender"], **more)["permitted"]["word"]
        (found,) = whole["judges"]
        assert found["original"] == whole["original"] and found["obfuscated"] == whole["obfuscated"]
        assert found["obfuscated"]["score"] < found["original"]["score"] == 1.0
        assert (found["input"] == "sound") == (whole["sound"] == whole["obfuscated"]) == ("sound" in more)


def test_where_features_and_sound_leave_judges_get_the_sound(case, measured):
    judge = Judge("itself", "trained-with", case.targets[0])
    found = measured(system(lambda segments: 0.0 * front_end(segments), noisy(case)), judge)
    (row,) = found.judges
    assert row.input == "sound" and row.obfuscated == found.sound and row.obfuscated.score > 0.5


def test_scores_are_those_of_one_recording_after_another(case, measured):
    """Against a plain loop; a judge of sound is asked about the same sound, at its level."""
    sound, heard = noisy(case), []

    def function(waves: np.ndarray, rate: int) -> np.ndarray:
        heard.append(float(np.sqrt(np.mean(waves.astype(np.float64) ** 2))))
        return case.targets[0].predict(front_end(waves))

    judge = Judge("a function", "third-party", from_callable(function, "word", CLASSES, "wave"))
    (row,) = measured(system(sound=sound), judge).judges
    labels, right = case.labels("word", "test"), []
    for clip, label in zip(case.clips("test"), labels, strict=True):
        wav = sound(int(clip))
        logits = case.targets[0].predict(front_end(cut(wav)))
        votes = np.bincount(logits.argmax(axis=1), minlength=3)
        right.append(votes.argmax() == label)
    assert row.obfuscated == metrics.accuracy(np.array(right), case.cluster("word")[1])
    assert heard == pytest.approx([0.1] * len(heard), rel=0.2), "at the level of a sound file"


def test_classes_may_stand_in_any_order(case, measured):
    own = case.targets[0]
    turned = Target("word", CLASSES[::-1], False, lambda spectra: own.logits(spectra).flip(1))
    first, second = measured(system(sound=noisy(case)), *(Judge("", "seed", each) for each in (own, turned))).judges
    assert first.obfuscated == second.obfuscated and first.original == second.original


def test_without_judges_the_target_is_asked_about_sound_all_the_same(case, measured):
    found = measured(system(front_end, noisy(case)))
    assert found.judges == [] and found.sound is not None and found.sound.score < 1.0
    assert measured(system(front_end)).sound is None


def test_it_is_known_whether_the_filter_was_trained_with_the_target(case, measured):
    known = replace(case, targets=(replace(case.targets[0], digest="own"),))
    for digests, expected in ((["own", "another"], True), (["another"], False), ([], None)):
        named = [{"task": "word", "digest": digest} for digest in digests]
        facts, _ = judges.gather(known, system(front_end, targets=named), silent)
        assert facts["word"].trained_with is expected


# Who may judge


@pytest.fixture(scope="module")
def family(tmp_path_factory) -> dict[str, Any]:
    """Target folders: one, a copy, another seed of it, and another architecture."""
    import torch

    place = tmp_path_factory.mktemp("family")
    for name, seed, width in (("own", 0, 8), ("copy", 0, 8), ("sibling", 1, 8), ("cousin", 0, 12)):
        torch.manual_seed(seed)
        sizes = {**SIZES, "hidden": width}
        save_target(place / name, build("deepspeech2", sizes), "deepspeech2", sizes, "word", CLASSES, {"corpus": None})
    return {name: place / name for name in ("own", "copy", "sibling", "cousin")}


def test_what_a_judge_is_follows_from_its_files(family):
    own = load_target(family["own"])
    found = judges.named([family[name] for name in ("copy", "sibling", "cousin")], [own])
    assert [(judge.text, judge.kind) for judge in found] == [
        ("copy", "trained-with"), ("sibling", "seed"), ("cousin", "architecture"),
    ]  # fmt: skip
    sibling = load_target(family["sibling"])
    assert judges.named([family["sibling"]], [own], {sibling.digest})[0].kind == "trained-with"
    outside = from_callable(lambda waves, rate: np.zeros((len(waves), 3)), "word", CLASSES, "wave")
    assert judges.named([family["own"]], [outside])[0].kind == "architecture"
    assert judges._kind(own, outside, ()) == "third-party"


def test_who_cannot_judge_is_refused_in_one_sentence(case, family):
    other = from_callable(lambda spectra: np.zeros((len(spectra), 2)), "mood", ("calm", "loud"))
    few = from_callable(lambda spectra: np.zeros((len(spectra), 2)), "word", ("no", "yes"))
    for targets, words in (
        ([other], "recognises 'word', which no target of this audit answers; expected mood"),
        ([few], "knows word as no, stop, yes; expected the classes of the target, no, yes"),
        ([], "expected a permitted task with a target"),
    ):
        with pytest.raises(ConfigError) as refused:
            judges.named([family["own"]], targets)
        assert words in str(refused.value) and "\n" not in str(refused.value) and str(refused.value).endswith(".")
    latents = replace(system(front_end), read=lambda latents: {})
    with pytest.raises(ConfigError, match="only its own reader can answer; leave --judge out"):
        judges.gather(replace(case, judges=(Judge("", "seed", case.targets[0]),)), latents, silent)
