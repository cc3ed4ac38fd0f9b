"""The main job from nothing: a voice-command application that may hear which word is said, not who says it."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from sottovoce.corpora.corpus import opened
from sottovoce.corpora.manifest import split
from sottovoce.errors import ConfigError
from sottovoce.jobs.audit import AuditConfig, run_audit
from sottovoce.jobs.train import TrainConfig, make_filter, make_target
from sottovoce.machine import usable_cores
from sottovoce.progress import Report
from sottovoce.report.table import table as audit_table
from sottovoce.runtime import files
from sottovoce.runtime.filter import Filter

CORPUS, PERMIT = "voices", "word"
_SHOWN = 10  # clips protected as files


def run(out: Path, report: Report) -> dict[str, Any]:
    """Build everything below `out`: target, filter, audit, sounds before and after; returns results.json and times."""
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is a file; expected a folder: choose another --out.")
    began = time.monotonic()
    command = f"sottovoce demo --out {out.name}"

    def said(what: str) -> Report:
        return lambda done, total, note: report(done, total, f"{what}: {note}")

    make_target(CORPUS, PERMIT, out / "target", "quick", None, 0, command, said("training the target"))
    wanted = TrainConfig(CORPUS, (PERMIT,), (out / "target",), out / "filter", "codebook", "quick", command=command)
    make_filter(wanted, said("training the filter"))
    # Its sounds may be in the report: the voices of this corpus are synthetic, and nobody's.
    ask = AuditConfig(
        str(out / "filter"), CORPUS, out, "quick", workers=usable_cores(), command=command, with_originals=True
    )
    results = run_audit(ask, said("attacking the filter"))
    originals = out / "originals"
    originals.mkdir(exist_ok=True)
    manifest, _ = opened(CORPUS, report)
    for i in split(manifest).test[:_SHOWN]:
        clip = manifest.clips[i]
        shutil.copyfile(clip.path, originals / clip.id.replace("/", "-"))
    outcome = files.protect(Filter.load(out / "filter"), originals, out / "protected")
    return {**results, "demo": {"out": str(out), "protected": len(outcome.done), "seconds": time.monotonic() - began}}


def table(found: dict[str, Any]) -> str:
    """What happened, for a new user."""
    done = found["demo"]
    return "\n".join(
        [
            "",
            "An application was permitted to hear which of 8 words is said. Sottovoce trained a filter for it, then",
            "attacked the filter: can the application still tell who speaks, their gender, or how they speak?",
            "",
            audit_table(found),
            "",
            f"{done['seconds'] / 60:.1f} min. Read {done['out']}/report.html; compare the sounds in",
            f"{done['out']}/originals and {done['out']}/protected.",
        ]
    )
