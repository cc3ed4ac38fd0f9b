"""Reading the records of experiments, of today and from before: the one place that knows their older forms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sottovoce.errors import ConfigError

Results = list[dict[str, Any]]

_RENAMED = {"worst": "strongest", "ignorant": "uninformed", "hears": "input"}
_RUNS = ("runs", "filters", "tried", "rows")  # where an older record held the results of its runs


def read_record(path: Path) -> Results:
    """The results of the runs in the record of an experiment; ConfigError for a file that is no such record."""
    found = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(found, dict) and "experiment" in found:
        return list(found["runs"])
    return _older(_renamed(found), path)


def _renamed(found: Any) -> Any:
    """An older record with the names of today, of keys and of what an attacker knows."""
    if isinstance(found, dict):
        return {_RENAMED.get(key, key): _renamed(value) for key, value in found.items()}
    if isinstance(found, list):
        return [_renamed(value) for value in found]
    return "uninformed" if found == "ignorant" else found


def _older(found: Any, path: Path) -> Results:
    """The results of an older record, as runs return them today."""
    if isinstance(found, list):
        return [{"games": found}] if "game" in found[0] else found
    if "whole_steps" in found:  # one run of a game's first steps
        return [found]
    runs = next((found[key] for key in _RUNS if key in found), None)
    if runs is None:
        raise ConfigError(f"{path} is no record of an experiment; expected a file that `sottovoce experiment` wrote.")
    if "cost" in found:  # of each network, beside the rows
        return [{**row, **found["cost"].get(row["network"], {}), "machine": found["machine"]} for row in runs]
    return [_of_figure(each) if isinstance(each.get("permit"), str) else each for each in runs]


def _of_figure(run: dict[str, Any]) -> dict[str, Any]:
    return {**run, "permit": [run["permit"]], "permitted": {run["permit"]: run["permitted"]}}
