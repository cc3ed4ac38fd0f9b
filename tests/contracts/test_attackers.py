"""What every attacker must do: find what is plain to see, find nothing where nothing is, and say the same twice."""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from sottovoce.attack import network
from sottovoce.attack.attacker import Attacker, Heard, accuracy
from sottovoce.attack.network import NetworkAttacker
from sottovoce.attack.restore import Restorer, RestoreThenRead
from sottovoce.attack.statistics import LinearOnStatistics
from sottovoce.attack.through_target import FromAnswer, ThroughTarget
from sottovoce.models.target import Target, from_callable

CLASSES, BINS, FRAMES = 3, 161, 32
TRAIN, VALIDATION, TEST = 90, 30, 120
SURE = 0.999


class Case(NamedTuple):
    """What is heard in the three parts, and the private label of each utterance."""

    train: Heard
    train_labels: np.ndarray
    validation: Heard
    validation_labels: np.ndarray
    test: Heard
    test_labels: np.ndarray


def case(leak: float, seed: int = 0) -> Case:
    """Noise in which 20 bins are louder by `leak` deviations, other bins for each class."""
    rng = np.random.default_rng(seed)
    parts: list[Heard | np.ndarray] = []
    for utterances in (TRAIN, VALIDATION, TEST):
        labels = rng.permutation(np.arange(utterances) % CLASSES)
        owner = np.repeat(np.arange(utterances), rng.integers(1, 3, utterances))
        spectra = rng.standard_normal((len(owner), BINS, FRAMES), dtype=np.float32)
        for spectrum, label in zip(spectra, labels[owner], strict=True):
            spectrum[20 + 40 * label : 40 + 40 * label] += leak
        parts += [Heard(spectra, owner), labels]
    return Case(*parts)


def coarse_target(classes: int = 4) -> Target:
    """A target whose answer depends on where the sound is loud, as any useful one does."""
    return from_callable(
        lambda spectra: 5.0 * spectra[:, : classes * 40].reshape(len(spectra), classes, -1).mean(axis=2),
        "loudest quarter",
        [str(k) for k in range(classes)],
    )


def short(attacker: NetworkAttacker, first_cycle: int) -> NetworkAttacker:
    attacker.first_cycle = first_cycle
    return attacker


def restore_then_read(seed: int) -> RestoreThenRead:
    """Reads with a reader of originals, which are louder still; what it hears is noise and half of them."""
    obfuscated, original = case(leak=1.0), case(leak=2.0)
    restorer = Restorer(20, seed).fit(obfuscated.train.spectra, original.train.spectra)
    return RestoreThenRead(restorer, fitted(LinearOnStatistics(), original))


FRESH: dict[str, Callable[[int], Attacker]] = {
    "linear": lambda seed: LinearOnStatistics(),
    "cnn": lambda seed: short(network.cnn(1, seed), 20),
    "deepspeech2": lambda seed: short(network.deepspeech2(1, seed), 16),
    "through the target": lambda seed: ThroughTarget(coarse_target()),
    "from the answer": lambda seed: FromAnswer(coarse_target()),
}
ALL = {**FRESH, "restore, then read": restore_then_read}


def fitted(attacker: Attacker, heard: Case) -> Attacker:
    return attacker.fit(heard.train, heard.train_labels, heard.validation, heard.validation_labels, CLASSES)


@pytest.fixture(scope="module", params=ALL)
def alive(request: pytest.FixtureRequest) -> Attacker:
    """Each attacker, fitted where the label is plain to see."""
    return fitted(ALL[request.param](0), case(leak=1.0))


def test_what_is_plain_to_see_is_found(alive):
    heard = case(leak=1.0)
    assert accuracy(alive, heard.test, heard.test_labels) > 0.6


def test_scores_are_one_row_for_each_utterance(alive):
    heard = case(leak=1.0)
    scores = alive.scores(heard.test)
    assert scores.shape == (TEST, CLASSES)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()


def test_an_utterance_is_scored_by_itself(alive):
    heard = case(leak=1.0).test
    some = np.array([3, 4, 50])
    spectra = [heard.spectra[heard.owner == utterance] for utterance in some]
    owner = np.repeat(np.arange(len(some)), [len(part) for part in spectra])
    alone = alive.scores(Heard(np.concatenate(spectra), owner))
    np.testing.assert_allclose(alone, alive.scores(heard)[some], rtol=1e-3, atol=1e-4)


def test_it_says_what_it_is_and_needs_and_whether_it_was_done(alive):
    assert isinstance(alive.name, str) and alive.name
    assert isinstance(alive.needs, str) and alive.needs
    assert isinstance(alive.converged_, bool)


@pytest.mark.parametrize("name", ALL)
def test_where_nothing_is_left_it_is_at_chance(name):
    heard = case(leak=0.0)
    attacker = fitted(ALL[name](0), heard)
    right = round(accuracy(attacker, heard.test, heard.test_labels) * TEST)
    interval = binomtest(right, TEST).proportion_ci(SURE)
    assert interval.low <= 1 / CLASSES <= interval.high


