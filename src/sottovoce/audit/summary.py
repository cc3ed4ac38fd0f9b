"""From the scores of attackers to the numbers of a report: pure arithmetic, which `sottovoce verify` repeats."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sottovoce.audit import bound, controls, estimation, linkage, metrics, mutual_information, words
from sottovoce.audit.results import (
    AttackerFacts,
    Facts,
    Findings,
    Floor,
    Interval,
    Judge,
    JudgeFacts,
    Permitted,
    PermittedFacts,
    Person,
    Pooled,
    Private,
    PrivateFacts,
    Row,
    fields,
)
from sottovoce.audit.scores import AttackScores, Scores, accuracies
from sottovoce.audit.verdicts import _PLAIN, TOLERANCE, verdict

_POOLED = (1, 5, 20)  # utterances of one person


def findings(facts: Facts, scores: Scores) -> Findings:
    """Every number of results.json that scores decide."""
    checks = controls.judged(facts.control, scores)
    answered = [name.removesuffix("/answers/original") for name in scores if name.endswith("/answers/original")]
    nobody = PermittedFacts(trained_with=None)
    return Findings(
        control=facts.control,
        levels_db=facts.levels_db,
        valid=all(check.passed for check in checks.values()),
        controls=checks,
        sensitivity_db=controls.sensitivity_db(facts.levels_db, scores),
        tolerance=TOLERANCE,
        plain=_PLAIN,
        permitted={task: permitted(task, facts.permitted.get(task, nobody), scores) for task in answered},
        private={task: private(task, known, scores) for task, known in facts.private.items()},
        continuous={task: estimation.summary(task, known, scores) for task, known in facts.continuous.items()},
        linkage=linkage.summary(facts.linkage, scores) if facts.linkage else None,
        words=words.summary(facts.words, scores) if facts.words else None,
        bound=bound.summary(facts.bound, facts.private, scores) if facts.bound else None,
    )


def private(task: str, facts: PrivateFacts, scores: Scores) -> Private:
    """The entry of a private attribute."""
    test, cluster, speakers = scores.labels(task), scores.cluster(task), scores["speakers/test"]
    attacks = [scores.attack(task, "attackers", i) for i in range(len(facts.attackers))]
    on_originals = [scores.attack(task, "originals", i) for i in range(len(facts.originals))]
    attackers, originals = (
        [_row(known, attack, cluster) for known, attack in zip(side, scored, strict=True)]
        for side, scored in ((facts.attackers, attacks), (facts.originals, on_originals))
    )
    strongest = _best(attacks)
    chosen = attacks[strongest].test[attacks[strongest].best]
    right = chosen.argmax(axis=1) == test
    floor_right, floor_name = floor_correct(task, test, scores)
    leakage, chance = metrics.difference(right, floor_right, cluster), metrics.chance(test)
    floor = Floor(**fields(metrics.accuracy(floor_right, cluster), Interval), attacker=floor_name)
    ceiling = originals[_best(on_originals)]
    classes = len(facts.class_names)
    named = bool(speakers.astype(bool).any())
    return Private(
        **fields(facts, PrivateFacts)
        | {"attackers": attackers, "originals": originals, "strongest": attackers[strongest], "ceiling": ceiling},
        classes=classes,
        chance=chance,
        floor=floor,
        leakage=leakage,
        verdict=verdict(leakage, floor.score, chance, ceiling.score),
        confusion=metrics.confusion(chosen.argmax(axis=1), test, classes).tolist(),
        people=_people(right, speakers) if named else [],
        pooled=_pooled(chosen, test, speakers, cluster) if named else [],
    )


def permitted(task: str, facts: PermittedFacts, scores: Scores) -> Permitted:
    """The accuracy of the target, and of every judge, before and after."""
    labels, cluster = scores.labels(task), scores.cluster(task)

    def accuracy(answers: str) -> Interval:
        return metrics.accuracy(scores[f"{task}/{answers}"] == labels, cluster)

    return Permitted(
        trained_with=facts.trained_with,
        original=accuracy("answers/original"),
        obfuscated=accuracy("answers/obfuscated"),
        sound=accuracy("answers/sound") if f"{task}/answers/sound" in scores else None,
        chance=metrics.chance(labels),
        judges=[
            Judge(
                **fields(known, JudgeFacts),
                original=accuracy(f"judges/{number}/original"),
                obfuscated=accuracy(f"judges/{number}/obfuscated"),
            )
            for number, known in enumerate(facts.judges)
        ],
    )


def floor_correct(task: str, test: NDArray[np.int64], scores: Scores) -> tuple[NDArray[np.bool_], str]:
    """Whether a guess from the permitted answer alone is right, [U]; never worse than the best constant guess."""
    constant = test == np.bincount(test).argmax()
    name = f"{task}/floor/test"
    correct = scores[name].argmax(axis=1) == test if name in scores else constant
    if name not in scores or constant.mean() > correct.mean():  # who knows the answer may still ignore it
        return constant, "the best constant guess"
    return correct, "the permitted answer alone"


def _row(facts: AttackerFacts, attack: AttackScores, cluster: NDArray[np.int64]) -> Row:
    """One attacker, by the seed that did best on validation."""
    validation, test = attack.validation[attack.best], attack.test[attack.best]
    accuracy = metrics.accuracy(test.argmax(axis=1) == attack.labels, cluster)
    return Row(
        **fields(facts, AttackerFacts),
        **fields(accuracy, Interval),
        validation=attack.rank[0],
        bits=mutual_information.bits(test, attack.labels, validation, attack.validation_labels, cluster),
        seeds=accuracies(attack.test, attack.labels).tolist(),
    )


def _best(attacks: list[AttackScores]) -> int:
    return max(range(len(attacks)), key=lambda i: attacks[i].rank)


def _people(right: NDArray[np.bool_], speakers: NDArray[np.str_]) -> list[Person]:
    return [
        Person(**fields(share, Interval), speaker=name, clips=clips)
        for name, clips, share in metrics.people(right, speakers)
    ]


def _pooled(
    scores: NDArray[np.float32], test: NDArray[np.int64], speakers: NDArray[np.str_], cluster: NDArray[np.int64]
) -> list[Pooled]:
    """What an application learns that has several utterances of a person: their scores are added up."""
    shares = [(count, metrics.pooled(scores, test, speakers, cluster, count)) for count in _POOLED]
    return [Pooled(**fields(share, Interval), utterances=count) for count, share in shares if share is not None]
