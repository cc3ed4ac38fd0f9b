"""What uninformed attackers read from x-vectors, before and after ADR.

The uninformed attackers of an audit know spectra, and cannot read embeddings; the paper's know x-vectors.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sottovoce.attack import families
from sottovoce.attack.attacker import accuracy
from sottovoce.audio.spectrum import Wave
from sottovoce.audit import metrics
from sottovoce.audit.case import Case
from sottovoce.audit.observations import View, observe_features
from sottovoce.corpora.corpus import opened, split_of
from sottovoce.progress import Report
from sottovoce.runtime import latent
from sottovoce.runtime.filter import Filter

ATTACKERS = ("nearest", "linear")


def read_embeddings(folder: Path, spec: str, attributes: Sequence[str], report: Report) -> dict[str, dict[str, Any]]:
    """For each of `attributes` the best attacker, by validation, on x-vectors before protection ("unprotected") and,
    fitted on these, on what leaves the filter in `folder` ("uninformed").
    """
    filter_ = Filter.load(folder)
    manifest, sounds = opened(spec, report)
    case = Case(manifest, sounds, split_of(filter_.card, manifest))
    graph = latent.unprotected(folder)

    def before(segments: Wave) -> NDArray[np.float32]:
        return graph.run(filter_.engine.front_end(segments))[:, :, None]

    with tempfile.TemporaryDirectory() as scratch:
        original, protected = (
            observe_features(case, function, name, filter_.digest, 0, Path(scratch))
            for name, function in (("unprotected", before), ("features", filter_.obfuscate))
        )
        return {task: _read(case, task, original, protected) for task in attributes}


def _read(case: Case, task: str, original: View, protected: View) -> dict[str, Any]:
    """Attackers fitted on `original`, and their scores on both."""
    train, validation, truth = (case.labels(task, part) for part in ("train", "validation", "test"))
    rows: dict[str, list[dict[str, Any]]] = {"unprotected": [], "uninformed": []}
    for family in ATTACKERS:
        attacker = families.ATTACKERS[family]()
        known = original.part("validation")
        attacker.fit(original.part("train"), train, known, validation, len(case.classes(task)))
        for name, view in (("unprotected", original), ("uninformed", protected)):
            right = attacker.scores(view.part("test")).argmax(axis=1) == truth
            rows[name].append(
                {
                    "attacker": f"{attacker.name}, fitted on x-vectors",
                    "validation": accuracy(attacker, view.part("validation"), validation),
                    **metrics.accuracy(right, case.cluster(task)[1]).model_dump(),
                }
            )
    return {name: max(scored, key=lambda row: float(row["validation"])) for name, scored in rows.items()}
