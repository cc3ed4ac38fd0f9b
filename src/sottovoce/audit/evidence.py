"""What an audit gathered: facts in words, and the arrays that its numbers are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sottovoce.attack.attacker import Labels
from sottovoce.attack.through_target import FromAnswer
from sottovoce.audit import controls
from sottovoce.audit.case import PARTS, Case, Part
from sottovoce.audit.observations import View
from sottovoce.audit.plan import AttackRun, Line, Views
from sottovoce.audit.work import JobResult
from sottovoce.errors import ModelError
from sottovoce.models.target import vote

Arrays = dict[str, NDArray[Any]]
_AFTER = {"restored": "restore, then ", "inverted": "invert, then "}
_NEEDS = {
    "restored": "pairs of recordings with and without the system, and labelled originals",
    "inverted": "the weights of the filter, such pairs, and labelled originals",
}


@dataclass(frozen=True)
class Evidence:
    """`known` goes into results.json as it is, `arrays` into scores.npz; `summary` makes the numbers of both."""

    known: dict[str, Any] = field(default_factory=dict)
    arrays: Arrays = field(default_factory=dict)

    def __or__(self, other: Evidence) -> Evidence:
        known = dict(self.known)
        for section, entry in other.known.items():
            known[section] = known[section] | entry if section in known else entry
        return Evidence(known, self.arrays | other.arrays)


def common(case: Case, views: Views) -> Evidence:
    """Who and what is tested, and how the targets do."""
    clips = [case.manifest.clips[i].id for i in case.clips("test")]
    arrays: Arrays = {"clips/test": np.array(clips), "speakers/test": np.array(case.speakers("test"))}
    tasks = [target.task for target in case.targets]
    for task in tasks:
        arrays[f"{task}/labels/test"] = case.labels(task, "test")
        arrays[f"{task}/cluster"] = case.cluster(task)[1]
        arrays[f"{task}/answers/original"] = answers(views.original, "test", task)
        arrays[f"{task}/answers/obfuscated"] = answers(views.leaving, "test", task)
    return Evidence({"permitted": {task: {} for task in tasks}}, arrays)


def answers(view: View, part: Part, task: str) -> Labels:
    """What the target of a task answers to each utterance of a part, [U]."""
    heard = view.part(part)
    assert heard.answers is not None, "asked only where there is a target"
    found: Labels = vote(heard.answers[task], heard.owner).argmax(axis=1)
    return found


def controlled(
    case: Case,
    attributes: Sequence[str],
    checks: Mapping[str, AttackRun],
    results: Mapping[str, JobResult],
    levels_db: Sequence[float],
    seed: int,
) -> Evidence:
    """The guesses of the controls; one that broke down has none, and fails."""
    task = controls.attribute(case, attributes)
    arrays: Arrays = {
        "controls/shuffled labels": controls.shuffled(case, task, seed)["test"],
        f"{task}/labels/test": case.labels(task, "test"),
    }
    for name, attack_run in checks.items():
        found = results[attack_run.digest]
        for read, view in enumerate(attack_run.reads):
            if not found.error:
                guesses = found.arrays[f"{read}/test"].argmax(axis=1)
                arrays[f"controls/{name if read == 0 else view.name}"] = guesses
    return Evidence({"control": task, "levels_db": list(levels_db)}, arrays)


def private(case: Case, task: str, lines: Sequence[Line], results: Mapping[str, JobResult], views: Views) -> Evidence:
    """The facts and scores of all attackers of one attribute."""
    name, cluster = case.cluster(task)
    labels = {part: case.labels(task, part) for part in PARTS}
    arrays: Arrays = {f"{task}/labels/{part}": labels[part] for part in PARTS}
    arrays[f"{task}/cluster"] = cluster
    sides: dict[str, list[dict[str, Any]]] = {"attackers": [], "originals": []}
    failed: list[dict[str, str]] = []
    for line in lines:
        errors = [results[attack_run.digest].error for attack_run in line.seeds if results[attack_run.digest].error]
        if errors:
            failure = {"attacker": line.seeds[0].family, "knowledge": line.knowledge, "reason": errors[0]}
            failed += [failure] if failure not in failed else []
            continue
        place = f"{task}/{line.side}/{len(sides[line.side])}"
        for part in ("validation", "test"):
            scores = [results[attack_run.digest].arrays[f"{line.read}/{part}"] for attack_run in line.seeds]
            arrays[f"{place}/{part}"] = np.stack(scores)
        sides[line.side].append(_facts(line, results, labels["validation"], views))
    for side, where in (("attackers", "what leaves"), ("originals", "the originals")):
        if not sides[side]:
            reasons = "; ".join(f"{failure['attacker']}: {failure['reason']}" for failure in failed)
            raise ModelError(
                f"every attacker of '{task}' on {where} broke down ({reasons}), so nothing can be said about it; "
                "mend what they are given, or name other labels with --attack."
            )
    classes = case.classes(task)
    if case.targets:
        train, held_out, test = (views.original.part(part) for part in PARTS)
        floor = FromAnswer().fit(train, labels["train"], held_out, labels["validation"], len(classes))
        arrays[f"{task}/floor/test"] = floor.scores(test)
    known = {"class_names": list(classes), "cluster": name, **sides, "failed": failed}
    return Evidence({"private": {task: known}}, arrays)


def _facts(line: Line, results: Mapping[str, JobResult], labels: Labels, views: Views) -> dict[str, Any]:
    """What is said of an attacker besides its scores."""
    seeds = [results[attack_run.digest] for attack_run in line.seeds]
    right = [float((found.arrays[f"{line.read}/validation"].argmax(axis=1) == labels).mean()) for found in seeds]
    best = seeds[int(np.argmax(right))]
    fewer = [results[attack_run.digest] for attack_run in line.shares if not results[attack_run.digest].error]
    tried = [(found.facts["recordings"], found.arrays["0/validation"]) for found in fewer]
    tried.append((best.facts["recordings"], best.arrays[f"{line.read}/validation"]))
    recordings = [(int(count), float((scores.argmax(axis=1) == labels).mean())) for count, scores in tried]
    restored = {"restored": views.restored, "inverted": views.inverted}.get(line.input)
    return {
        "attacker": _AFTER.get(line.input, "") + best.facts["attacker"],
        "knowledge": line.knowledge,
        "input": line.input,
        "needs": _NEEDS.get(line.input, best.facts["needs"]),
        "converged": best.facts["converged"]
        and (restored is None or restored.facts["converged"])
        and not _hungry(recordings, len(labels)),
        "curve": {"recordings": recordings if fewer else [], "steps": best.facts["steps"]},
        "seconds": round(sum(found.facts["seconds"] for found in seeds), 1),
    }


def _hungry(recordings: Sequence[tuple[int, float]], validation: int) -> bool:
    """Whether the last doubling of the recordings gained more than one standard error."""
    if len(recordings) < 2:
        return False
    before, after = recordings[-2][1], recordings[-1][1]
    error = np.sqrt(max(after * (1.0 - after), 1e-3) / validation)
    return bool(after - before > error)
