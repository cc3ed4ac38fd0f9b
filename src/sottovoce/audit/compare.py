"""Audits side by side: what is permitted, what leaks, and whether the numbers may be compared at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sottovoce.audit.record import read_results
from sottovoce.errors import ConfigError

_WIDEST = 34  # letters of a column


def headline(results: Mapping[str, Any]) -> dict[str, Any]:
    """The results of an audit in a few numbers, from what results.json holds."""
    return {
        "valid": results["valid"],
        "attackers": results["attackers"],
        "filter": results["filter"]["digest"],
        "permitted": results["permitted"],
        "private": {
            task: {
                **{key: entry[key] for key in ("chance", "floor", "leakage", "verdict")},
                "strongest": {
                    key: entry["strongest"][key] for key in ("score", "low", "high", "attacker", "converged")
                },
            }
            for task, entry in results["private"].items()
        },
        "bits_per_block": results["filter"]["bits_per_block"],
    }


def compared(folders: Sequence[Path]) -> dict[str, Any]:
    """The headline of the audit in each folder, and a sentence for each reason not to compare their numbers."""
    if len(folders) < 2:
        raise ConfigError(f"got {len(folders)} audit; expected the folders of two or more.")
    audits = [read_results(folder).model_dump(mode="json", by_alias=True) for folder in folders]
    shown = [
        {"name": str(folder), "date": results["date"], "method": results["filter"].get("method"), **headline(results)}
        for folder, results in zip(folders, audits, strict=True)
    ]
    return {"audits": shown, "warnings": list(_warnings([str(folder) for folder in folders], audits))}


def _warnings(names: Sequence[str], audits: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for what, section, keys in (
        ("corpora", "corpus", ("digest",)),
        ("splits", "corpus", ("split", "split_seed", "test_clips")),
        ("attackers", None, ("attackers",)),
        ("seeds", None, ("seed",)),
    ):
        given = [tuple((audit[section] if section else audit).get(key) for key in keys) for audit in audits]
        if len(set(given)) > 1:
            listed = ", ".join(f"{name}: {' '.join(map(str, each))}" for name, each in zip(names, given, strict=True))
            yield f"the {what} differ ({listed}), so the numbers do not compare one to one"
    for name, audit in zip(names, audits, strict=True):
        if not audit["valid"]:
            yield f"{name} is invalid: a control of it failed"


def table(found: Mapping[str, Any]) -> str:
    """The same as text: a column for each audit, a line for each number, and the warnings."""
    audits = found["audits"]
    lines = [["", *(audit["name"] for audit in audits)], ["date", *(audit["date"] for audit in audits)]]
    lines.append(["bits per block", *map(_bits, audits)])
    for task in _all("permitted", audits):
        cells = [audit["permitted"].get(task) for audit in audits]
        lines.append([f"{task} (permitted)", *(_share(cell["obfuscated"]) if cell else "-" for cell in cells)])
        lines.append(["  on originals", *(_share(cell["original"]) if cell else "-" for cell in cells)])
    for task in _all("private", audits):
        cells = [audit["private"].get(task) for audit in audits]
        lines.append([f"{task} (private)", *(cell["verdict"].upper() if cell else "-" for cell in cells)])
        lines.append(["  leakage", *(_points(cell["leakage"]) if cell else "-" for cell in cells)])
        lines.append(["  strongest", *(_share(cell["strongest"]) if cell else "-" for cell in cells)])
        lines.append(["  by", *(cell["strongest"]["attacker"] if cell else "-" for cell in cells)])
        lines.append(["  floor", *(f"{cell['floor']['score']:.1%}" if cell else "-" for cell in cells)])
    widths = [min(_WIDEST, max(len(line[i]) for line in lines)) for i in range(len(audits) + 1)]
    texts = ["  ".join(_fitted(cell, width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    return "\n".join([*(text.rstrip() for text in texts), *(f"warning: {text}" for text in found["warnings"])])


def _all(section: str, audits: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(task for audit in audits for task in audit[section]))


def _bits(audit: Mapping[str, Any]) -> str:
    return "no bound" if audit["bits_per_block"] is None else f"{audit['bits_per_block']:.3f}"


def _share(score: Mapping[str, float]) -> str:
    return f"{score['score']:.1%} ({score['low']:.1%} to {score['high']:.1%})"


def _points(leakage: Mapping[str, float]) -> str:
    score, low, high = (100 * leakage[key] for key in ("score", "low", "high"))
    return f"{score:+.1f} points ({low:+.1f} to {high:+.1f})"


def _fitted(text: str, width: int) -> str:
    return f"{text if len(text) <= width else text[: width - 1] + '…':{width}}"
