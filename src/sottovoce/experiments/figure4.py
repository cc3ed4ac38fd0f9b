"""Figure 4 of the opt-in paper: permit the speaker, attack the gender, declared to ADR, and emotion, which is not.

Made by `sottovoce experiment figure4`, from the runs of `figure_runs`, which it shares with `figure3a`.
"""

from __future__ import annotations

import json
from pathlib import Path

from sottovoce.experiments.figure_drawing import caption, over_each_other, table
from sottovoce.experiments.figure_runs import PERMIT_SPEAKER, Plan, found_so_far
from sottovoce.files import write_file

ATTACKED = ("emotion", "gender")


def run(corpora: Path, out: Path, workers: int, preset: str = "compact") -> str:
    """All runs; writes `out`/figure4.json and .svg after each seed, returns a table."""
    text, plan = "", Plan(corpora, out, preset, workers)
    settings = [setting for setting in PERMIT_SPEAKER if {*ATTACKED} <= {*setting.attack}]
    for found in found_so_far(settings, plan):
        said = caption("figure4", found) + " Hollow: the article's own points."
        write_file(
            out / f"{plan.named('figure4')}.json", json.dumps({"caption": said, "runs": found}, indent=1).encode()
        )
        write_file(out / f"{plan.named('figure4')}.svg", over_each_other(found, *ATTACKED))
        text = f"{said}\n\n{table(found, ATTACKED)}"
    return text
