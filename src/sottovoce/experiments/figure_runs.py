"""The runs behind Figures 3 and 4 of the opt-in paper: corpora, three methods and seeds, one filter and one audit each.

Seed 0 of everything comes first. Every run is kept as it ends, so that a killed experiment goes on, and figures that
need the same filters and audits share them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from joblib import Parallel, delayed

from sottovoce.corpora.manifest import SplitRule
from sottovoce.experiments.embeddings import read_embeddings
from sottovoce.experiments.targets import kept_target
from sottovoce.files import write_file
from sottovoce.jobs.audit import AuditConfig, run_audit
from sottovoce.jobs.train import TrainConfig, make_filter
from sottovoce.progress import counted, silent

METHODS = {"optin": "opt-in", "adr": "ADR", "codebook": "codebook"}
SEEDS = (0, 1, 2)
ATTACKERS = {"compact": "quick", "paper": "standard"}  # by preset
Found = Mapping[str, Any]


class Plan(NamedTuple):
    """The folder of the corpora, where to write, the preset, and how many runs are made side by side."""

    corpora: Path
    out: Path
    preset: str
    workers: int

    @property
    def preset_by_method(self) -> dict[str, str]:
        """The preset of each method: a codebook has none of the paper."""
        return {"optin": self.preset, "adr": self.preset, "codebook": "compact"}

    def named(self, name: str) -> str:
        """The name of a figure or a run, with the preset's unless that is the usual one."""
        return name if self.preset == "compact" else f"{name}-{self.preset}"


class Setting(NamedTuple):
    """A corpus and its folder, what is permitted, attacked and declared to ADR, and the split (None: the corpus')."""

    corpus: str
    folder: str
    permit: str
    attack: tuple[str, ...]
    hide: str
    split: SplitRule | None = None


# Of LibriSpeech the part whose speakers have several utterances each in the sample: others cannot be told apart.
PERMIT_SPEAKER = (
    Setting("ravdess", "ravdess", "speaker", ("gender", "emotion"), "gender"),
    Setting("emodb", "emodb", "speaker", ("gender", "emotion"), "gender"),
    Setting("librispeech", "librispeech/test-other", "speaker", ("gender",), "gender", "utterance"),
)
PERMIT_GENDER = (
    Setting("ravdess", "ravdess", "gender", ("speaker",), "speaker"),
    Setting("emodb", "emodb", "gender", ("speaker",), "speaker"),
    Setting("librispeech", "librispeech/test-other", "gender", ("speaker",), "speaker", "utterance"),
)


def found_so_far(settings: Sequence[Setting], plan: Plan) -> Iterator[list[dict[str, Any]]]:
    """All runs of `settings`, each with one thread: what was found up to each seed."""
    parallel = Parallel(n_jobs=plan.workers, batch_size=1)
    parallel(delayed(_target)(setting, plan) for setting in settings)
    found: list[dict[str, Any]] = []
    for seed in SEEDS:
        runs = [(setting, method, seed) for setting in settings for method in METHODS]
        made = Parallel(n_jobs=plan.workers, batch_size=1, return_as="generator")(
            delayed(_made)(*each, plan) for each in runs
        )
        found += counted(made, len(runs), f"runs of seed {seed}")
        yield found


def _place(setting: Setting, plan: Plan) -> Path:
    return plan.out / "runs" / plan.named(f"figures-{setting.corpus}-{setting.permit}")


def _target(setting: Setting, plan: Plan) -> None:
    """Train a target unless it is there."""
    torch.set_num_threads(1)
    folder = _place(setting, plan) / "target"
    where = plan.corpora / setting.folder
    kept_target(folder, setting.corpus, where, setting.permit, silent, plan.preset, setting.split)


def _made(setting: Setting, method: str, seed: int, plan: Plan) -> dict[str, Any]:
    """Train and audit a filter, unless that was done."""
    torch.set_num_threads(1)
    place = _place(setting, plan) / f"{method}-{seed}"
    if (place / "kept.json").is_file():
        kept: dict[str, Any] = json.loads((place / "kept.json").read_text(encoding="utf-8"))
        return kept
    spec = f"{setting.corpus}:{plan.corpora / setting.folder}"
    preset, attackers = plan.preset_by_method[method], ATTACKERS[plan.preset]
    hide = (setting.hide,) if method == "adr" else ()
    train = f"sottovoce train --corpus {setting.corpus}:PATH --permit {setting.permit} --target target"
    train += f" --method {method} --preset {preset} --seed {seed} --out filter"
    train += f" --hide {setting.hide}" if hide else ""
    filter_, target = place / "filter", _place(setting, plan) / "target"
    if not filter_.is_dir():
        wanted = TrainConfig(
            spec, (setting.permit,), (target,), filter_, method, preset, {"hide": hide} if hide else {}, seed, train
        )
        make_filter(wanted, silent)
    said = f"sottovoce audit filter --corpus {setting.corpus}:PATH --attack {','.join(setting.attack)}"
    said += f" --attackers {attackers} --out audit"
    if not (place / "audit" / "digests.json").is_file():
        run_audit(AuditConfig(str(filter_), spec, place / "audit", attackers, setting.attack, command=said), silent)
    results = json.loads((place / "audit" / "results.json").read_text(encoding="utf-8"))
    read = read_embeddings(filter_, spec, setting.attack, silent) if method == "adr" else {}
    kept = _kept(setting, method, preset, seed, results, read) | {"commands": [train, said]}
    write_file(place / "kept.json", json.dumps(kept, indent=1).encode())
    print(f"{setting.corpus}, permit {setting.permit}, {METHODS[method]}, seed {seed}: done", flush=True)
    return kept


def _kept(setting: Setting, method: str, preset: str, seed: int, results: Found, embeddings: Found) -> dict[str, Any]:
    """What is worth keeping of a run, without the paths of this machine."""
    private = {}
    for task, entry in results["private"].items():
        private[task] = {key: entry[key] for key in ("chance", "floor", "ceiling", "strongest", "leakage", "verdict")}
        for knowledge in ("uninformed", "informed"):
            private[task][knowledge] = _best([row for row in entry["attackers"] if row["knowledge"] == knowledge])
        private[task] |= embeddings.get(task, {})
    corpus = {key: results["corpus"][key] for key in ("name", "digest", "split", "split_seed", "test_clips")}
    return {
        "method": method,
        "preset": preset,
        "seed": seed,
        "permit": setting.permit,
        "declared": setting.hide if method == "adr" else None,
        "attackers": results["attackers"],
        "corpus": corpus,
        "filter": results["filter"],
        "valid": results["valid"],
        "permitted": results["permitted"][setting.permit],
        "private": private,
        "seconds": results["seconds"],
    }


def _best(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The row that did best on validation; None where there is none."""
    return max(rows, key=lambda row: row["validation"]) if rows else None
