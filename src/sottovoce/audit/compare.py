"""Audits side by side: what is permitted, what leaks, and whether the numbers may be compared at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sottovoce.audit.record import read_results
from sottovoce.errors import ConfigError

RESTRICTED = "the only attackers that were tried: "  # a note of an audit that begins so names them
STRICT = 5  # the first schema whose verdicts need evidence
_WIDEST = 40  # letters of a column


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
    chosen = [[note for note in audit["notes"] if note.startswith(RESTRICTED)] for audit in audits]
    if any(notes != chosen[0] for notes in chosen):
        yield "not all of the audits tried all attackers, so the numbers do not compare one to one"
    for name, audit in zip(names, audits, strict=True):
        if not audit["valid"]:
            yield f"{name} is invalid: a control of it failed"
        if audit["schema"] < STRICT:
            yield f"{name} is of an earlier version, whose verdict hidden needed no evidence: audit again"


def lines(comparison: Mapping[str, Any]) -> list[list[str]]:
    """The same as text: for each number its name, then a cell for each audit; the first line names the audits."""
    audits = comparison["audits"]
    found = [["", *(audit["name"] for audit in audits)], ["date", *(audit["date"] for audit in audits)]]
    found.append(["bits per block", *map(_bits, audits)])
    for section, rows in _ROWS.items():
        for task in dict.fromkeys(task for audit in audits for task in audit[section]):
            entries = [audit[section].get(task) for audit in audits]
            found += [
                [name or task, *(text(entry) if entry else "-" for entry in entries)] for name, text in rows.items()
            ]
    return found


def table(comparison: Mapping[str, Any]) -> str:
    """The same in columns for a terminal, with the warnings below."""
    cells = lines(comparison)
    widths = [min(_WIDEST, max(map(len, column))) for column in zip(*cells, strict=True)]
    texts = ["  ".join(_fitted(cell, width) for cell, width in zip(line, widths, strict=True)) for line in cells]
    return "\n".join([*(text.rstrip() for text in texts), *(f"warning: {text}" for text in comparison["warnings"])])


def _bits(audit: Mapping[str, Any]) -> str:
    return "no bound" if audit["bits_per_block"] is None else f"{audit['bits_per_block']:.3f}"


def _share(score: Mapping[str, float]) -> str:
    return f"{score['score']:.1%} ({score['low']:.1%} to {score['high']:.1%})"


def _worst(judges: Sequence[Mapping[str, Any]]) -> str:
    """The judge that loses most: its accuracy, that on originals, and what it is."""
    if not judges:
        return "not measured"
    judge = max(judges, key=lambda each: each["original"]["score"] - each["obfuscated"]["score"])
    return f"{judge['obfuscated']['score']:.1%} (originals {judge['original']['score']:.1%}), {judge['judge']}"


def _points(leakage: Mapping[str, float]) -> str:
    score, low, high = (100 * leakage[key] for key in ("score", "low", "high"))
    return f"{score:+.1f} points ({low:+.1f} to {high:+.1f})"


def _fitted(text: str, width: int) -> str:
    return f"{text if len(text) <= width else text[: width - 1] + '…':{width}}"


_ROWS: dict[str, dict[str, Callable[[Any], str]]] = {  # the name of a line, the task where it is empty, and its text
    "permitted": {
        "": lambda entry: f"permitted, {_share(entry['obfuscated'])}",
        "  on originals": lambda entry: _share(entry["original"]),
        "  as sound": lambda entry: _share(entry["sound"]) if entry["sound"] else "-",
        "  worst other recogniser": lambda entry: _worst(entry["judges"]),
    },
    "private": {
        "": lambda entry: f"private, {entry['verdict'].upper()}",
        "  leakage": lambda entry: _points(entry["leakage"]),
        "  strongest attacker": lambda entry: _share(entry["strongest"]),
        "  its name": lambda entry: str(entry["strongest"]["attacker"]),
        "  floor": lambda entry: f"{entry['floor']['score']:.1%}",
    },
}
