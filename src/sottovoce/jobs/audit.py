"""The job behind `sottovoce audit`."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sottovoce import __version__, private
from sottovoce.attack.families import ATTACKERS
from sottovoce.audit import judges, record, summary, words
from sottovoce.audit.budgets import effort
from sottovoce.audit.cached_jobs import attacks_folder
from sottovoce.audit.case import Case
from sottovoce.audit.compare import RESTRICTED
from sottovoce.audit.plan import Views
from sottovoce.audit.protocol import audit
from sottovoce.audit.pseudonyms import Pseudonyms, disguised, spelt_out
from sottovoce.audit.results import ExhibitFacts, Results, TargetFacts
from sottovoce.audit.scores import Evidence
from sottovoce.audit.system import System, opened
from sottovoce.corpora import corpus
from sottovoce.corpora.cache import Sounds
from sottovoce.corpora.fragments import PREFIX
from sottovoce.corpora.manifest import Manifest, SplitRule, check_task
from sottovoce.corpora.splits import split
from sottovoce.corpora.store import cache_folder
from sottovoce.errors import ConfigError
from sottovoce.files import claimed, file_sha256
from sottovoce.models.checkpoint import CARD, folder_digest
from sottovoce.models.target import Target
from sottovoce.models.target_loading import load_target
from sottovoce.parallel import no_copies_stay
from sottovoce.progress import Report
from sottovoce.redaction import line, word
from sottovoce.report.pages import exhibits, write_report
from sottovoce.report.rendered_again import exhibit_facts
from sottovoce.report.rendered_again import versions as page_versions
from sottovoce.runtime.export import target_place
from sottovoce.runtime.filter import Filter
from sottovoce.runtime.quantise import quantise
from sottovoce.training.settings import check_seed

_LIBRARIES = ("numpy", "onnxruntime", "scikit-learn", "scipy", "torch")
Prepared = tuple[Case, System, list[str], list[str]]  # with the attributes, and sentences on judges that are missing
OBSERVATIONS = ".observations"  # what attackers observe, while an audit runs


@dataclass(frozen=True)
class AuditConfig:
    """What to audit and how. `system` is a filter's folder, a folder of protected sound, command:... or an ONNX file.

    For a filter `permit` says which of the tasks that it can permit are permitted in this audit, all if none is named;
    what is not is attacked. For other systems it says what is permitted besides the tasks of the targets. `targets` are
    paths of targets, one for a task; a filter has its own. `judges` are paths of further recognisers of these tasks,
    besides those that a filter holds.
    """

    system: str
    corpus: str
    out: Path
    attackers: str = "quick"
    attributes: tuple[str, ...] = ()
    permit: tuple[str, ...] = ()
    targets: tuple[Path | str, ...] = ()
    rule: SplitRule | None = None
    seed: int = 0
    workers: int = 1
    command: str = ""
    constant: int = 0  # blocks that the filter sends for every sound; 0: as many as it has
    int8: bool = False  # the filter as it is with 8-bit weights, which is written to `out`/filter-int8
    names: bool = False  # show the names of people and files, which are pseudonyms otherwise
    with_originals: bool = False  # put some recordings into the page, to see and to hear
    only: tuple[str, ...] = ()  # attackers by name, where not all of the effort are to be tried
    replace: bool = True  # the record of another audit that is in `out`
    judges: tuple[Path | str, ...] = ()
    sign: Path | None = None  # the private key that the record is signed with


def run_audit(config: AuditConfig, report: Report) -> dict[str, Any]:
    """Attack a system; writes the record of the audit to its folder and returns what results.json holds."""
    began = time.monotonic()
    check(config)
    sign = _signature(config)
    with claimed(config.out):
        case, system, attributes, _ = made = prepared(config, report)
        place = observations(config)
        with no_copies_stay(place):
            evidence, views = audit(
                case, system, attributes, config.attackers, config.seed, place, config.workers, report, config.only
            )
            written, kept = _written(config, made, evidence, views, began)
            sign(config.out)
        shutil.rmtree(place, ignore_errors=True)
    private.write_private(names_place(written), json.dumps(kept, indent=1).encode())
    return written


def check(config: AuditConfig) -> None:
    """What is wrong with settings, or with the cache, shows before hours of work."""
    check_seed(config.seed)
    effort(config.attackers, config.only)
    _check_place(config)
    attacks_folder()


def prepared(config: AuditConfig, report: Report) -> Prepared:
    """What an audit is about."""
    manifest, sounds = corpus.opened(config.corpus, report)
    permit = tuple(dict.fromkeys(config.permit))
    system = opened(_named(config), manifest, sounds, config.workers, report, permit, config.constant)
    case, missing = case_of(config, system, manifest, sounds)
    attributes = case.chosen(config.attributes)
    if not config.replace:
        _check_same(config, case, system, attributes)
    return case, system, attributes, missing


def observations(config: AuditConfig) -> Path:
    """The folder of what attackers observe, while an audit runs."""
    return config.out.resolve() / OBSERVATIONS  # workers may have another working directory


def _written(
    config: AuditConfig, made: Prepared, evidence: Evidence, views: Views, began: float
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write the record of an audit that began then; returns what results.json holds, and the key to its pseudonyms."""
    case, system, attributes, missing = made
    names = pseudonyms_of(config, case, system, attributes)
    passed_over = [*case.not_attacked(attributes), *case.left_out(attributes)]
    notes = [*case.manifest.notes, *passed_over, *system.notes, *missing, *_restricted(config)]
    notes += words.not_attacked(case, views, effort(config.attackers, config.only).words)
    shown = notes if config.names else names.sentences(notes)
    texts = [line(config.command), word(case.manifest.spec), word(system.description["method"])]
    command, spec, method = texts if config.names else map(names.known, texts)
    if config.names:
        evidence = spelt_out(evidence)
    else:
        answered = {*attributes, *(target.task for target in case.targets)}
        evidence = disguised(evidence, names, {task: case.classes(task) for task in answered})
    shown_to = None if config.names else names
    exhibited = exhibits(case, system, views, attributes, shown_to) if config.with_originals else []
    results = Results(
        **dict(summary.findings(evidence.facts, evidence.scores)),
        sottovoce=__version__,
        seconds=round(time.monotonic() - began, 1),
        attackers=config.attackers,
        seed=config.seed,
        date=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        command=command,
        names_shown=config.names,
        corpus={**corpus.describe(case.manifest, case.split), "spec": spec, "test_clips": len(case.split.test)},
        filter={**system.description, "method": method, "permit": list(case.permit)},
        targets=[TargetFacts(digest=target.digest, task=target.task) for target in case.targets],
        notes=shown,
        scores=record.write_scores(config.out, evidence.scores),
        versions=versions(),
        exhibits=[ExhibitFacts.model_validate(each) for each in exhibit_facts(exhibited)],
    )
    written = record.write_results(config.out, results)
    write_report(config.out, written, exhibited)
    record.write_digests(config.out)
    return written, {**names.key_to_names(), "notes": notes}


