"""What every attacker must do: find what is plain to see, find nothing where nothing is, and say the same twice."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sottovoce.attack.attacker import Attacker, Observations, accuracy
from sottovoce.attack.classical import LEAST, best, settled
from sottovoce.attack.families import ATTACKERS
from sottovoce.attack.network import NetworkAttacker
from sottovoce.attack.speaker_encoder import installed
from sottovoce.attack.through_target import FromAnswer, ThroughTarget, joint_answer
from sottovoce.audio.segment import cut, front_end
from sottovoce.audio.spectrum import SAMPLE_RATE
from sottovoce.corpora import cache, espeak
from sottovoce.corpora.catalogue import open_corpus
from sottovoce.corpora.splits import split
from sottovoce.errors import ConfigError

CLASSES, BINS, FRAMES = 3, 161, 32
TRAIN, VALIDATION, TEST = 90, 30, 120
SURE = 0.999
FLOOR = "from the answer"
STEPS = {"mlp": 60, "cnn": 20, "deepspeech2": 16, "fine-tuned": 6, "campplus-tuned": 16, "gru": 40, "raw": 40}


def named(key: str) -> Any:
    attacker = ATTACKERS[key]
    missing = attacker.needs_sound and (not installed() or attacker.encoder not in ("", *installed()))
    return pytest.param(key, marks=pytest.mark.skipif(missing, reason="its pretrained encoder is not installed"))


NAMES = [named(key) for key in ATTACKERS]
ALL = [*NAMES, FLOOR]
ON_SPECTRA = ["nearest", "linear", "svm", "mlp", "trees", "cnn", "deepspeech2", "gru", "raw"]


class Case(NamedTuple):
    """What is heard in the three parts, and the private label of each utterance."""

    train: Observations
    train_labels: np.ndarray
    validation: Observations
    validation_labels: np.ndarray
    test: Observations
    test_labels: np.ndarray


def case(leak: float, seed: int = 0) -> Case:
    """Noise in which 20 bins are louder by `leak` deviations, others for each class; the rest leaks in the same way.

    That is the outline (longer), the target's answer (whose first class is the likelier), and the sound (a tone).
    """
    rng = np.random.default_rng(seed)
    parts: list[Observations | np.ndarray] = []
    for utterances in (TRAIN, VALIDATION, TEST):
        labels = rng.permutation(np.arange(utterances) % CLASSES)
        owner = np.repeat(np.arange(utterances), rng.integers(1, 3, utterances))
        spectra = rng.standard_normal((len(owner), BINS, FRAMES), dtype=np.float32)
        for spectrum, label in zip(spectra, labels[owner], strict=True):
            spectrum[20 + 40 * label : 40 + 40 * label] += leak
        outline = rng.standard_normal((utterances, 1), dtype=np.float32) + 3 * leak * labels[:, None]
        answers = 5.0 * spectra[:, :160].reshape(len(spectra), 4, -1).mean(axis=2)
        tones = np.sin(np.arange(8000) * (0.2 + 0.5 * np.arange(CLASSES))[:, None])
        noise = rng.standard_normal((utterances, 8000))
        waves = list((0.02 * (noise + 3 * leak * tones[labels])).astype(np.float32))
        parts += [Observations(spectra, owner, outline.astype(np.float32), {"task": answers}, waves), labels]
    return Case(*parts)


def fresh(name: str, seed: int = 0, steps: int | None = None) -> Attacker:
    """An attacker of a family, or the floor; a network takes one short cycle."""
    if name == FLOOR:
        return FromAnswer()
    attacker = ATTACKERS[name](1, seed)
    if isinstance(attacker, NetworkAttacker):
        attacker.first_cycle, attacker.cycles = steps or STEPS[name], 1
    return attacker


def fitted(attacker: Attacker, heard: Case) -> Attacker:
    return attacker.fit(heard.train, heard.train_labels, heard.validation, heard.validation_labels, CLASSES)


def at_chance(attacker: Attacker, heard: Case) -> bool:
    right = round(accuracy(attacker, heard.test, heard.test_labels) * TEST)
    interval = binomtest(right, TEST).proportion_ci(SURE)
    return bool(interval.low <= 1 / CLASSES <= interval.high)


@pytest.fixture(scope="module")
def plain() -> Case:
    """Where the label is plain to see."""
    return case(leak=1.0)


@pytest.fixture(scope="module", params=ALL)
def alive(request: pytest.FixtureRequest, plain: Case) -> Attacker:
    """Each attacker, fitted there."""
    return fitted(fresh(request.param), plain)


def test_what_is_plain_to_see_is_found(alive, plain):
    assert accuracy(alive, plain.test, plain.test_labels) > 0.6


def test_scores_are_log_probabilities_of_each_utterance(alive, plain):
    scores = alive.scores(plain.test)
    assert scores.shape == (TEST, CLASSES)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    assert scores.min() >= np.float32(np.log(LEAST)) and scores.max() <= 1e-6
    total = np.logaddexp.reduce(scores, axis=1)
    assert (total > np.log(LEAST)).all() and (total <= np.log(1.0 + CLASSES * LEAST) + 1e-5).all()


def test_an_utterance_is_scored_by_itself(alive, plain):
    some = np.array([3, 50, 4])
    alone = alive.scores(plain.test.pick(some))
    np.testing.assert_allclose(alone, alive.scores(plain.test)[some], rtol=1e-3, atol=1e-3)
    one = alive.scores(plain.test.pick(some[:1]))
    np.testing.assert_allclose(one, alone[:1], rtol=1e-3, atol=1e-3)


def test_it_says_what_it_is_and_needs_and_whether_it_was_done(alive):
    assert isinstance(alive.name, str) and alive.name
    assert isinstance(alive.needs, str) and alive.needs
    assert isinstance(alive.converged_, bool)
    assert isinstance(alive.curve_, Sequence)
    assert all(isinstance(step, int) and isinstance(score, float) and 0 <= score <= 1 for step, score in alive.curve_)
    steps = [step for step, _ in alive.curve_]
    assert steps == sorted(set(steps)) and all(step > 0 for step in steps)


@pytest.mark.parametrize("name", ALL)
def test_where_nothing_is_left_it_is_at_chance(name):
    heard = case(leak=0.0)
    assert at_chance(fitted(fresh(name, steps=3), heard), heard)


@pytest.mark.parametrize("name", ALL)
def test_the_seed_decides(name):
    def scores(seed: int, before: int) -> np.ndarray:
        np.random.seed(before)  # what was drawn before does not count
        torch.manual_seed(before)
        return fitted(fresh(name, seed, steps=2), heard).scores(heard.test)

    heard = case(leak=0.5)
    first = scores(0, before=1)
    np.testing.assert_array_equal(first, scores(0, before=2))
    other = np.array_equal(first, scores(1, before=1))
    assert other != (name != FLOOR and ATTACKERS[name].seeded)


@pytest.mark.parametrize("name", ALL)
def test_the_constructor_only_stores(name):
    assert not [key for key in vars(fresh(name)) if key.endswith("_")]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.filterwarnings("error:.*writable")
def test_what_is_heard_cannot_be_changed(name):
    """It lies in files that are mapped into memory, read-only."""
    heard = case(leak=1.0)
    for part in (heard.train, heard.validation, heard.test):
        for array in (part.spectra, part.owner, part.outline, part.answers["task"], *part.waves):
            array.flags.writeable = False
    attacker = fresh(name, steps=1)
    assert fitted(attacker, heard) is attacker
    attacker.scores(heard.test)


@pytest.mark.parametrize("name", ALL)
def test_classes_may_be_rare_or_missing(name, plain):
    """One utterance of a class in training, none in validation; it can be guessed all the same."""
    train = np.flatnonzero((plain.train_labels != 2) | (np.cumsum(plain.train_labels == 2) == 1))
    validation = np.flatnonzero(plain.validation_labels != 2)
    part = plain._replace(
        train=plain.train.pick(train),
        train_labels=plain.train_labels[train],
        validation=plain.validation.pick(validation),
        validation_labels=plain.validation_labels[validation],
    )
    attacker = fitted(fresh(name, steps=1), part)
    assert (part.train_labels == 2).sum() == 1
    scores = attacker.scores(plain.test)
    assert scores.shape == (TEST, CLASSES) and np.isfinite(scores).all()


@pytest.mark.parametrize("name", [key for key in ATTACKERS if key not in STEPS and not ATTACKERS[key].needs_sound])
def test_a_class_that_training_never_saw_is_not_guessed(name, plain):
    seen = np.flatnonzero(plain.train_labels != 1)
    part = plain._replace(train=plain.train.pick(seen), train_labels=plain.train_labels[seen])
    np.testing.assert_allclose(fitted(fresh(name), part).scores(plain.test)[:, 1], np.log(LEAST), rtol=1e-6)


@pytest.mark.parametrize("shape", [(40, 1), (5, 9), (200, 32)])
@pytest.mark.parametrize("name", ON_SPECTRA)
def test_any_feature_will_do(name, shape, plain):
    """Latents of one frame, of few bins, of many."""
    rng = np.random.default_rng(0)

    def other(heard: Observations, labels: np.ndarray) -> Observations:
        features = rng.standard_normal((len(heard), *shape), dtype=np.float32)
        for feature, label in zip(features, labels, strict=True):
            feature[label::CLASSES] += 2.0
        return Observations(features, np.arange(len(labels)), heard.outline)

    parts = [(other(heard, labels), labels) for heard, labels in zip(plain[::2], plain[1::2], strict=True)]
    heard = Case(*(item for part in parts for item in part))
    attacker = fitted(fresh(name), heard)
    assert np.isfinite(attacker.scores(heard.test)).all()
    if name in ("nearest", "linear", "trees", "mlp"):
        assert accuracy(attacker, heard.test, heard.test_labels) > 0.6


@pytest.mark.parametrize("attacker", [ThroughTarget(), FromAnswer()])
def test_without_answers_there_is_nothing_to_read(attacker, plain):
    with pytest.raises(ConfigError, match="target"):
        fitted(attacker, plain._replace(train=replace(plain.train, answers=None)))


def test_more_training_is_tried_until_it_no_longer_helps():
    heard = case(leak=0.0)
    attacker = fresh("cnn", steps=1)
    attacker.cycles = 3
    fitted(attacker, heard)
    steps, scores = zip(*attacker.curve_, strict=True)
    assert steps == (1, 3, 7)[: len(steps)], "each cycle is twice as long as the one before"
    assert len(scores) == 3 or attacker.converged_
    error = np.sqrt(max(scores[-1] * (1 - scores[-1]), 1e-3) / VALIDATION)
    assert attacker.converged_ == (len(scores) > 1 and scores[-1] - scores[-2] <= error)
    assert accuracy(attacker, heard.validation, heard.validation_labels) == max(scores), "the best is kept"


def test_one_cycle_alone_does_not_call_itself_converged():
    assert not fitted(fresh("cnn", steps=1), case(leak=0.0)).converged_


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_solver_that_met_its_limit_has_not_converged() -> None:
    rng = np.random.default_rng(0)
    features, labels = rng.standard_normal((60, 20)).astype(np.float32), rng.integers(2, size=60)
    for steps, expected in ((2, False), (1000, True)):
        model = best([LogisticRegression(max_iter=steps)], features, labels, features, labels)
        assert settled(model) == settled(make_pipeline(StandardScaler(), model).fit(features, labels)) == expected
    assert settled(KNeighborsClassifier(1).fit(features, labels))


@pytest.mark.parametrize("seed", range(3))
def test_the_floor_is_the_literal_table(seed):
    """For each answer of the target the commonest label behind it in training; for unheard answers, the commonest."""
    rng = np.random.default_rng(seed)
    said = {"train": rng.integers(0, 4, 60), "test": rng.integers(0, 6, 40)}  # answers 4 and 5 are never heard
    labels = rng.choice(5, 60, p=[0.4, 0.3, 0.1, 0.1, 0.1])
    heard = {part: _answered(answers) for part, answers in said.items()}
    floor = FromAnswer().fit(heard["train"], labels, heard["train"], labels, 5)
    guesses = floor.scores(heard["test"]).argmax(axis=1)
    overall = Counter(labels.tolist())
    for answer, guess in zip(said["test"], guesses, strict=True):
        behind = Counter(labels[said["train"] == answer].tolist())
        best = max(behind.values(), default=0)
        tied = [label for label in overall if behind[label] == best]
        assert guess in tied
        assert overall[int(guess)] == max(overall[label] for label in tied), "ties go to the commoner label"


def _answered(answers: np.ndarray) -> Observations:
    utterances = len(answers)
    nothing = np.zeros((utterances, 1, 1), np.float32)
    return Observations(
        nothing, np.arange(utterances), nothing[:, :, 0], {"task": np.eye(6, dtype=np.float32)[answers]}
    )


def test_the_floor_of_two_targets_is_their_joint_table():
    """Neither answer alone says the label, the two together do: it is 1 where they are the same."""
    first, second = np.array([0, 0, 1, 1, 2, 2, 0, 1]), np.array([0, 1, 0, 1, 0, 0, 0, 1])
    labels = np.array([1, 0, 0, 1, 2, 0, 1, 1])
    floor = FromAnswer().fit(_both(first, second), labels, _both(first, second), labels, 3)
    heard = _both(np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 0, 1, 0, 1]))
    counts = np.array([[0, 2, 0], [1, 0, 0], [1, 0, 0], [0, 2, 0], [1, 0, 1], [0, 0, 0]])  # behind each combination
    table = counts + np.array([3, 4, 1]) / 9  # the share of each label overall, for a combination never heard
    expected = table / table.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.exp(floor.scores(heard)), expected, atol=2 * LEAST)
    assert joint_answer(heard).tolist() == [0, 1, 2, 3, 4, 5]
    swapped = Observations(heard.spectra, heard.owner, heard.outline, dict(reversed(heard.answers.items())))
    np.testing.assert_array_equal(floor.scores(swapped), floor.scores(heard))


def _both(first: np.ndarray, second: np.ndarray) -> Observations:
    """Utterances of one segment to which two targets answer."""
    answers = {"a": np.eye(3, dtype=np.float32)[first], "b": np.eye(2, dtype=np.float32)[second]}
    return replace(_answered(first), answers=answers)


@pytest.mark.parametrize("tells", ["a", "b"])
def test_the_attacker_through_the_targets_hears_all_of_them(tells):
    heard, rng = case(leak=1.0), np.random.default_rng(0)
    parts = [
        replace(part, answers={task: part.answers["task"] if task == tells else noise for task in ("a", "b")})
        for part in heard[::2]
        for noise in [rng.standard_normal((len(part.owner), 3), dtype=np.float32)]
    ]
    heard = heard._replace(train=parts[0], validation=parts[1], test=parts[2])
    assert accuracy(fitted(ThroughTarget(), heard), heard.test, heard.test_labels) > 0.6


def test_the_floor_hears_the_answer_and_nothing_else():
    """Where the answer says nothing of the label the floor is at chance, however plain the label is to see."""
    plain, rng = case(leak=1.0), np.random.default_rng(0)
    parts = [replace(heard, answers={"task": rng.standard_normal((len(heard.owner), 4))}) for heard in plain[::2]]
    heard = plain._replace(train=parts[0], validation=parts[1], test=parts[2])
    assert at_chance(fitted(FromAnswer(), heard), heard)


@pytest.mark.skipif(not espeak.installed(), reason="the synthesiser is not installed")
def test_on_voices_they_tell_the_speaker():
    """Real features: 14 synthetic speakers, of which chance finds one in 14."""
    manifest, sounds = cache.load(open_corpus("voices"))
    parts = split(manifest, "utterance")
    classes = manifest.classes("speaker")
    heard: list[Observations | np.ndarray] = []
    for clips in (parts.train, parts.validation, parts.test):
        waves = [sounds.wave(clip) for clip in clips]
        segments = [cut(wav) for wav in waves]
        owner = np.repeat(np.arange(len(clips)), [len(part) for part in segments])
        duration_s = np.array([[len(wav) / SAMPLE_RATE] for wav in waves], np.float32)
        heard.append(Observations(front_end(np.concatenate(segments)), owner, duration_s))
        heard.append(np.array([classes.index(manifest.clips[clip].labels["speaker"]) for clip in clips]))
    *learnt, test, labels = heard
    for attacker in (fresh("nearest"), fresh("linear"), fresh("trees"), fresh("mlp")):
        assert accuracy(attacker.fit(*learnt, len(classes)), test, labels) > 0.7


def test_the_floor_looks_at_the_answers_that_serve_it_best():
    """One answer tells the label; together with one of many classes at random it would be a table of single guesses."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 120)

    def heard(labels: np.ndarray) -> Observations:
        tells, noise = np.eye(2)[labels] * 5.0, np.eye(60)[rng.integers(0, 60, len(labels))] * 5.0
        answers = {"noise": noise.astype(np.float32), "tells": tells.astype(np.float32)}
        count = len(labels)
        return Observations(
            np.zeros((count, 2, 2), np.float32), np.arange(count), np.zeros((count, 1), np.float32), answers
        )

    train, validation, test = np.split(labels, 3)
    floor = FromAnswer().fit(heard(train), train, heard(validation), validation, 2)
    assert accuracy(floor, heard(test), test) == 1.0
