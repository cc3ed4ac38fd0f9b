"""Results as one tidy table, results.csv: a row for each attribute, attacker and input, for pandas and spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from sottovoce.audit.results import Results


def rows(results: Results) -> Iterator[dict[str, Any]]:
    """A row for each attacker of each private attribute; accuracies are shares from 0 to 1.

    `leakage` is what the attacker scores above the floor, and empty where it was scored on originals. `verdict` is that
    of the attribute, which follows from the row that is the `strongest`.
    """
    for attribute, entry in results.private.items():
        for row in (*entry.attackers, *entry.originals):
            yield {
                "attribute": attribute,
                "attacker": row.attacker,
                "knowledge": row.knowledge,
                "input": row.input,
                "chance": entry.chance,
                "floor": entry.floor.score,
                "ceiling": entry.ceiling.score,
                "score": row.score,
                "low": row.low,
                "high": row.high,
                "leakage": None if row.input == "original" else row.score - entry.floor.score,
                "strongest": row == entry.strongest,
                "verdict": entry.verdict,
                "validation": row.validation,
                "bits": row.bits.score,
                "converged": row.converged,
                "seeds": len(row.seeds),
            }


def csv_table(results: Results) -> str:
    """The rows as comma-separated values with a header."""
    table = list(rows(results))
    text = io.StringIO()
    writer = csv.DictWriter(text, table[0] if table else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()