def versions() -> dict[str, str]:
    """The versions of what the numbers and the pages of an audit depend on, beside that of Sottovoce."""
    known = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    known |= {"python": platform.python_version(), **page_versions()}
    return known | {f"attacker {name}": ATTACKERS.version(name) for name in ATTACKERS.outside()}


def _signature(config: AuditConfig) -> Callable[[Path], None]:
    """What signs the record in a folder; what is wrong with the key shows before hours of work."""
    if config.sign is None:
        return lambda folder: None
    from sottovoce.audit.signing_keys import private_key  # which need an optional package
    from sottovoce.audit.statement import write_statement

    key = private_key(config.sign, config.out)
    return lambda folder: write_statement(folder, key)


def _check_same(config: AuditConfig, case: Case, system: System, attributes: Sequence[str]) -> None:
    """ConfigError where the folder holds the record of another audit than this one, which it would replace."""
    if not (config.out / record.RESULTS).exists():
        return
    try:
        before = record.read_results(config.out)
    except ConfigError:  # by another version, or no record
        different = ["form"]
    else:
        filter_, now = before.filter, system.description
        same = {
            "system": all(filter_.get(key) == now[key] for key in ("digest", "constant_blocks")),
            "permitted tasks": sorted(filter_.get("permit", ())) == sorted(case.permit),
            "corpus": before.corpus.get("digest") == case.manifest.digest,
            "split": before.corpus.get("split") == case.split.rule,
            "targets": {target.digest for target in before.targets} == {target.digest for target in case.targets},
            "judges": {judge.digest for each in before.permitted.values() for judge in each.judges}
            == {judge.target.digest for judge in case.judges},
            "attackers": before.attackers == config.attackers
            and [note for note in before.notes if note.startswith(RESTRICTED)] == _restricted(config),
            "attributes": {*before.private} == {*attributes},
            "seed": before.seed == config.seed,
        }
        different = [name for name, equal in same.items() if not equal]
    if different:
        raise _another(config, different)


def _another(config: AuditConfig, different: Sequence[str]) -> ConfigError:
    return ConfigError(
        f"{config.out} holds the results of another audit (different: {', '.join(different)}); choose another --out, "
        "or add --replace."
    )


def _restricted(config: AuditConfig) -> list[str]:
    """The note that says which attackers were chosen, where not all of the effort were tried."""
    return [f"{RESTRICTED}{', '.join(config.only)}, as requested"] if config.only else []


def names_place(results: dict[str, Any]) -> Path:
    """The file, for its owner alone, that leads from the pseudonyms of an audit back to names; outside its record."""
    return cache_folder() / "names" / f"{results['scores'][:32]}.json"


def notes_with_names(results: dict[str, Any]) -> list[str]:
    """The notes of an audit as they name files, for whoever made it; those alone that are not in its results."""
    kept = json.loads(private.read_private(names_place(results)) or "{}")
    return [note for note in kept.get("notes", ()) if note not in results["notes"]]


