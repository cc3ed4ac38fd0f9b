"""A verdict is a statement with an error rate: hidden is said of a true leak, and leaks of none, in 2.5 % at most.

Whatever the numbers of people and recordings are, how unequal the classes, and how much an attacker's luck varies
between people. What too few recordings say nothing about, or attackers who cannot read it anyway, is not shown.
"""

from collections.abc import Callable

import numpy as np
import pytest

from sottovoce.audit import summary
from sottovoce.audit.metrics import difference
from sottovoce.audit.results import AttackerFacts, Curve, Facts, Interval, Private, PrivateFacts
from sottovoce.audit.scores import Scores
from sottovoce.audit.verdicts import verdict

AUDITS = 200
READABLE = Interval(score=1.0, low=0.95, high=1.0)
MOST = 2.5  # % of audits, beside what chance adds in so many
WHO = AttackerFacts(
    attacker="somebody", knowledge="informed", input="features", needs="", converged=True, curve=Curve(), seconds=0.0
)
Drawn = tuple[np.ndarray, np.ndarray, np.ndarray]


def judged(
    test: Drawn, train: np.ndarray | None = None, original: np.ndarray | None = None, by_people: bool = True
) -> Private:
    """The entry of an attribute from (whether the attacker is right, labels, speakers) of the test recordings."""
    right, labels, speakers = test
    known = labels if train is None else train
    classes = int(max(labels.max(), known.max())) + 1

    def guesses(correct: np.ndarray, truth: np.ndarray) -> np.ndarray:
        return np.eye(classes, dtype=np.float32)[np.where(correct, truth, (truth + 1) % classes)][None]

    everything = np.ones(len(labels), bool) if original is None else original
    scores = Scores({f"a/labels/{part}": labels for part in ("validation", "test")} | {"a/labels/train": known})
    scores["a/cluster"] = speakers if by_people else np.arange(len(labels))
    scores["speakers/test"] = speakers.astype(str)
    for side, correct in (("attackers", right), ("originals", everything)):
        scores |= {f"a/{side}/0/{part}": guesses(correct, labels) for part in ("validation", "test")}
    facts = PrivateFacts(
        class_names=[str(name) for name in range(classes)],
        cluster="speaker" if by_people else "utterance",
        attackers=[WHO],
        originals=[WHO],
    )
    return summary.private("a", facts, scores, 0.95)


def of_people(people: int, each: int, leak: float, share: float = 0.5) -> Callable[[np.random.Generator], Drawn]:
    """Two classes, of which `share` of the people have the first; people are guessed more or less easily."""

    def draw(rng: np.random.Generator) -> Drawn:
        speakers = np.repeat(np.arange(people), each)
        easy = np.clip(0.5 + leak + rng.normal(0.0, 0.12, people), 0.0, 1.0)
        return rng.random(people * each) < easy[speakers], (speakers >= share * people).astype(int), speakers

    return draw


def of_recordings(count: int, classes: int, leak: float) -> Callable[[np.random.Generator], Drawn]:
    """Recordings whose label is who speaks."""

    def draw(rng: np.random.Generator) -> Drawn:
        labels = rng.permutation(np.arange(count) % classes)
        return rng.random(count) < 1 / classes + leak, labels, labels

    return draw


KNOWN: dict[str, tuple[Callable[..., Callable[[np.random.Generator], Drawn]], tuple[float, ...], bool]] = {
    "6 people": (of_people, (6, 15), True),
    "24 people": (of_people, (24, 12), True),
    "125 people": (of_people, (125, 20), True),
    "24 people, of whom 6 are of the first class": (lambda *a: of_people(*a, share=0.25), (24, 12), True),
    "24 speakers": (of_recordings, (288, 24), False),
    "10 speakers, 60 recordings": (of_recordings, (60, 10), False),
}


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize(("leak", "wrong"), [(0.05, "hidden"), (0.0, "leaks")])
def test_a_verdict_is_seldom_wrong(name, leak, wrong):
    channel, size, by_people = KNOWN[name]
    rng = np.random.default_rng(0)
    draw = channel(*size, leak)
    found = []
    for _ in range(AUDITS):
        right, labels, speakers = draw(rng)
        cluster = speakers if by_people else np.arange(len(labels))
        chance = 1 / len(set(labels.tolist()))
        floor = Interval(score=chance, low=chance - 0.1, high=chance + 0.1)
        found.append(verdict(difference(right, labels == 0, labels, cluster), floor, READABLE, chance))
    assert 100 * np.mean([one == wrong for one in found]) <= MOST + 200 * np.sqrt(0.025 / AUDITS)


