"""Training and auditing as functions: what the verbs of the command line do, with plain arguments.

Each is silent unless it gets a `report`, such as `sottovoce.progress.Progress()`, which prints progress.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sottovoce.arguments import path, places, text, texts
from sottovoce.audit.compare import compared
from sottovoce.corpora.manifest import SplitRule
from sottovoce.jobs.audit import AuditConfig, run_audit
from sottovoce.jobs.train import TrainConfig, make_filter, make_target
from sottovoce.machine import usable_cores
from sottovoce.progress import Report, silent

Names = str | Sequence[str]  # one, or several
Places = str | Path | Sequence[str | Path]


def train_target(
    corpus: str,
    *,
    task: str,
    out: str | Path,
    preset: str = "compact",
    split: SplitRule | None = None,
    seed: int = 0,
    replace: bool = False,
    report: Report | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Train a recogniser of the label `task` on a corpus, and write it as a folder.

    :param corpus: NAME:PATH, such as "ravdess:PATH" or "csv:clips.csv", or "voices"
    :param out: the folder to write; `load_target` reads it
    :param split: "utterance", "speaker" or "official"; by default as the corpus suggests
    :param replace: replace a target that another training has written to `out`
    :param settings: settings in the place of those of the preset, such as steps=100
    :returns: the card of the target, with its accuracy on validation and test recordings
    :raises SottovoceError: with a sentence that says what was wrong and how to correct it
    """
    return make_target(
        text(corpus, "corpus"),
        text(task, "task"),
        path(out, "out"),
        text(preset, "preset"),
        split,
        seed,
        "",
        report or silent,
        settings,
        replace=replace,
    )


def train(
    corpus: str,
    *,
    permit: Names,
    target: Places,
    out: str | Path,
    method: str = "codebook",
    preset: str = "compact",
    seed: int = 0,
    replace: bool = False,
    report: Report | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Train a filter that permits some tasks, and write it as a folder.

    :param permit: the permitted task, or several in a list (method "codebook" only)
    :param target: the recogniser of each permitted task, in the same order: a target folder, an ONNX file, an address
    :param out: the folder to write; `Filter.load` reads it
    :param replace: replace a filter that another training has written to `out`
    :param settings: settings of the method in the place of those of the preset, such as codes=16
    :returns: the card of the filter: its method, settings, corpus, and the most bits that can leave in each block
    :raises SottovoceError: with a sentence that says what was wrong and how to correct it
    """
    config = TrainConfig(
        text(corpus, "corpus"),
        texts(permit, "permit"),
        places(target, "target"),
        path(out, "out"),
        text(method, "method"),
        text(preset, "preset"),
        settings,
        seed,
        replace=replace,
    )
    return make_filter(config, report or silent)


def audit(
    system: str | Path,
    *,
    corpus: str,
    out: str | Path,
    attackers: str = "standard",
    attack: Names = (),
    permit: Names = (),
    target: Places = (),
    judge: Places = (),
    split: SplitRule | None = None,
    seed: int = 0,
    workers: int | None = None,
    replace: bool = False,
    report: Report | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Attack a filter, or any other system from sound to sound, with freshly trained attackers.

    :param system: a filter folder, a folder of protected recordings, an ONNX file, or "command:PROGRAM {in} {out}"
    :param out: the folder for the record: results.json, scores.npz, report.html, report.md, digests.json
    :param attackers: "quick" (minutes), "standard" or "thorough"
    :param attack: the labels to attack; all that are not permitted if none is named
    :param permit: the permitted tasks; for a filter, all that it can permit if none is named
    :param target: recognisers that measure the permitted tasks; a filter folder holds target folders and ONNX files
    :param judge: other recognisers of these tasks, to measure whether they understand what leaves
    :param workers: attackers that run in parallel; all usable cores by default
    :param settings: other fields of `sottovoce.jobs.audit.AuditConfig`, such as constant=3 or names=True
    :returns: what results.json holds
    :raises SottovoceError: with a sentence that says what was wrong and how to correct it
    """
    config = AuditConfig(
        str(path(system, "system")) if not isinstance(system, str) else system,
        text(corpus, "corpus"),
        path(out, "out"),
        text(attackers, "attackers"),
        texts(attack, "attack"),
        texts(permit, "permit"),
        places(target, "target"),
        split,
        seed,
        workers or usable_cores(),
        replace=replace,
        judges=places(judge, "judge"),
        **settings,
    )
    return run_audit(config, report or silent)


def compare(*folders: str | Path) -> dict[str, Any]:
    """The headlines of several audits side by side.

    :param folders: two or more folders that `audit` wrote
    :returns: what was compared, and warnings where the audits are not alike
    :raises SottovoceError: with a sentence that says what was wrong and how to correct it
    """
    return compared([path(folder, "a folder") for folder in folders])