def pseudonyms_of(config: AuditConfig, case: Case, system: System, attributes: Sequence[str]) -> Pseudonyms:
    """Pseudonyms that this audit gives again, wherever it is repeated, and that no other audit gives.

    Their key comes from the content of all recordings: who lacks these cannot make it, and who has them can repeat the
    audit, and so knows the names whatever is done.
    """
    contents = [(clip.id, clip.sha256 or file_sha256(clip.path)) for clip in case.manifest.clips]
    described = [system.description[key] for key in ("digest", "permit", "constant_blocks")]
    parts = ["pseudonyms", sorted(contents), described, config.attackers, config.seed, list(attributes), *config.only]
    parts += [judge.target.digest for judge in case.judges]
    key = hashlib.sha256(json.dumps(parts).encode()).digest()
    return Pseudonyms(case.manifest, key, [*case.sounds.failed])


def _named(config: AuditConfig) -> str:
    """The system that is audited, in 8 bits where that is asked for."""
    if not config.int8:
        return config.system
    small = config.out / "filter-int8"
    if not config.replace and (config.out / record.RESULTS).exists():  # whose record stands beside its own filter
        with TemporaryDirectory() as place:
            card = quantise(Path(config.system), Path(place) / small.name)
        _check_digest(config, folder_digest(card))
    quantise(Path(config.system), small)
    return str(small)


def _check_digest(config: AuditConfig, digest: str) -> None:
    """ConfigError where the folder holds the record of an audit of another system than that of this digest."""
    try:
        before = record.read_results(config.out).filter.get("digest")
    except ConfigError:
        raise _another(config, ["form"]) from None
    if before != digest:
        raise _another(config, ["system"])


def _check_place(config: AuditConfig) -> None:
    """ConfigError where the record would be added to a folder that nothing may be added to."""
    out, system = config.out.resolve(), Path(config.system)
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{config.out} is a file; expected a folder: choose another --out.")
    if os.path.isdir(config.system) and system.resolve() in (out, *out.parents):
        raise ConfigError(f"{config.out} lies in the folder that is audited; choose another --out.")
    if config.corpus.startswith(PREFIX) and not (system / CARD).is_file():
        raise ConfigError(f"{config.system} is not a filter, and nothing else can be audited by fragment.")


def case_of(config: AuditConfig, system: System, manifest: Manifest, sounds: Sounds) -> tuple[Case, list[str]]:
    """What the system is audited against, and sentences on judges that are missing.

    Of a filter these are its own targets and judges, and the split that it was trained with.
    """
    switched = system.description["permit"]
    labelled = [task for task in switched if task in manifest.tasks]  # no target can be judged by others
    targets, card = _filter_targets(config, system.path, labelled) if system.path else _asked(config)
    held, missing = judges.of_filter(system.path, card, targets) if system.path else ([], [])
    others = [*held, *judges.named(config.judges, targets, judges.trained_with(system.description))]
    for target in targets:
        check_task(manifest, target.task)
    named = [] if system.path else config.permit  # a filter was switched to it
    permit = tuple(dict.fromkeys([*(target.task for target in targets), *named, *switched]))
    for task in labelled if system.path else permit:
        manifest.classes(task)
    parts = corpus.split_of(card, manifest) if config.rule is None else split(manifest, config.rule)
    case = Case(manifest, sounds, parts, targets, permit, tuple(others))
    for target in targets:
        case.labels(target.task, "test")  # a class that it does not know shows before hours of work
    return case, missing


def _asked(config: AuditConfig) -> tuple[tuple[Target, ...], Any]:
    """The targets that were named, and the card of the first that has one: it says which split it was trained with."""
    targets = tuple(load_target(path) for path in config.targets)
    by_task: dict[str, Path | str] = {}
    for target, path in zip(targets, config.targets, strict=True):
        if target.task in by_task:
            raise ConfigError(
                f"the targets in {by_task[target.task]} and {path} both recognise '{target.task}'; name one of them."
            )
        by_task[target.task] = path
    return targets, next((target.card for target in targets if target.card), None)


def _filter_targets(config: AuditConfig, folder: Path, permit: Sequence[str]) -> tuple[tuple[Target, ...], Any]:
    """A target for each task that a filter permits in this audit, its own unless another is named, and its card.

    A target of a task that was revoked answers nothing to the application, and is left out.
    """
    card = Filter.load(folder).card
    named = {target.task: target for target in _asked(config)[0]}
    unknown = sorted({*named} - {*card.get("permit", [])})
    if unknown:
        can = ", ".join(card.get("permit", [])) or "nothing"
        raise ConfigError(f"--target recognises '{unknown[0]}', which the filter cannot permit; it permits {can}.")
    return tuple(named[task] if task in named else _own_target(folder, task) for task in permit), card


def _own_target(folder: Path, task: str) -> Target:
    """The target of a permitted task that a filter folder holds."""
    place = folder / target_place(task)
    if not place.is_dir():
        raise ConfigError(f"{folder} holds no target of '{task}' to audit against; name one with --target.")
    graph = place / "target.onnx"
    return load_target(graph if graph.is_file() else place)
