"""The main job from nothing: a voice-command application that may know which word is said, and not who says it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sottovoce.corpora.corpus import opened
from sottovoce.corpora.splits import split
from sottovoce.errors import ConfigError
from sottovoce.jobs.audit import AuditConfig, run_audit
from sottovoce.jobs.train import TrainConfig, make_filter, make_target
from sottovoce.machine import usable_cores
from sottovoce.progress import Report
from sottovoce.report.table import table as audit_table
from sottovoce.runtime import files
from sottovoce.runtime.filter import Filter

CORPUS, PERMIT = "voices", "word"
_SHOWN = 10  # recordings protected as files


def run(
    out: Path,
    report: Report,
    corpus: str = CORPUS,
    target_settings: Mapping[str, object] | None = None,
    filter_settings: Mapping[str, object] | None = None,
) -> dict[str, Any]:
    """Make everything below `out`: target, filter, audit, and sounds before and after; returns results.json and times.

    A run that was stopped resumes: a target or filter that was finished with the same settings is kept. The settings
    take the place of those of the presets.
    """
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is a file; expected a folder: choose another --out.")
    began = time.monotonic()
    command = f"sottovoce demo --out {out.name}"

    def stage(name: str) -> Report:
        return lambda done, total, note: report(done, total, f"{name}: {note}")

    make_target(
        corpus, PERMIT, out / "target", "quick", None, 0, command, stage("the target"), target_settings, reuse=True
    )
    config = TrainConfig(
        corpus,
        (PERMIT,),
        (out / "target",),
        out / "filter",
        preset="quick",
        settings={"judges": True, **(filter_settings or {})},
        command=command,
        reuse=True,
    )
    make_filter(config, stage("the filter"))
    # Its sounds may be in the report: the voices of this corpus are synthetic, and nobody's.
    audit = AuditConfig(
        str(out / "filter"), corpus, out, "quick", workers=usable_cores(), command=command, with_originals=True
    )
    results = run_audit(audit, stage("attacking the filter"))
    originals = out / "originals"
    originals.mkdir(exist_ok=True)
    manifest, _ = opened(corpus, report)
    for i in split(manifest).test[:_SHOWN]:
        clip = manifest.clips[i]
        shutil.copyfile(clip.path, originals / clip.id.replace("/", "-"))
    outcome = files.protect(Filter.load(out / "filter"), originals, out / "protected")
    return {**results, "demo": {"out": str(out), "protected": len(outcome.done), "seconds": time.monotonic() - began}}


def table(results: dict[str, Any]) -> str:
    """A summary for a new user."""
    demo = results["demo"]
    return "\n".join(
        [
            "",
            "An application was permitted to know which of 8 words is said. Sottovoce trained a filter for it, and",
            "then attacked it: can the application still tell who speaks, their gender, or how they speak?",
            "",
            audit_table(results),
            "",
            f"{demo['seconds'] / 60:.1f} min. Read {demo['out']}/report.html; compare the sounds in",
            f"{demo['out']}/originals and {demo['out']}/protected.",
        ]
    )
