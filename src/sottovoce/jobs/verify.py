"""The job behind `sottovoce verify`: everything that can be checked of a record with what was given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sottovoce.arrays import read_arrays
from sottovoce.audit import record
from sottovoce.audit.record import Check
from sottovoce.audit.scores import Scores
from sottovoce.files import read_bytes, read_json
from sottovoce.jobs.rerun import RerunConfig, rerun
from sottovoce.progress import Report
from sottovoce.report.rendered_again import check_pages


@dataclass(frozen=True)
class VerifyConfig:
    """Which record to check, with which public key, and whether attackers are fitted again."""

    folder: Path
    key: Path | None = None
    rerun: RerunConfig | None = None


def run_verify(config: VerifyConfig, report: Report) -> dict[str, Any]:
    """Check a record: whether it is `verified`, and in sentences what is `right`, what is `wrong`, and `notes`.

    ConfigError, or another SottovoceError, where there is no record, or no key, corpus or system that can be used.
    """
    signature = _signature(config)  # what is wrong with the key shows first
    numbers = record.verify(config.folder)
    results = record.read_results(config.folder)
    checks = [Check(() if numbers else ("every digest and every number is right",), numbers)]
    content = read_json(
        read_bytes(config.folder / record.RESULTS, record.LARGEST_RESULTS_BYTES), record.LARGEST_RESULTS_BYTES
    )
    checks += [check_pages(config.folder, content), signature()]
    if config.rerun is not None and any(check.wrong for check in checks):
        checks.append(Check(notes=["no attacker was fitted again, since the record is wrong already"]))
    elif config.rerun is not None:
        scores = Scores(read_arrays(config.folder / record.SCORES, record.LARGEST_BYTES))
        checks.append(rerun(config.rerun, results, scores, report))
    said = {name: [text for check in checks for text in getattr(check, name)] for name in ("right", "wrong", "notes")}
    return {"verified": not said["wrong"], **said}


def _signature(config: VerifyConfig) -> Callable[[], Check]:
    """What checks the signature, if there is a key to check it with."""
    if config.key is None:
        signed = (config.folder / record.STATEMENT).exists()
        return lambda: Check(
            notes=[f"the signature in {record.STATEMENT} was not checked: add --key"] if signed else []
        )
    from sottovoce.audit.signing_keys import public_key  # which need an optional package
    from sottovoce.audit.statement import check_statement

    key = public_key(config.key, config.folder)
    return lambda: check_statement(config.folder, key)
