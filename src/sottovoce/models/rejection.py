"""Rejection: how often a filter takes something else for a class that it permits, and a class for something else."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple


class Rejection(NamedTuple):
    """Of one task: the threshold at which a block is none of its classes, and what that costs.

    `false_alarms_per_hour` are those in each kind of sound that holds none of the classes. `miss_rate` is the share of
    blocks with a class that are rejected; `curve` has (threshold, false-alarm rate, miss rate), as shares of blocks.
    """

    threshold: float
    false_alarms_per_hour: dict[str, float]
    miss_rate: float
    curve: tuple[tuple[float, float, float], ...]

    @property
    def sentence(self) -> str:
        """What it costs, in words."""
        alarms = ", ".join(f"{count:.3g} in {kind}" for kind, count in self.false_alarms_per_hour.items())
        return (
            f"at the threshold of {self.threshold:.3g} the filter misses {100 * self.miss_rate:.3g}\u202f% of the "
            f"blocks that contain one of its classes. So often in an hour it takes other sounds for one: {alarms}."
        )


def rejections(card: Mapping[str, Any]) -> dict[str, Rejection]:
    """The rejection of each task of which the card of a filter records one; what is malformed is left out."""
    listed = card.get("none")
    tasks = listed.items() if isinstance(listed, Mapping) else ()
    read = {str(task): _rejection(entry) for task, entry in tasks}
    return {task: rejection for task, rejection in read.items() if rejection is not None}


def _rejection(entry: Any) -> Rejection | None:
    try:
        curve = tuple((float(at), float(false), float(missed)) for at, false, missed in entry.get("curve", ()))
        threshold, misses = float(entry["threshold"]), float(entry["miss_rate"])
        alarms = {str(kind): float(count) for kind, count in entry["false_alarms_per_hour"].items()}
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    shares = [misses, *(share for _, *both in curve for share in both)]
    finite = all(map(math.isfinite, (threshold, *alarms.values(), *(at for at, *_ in curve))))
    return Rejection(threshold, alarms, misses, curve) if finite and all(0 <= share <= 1 for share in shares) else None
