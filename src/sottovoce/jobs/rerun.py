"""Some attackers of a record, fitted again on the same recordings and system: do they score what the record says?

Nothing of an earlier audit is reused: what attackers observe is gathered anew, and no score is taken from the cache.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from sottovoce import __version__
from sottovoce.audit import evidence, gathering
from sottovoce.audit.budgets import effort
from sottovoce.audit.cached_jobs import JobResult, run_jobs
from sottovoce.audit.case import PARTS, Case
from sottovoce.audit.compare import RESTRICTED
from sottovoce.audit.plan import Views, lines
from sottovoce.audit.pseudonyms import disguised, spelt_out
from sottovoce.audit.record import Check
from sottovoce.audit.repeated import RecordedLine, compared, matched, others_differ
from sottovoce.audit.results import Facts, Results
from sottovoce.audit.scores import Evidence, Scores
from sottovoce.audit.system import System, opened
from sottovoce.corpora import corpus
from sottovoce.corpora.fragments import PREFIX
from sottovoce.corpora.splits import split
from sottovoce.corpora.store import cache_folder
from sottovoce.errors import ConfigError
from sottovoce.jobs.audit import AuditConfig, case_of, pseudonyms_of, versions
from sottovoce.private import private_folder
from sottovoce.progress import Report
from sottovoce.training.settings import check_seed


@dataclass(frozen=True)
class RerunConfig:
    """How many attackers are fitted again, and on what; `seed` chooses them."""

    count: int
    corpus: str
    system: str
    seed: int
    targets: tuple[Path | str, ...] = ()
    judges: tuple[Path | str, ...] = ()
    workers: int = 1


def rerun(config: RerunConfig, results: Results, scores: Scores, report: Report) -> Check:
    """Fit some attackers of a record again; `scores` are those of its scores.npz.

    ConfigError where the record cannot be repeated with what was named.
    """
    audit = _audit_config(config, results)
    effort(audit.attackers, audit.only)
    manifest, sounds = corpus.opened(audit.corpus, report)
    if manifest.digest != results.corpus.get("digest"):
        return _other("corpus", results.corpus, manifest.digest)
    system = opened(config.system, manifest, sounds, config.workers, report, audit.permit, audit.constant)
    if system.description["digest"] != results.filter.get("digest"):
        return _other("system", results.filter, system.description["digest"])
    case, _ = case_of(audit, system, manifest, sounds)
    case = replace(case, split=split(manifest, results.corpus.get("split"), results.corpus.get("split_seed", 0)))
    case.chosen(audit.attributes)
    _check_recognisers(case, results)
    repeated = _Repeated(audit, case, system, results)
    with TemporaryDirectory(dir=private_folder(cache_folder()), prefix="rerun-") as place:
        return repeated.compared(config, scores, Path(place), report)


@dataclass(frozen=True)
class _Repeated:
    """The audit of a record with the same settings."""

    audit: AuditConfig
    case: Case
    system: System
    results: Results

    def compared(self, config: RerunConfig, scores: Scores, place: Path, report: Report) -> Check:
        """Attackers, permitted answers and labels beside those of the record."""
        tried, seed = effort(self.audit.attackers, self.audit.only), self.audit.seed
        views = gathering.gather(self.case, self.system, tried, seed, place, config.workers, report)
        known: list[RecordedLine] = []
        wrong: list[str] = []
        for task, entry in self.results.private.items():
            both, others = matched(task, lines(self.case, task, views, tried, seed), entry)
            known, wrong = known + both, wrong + others
        if wrong:
            return Check(wrong=wrong, notes=_other_versions(self.results))
        chosen = _chosen(known, self.results, config)
        runs = list({run.digest: run for each in chosen for run in each.line.seeds}.values())
        done = dict(zip([run.digest for run in runs], run_jobs(runs, config.workers, report, fresh=True), strict=True))
        errors = {each: each.line.error(done) for each in chosen}
        fitted = [each for each in chosen if not errors[each]]
        again = self._disguised(self._again(views, fitted, done))
        found = {each: compared(each, again, scores) for each in fitted}
        found |= {each: (f"broke down: {error}", False) for each, error in errors.items() if error}
        names = again.keys() - {name for each in fitted for name in each.names}
        wrong = [f"{each.text} does not agree with the record: {text}" for each, (text, ok) in found.items() if not ok]
        wrong += others_differ(sorted(names), again, scores)
        said = [f"attackers were chosen by --seed {config.seed}"]
        said += [f"{each.text}: {text}" for each, (text, _) in found.items()]
        agreed = sum(ok for _, ok in found.values())
        last = f"{agreed} of {len(found)} attackers that were fitted again agree with the record"
        return (
            Check([last], (), said) if not wrong else Check((), [*wrong, last], [*said, *_other_versions(self.results)])
        )

    def _again(self, views: Views, chosen: Sequence[RecordedLine], done: Mapping[str, JobResult]) -> Scores:
        """What scores.npz has to hold of these attackers, and of what no attacker decides."""
        scores = evidence.common(self.case, views)
        for task in self.results.private:
            labels = {part: self.case.labels(task, part) for part in PARTS}
            scores |= {f"{task}/labels/{part}": labels[part] for part in PARTS}
            scores[f"{task}/cluster"] = self.case.cluster(task)[1]
            if self.case.targets:
                scores |= evidence.floor(self.case, task, views)
            for each in (each for each in chosen if each.task == task):
                attack = each.line.scores(done, labels)
                scores |= dict(zip(each.names, (attack.validation, attack.test), strict=True))
        return scores

    def _disguised(self, scores: Scores) -> Scores:
        """The same under the pseudonyms and in the orders of the record."""
        found = Evidence(Facts(control="", levels_db=[], private={}, bound=None), scores)
        if self.results.names_shown:
            return spelt_out(found).scores
        answered = {*self.results.private, *(target.task for target in self.case.targets)}
        names = pseudonyms_of(self.audit, self.case, self.system, list(self.results.private))
        return disguised(found, names, {task: self.case.classes(task) for task in answered}).scores


def _audit_config(config: RerunConfig, results: Results) -> AuditConfig:
    """The settings of the audit, as far as the record tells them; ConfigError where it does not."""
    permit, constant = results.filter.get("permit", []), results.filter.get("constant_blocks", 0)
    numbers, words = (constant, results.corpus.get("split_seed", 0)), permit if isinstance(permit, list) else [None]
    if any(type(each) is not int for each in numbers) or any(type(each) is not str for each in words):
        raise ConfigError("results.json does not say with which settings the audit was made; it cannot be repeated.")
    check_seed(results.seed)
    noted = [note.removeprefix(RESTRICTED) for note in results.notes if note.startswith(RESTRICTED)]
    cut = results.corpus.get("split") == "fragment" and not config.corpus.startswith(PREFIX)
    return AuditConfig(
        config.system,
        PREFIX + config.corpus if cut else config.corpus,
        Path(),
        results.attackers,
        tuple(results.private),
        tuple(permit),
        config.targets,
        seed=results.seed,
        constant=constant,
        names=results.names_shown,
        only=tuple(noted[0].removesuffix(", as requested").split(", ")) if noted else (),
        judges=config.judges,
    )


def _check_recognisers(case: Case, results: Results) -> None:
    """ConfigError where targets or judges are others than those of the record."""
    judges = [judge.digest for entry in results.permitted.values() for judge in entry.judges]
    for option, now, then in (
        ("--target", [target.digest for target in case.targets], [target.digest for target in results.targets]),
        ("--judge", [judge.target.digest for judge in case.judges], judges),
    ):
        if sorted(now) != sorted(then):
            raise ConfigError(
                f"the audit had {len(then)} recognisers for {option}, and there are {len(now)} now, or others; name "
                f"those of the audit with {option}."
            )


def _chosen(known: Sequence[RecordedLine], results: Results, config: RerunConfig) -> list[RecordedLine]:
    """Some of the attackers at random, but first the strongest of an attribute."""
    shuffled = [known[i] for i in np.random.default_rng(config.seed).permutation(len(known))]
    first = [each for each in shuffled if each.row == results.private[each.task].strongest][:1]
    return [*first, *(each for each in shuffled if each not in first)][: config.count]


def _other(what: str, stated: Mapping[str, Any], digest: str) -> Check:
    said = str(stated.get("digest"))[:16]
    return Check(
        wrong=[f"the {what} has the digest {digest[:16]}…, results.json names {said}…; no attacker was fitted again"]
    )


def _other_versions(results: Results) -> list[str]:
    """Versions that may be why something differs."""
    here, then = {**versions(), "sottovoce": __version__}, {**results.versions, "sottovoce": results.sottovoce}
    other = [
        f"{name} {then.get(name, 'unknown')}, here {here.get(name, 'none')}"
        for name in {**then, **here}
        if then.get(name) != here.get(name)
    ]
    return [f"the audit was made with other versions: {'; '.join(other)}"] if other else []
