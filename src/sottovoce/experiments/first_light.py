"""The opt-in game on real recordings: RAVDESS and EmoDB, with the latent loss and with the raw one, three seeds each.

Made by `sottovoce experiment first-light`. Every run is kept as it ends, so that a killed experiment goes on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import torch
from joblib import Parallel, delayed

from sottovoce.experiments.targets import kept_target
from sottovoce.files import write_file
from sottovoce.jobs.audit import AuditConfig, run_audit
from sottovoce.jobs.train import TrainConfig, make_filter
from sottovoce.progress import last_line


class Setting(NamedTuple):
    """A corpus, the permitted task, and what is attacked."""

    corpus: str
    permit: str
    attack: tuple[str, ...]


SETTINGS = (
    Setting("ravdess", "emotion", ("speaker", "gender")),
    Setting("ravdess", "gender", ("speaker", "emotion")),
    Setting("emodb", "emotion", ("speaker", "gender")),
)
METHODS = ("optin", "raw")
SEEDS = (0, 1, 2)


def run(corpora: Path, out: Path, workers: int) -> str:
    """All runs, `workers` side by side with one thread each; writes `out`/first-light.json, returns the tables."""
    parallel = Parallel(n_jobs=workers)
    parallel(delayed(_target)(setting, corpora, out) for setting in SETTINGS)
    found = parallel(delayed(_filters)(*case, corpora, out) for case in product(SETTINGS, METHODS))
    runs = [results for group in found for results in group]
    write_file(out / "first-light.json", json.dumps(runs, indent=1).encode())
    return tables(runs)


def _target(setting: Setting, corpora: Path, out: Path) -> None:
    """Train the target of a setting unless it is there."""
    torch.set_num_threads(1)
    folder = _folder(out, setting) / "target"
    kept_target(folder, setting.corpus, corpora / setting.corpus, setting.permit, last_line)


def _filters(setting: Setting, method: str, corpora: Path, out: Path) -> list[dict[str, Any]]:
    """Train and audit one filter per seed; the first of `optin` with standard attackers, the others with quick ones."""
    torch.set_num_threads(1)
    folder = _folder(out, setting)
    spec = f"{setting.corpus}:{corpora / setting.corpus}"
    found = []
    for seed in SEEDS:
        place = folder / f"{method}-{seed}"
        if not (place / "results.json").is_file():
            effort = "standard" if (method, seed) == (METHODS[0], SEEDS[0]) else "quick"
            train = f"sottovoce train --corpus {setting.corpus}:PATH --permit {setting.permit} --target target"
            train += f" --method {method} --seed {seed} --out filter"
            if not (place / "filter").is_dir():
                wanted = TrainConfig(
                    spec,
                    (setting.permit,),
                    (folder / "target",),
                    place / "filter",
                    method,
                    seed=seed,
                    command=train,
                )
                make_filter(wanted, last_line)
            attack = f"sottovoce audit filter --corpus {setting.corpus}:PATH --attackers {effort} --seed {seed} --out ."
            run_audit(
                AuditConfig(str(place / "filter"), spec, place, effort, setting.attack, seed=seed, command=attack),
                last_line,
            )
        found.append(_portable(json.loads((place / "results.json").read_text(encoding="utf-8")), setting, method, seed))
    return found


def _portable(results: dict[str, Any], setting: Setting, method: str, seed: int) -> dict[str, Any]:
    """Results without the paths of this machine."""
    corpus = {**results["corpus"], "spec": f"{setting.corpus}:PATH"}
    return {"setting": setting.corpus, "method": method, "filter_seed": seed, **results, "corpus": corpus}


def _folder(out: Path, setting: Setting) -> Path:
    return out / "runs" / f"{setting.corpus}-{setting.permit}"


def tables(runs: list[dict[str, Any]]) -> str:
    """Markdown tables of the permitted task and of each private attribute, over seeds."""
    lines = [
        "| corpus, permitted | method | target before | target after | attribute | chance | floor | ceiling "
        "| uninformed | strongest, each seed | strongest attacker | leakage over the floor | verdicts |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for group in _grouped(runs):
        first = group[0]
        task, scores = next(iter(first["permitted"].items()))
        after = [run["permitted"][task]["obfuscated"]["score"] for run in group]
        for name in first["private"]:
            entries = [run["private"][name] for run in group]
            strongest = max((entry["strongest"] for entry in entries), key=lambda row: float(row["score"]))
            uninformed = [max(_scores(entry, "uninformed")) for entry in entries]
            cells = [
                f"{first['corpus']['name']}, {task}",
                first["method"],
                _percent([scores["original"]["score"]]),
                _percent(after),
                name,
                _percent([entries[0]["chance"]]),
                _percent([entries[0]["floor"]["score"]]),
                _percent([entries[0]["ceiling"]["score"]]),
                _percent(uninformed),
                _percent([entry["strongest"]["score"] for entry in entries]),
                f"{strongest['attacker']}: {_percent([strongest['low']])} to {_percent([strongest['high']])}",
                _percent([entry["leakage"]["score"] for entry in entries]),
                ", ".join(entry["verdict"] for entry in entries),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _grouped(runs: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Runs that differ in their seed alone."""
    for start in range(0, len(runs), len(SEEDS)):
        yield runs[start : start + len(SEEDS)]


def _scores(entry: dict[str, Any], knowledge: str) -> list[float]:
    return [row["score"] for row in entry["attackers"] if row["knowledge"] == knowledge]


def _percent(scores: list[float]) -> str:
    return " / ".join(f"{100 * score:.1f}" for score in scores)
