"""The job behind `sottovoce audit`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sottovoce.audio.segment import front_end
from sottovoce.audit.case import Case
from sottovoce.audit.exhibits import exhibits
from sottovoce.audit.protocol import Audit
from sottovoce.audit.report import write_report
from sottovoce.corpora.manifest import check_task
from sottovoce.errors import ConfigError, ModelError
from sottovoce.jobs.corpus import describe, opened, split_of
from sottovoce.models.checkpoint import write_file
from sottovoce.models.target import load_target
from sottovoce.progress import Report
from sottovoce.runtime.filter import Filter


def audit_filter(
    path: Path,
    spec: str,
    out: Path,
    effort: str,
    attributes: list[str] | None,
    seed: int,
    command: str,
    report: Report,
    earlier: Audit | None = None,
) -> tuple[dict[str, Any], Audit]:
    """Attack a filter; writes results.json and report.html to `out`.

    `earlier` is an audit of the same case whose effort, seed and attackers on originals are used again. Returns the
    results and the audit.
    """
    filter_ = Filter.load(path)
    if path.resolve() in (out.resolve(), *out.resolve().parents):
        raise ConfigError(f"{out} lies in the filter's folder, which nothing may be added to; choose another --out.")
    audit = earlier or Audit(*_case(filter_, spec, attributes, report), effort, seed, front_end)
    results = audit.run(filter_.obfuscate, report)
    case = audit.case
    results |= {
        "command": command,
        "corpus": {**describe(case.manifest, case.split), "test_clips": len(case.split.test)},
        "filter": {
            "digest": filter_.digest,
            **{key: filter_.card[key] for key in ("method", "preset", "permit", "rate_bits_per_s", "parameters")},
        },
        "target": {"digest": case.target.digest},
    }
    write_file(out / "results.json", json.dumps(results, indent=1).encode())
    write_report(out, results, exhibits(case, filter_, audit.restorer))
    return results, audit


def _case(filter_: Filter, spec: str, attributes: list[str] | None, report: Report) -> tuple[Case, list[str]]:
    """What a filter is audited against, and which attributes are attacked."""
    folder = filter_.path / "target" if filter_.path else None
    if folder is None or not folder.is_dir():
        raise ModelError(f"{filter_.path} holds no target to audit against; train the filter again.")
    target = load_target(folder / "target.onnx" if (folder / "target.onnx").is_file() else folder)
    manifest, sounds = opened(spec, report)
    check_task(manifest, target.task)
    case = Case(manifest, sounds, split_of(filter_.card, manifest), target)
    attackable = case.attackable()
    for name in attributes or ():
        if name not in attackable:
            raise ConfigError(f"'{name}' cannot be attacked in {spec}; what can: {', '.join(attackable) or 'nothing'}.")
    if not attackable:
        raise ConfigError(f"{spec} has no label besides '{target.task}' that an attacker could learn.")
    return case, attributes or attackable
