"""From the scores of attackers to the numbers of a report: pure arithmetic, which `sottovoce verify` repeats.

Scores are arrays by name, as scores.npz keeps them: ATTRIBUTE/labels/test [U], ATTRIBUTE/attackers/0/test [R, U, K]
with one row for each seed, and so on. What is not arithmetic (names, budgets, seconds) is handed through.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sottovoce.audit import bound, controls, estimation, linkage, metrics
from sottovoce.audit.metrics import Interval, bits
from sottovoce.audit.results import Verdict

TOLERANCE = 0.02  # a leakage whose interval reaches down to this may be called hidden
_PLAIN = 0.10  # a leakage above this is called a leak however wide its interval: too little evidence is no comfort
_POOLED = (1, 5, 20)  # utterances of one person

Arrays = Mapping[str, NDArray[Any]]
_FACTS = ("attacker", "knowledge", "input", "needs", "converged", "curve", "seconds")


def numbers(known: Mapping[str, Any], arrays: Arrays) -> dict[str, Any]:
    """Every number of results.json that scores decide, from the facts in it and the arrays of scores.npz."""
    control = controls.judged(known["control"], arrays)
    return {
        "valid": all(entry["passed"] for entry in control.values()),
        "controls": control,
        "sensitivity_db": controls.sensitivity_db(known["levels_db"], arrays),
        "tolerance": TOLERANCE,
        "plain": _PLAIN,
        "permitted": {task: permitted(task, arrays) for task in known["permitted"]},
        "private": {task: private(task, entry, arrays) for task, entry in known["private"].items()},
        "continuous": {
            task: estimation.summary(task, entry, arrays) for task, entry in known.get("continuous", {}).items()
        },
        "linkage": linkage.summary(known["linkage"], arrays) if known.get("linkage") else None,
        "bound": bound.summary(known["bound"], known["private"], arrays) if known.get("bound") else None,
    }


def private(task: str, known: Mapping[str, Any], arrays: Arrays) -> dict[str, Any]:
    """The entry of a private attribute; `known` holds class_names, cluster, failed and the facts of each attacker."""
    labels = {part: arrays[f"{task}/labels/{part}"] for part in ("validation", "test")}
    cluster = arrays[f"{task}/cluster"]
    test = labels["test"]
    rows = [_row(facts, f"{task}/attackers/{i}", labels, cluster, arrays) for i, facts in enumerate(known["attackers"])]
    originals = [
        _row(facts, f"{task}/originals/{i}", labels, cluster, arrays) for i, facts in enumerate(known["originals"])
    ]
    strongest = _best(rows)
    scores = _chosen(f"{task}/attackers/{strongest}", arrays, labels)["test"]
    right = scores.argmax(axis=1) == test
    floor, floor_name = floor_correct(task, test, arrays)
    leakage = metrics.difference(right, floor, cluster)
    floor_interval, chance = metrics.accuracy(floor, cluster), metrics.chance(test)
    ceiling = originals[_best(originals)]
    classes = len(known["class_names"])
    return {
        "classes": classes,
        "class_names": list(known["class_names"]),
        "chance": chance,
        "floor": {**floor_interval._asdict(), "attacker": floor_name},
        "ceiling": ceiling,
        "leakage": leakage._asdict(),
        "verdict": verdict(leakage, floor_interval.score, chance, ceiling["score"]),
        "cluster": known["cluster"],
        "strongest": rows[strongest],
        "attackers": rows,
        "originals": originals,
        "failed": list(known["failed"]),
        "confusion": metrics.confusion(scores.argmax(axis=1), test, classes).tolist(),
        "people": _people(right, arrays["speakers/test"]),
        "pooled": _pooled(scores, test, arrays["speakers/test"], cluster),
    }


def permitted(task: str, arrays: Arrays) -> dict[str, Any]:
    """The target's accuracy before and after."""
    labels, cluster = arrays[f"{task}/labels/test"], arrays[f"{task}/cluster"]

    def score(side: str) -> dict[str, float]:
        return metrics.accuracy(arrays[f"{task}/answers/{side}"] == labels, cluster)._asdict()

    return {"original": score("original"), "obfuscated": score("obfuscated"), "chance": metrics.chance(labels)}


def floor_correct(task: str, test: NDArray[np.int64], arrays: Arrays) -> tuple[NDArray[np.bool_], str]:
    """Whether a guess from the permitted answer alone is right, [U]; never worse than the best constant guess."""
    constant = test == np.bincount(test).argmax()
    name = f"{task}/floor/test"
    if name not in arrays:
        return constant, "the best constant guess"
    correct = arrays[name].argmax(axis=1) == test
    if constant.mean() > correct.mean():  # who knows the answer may still ignore it
        return constant, "the best constant guess"
    return correct, "the permitted answer alone"


def verdict(leakage: Interval, floor: float, chance: float, ceiling: float) -> Verdict:
    """ "leaks", "implied" (nothing beyond the permitted answer, which itself says much) or "hidden"."""
    if leakage.low > TOLERANCE or leakage.score > _PLAIN:
        return "leaks"
    return "implied" if floor - chance > 0.5 * max(0.0, ceiling - chance) else "hidden"


def _row(
    facts: Mapping[str, Any],
    name: str,
    labels: Mapping[str, NDArray[np.int64]],
    cluster: NDArray[np.int64],
    arrays: Arrays,
) -> dict[str, Any]:
    """One attacker, by the seed that did best on validation."""
    scores = _chosen(name, arrays, labels)
    correct = scores["test"].argmax(axis=1) == labels["test"]
    on_validation = scores["validation"].argmax(axis=1) == labels["validation"]
    seeds = (arrays[f"{name}/test"].argmax(axis=2) == labels["test"]).mean(axis=1)
    return {
        **{key: facts[key] for key in _FACTS},
        **metrics.accuracy(correct, cluster)._asdict(),
        "validation": float(on_validation.mean()),
        "bits": bits(scores["test"], labels["test"], scores["validation"], labels["validation"], cluster)._asdict(),
        "seeds": [float(score) for score in seeds],
    }


def _chosen(name: str, arrays: Arrays, labels: Mapping[str, NDArray[np.int64]]) -> dict[str, NDArray[Any]]:
    """The scores of the seed that did best on validation."""
    on_validation = (arrays[f"{name}/validation"].argmax(axis=2) == labels["validation"]).mean(axis=1)
    best = int(on_validation.argmax())
    return {part: arrays[f"{name}/{part}"][best] for part in ("validation", "test")}


def _best(rows: Sequence[Mapping[str, Any]]) -> int:
    """The attacker that did best on validation; of several, the one that did best on test: never to our advantage."""
    return max(range(len(rows)), key=lambda i: (rows[i]["validation"], rows[i]["score"]))


def _people(right: NDArray[np.bool_], speakers: NDArray[np.str_]) -> list[dict[str, Any]]:
    if not speakers.astype(bool).any():
        return []
    return [
        {"speaker": name, "clips": clips, **interval._asdict()}
        for name, clips, interval in metrics.people(right, speakers)
    ]


def _pooled(
    scores: NDArray[np.float32], test: NDArray[np.int64], speakers: NDArray[np.str_], cluster: NDArray[np.int64]
) -> list[dict[str, Any]]:
    """What an application that listens for long learns: scores of several utterances of a person, added up."""
    if not speakers.astype(bool).any():
        return []
    found = [(count, metrics.pooled(scores, test, speakers, cluster, count)) for count in _POOLED]
    return [{"utterances": count, **interval._asdict()} for count, interval in found if interval is not None]
