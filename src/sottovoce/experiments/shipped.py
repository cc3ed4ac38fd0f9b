"""The bundled filters: trained, packed, audited as they ship, and written with their cards."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sottovoce.audit.compare import headline
from sottovoce.experiments.experiment import Corpus, Experiment, Place, RunSettings, Table
from sottovoce.experiments.filter_runs import FilterJob, ReadyTarget, TargetJob
from sottovoce.jobs.audit import AuditConfig, run_audit
from sottovoce.models.checkpoint import read_folder, write_folder
from sottovoce.models.onnx_graph import packed
from sottovoce.progress import Progress
from sottovoce.runtime.export import JUDGES

_LARGEST_BYTES = 1_000_000


@dataclass(frozen=True)
class Shipped(RunSettings):
    """A bundled filter, and what its audit attacks besides what it may not permit."""

    name: str  # as the filter is known
    filter: FilterJob
    attack: tuple[str, ...]
    licence: str  # of the weights, as that of the recordings demands
    attackers: str = "standard"


def make(run: Shipped, place: Place) -> dict[str, Any]:
    """Train, pack and audit a filter, and write it into the folder that is made."""
    folder, corpus = place.kept / f"{run.name}-packed", run.filter.corpus.short
    made = run.filter.make(place)
    card = _packed(made, folder, run)
    config = AuditConfig(
        str(folder),
        place.spec(run.filter.corpus),
        place.kept / f"{run.name}-audit",
        run.attackers,
        run.attack,
        targets=tuple(each.make(place) for each in run.filter.targets if isinstance(each, TargetJob)),
        workers=place.workers,
        judges=tuple(sorted((made / JUDGES).glob("*"))),
        command=f"sottovoce audit --corpus {corpus}:PATH --attack {','.join(run.attack)} --attackers {run.attackers}",
    )
    card["audit"] = headline(run_audit(config, Progress()))
    files = {name: (folder / name).read_bytes() for name in card["files"]}
    size = sum(map(len, files.values()))
    assert size < _LARGEST_BYTES, f"{run.name} has {size} bytes"
    write_folder(place.out / run.name, "filter", files, _own(card))
    return {"name": run.name, "bytes": size, "corpus": card["corpus"], "audit": card["audit"]}


def _packed(folder: Path, out: Path, run: Shipped) -> dict[str, Any]:
    """The filter with 8-bit weights and without its targets and judges."""
    card = read_folder(folder, "filter")
    files = {
        name: (folder / name).read_bytes() for name in card["files"] if not name.startswith(("targets/", f"{JUDGES}/"))
    }
    files["filter.onnx"] = packed(files["filter.onnx"])
    corpus = {**card["corpus"], "spec": f"{run.filter.corpus.short}:PATH"}
    return write_folder(out, "filter", files, _own({**card, "corpus": corpus, "licence": run.licence}))


def _own(card: dict[str, Any]) -> dict[str, Any]:
    """What is in a card besides what `write_folder` adds."""
    return {key: value for key, value in card.items() if key not in ("files", "schema", "kind", "sottovoce")}


_DIGITS = TargetJob(Corpus("fsdd:fsdd"), "digit", settings=(("steps", 600),))
DIGIT = Shipped("digit", FilterJob((_DIGITS,)), ("speaker",), "CC BY-SA 4.0")
_ADULTS = Corpus("librispeech:librispeech/test-other")
_ALL_AGES = Corpus("kaldi:speechocean762")
LEVEL = Shipped("level", FilterJob((ReadyTarget(_ADULTS, "level"),)), ("gender",), "as the program", "quick")
SPEECH = Shipped(
    "speech",
    FilterJob((ReadyTarget(_ALL_AGES, "speech"),), negatives=(Corpus("esc10:esc10"),)),
    ("gender",),
    "as the program; trained on LibriSpeech (CC BY 4.0), speechocean762 (free for any use) and ESC-10 (CC BY 3.0)",
    "quick",
)

EXPERIMENT = Experiment(
    "shipped",
    "Makes the bundled filters (with --out src/sottovoce/filters): what do they permit and leak as they ship?",
    "3 filters and their audits; the time was not measured",
    {"compact": (DIGIT,), "ready": (LEVEL, SPEECH)},
    make,
    Table(
        (
            ("filter", lambda result: result["name"]),
            ("bytes", lambda result: str(result["bytes"])),
            ("audit", lambda result: json.dumps(result["audit"])),
        )
    ),
    side_by_side=False,
    beside=True,
)
