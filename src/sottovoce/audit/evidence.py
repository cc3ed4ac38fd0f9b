"""What came of the attacks, as facts in words and the scores that every number is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sottovoce.attack.attacker import Labels
from sottovoce.attack.through_target import FromAnswer
from sottovoce.audit import controls
from sottovoce.audit.cached_jobs import JobResult
from sottovoce.audit.case import PARTS, Case, Part
from sottovoce.audit.file_views import Planted
from sottovoce.audit.observations import View
from sottovoce.audit.plan import AttackRun, Line, Views
from sottovoce.audit.results import AttackerFacts, Curve, Failure, Input, PrivateFacts
from sottovoce.audit.scores import AttackScores, Scores, accuracies
from sottovoce.errors import ModelError
from sottovoce.models.vote import vote

_AFTER = {"restored": "restore, then ", "inverted": "invert, then "}
_NEEDS = {
    "restored": "pairs of recordings with and without the system, and labelled originals",
    "inverted": "the weights of the filter, such pairs, and labelled originals",
}


def common(case: Case, views: Views) -> Scores:
    """Who and what is tested, and how the targets do."""
    clips = [case.manifest.clips[i].id for i in case.clips("test")]
    scores = Scores({"clips/test": np.array(clips), "speakers/test": np.array(case.speakers("test"))})
    for task in [target.task for target in case.targets]:
        scores[f"{task}/labels/test"] = case.labels(task, "test")
        scores[f"{task}/cluster"] = case.cluster(task)[1]
        scores[f"{task}/answers/original"] = answers(views.original, "test", task)
        scores[f"{task}/answers/obfuscated"] = answers(views.leaving, "test", task)
    return scores


def answers(view: View, part: Part, task: str) -> Labels:
    """What the target of a task answers to each utterance of a part, [U]."""
    observed = view.part(part)
    assert observed.answers is not None, "asked only where there is a target"
    votes: Labels = vote(observed.answers[task], observed.owner).argmax(axis=1)
    return votes


def add_controls(
    case: Case, task: str, checks: Mapping[str, AttackRun], results: Mapping[str, JobResult], seed: int, scores: Scores
) -> None:
    """Add the guesses of the controls, of the attribute `task`; a control that broke down has none, and fails."""
    scores["controls/shuffled labels"] = controls.shuffled(case, task, seed)["test"]
    scores[f"{task}/labels/test"] = case.labels(task, "test")
    for name, attack_run in checks.items():
        result = results[attack_run.digest]
        for read, view in enumerate(attack_run.reads):
            if not result.error:
                guesses = result.arrays[f"{read}/test"].argmax(axis=1)
                scores[f"controls/{name if read == 0 else view.name}"] = guesses


def add_leaks(
    planted: Mapping[str, Planted],
    leaks: Mapping[str, Sequence[AttackRun]],
    results: Mapping[str, JobResult],
    scores: Scores,
) -> None:
    """Add the labels and the guesses of each kind of planted leak, of the attacker that is best on validation."""
    for name, each in planted.items():
        scores[f"planted/{name}/labels"] = each.labels["test"]
        known = [result for run in leaks[name] if not (result := results[run.digest]).error]
        if known:
            best = max(known, key=lambda found: _right(found, "0/validation", each.labels["validation"]))
            scores[f"planted/{name}/guesses"] = best.arrays["0/test"].argmax(axis=1)


def _right(result: JobResult, place: str, labels: Labels) -> float:
    return float((result.arrays[place].argmax(axis=1) == labels).mean())


def add_private(
    case: Case, task: str, lines: Sequence[Line], results: Mapping[str, JobResult], views: Views, scores: Scores
) -> PrivateFacts:
    """Add the scores of all attackers of one attribute; ModelError where every one of a side broke down."""
    cluster_name, scores[f"{task}/cluster"] = case.cluster(task)
    labels = {part: case.labels(task, part) for part in PARTS}
    scores |= {f"{task}/labels/{part}": labels[part] for part in PARTS}
    if not case.is_whole(task):
        scores[f"{task}/speakers/test"] = np.array(case.speakers("test"))[case.picked(task, "test")]
    sides: dict[str, list[AttackerFacts]] = {"attackers": [], "originals": []}
    failed: list[Failure] = []
    for line in lines:
        error = line.error(results)
        if error:
            failure = Failure(attacker=line.seeds[0].family, knowledge=line.knowledge, reason=error)
            failed += [failure] if failure not in failed else []
            continue
        attack = line.scores(results, labels)
        place = f"{task}/{line.side}/{len(sides[line.side])}"
        scores |= {f"{place}/validation": attack.validation, f"{place}/test": attack.test}
        sides[line.side].append(_facts(line, attack, results, views))
    for side, where in (("attackers", "what leaves"), ("originals", "the originals")):
        if not sides[side]:
            reasons = "; ".join(f"{failure.attacker}: {failure.reason}" for failure in failed)
            raise ModelError(
                f"every attacker of '{task}' on {where} broke down ({reasons or 'none can be tried on this'}), so "
                "nothing can be said about it; correct what they are given, or name others with --attack or --attacker."
            )
    classes = case.classes(task)
    if case.targets:
        scores |= floor(case, task, views)
    return PrivateFacts(class_names=list(classes), cluster=cluster_name, **sides, failed=failed)


def floor(case: Case, task: str, views: Views) -> Scores:
    """The scores [U, K] of guessing a private attribute from the permitted answers alone, by validation and test."""
    train, held_out, test = (views.original.part(part).pick(case.picked(task, part)) for part in PARTS)
    labels, held_out_labels = (case.labels(task, part) for part in PARTS[:2])
    found = FromAnswer().fit(train, labels, held_out, held_out_labels, len(case.classes(task)))
    return Scores({f"{task}/floor/validation": found.scores(held_out), f"{task}/floor/test": found.scores(test)})


def _facts(line: Line, attack: AttackScores, results: Mapping[str, JobResult], views: Views) -> AttackerFacts:
    """What is recorded of an attacker besides its scores."""
    seeds = [results[attack_run.digest] for attack_run in line.seeds]
    best = seeds[attack.best]
    fewer = [results[attack_run.digest] for attack_run in line.shares if not results[attack_run.digest].error]
    tried = [(result.facts["recordings"], result.arrays["0/validation"]) for result in fewer]
    tried.append((best.facts["recordings"], attack.validation[attack.best]))
    labels = attack.validation_labels
    recordings = [(int(count), float(accuracies(scores[None] - attack.prior, labels)[0])) for count, scores in tried]
    restored = {"restored": views.restored, "inverted": views.inverted}.get(line.input)
    return AttackerFacts(
        attacker=title(line.input, best.facts["attacker"]),
        knowledge=line.knowledge,
        input=line.input,
        needs=_NEEDS.get(line.input, best.facts["needs"]),
        converged=best.facts["converged"]
        and (restored is None or restored.facts["converged"])
        and not _hungry(recordings, len(labels)),
        curve=Curve(recordings=recordings if fewer else [], steps=best.facts["steps"]),
        seconds=round(sum(result.facts["seconds"] for result in seeds), 1),
    )


def title(input: Input, name: str) -> str:
    """What an attacker of that name is called that is scored on `input`."""
    return _AFTER.get(input, "") + name


def _hungry(recordings: Sequence[tuple[int, float]], validation: int) -> bool:
    """Whether the last doubling of the recordings gained more than one standard error."""
    if len(recordings) < 2:
        return False
    before, after = recordings[-2][1], recordings[-1][1]
    error = np.sqrt(max(after * (1.0 - after), 1e-3) / validation)
    return bool(after - before > error)
