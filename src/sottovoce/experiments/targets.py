"""The targets of experiments: trained once, and kept for all that need them."""

from __future__ import annotations

from pathlib import Path

from sottovoce.corpora.manifest import SplitRule
from sottovoce.jobs.train import make_target
from sottovoce.progress import Report


def kept_target(
    folder: Path,
    corpus: str,
    place: Path,
    task: str,
    report: Report,
    preset: str = "compact",
    split: SplitRule | None = None,
) -> Path:
    """`folder`, with a target of `task` on the corpus of that name in `place`, trained unless it is there."""
    if not folder.is_dir():
        command = f"sottovoce target --corpus {corpus}:PATH --task {task} --preset {preset} --out {folder.name}"
        command += f" --split {split}" if split else ""
        make_target(f"{corpus}:{place}", task, folder, preset, split, 0, command, report)
    return folder