@pytest.mark.parametrize("name", ALL)
def test_the_seed_decides(name):
    def scores(seed: int, before: int) -> np.ndarray:
        np.random.seed(before)  # what was drawn before does not count
        torch.manual_seed(before)
        attacker = ALL[name](seed)
        if isinstance(attacker, NetworkAttacker):
            short(attacker, 2)
        return fitted(attacker, heard).scores(heard.test)

    heard = case(leak=0.5)
    first = scores(0, before=1)
    np.testing.assert_array_equal(first, scores(0, before=2))
    if name in ("cnn", "deepspeech2", "restore, then read"):
        assert not np.array_equal(first, scores(1, before=1))


@pytest.mark.parametrize("name", FRESH)
def test_the_constructor_only_stores(name):
    learned = [key for key in vars(FRESH[name](0)) if key.endswith("_")]
    assert not learned


@pytest.mark.parametrize("name", FRESH)
def test_what_is_heard_is_not_changed(name):
    heard, before = case(leak=1.0), case(leak=1.0)
    attacker = FRESH[name](0)
    if isinstance(attacker, NetworkAttacker):
        short(attacker, 1)
    assert fitted(attacker, heard) is attacker
    attacker.scores(heard.test)
    for one, other in zip(heard, before, strict=True):
        if isinstance(one, Heard):
            np.testing.assert_array_equal(one.spectra, other.spectra)
        else:
            np.testing.assert_array_equal(one, other)


def test_a_class_that_training_never_saw_gets_no_score():
    heard = case(leak=1.0)
    seen = heard.train_labels != 1
    keep = seen[heard.train.owner]
    owner = np.unique(heard.train.owner[keep], return_inverse=True)[1]
    part = heard._replace(train=Heard(heard.train.spectra[keep], owner), train_labels=heard.train_labels[seen])
    for attacker in (LinearOnStatistics(), ThroughTarget(coarse_target()), FromAnswer(coarse_target())):
        assert (fitted(attacker, part).scores(part.test)[:, 1] == 0).all()


def test_the_segments_of_each_utterance_are_found():
    heard = Heard(np.zeros((6, 1, 1), np.float32), np.array([0, 0, 1, 2, 2, 2]))
    assert len(heard) == 3
    assert heard.first.tolist() == [0, 2, 3, 6]


def test_more_training_is_tried_until_it_no_longer_helps():
    heard = case(leak=0.0)
    attacker = fitted(short(network.cnn(3, 0), 1), heard)
    scores = attacker.validation_
    assert len(scores) == 3 or attacker.converged_
    error = np.sqrt(max(scores[-1] * (1 - scores[-1]), 1e-3) / VALIDATION)
    assert attacker.converged_ == (len(scores) > 1 and scores[-1] - scores[-2] <= error)
    assert accuracy(attacker, heard.validation, heard.validation_labels) == max(scores), "the best is kept"


def test_one_cycle_alone_does_not_call_itself_converged():
    assert not fitted(short(network.cnn(1, 0), 1), case(leak=0.0)).converged_


@pytest.mark.parametrize("seed", range(3))
def test_the_floor_is_the_literal_table(seed):
    """For each answer of the target the commonest label behind it in training; for unheard answers, the commonest."""
    rng = np.random.default_rng(seed)
    answers = {"train": rng.integers(0, 4, 60), "test": rng.integers(0, 6, 40)}  # answers 4 and 5 are never heard
    heard = {
        part: Heard(said[:, None, None].astype(np.float32), np.arange(len(said))) for part, said in answers.items()
    }
    target = from_callable(lambda spectra: np.eye(6)[spectra[:, 0, 0].astype(int)], "answer", list("abcdef"))
    labels = rng.choice(5, 60, p=[0.4, 0.3, 0.1, 0.1, 0.1])
    floor = FromAnswer(target).fit(heard["train"], labels, heard["train"], labels, 5)
    guesses = floor.scores(heard["test"]).argmax(axis=1)
    overall = Counter(labels.tolist())
    for said, guess in zip(answers["test"], guesses, strict=True):
        behind = Counter(labels[answers["train"] == said].tolist())
        best = max(behind.values(), default=0)
        tied = [label for label in overall if behind[label] == best]
        assert guess in tied
        assert overall[int(guess)] == max(overall[label] for label in tied), "ties go to the commoner label"


def test_the_floor_hears_the_answer_and_nothing_else():
    """Where the answer says nothing of the label the floor is at chance, however plain the label is to see."""
    heard = case(leak=1.0)
    deaf = from_callable(lambda spectra: spectra[:, 140:144, 0], "noise", list("abcd"))
    right = round(accuracy(fitted(FromAnswer(deaf), heard), heard.test, heard.test_labels) * TEST)
    interval = binomtest(right, TEST).proportion_ci(SURE)
    assert interval.low <= 1 / CLASSES <= interval.high
