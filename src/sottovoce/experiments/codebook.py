"""The codebook beside the methods that it is meant to replace: same targets, same splits, same attackers.

Made by `sottovoce experiment codebook`. Every run is kept as it ends, so that a killed experiment goes on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from joblib import Parallel, delayed

from sottovoce.corpora.manifest import SplitRule
from sottovoce.experiments.rate_curve import rate_curve
from sottovoce.experiments.targets import kept_target
from sottovoce.files import write_file
from sottovoce.jobs.audit import AuditConfig, run_audit
from sottovoce.jobs.train import TrainConfig, make_filter
from sottovoce.models.codewords import RECORDINGS, SYNTHETIC
from sottovoce.progress import last_line


class Setting(NamedTuple):
    """A corpus, the permitted tasks, what is attacked, and how the recordings are split (None: as the corpus says)."""

    corpus: str
    permit: tuple[str, ...]
    attack: tuple[str, ...]
    split: SplitRule | None = None


class Run(NamedTuple):
    """One filter and one audit of it. `consent` is what is permitted at run time, of what was permitted in training."""

    setting: Setting
    name: str
    method: str
    preset: str
    seed: int = 0
    attackers: str = "quick"
    constant: int = 0
    consent: tuple[str, ...] = ()
    codes: int = 0
    block: int = 1
    codewords: str = SYNTHETIC


SINGLE = (
    Setting("ravdess", ("emotion",), ("speaker", "gender")),
    Setting("ravdess", ("gender",), ("speaker", "emotion")),
    Setting("ravdess", ("speaker",), ("emotion", "gender")),
    Setting("emodb", ("emotion",), ("speaker", "gender", "sentence")),
    Setting("fsdd", ("digit",), ("speaker",)),
)
BOTH = Setting("ravdess", ("emotion", "gender"), ("speaker", "emotion", "gender"))
UNHEARD = Setting("ravdess", ("emotion",), ("gender",), "speaker")
CONSTANT_BLOCKS = 3
RATES = ((2, 1), (4, 1), (8, 1), (16, 1), (32, 1), (8, 2), (8, 4), (8, 16))  # codes, segments to a block


def runs() -> Iterator[Run]:
    """All of them, what matters most first."""
    for setting in SINGLE:
        yield Run(setting, "codebook", "codebook", "compact", attackers="standard")
    for consent in ((), ("emotion",), ("gender",)):
        yield Run(BOTH, f"codebook, {' and '.join(consent or BOTH.permit)}", "codebook", "compact", consent=consent)
    for codes, block in RATES:
        yield Run(SINGLE[0], f"{codes} codes, {block} segments", "codebook", "compact", codes=codes, block=block)
    for setting in SINGLE:
        yield Run(setting, "opt-in, replaced", "optin", "replaced")
    for setting in SINGLE:
        yield Run(setting, "codebook, constant", "codebook", "compact", constant=CONSTANT_BLOCKS)
        yield Run(setting, "codebook, black box", "codebook", "black-box")
        yield Run(setting, "codebook, black box, recordings", "codebook", "black-box", codewords=RECORDINGS)
    yield Run(UNHEARD, "codebook, unheard people", "codebook", "compact")
    for setting in SINGLE:
        yield from (Run(setting, "codebook", "codebook", "compact", seed) for seed in (1, 2))
        yield from (Run(setting, name, method, "compact") for name, method in (("opt-in", "optin"), ("raw", "raw")))


def run(corpora: Path, out: Path, workers: int) -> str:
    """All runs, `workers` side by side with one thread each; writes `out`/codebook.json, returns a table."""
    planned = list(runs())
    parallel = Parallel(n_jobs=workers, batch_size=1)
    settings = list(dict.fromkeys(run.setting for run in planned))
    parallel(delayed(_target)(setting, task, corpora, out) for setting in settings for task in setting.permit)
    found = parallel(delayed(_made)(each, corpora, out) for each in planned)
    write_file(out / "codebook.json", json.dumps(found, indent=1).encode())
    write_file(out / "codebook-rates.svg", rate_curve([each for each in found if "codes," in each["name"]]))
    return table(found)


def _place(setting: Setting, out: Path) -> Path:
    return out / "runs" / f"codebook-{setting.corpus}{f'-by-{setting.split}' if setting.split else ''}"


def _target(setting: Setting, task: str, corpora: Path, out: Path) -> None:
    """Train a target unless it is there."""
    torch.set_num_threads(1)
    folder = _place(setting, out) / f"target-{task}"
    kept_target(folder, setting.corpus, corpora / setting.corpus, task, last_line, split=setting.split)


def _made(each: Run, corpora: Path, out: Path) -> dict[str, Any]:
    """Train and audit a filter, unless that was done."""
    torch.set_num_threads(1)
    setting = each.setting
    spec, permit = f"{setting.corpus}:{corpora / setting.corpus}", ",".join(setting.permit)
    folder = _place(setting, out)
    name = f"{permit}-{each.method}-{each.preset}-{each.codes}-{each.block}-{each.seed}"
    name += f"-{each.codewords}" if each.preset == "black-box" else ""
    filter_, place = (
        folder / name / "filter",
        folder / name / f"{each.attackers}-{each.constant}-{','.join(each.consent)}",
    )
    targets = tuple(folder / f"target-{task}" for task in setting.permit)
    train = f"sottovoce train --corpus {setting.corpus}:PATH --permit {permit} --method {each.method}"
    train += f" --target {','.join(target.name for target in targets)} --preset {each.preset} --seed {each.seed}"
    train += f" --codewords {each.codewords}" if each.codewords != SYNTHETIC else ""
    train += (
        f" --codes {each.codes} --block {each.block} --out filter" if each.method == "codebook" else " --out filter"
    )
    if not filter_.is_dir():
        wanted = TrainConfig(
            spec,
            setting.permit,
            targets,
            filter_,
            each.method,
            each.preset,
            {"codes": each.codes, "block_segments": each.block, "codewords": each.codewords}
            if each.method == "codebook"
            else {},
            each.seed,
            train,
        )
        make_filter(wanted, last_line)
    attack = tuple(task for task in setting.attack if task not in (each.consent or setting.permit))
    said = f"sottovoce audit filter --corpus {setting.corpus}:PATH --attack {','.join(attack)} --out audit"
    said += f" --attackers {each.attackers}" + (f" --constant {each.constant}" if each.constant else "")
    said += f" --permit {','.join(each.consent)}" if each.consent else ""
    if not (place / "digests.json").is_file():
        ask = AuditConfig(
            str(filter_), spec, place, each.attackers, attack, each.consent, command=said, constant=each.constant
        )
        run_audit(ask, last_line)
    results = json.loads((place / "results.json").read_text(encoding="utf-8"))
    card = json.loads((filter_ / "card.json").read_text(encoding="utf-8"))
    return _kept(each, results, card, [train, said])


def _kept(each: Run, results: dict[str, Any], card: dict[str, Any], commands: list[str]) -> dict[str, Any]:
    """What is worth keeping of a run, without the paths of this machine."""
    told = ("chance", "floor", "ceiling", "leakage", "verdict", "cluster", "strongest")
    corpus = {key: results["corpus"][key] for key in ("name", "digest", "split", "split_seed", "test_clips")}
    return {
        "name": each.name,
        "permit": list(each.consent or each.setting.permit),
        "seed": each.seed,
        "attackers": each.attackers,
        "commands": commands,
        "corpus": corpus,
        "filter": results["filter"],
        "codewords": card.get("codewords"),
        "train_seconds": card["seconds"],
        "valid": results["valid"],
        "permitted": results["permitted"],
        "private": {task: {key: entry[key] for key in told} for task, entry in results["private"].items()},
        "tried": {task: len(entry["attackers"]) for task, entry in results["private"].items()},
        "bound": results["bound"],
        "linkage": results["linkage"] and {key: results["linkage"][key] for key in ("strongest", "ceiling")},
        "seconds": results["seconds"],
    }


def table(found: list[dict[str, Any]]) -> str:
    """Markdown: a line for each run and private attribute."""
    lines = [
        "| corpus, permitted | method | seed, attackers | bits per block | target before | after | attacked | chance "
        "| floor | ceiling | strongest | by | leakage | verdict |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for each in found:
        targets = list(each["permitted"].values())
        bits = each["filter"]["bits_per_block"]
        for task, entry in each["private"].items():
            strongest, leakage = entry["strongest"], entry["leakage"]
            cells = [
                f"{each['corpus']['name']}, {' and '.join(each['permit'])}",
                each["name"],
                f"{each['seed']}, {each['attackers']}",
                "none" if bits is None else f"{bits:.2f}",
                " / ".join(_percent(target["original"]["score"]) for target in targets),
                " / ".join(_percent(target["obfuscated"]["score"]) for target in targets),
                task,
                _percent(entry["chance"]),
                _percent(entry["floor"]["score"]),
                _percent(entry["ceiling"]["score"]),
                ("" if strongest["converged"] else "at least ") + _percent(strongest["score"]),
                f"{strongest['attacker']} ({strongest['knowledge']}, {strongest['input']})",
                f"{100 * leakage['score']:+.1f} ({100 * leakage['low']:+.1f} to {100 * leakage['high']:+.1f})",
                entry["verdict"],
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _percent(score: float) -> str:
    return f"{100 * score:.1f}"
