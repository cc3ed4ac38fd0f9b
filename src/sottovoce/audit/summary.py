"""From the scores of attackers to the numbers of a report: pure arithmetic, which `sottovoce verify` repeats."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sottovoce.audit import bound, controls, estimation, exposed, jackknife, linkage, metrics, mutual_information, words
from sottovoce.audit.results import (
    AttackerFacts,
    Exposed,
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
from sottovoce.audit.scores import AttackScores, Scores
from sottovoce.audit.verdicts import TOLERANCE, level, settle, unreadable, verdict

_POOLED = (1, 5, 20)  # utterances of one person


def findings(facts: Facts, scores: Scores) -> Findings:
    """Every number of results.json that scores decide."""
    checks = controls.judged(facts.control, scores) | exposed.control(scores)
    answered = [name.removesuffix("/answers/original") for name in scores if name.endswith("/answers/original")]
    nobody = PermittedFacts(trained_with=None)
    return Findings(
        control=facts.control,
        levels_db=facts.levels_db,
        valid=all(check.passed for check in checks.values()),
        controls=checks,
        sensitivity_db=controls.sensitivity_db(facts.levels_db, scores),
        tolerance=TOLERANCE,
        level=level(len(facts.private)),
        plain=None,
        permitted={task: permitted(task, facts.permitted.get(task, nobody), scores) for task in answered},
        private={
            task: private(task, known, scores, level(len(facts.private))) for task, known in facts.private.items()
        },
        continuous={task: estimation.summary(task, known, scores) for task, known in facts.continuous.items()},
        linkage=linkage.summary(facts.linkage, scores) if facts.linkage else None,
        words=words.summary(facts.words, scores) if facts.words else None,
        bound=bound.summary(facts.bound, facts.private, scores) if facts.bound else None,
    )


def private(task: str, facts: PrivateFacts, scores: Scores, decisive: float) -> Private:
    """The entry of a private attribute, whose verdict follows from intervals of the level `decisive`."""
    test, cluster = scores.labels(task), scores.cluster(task)
    speakers = scores.get(f"{task}/speakers/test", scores["speakers/test"])
    attacks = [scores.attack(task, "attackers", i) for i in range(len(facts.attackers))]
    on_originals = [scores.attack(task, "originals", i) for i in range(len(facts.originals))]
    attackers, originals = (
        [_row(known, attack, cluster) for known, attack in zip(side, scored, strict=True)]
        for side, scored in ((facts.attackers, attacks), (facts.originals, on_originals))
    )
    strongest, ceiling = _best(attacks), _best(on_originals)
    attack = attacks[strongest]
    floor_right, floor_name = floor_correct(task, scores)
    corrected = metrics.difference(attack.right, floor_right, test, cluster, decisive)
    floor, top = (
        metrics.balanced_accuracy(right, test, cluster, decisive)
        for right in (floor_right, on_originals[ceiling].right)
    )
    chance, classes = 1.0 / len(np.unique(test)), len(facts.class_names)
    few = _exposed(task, facts, attacks, on_originals, floor.score, scores, decisive)
    found = verdict(corrected, floor, top, chance, few)
    untested = unreadable(floor, top)
    named = bool(speakers.astype(bool).any())
    people = len(set(speakers.tolist()) - {""})
    alike = bool((attack.right == floor_right).all())
    copies = few is not None and few.copies > 0
    open_ = found == "not shown" and not copies and not (untested and corrected.score <= TOLERANCE)
    return Private(
        **fields(facts, PrivateFacts) | {"attackers": attackers, "originals": originals},
        strongest=attackers[strongest],
        ceiling=originals[ceiling],
        classes=classes,
        chance=chance,
        floor=Floor(**fields(metrics.balanced_accuracy(floor_right, test, cluster), Interval), attacker=floor_name),
        leakage=metrics.difference(attack.right, floor_right, test, cluster),
        corrected=corrected,
        verdict=found,
        exposed=few,
        unreadable=untested,
        settle=settle(corrected, floor.score, alike, len(test), people, facts.cluster == "speaker") if open_ else None,
        confusion=metrics.confusion(attack.chosen.argmax(axis=1), test, classes).tolist(),
        people=_people(attack.right, speakers) if named else [],
        pooled=_pooled(attack.chosen, test, speakers, cluster) if named else [],
    )


def _exposed(
    task: str,
    facts: PrivateFacts,
    attacks: Sequence[AttackScores],
    on_originals: Sequence[AttackScores],
    floor: float,
    scores: Scores,
    decisive: float,
) -> Exposed | None:
    """The leakage to whichever attacker reads originals best, among the few recordings that resemble theirs most.

    The interval is exact, with recordings as independent; the floor is that of all recordings. Its level allows for a
    second test of the attribute.
    """
    own = scores.get(f"{task}/resemblance")
    able = {known.attacker: attack.rank for known, attack in zip(facts.originals, on_originals, strict=True)}
    reading = [
        (able[known.attacker], known.attacker, attack)
        for known, attack in zip(facts.attackers, attacks, strict=True)
        if known.knowledge == "uninformed" and known.attacker in able
    ]
    if own is None or not reading:
        return None
    _, attacker, attack = max(reading, key=lambda each: each[0])
    few = exposed.few(own)
    right = attack.right[few]
    share = float(right.mean())
    low, high = jackknife.exact(share, len(right), (1.0 + decisive) / 2.0)
    return Exposed(
        score=share - floor,
        low=low - floor,
        high=high - floor,
        recordings=len(right),
        copies=int((own >= exposed.COPY).sum()),
        attacker=attacker,
        accuracy=share,
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


def floor_correct(task: str, scores: Scores) -> tuple[NDArray[np.bool_], str]:
    """Whether the floor is right about each test recording, [U], and what it is: what did better on validation.

    A constant guess is as good as any other in balanced accuracy; it is the commonest class of training.
    """
    test, validation = scores.labels(task), scores.labels(task, "validation")
    tested = np.bincount(scores.labels(task, "train"), minlength=int(test.max()) + 1)[: test.max() + 1]
    commonest = int(np.where(np.isin(np.arange(len(tested)), test), tested, -1).argmax())
    answer, constant = scores.floor(task), 1.0 / len(np.unique(validation))
    if answer is None or constant > answer.rank[0]:  # who knows the answer may still ignore it
        return test == commonest, "the best constant guess"
    return answer.right, "the permitted answer alone"


def _row(facts: AttackerFacts, attack: AttackScores, cluster: NDArray[np.int64]) -> Row:
    """One attacker, by the seed that did best on validation."""
    validation, test = attack.validation[attack.best], attack.test[attack.best]
    return Row(
        **fields(facts, AttackerFacts),
        **fields(metrics.balanced_accuracy(attack.right, attack.labels, cluster), Interval),
        validation=attack.rank[0],
        bits=mutual_information.bits(test, attack.labels, validation, attack.validation_labels, cluster),
        seeds=attack.on_test.tolist(),
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
