"""Figure 3 of the opt-in paper: what a target still gets right, over what attackers read.

Made by `sottovoce experiment figure3a` (permit the speaker, attack the gender) and `figure3b` (the other way round),
from the runs of `figure_runs`. The values of the article's Figure 3 were not found; the table has those of its Figure 4
that are of the same permitted task and attribute.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from sottovoce.experiments.figure_drawing import caption, over_target, table
from sottovoce.experiments.figure_runs import PERMIT_GENDER, PERMIT_SPEAKER, Plan, Setting, found_so_far
from sottovoce.files import write_file


def run_a(corpora: Path, out: Path, workers: int, preset: str = "compact") -> str:
    """Permit the speaker, attack the gender; writes `out`/figure3a.json and .svg after each seed, returns a table."""
    return _made("figure3a", "gender", PERMIT_SPEAKER, Plan(corpora, out, preset, workers))


def run_b(corpora: Path, out: Path, workers: int, preset: str = "compact") -> str:
    """Permit the gender, attack the speaker; writes `out`/figure3b.json and .svg after each seed, returns a table."""
    return _made("figure3b", "speaker", PERMIT_GENDER, Plan(corpora, out, preset, workers))


def _made(name: str, attacked: str, settings: Sequence[Setting], plan: Plan) -> str:
    text = ""
    for every in found_so_far(settings, plan):
        found = [each | {"private": {attacked: each["private"][attacked]}} for each in every]
        said = caption(name, found)
        write_file(
            plan.out / f"{plan.named(name)}.json", json.dumps({"caption": said, "runs": found}, indent=1).encode()
        )
        write_file(plan.out / f"{plan.named(name)}.svg", over_target(found, attacked))
        text = f"{said}\n\n{table(found, (attacked,))}"
    return text