def test_a_constant_guess_on_eight_recordings_shows_nothing():
    labels = np.arange(8) % 2
    for right in (labels == 0, labels == 1):
        found = judged((right, labels, np.arange(8)), by_people=False)
        assert found.verdict == "not shown" and found.leakage.low < 0.0 < found.leakage.high
        assert found.settle is not None and found.settle.recordings > 100


def test_a_leak_in_a_rare_class_is_one():
    """Who always guesses the common class is right in nine of ten, and knows nothing."""
    labels = np.repeat([0, 1], [540, 60])
    nothing = judged((labels == 0, labels, np.arange(600)), by_people=False)
    assert nothing.strongest.score == nothing.chance == 0.5 and nothing.leakage.score == 0.0
    rng = np.random.default_rng(0)
    right = rng.random(600) < np.where(labels == 0, 0.85, 0.6)
    found = judged((right, labels, np.arange(600)), by_people=False)
    assert right.mean() < 0.9 and found.verdict == "leaks"


@pytest.mark.parametrize("train", [[0, 0, 0, 1], [1, 1, 1, 0], [1, 2, 2, 2]])
def test_the_commonest_class_is_learnt_in_training(train):
    """Whatever is commonest in test: a floor that knows it is too high, and so hides a leak."""
    labels = np.array([1] * 90 + [0] * 10 if max(train) < 2 else [0, 1] * 30)
    right = np.ones(len(labels), bool)
    found = judged((right, labels, np.arange(len(labels))), train=np.array(train * 20) % 3, by_people=False)
    assert found.floor.score == pytest.approx(0.5) == found.chance and found.leakage.score == pytest.approx(0.5)


def test_what_nobody_reads_from_originals_is_not_shown():
    rng = np.random.default_rng(0)
    labels, speakers = np.arange(4000) % 2, np.arange(4000)
    blind = rng.random(4000) < 0.48
    found = judged((blind, labels, speakers), original=rng.random(4000) < 0.5, by_people=False)
    assert found.leakage.high < 0.02 and found.verdict == "not shown" and found.unreadable and found.settle is None


def test_with_more_attributes_the_same_numbers_need_more_evidence():
    rng = np.random.default_rng(0)
    labels = np.arange(2000) % 2
    scores, facts = Scores(), {}
    right = np.sort(rng.random(1000)) < 0.5
    right = np.repeat(right, 2)  # half of each class
    for name in "abcdefgh":
        scores |= {f"{name}/labels/{part}": labels for part in ("train", "validation", "test")}
        scores[f"{name}/cluster"] = np.arange(2000)
        for side, correct in (("attackers", right), ("originals", np.ones(2000, bool))):
            guess = np.eye(2, dtype=np.float32)[np.where(correct, labels, 1 - labels)][None]
            scores |= {f"{name}/{side}/0/{part}": guess for part in ("validation", "test")}
        facts[name] = PrivateFacts(class_names=["0", "1"], cluster="utterance", attackers=[WHO], originals=[WHO])
    scores["speakers/test"] = np.array([""] * 2000)
    scores["controls/shuffled labels"] = labels
    found = summary.findings(Facts(control="a", private=facts), scores)
    assert found.level == pytest.approx(1 - 0.05 / 8)
    for entry in found.private.values():
        assert entry.corrected is not None and entry.corrected.high > entry.leakage.high
