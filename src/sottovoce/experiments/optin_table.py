"""The table of the experiment `optin`, and what its figure shows of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from sottovoce.experiments.experiment import Result, Table, grouped, mean

READERS = ("its own target", "another seed", "another architecture")


def setting(run: Result) -> tuple[Any, ...]:
    """What distinguishes a run from others of its seed: method, loss, ratio and body."""
    settings = dict(run["settings"]["filter"]["settings"])
    ratio, body = settings.get("gradient_ratio", 0.0), settings.get("obfuscator.body", 0)
    return run["method"], run["settings"]["loss"], ratio, body


def understood(run: Result) -> float:
    """How often the target is right about what leaves, 0 to 1."""
    return float(run["understood"]["features"]["its own target"])


def strongest(run: Result, task: str, knowledge: str = "informed") -> float:
    """What the attacker with that knowledge reads on test that read most on validation."""
    rows = [row for row in run["read"][task] if row["knowledge"] == knowledge]
    return float(max(rows, key=lambda row: float(row["validation"]))["score"])


def above_bottleneck(run: Result, task: str, results: Sequence[Result]) -> float | None:
    """How much more is read than through a bottleneck alone with which the target is as often right, in points.

    Between the bodies of the same seed without pressure this is interpolated; None beyond them.
    """
    alone = [each for each in results if each["seed"] == run["seed"] and setting(each)[:2] == ("optin", "none")]
    points = sorted((understood(each), strongest(each, task)) for each in alone)
    if not points or setting(run)[1] == "none" or not points[0][0] <= understood(run) <= points[-1][0]:
        return None
    x, y = np.array(points).T
    return 100 * (strongest(run, task) - float(np.interp(understood(run), x, y)))


def _lines(results: Sequence[Result]) -> Iterator[Sequence[Result]]:
    compared = [{**run, "above": [above_bottleneck(run, task, results) for task in run["read"]]} for run in results]
    yield from grouped(compared, setting).values()


def _tasks(run: Result) -> list[str]:
    return list(run["read"])


def _ranged(shares: Sequence[float]) -> str:
    """A mean in per cent, and the range over seeds."""
    scores = 100 * np.array(shares)
    return f"{scores.mean():.1f}" + (f" ({scores.min():.1f} to {scores.max():.1f})" if len(scores) > 1 else "")


def _understood(form: str, reader: str, runs: Sequence[Result]) -> str:
    return _ranged([run["understood"][form][reader] for run in runs])


def _attacked(number: int, knowledge: str, runs: Sequence[Result]) -> str:
    return _ranged([strongest(run, _tasks(run)[number], knowledge) for run in runs])


def _above(number: int, runs: Sequence[Result]) -> str:
    known = [run["above"][number] for run in runs if run["above"][number] is not None]
    return f"{np.mean(known):+.1f}" if known else ""


def _paper(runs: Sequence[Result]) -> str:
    rows = [row for run in runs for row in run["read"][_tasks(run)[0]] if row["attacker"] == "DeepSpeech2"]
    known = grouped(rows, lambda row: row["knowledge"])
    return " / ".join(f"{100 * np.mean([row['score'] for row in some]):.1f}" for some in known.values())


def _caption(results: Sequence[Result]) -> str:
    """What was run, and by how much either loss is above the bottleneck, over all runs that can be compared."""
    first, second = _tasks(results[0])
    text = (
        f"RAVDESS, permit {results[0]['permit']}; the first attribute is {first}, the second {second}; "
        f"{results[0]['test_clips']} test recordings. Attackers: the strongest on validation of each run; mean over "
        "seeds, and range. *Above* is how much more is read than through a body without pressure of the same seed with "
        "which the target is as often right."
    )
    for loss in ("latent", "-L_a"):
        for task in (first, second):
            above = [above_bottleneck(run, task, results) for run in results if setting(run)[1] == loss]
            if known := [points for points in above if points is not None]:
                text += f" {loss}, {task}: {mean(known)} points above in {len(known)} of {len(above)} runs."
    return text


TABLE = Table(
    (
        ("privacy loss", lambda runs: {"none": ""}.get(setting(runs[0])[1], setting(runs[0])[1])),
        ("body", lambda runs: str(setting(runs[0])[3] or "codebook")),
        ("r", lambda runs: f"{setting(runs[0])[2]:g}" if setting(runs[0])[3] else ""),
        ("seeds", lambda runs: str(len(runs))),
        *((f"{form}: {name}", partial(_understood, form, name)) for form in ("features", "sound") for name in READERS),
        *(
            (f"{ordinal} attribute, {knowledge}", partial(_attacked, number, knowledge))
            for number, ordinal in enumerate(("first", "second"))
            for knowledge in ("uninformed", "informed", "floor")
        ),
        *(
            (f"{ordinal} attribute, above", partial(_above, number))
            for number, ordinal in enumerate(("first", "second"))
        ),
        ("first attribute, DeepSpeech2: uninformed / informed", _paper),
    ),
    _lines,
    _caption,
)
