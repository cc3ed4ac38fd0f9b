"""The filters that come with the installation: trained, packed, audited as they ship, and written with their cards.

Made by `sottovoce experiment shipped --out src/sottovoce/filters`. What is under way is kept in a folder beside it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from sottovoce.audit.compare import headline
from sottovoce.jobs.audit import AuditConfig, run_audit
from sottovoce.jobs.train import TrainConfig, make_filter, make_target
from sottovoce.models.checkpoint import read_folder, write_folder
from sottovoce.models.onnx_graph import packed
from sottovoce.progress import Progress


class Shipped(NamedTuple):
    """A filter that comes along: from which corpus, what it can permit, and what its audit attacks besides."""

    name: str
    corpus: str
    permit: tuple[str, ...]
    attack: tuple[str, ...]
    licence: str  # of the weights, as that of the recordings demands


SHIPPED = (
    Shipped("emotion-gender", "ravdess", ("emotion", "gender"), ("speaker", "statement"), "CC BY-NC-SA 4.0"),
    Shipped("digit", "fsdd", ("digit",), ("speaker",), "CC BY-SA 4.0"),
)
_LARGEST_BYTES = 1_000_000


def run(corpora: Path, out: Path, workers: int) -> str:
    """Make all of them; returns a line for each."""
    return "\n".join(_made(each, corpora, out, workers) for each in SHIPPED)


def _made(each: Shipped, corpora: Path, out: Path, workers: int) -> str:
    spec, place = f"{each.corpus}:{corpora / each.corpus}", out.with_name(f"{out.name}-unfinished") / each.name
    targets = tuple(place / f"target-{task}" for task in each.permit)
    for task, target in zip(each.permit, targets, strict=True):
        if not target.is_dir():
            make_target(spec, task, target, "compact", None, 0, _said("target", f"--task {task}", each), Progress())
    if not (place / "filter").is_dir():
        command = _said("train", f"--permit {','.join(each.permit)}", each)
        make_filter(TrainConfig(spec, each.permit, targets, place / "filter", command=command), Progress())
    small = _packed(place / "filter", place / "packed", each)
    ask = AuditConfig(
        str(place / "packed"),
        spec,
        place / "audit",
        "standard",
        each.attack,
        targets=targets,
        workers=workers,
        command=_said("audit", f"--attack {','.join(each.attack)} --attackers standard", each),
    )
    results = run_audit(ask, Progress())
    card = {**small, "audit": headline(results)}
    files = {name: (place / "packed" / name).read_bytes() for name in small["files"]}
    size = sum(map(len, files.values()))
    assert size < _LARGEST_BYTES, f"{each.name} has {size} bytes"
    write_folder(out / each.name, "filter", files, _own(card))
    return f"{each.name}: {size} bytes, {json.dumps(card['audit'])}"


def _packed(folder: Path, out: Path, each: Shipped) -> dict[str, Any]:
    """The filter with 8-bit weights and without its targets."""
    card = read_folder(folder, "filter")
    files = {name: (folder / name).read_bytes() for name in card["files"] if not name.startswith("targets/")}
    files["filter.onnx"] = packed(files["filter.onnx"])
    corpus = {**card["corpus"], "spec": f"{each.corpus}:PATH"}
    return write_folder(out, "filter", files, _own({**card, "corpus": corpus, "licence": each.licence}))


def _own(card: dict[str, Any]) -> dict[str, Any]:
    """What is said in a card besides what `write_folder` adds."""
    return {key: value for key, value in card.items() if key not in ("files", "schema", "kind", "sottovoce")}


def _said(verb: str, options: str, each: Shipped) -> str:
    return f"sottovoce {verb} --corpus {each.corpus}:PATH {options}"
