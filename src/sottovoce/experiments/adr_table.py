"""The table of `adr-games`: a line for each kind of embeddings, training of ADR, declared attribute and game."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from sottovoce.experiments.adr_scores import LABELS
from sottovoce.experiments.experiment import Result, Table, grouped, interval, mean, means


def _lines(results: Iterable[Result]) -> Iterable[list[Result]]:
    return grouped(results, lambda run: (run["voices"], run["taught"], run["declared"], run["game"])).values()


def _percent(path: str, runs: Sequence[Result]) -> str:
    """A score with its interval, or the mean over seeds with that of the mean."""
    found: list[Any] = list(runs)
    for key in path.split("."):
        found = [each[key] for each in found if key in each]
    if len(found) == 1:
        return interval(found[0])
    return mean([100 * each["score"] for each in found]) if found else ""


def _people(form: str, number: int, runs: Sequence[Result]) -> str:
    rates = [*runs[0]["equal_error_rate"]]
    return _percent(f"equal_error_rate.{rates[number]}.{form}", runs) if number < len(rates) else ""


_CAPTION = (
    "RAVDESS; percent of test recordings, with a 95 % interval of one run or of the mean over seeds. *Cosine*: between "
    "original and protected embeddings, of test recordings with the attribute unknown to the decoder, and of training "
    "recordings with the attribute told; the release logged .914 there. *Equal error rate* of cosine scores of pairs "
    "of recordings, by embeddings as they are (*raw*), standardised (*before*) and protected (*after*): scored people "
    "were in no training of the embeddings, and in none of ADR where that is trained on other corpora; unknown people "
    "(EmoDB) in none at all. *Original*, *uninformed*, *informed*: one recogniser; *ceiling* and *strongest*: the best "
    "on validation of a linear, a kernel and a network attacker, on originals and on protected embeddings."
)

TABLE = Table(
    (
        ("embeddings", lambda runs: runs[0]["voices"]),
        ("ADR is trained on", lambda runs: runs[0]["taught"]),
        ("declared", lambda runs: runs[0]["declared"]),
        ("game", lambda runs: runs[0]["game"]),
        ("seeds", lambda runs: str(len(runs))),
        ("cosine, attribute unknown", means("cosine.unknown", digits=3)),
        ("cosine, attribute told", means("cosine.told", digits=3)),
        *(
            (f"equal error rate, {people}: {form}" if form == "raw" else form, partial(_people, form, number))
            for number, people in enumerate(("scored people", "unknown people"))
            for form in ("raw", "before", "after")
        ),
        *(
            (f"{label}: original" if form == "original" else form, partial(_percent, f"scores.{label}.{form}"))
            for label in LABELS
            for form in ("original", "ceiling", "uninformed", "informed", "strongest")
        ),
    ),
    _lines,
    lambda results: _CAPTION,
)
