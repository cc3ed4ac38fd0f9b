"""Who understands a filter: its target and other recognisers of a permitted task, before and after, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sottovoce.report.wording import listed, rounded_percent

TOLERATED_LOSS = 0.02  # of the permitted accuracy: a greater loss is reported as prominently as a leak
KINDS = {
    "trained-with": "the filter was trained with it",
    "seed": "the same architecture, another seed",
    "architecture": "another architecture",
    "third-party": "not trained by sottovoce",
}
_MADE_WITH = "the recogniser that the filter was made with"
Row = Mapping[str, Any]


def worst(target: Row) -> Row | None:
    """The judge of a permitted task that loses most; None where there is none."""
    return max(target["judges"], key=lambda judge: _lost(judge, judge["obfuscated"]), default=None)


def losses(target: Row, tolerated: float = TOLERATED_LOSS) -> list[str]:
    """What a permitted task loses with its target, as sound, and with the worst judge, where that is not tolerated."""
    judge = worst(target)
    after = [(target, target["obfuscated"], "")]
    after += [(target, target["sound"], " as sound")] if as_sound(target) else []
    after += [(judge, judge["obfuscated"], f" for another recogniser, {judge['judge']}")] if judge else []
    return [
        f"loses {round(100 * _lost(before, score), 1):g} points of accuracy{whom} "
        f"({rounded_percent(before['original']['score'])} to {rounded_percent(score['score'])})"
        for before, score, whom in after
        if _lost(before, score) > tolerated
    ]


def loss(target: Row) -> str:
    """The losses of a permitted task that are not tolerated, as one phrase; empty where there are none."""
    return listed(losses(target))


def as_sound(target: Row) -> Row | None:
    """The accuracy of a target on sound, where features leave as well and it has another one on these."""
    return target["sound"] if target["sound"] != target["obfuscated"] else None


def unmeasured(task: str, results: Row) -> str:
    """That no recogniser besides those of training measured a permitted task; empty where one did."""
    target = results["permitted"][task]
    if any(judge["kind"] != "trained-with" for judge in target["judges"]):
        return ""
    whom = _MADE_WITH if target["trained_with"] else "one recogniser"
    return f"measured only with {whom}: nothing is shown about others"


def reservation(task: str, results: Row) -> str:
    """What stands against a permitted task: losses, and that other recognisers were not asked; empty for nothing."""
    return "; ".join(filter(None, (loss(results["permitted"][task]), unmeasured(task, results))))


def recognisers(target: Row) -> list[tuple[str, str, str, Row, Row]]:
    """(recogniser, what it is, input, before, after) of the target and of each judge of a permitted task."""
    given = "features" if as_sound(target) else "what leaves"
    rows = [("the target", "", given, target["original"], target["obfuscated"])]
    if sound := as_sound(target):
        rows.append(("the target", "", "sound", target["original"], sound))
    rows += [
        (
            judge["judge"],
            KINDS[judge["kind"]].replace(judge["judge"], ""),
            judge["input"],
            judge["original"],
            judge["obfuscated"],
        )
        for judge in target["judges"]
    ]
    return rows


def _lost(before: Row, after: Row) -> float:
    return round(float(before["original"]["score"] - after["score"]), 9)  # 0.72 - 0.70 is no loss above 0.02
