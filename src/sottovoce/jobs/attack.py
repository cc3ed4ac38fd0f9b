"""The job behind `sottovoce audit`."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sottovoce import __version__
from sottovoce.audit import record, summary
from sottovoce.audit.case import Case
from sottovoce.audit.efforts import effort
from sottovoce.audit.protocol import audit
from sottovoce.audit.results import SCHEMA
from sottovoce.audit.system import System, opened
from sottovoce.corpora.cache import Sounds
from sottovoce.corpora.manifest import Manifest, SplitRule, check_task, split
from sottovoce.errors import ConfigError
from sottovoce.jobs import corpus
from sottovoce.models.target import Target, load_target
from sottovoce.progress import Report
from sottovoce.report.exhibits import exhibits
from sottovoce.report.pages import write_report
from sottovoce.runtime.filter import Filter
from sottovoce.runtime.quantise import quantise

_LIBRARIES = ("numpy", "onnxruntime", "scikit-learn", "scipy", "torch")
_HEARD = ".heard"  # what attackers hear, while an audit runs


@dataclass(frozen=True)
class Ask:
    """What to audit and how. `system` is a filter's folder, a folder of protected sound, command:... or an ONNX file.

    `permit` and `target` are for systems that do not bring them along; a filter has both.
    """

    system: str
    corpus: str
    out: Path
    attackers: str = "quick"
    attributes: tuple[str, ...] = ()
    permit: tuple[str, ...] = ()
    target: Path | None = None
    rule: SplitRule | None = None
    seed: int = 0
    workers: int = 1
    command: str = ""
    int8: bool = False  # the filter as it is with 8-bit weights, which is written to `out`/filter-int8


def run_audit(ask: Ask, report: Report) -> dict[str, Any]:
    """Attack a system; writes the record of the audit to its folder and returns what results.json holds."""
    began = time.monotonic()
    effort(ask.attackers)
    _check_place(ask)
    manifest, sounds = corpus.opened(ask.corpus, report)
    system = opened(_named(ask), manifest, sounds, ask.workers, report)
    case = _case(ask, system, manifest, sounds)
    attributes = case.chosen(ask.attributes)
    heard = ask.out / _HEARD
    gathered, hearings = audit(case, system, attributes, ask.attackers, ask.seed, heard, ask.workers, report)
    results = {
        "schema": SCHEMA,
        "sottovoce": __version__,
        **gathered.known,
        **summary.numbers(gathered.known, gathered.arrays),
        "seconds": round(time.monotonic() - began, 1),
        "attackers": ask.attackers,
        "seed": ask.seed,
        "command": ask.command,
        "corpus": {**corpus.describe(case.manifest, case.split), "test_clips": len(case.split.test)},
        "filter": {**system.description, "permit": list(case.permit)},
        "target": {"digest": case.target.digest, "task": case.target.task} if case.target else None,
        "notes": [*case.manifest.notes, *system.notes],
        "scores": record.write_scores(ask.out, gathered.arrays),
        "versions": {name: importlib.metadata.version(name) for name in _LIBRARIES}
        | {"python": platform.python_version()},
    }
    written = record.write_results(ask.out, results)
    write_report(ask.out, written, exhibits(case, system, hearings))
    record.write_digests(ask.out)
    shutil.rmtree(heard, ignore_errors=True)
    return written


def _named(ask: Ask) -> str:
    """The system that is audited, in 8 bits where that is asked for."""
    if not ask.int8:
        return ask.system
    small = ask.out / "filter-int8"
    quantise(Path(ask.system), small)
    return str(small)


def _check_place(ask: Ask) -> None:
    """ConfigError where the record would be added to a folder that nothing may be added to."""
    out, system = ask.out.resolve(), Path(ask.system)
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{ask.out} is a file; expected a folder: choose another --out.")
    if os.path.isdir(ask.system) and system.resolve() in (out, *out.parents):
        raise ConfigError(f"{ask.out} lies in the folder that is audited; choose another --out.")


def _case(ask: Ask, system: System, manifest: Manifest, sounds: Sounds) -> Case:
    """What the system is audited against: for a filter its own target, and the split that it was trained with."""
    target, card = _target(ask, system)
    if target is not None:
        check_task(manifest, target.task)
    permit = tuple(dict.fromkeys([*([target.task] if target else []), *ask.permit, *system.description["permit"]]))
    for task in permit:
        manifest.classes(task)
    parts = corpus.split_of(card, manifest) if ask.rule is None else split(manifest, ask.rule)
    case = Case(manifest, sounds, parts, target, permit)
    if target is not None:
        case.labels(target.task, "test")  # a class that it does not know shows before hours of work
    return case


def _target(ask: Ask, system: System) -> tuple[Target | None, Any]:
    """The target that judges, and the card that says which split the filter, or else the target, was trained with."""
    card = Filter.load(str(system.path)).card if system.path else None
    if ask.target is not None:
        target = load_target(ask.target)
        return target, card or target.card
    folder = system.path / "target" if system.path else None
    if folder is None:
        return None, None
    if not folder.is_dir():
        raise ConfigError(f"{system.path} holds no target to audit against; name one with --target.")
    target = load_target(folder / "target.onnx" if (folder / "target.onnx").is_file() else folder)
    return target, card
