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
    record = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(record, dict) and "experiment" in record:
        return list(record["runs"])
    return _older(_renamed(record), path)


def _renamed(record: Any) -> Any:
    """An older record with the names of today, of keys and of what an attacker knows."""
    if isinstance(record, dict):
        return {_RENAMED.get(key, key): _renamed(value) for key, value in record.items()}
    if isinstance(record, list):
        return [_renamed(value) for value in record]
    return "uninformed" if record == "ignorant" else record


def _older(record: Any, path: Path) -> Results:
    """The results of an older record, as runs return them today."""
    if isinstance(record, list):
        return [{"games": record}] if "game" in record[0] else record
    if "whole_steps" in record:  # one run of a game's first steps
        return [record]
    runs = next((record[key] for key in _RUNS if key in record), None)
    if runs is None:
        raise ConfigError(f"{path} is no record of an experiment; expected a file that `sottovoce experiment` wrote.")
    if "cost" in record:  # of each network, beside the rows
        return [{**row, **record["cost"].get(row["network"], {}), "machine": record["machine"]} for row in runs]
    return [_of_figure(each) if isinstance(each.get("permit"), str) else each for each in runs]


def _of_figure(run: dict[str, Any]) -> dict[str, Any]:
    private = {task: {"attackers": [], **entry} for task, entry in run["private"].items()}
    return {**run, "permit": [run["permit"]], "permitted": {run["permit"]: run["permitted"]}, "private": private}
