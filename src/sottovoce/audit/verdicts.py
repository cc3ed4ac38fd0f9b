"""What an audit concludes about a private attribute, and how much evidence would settle what it cannot conclude."""

from __future__ import annotations

import math
from typing import Literal

from sottovoce.audit.results import Exposed, Interval, Settle, Verdict

TOLERANCE = 0.02  # the leakage that counts as none


def level(attributes: int) -> float:
    """The level of intervals with which all of so many verdicts are right in 95 of 100 audits (Bonferroni)."""
    return 1.0 - 0.05 / max(1, attributes)


def verdict(
    leakage: Interval, floor: Interval, ceiling: Interval, chance: float, exposed: Exposed | None = None
) -> Verdict:
    """What the intervals, all of the level of `level`, show about an attribute.

    "leaks": the leakage is above the tolerance. "implied": the permitted answer alone tells more than chance, and no
    attacker gets more from the originals. "hidden": the leakage is within the tolerance, although attackers get more
    than the floor from the originals; where they do not, nothing was tested. "not shown": everything else.

    What leaks from the few recordings that are `exposed` leaks, and copies among them are never hidden.
    """
    if leakage.low > TOLERANCE or (exposed is not None and exposed.low > TOLERANCE):
        return "leaks"
    if floor.low > chance and ceiling.score <= floor.score + TOLERANCE:
        return "implied"
    copies = exposed is not None and exposed.copies > 0
    if leakage.high <= TOLERANCE and not copies and not unreadable(floor, ceiling):
        return "hidden"
    return "not shown"


def unreadable(floor: Interval, ceiling: Interval) -> bool:
    """Whether attackers are not shown to get more from the originals than the permitted answer tells."""
    return ceiling.low <= floor.score


def settle(
    leakage: Interval, floor: float, alike: bool, recordings: int, people: int, by_people: bool
) -> Settle | None:
    """How much evidence would settle a verdict that is not shown; None where the leakage is at the tolerance.

    `alike` says that the attacker was right wherever the floor was, and nowhere else; `by_people`, that people are the
    clusters, and not recordings.

    An interval is about h / sqrt(n) wide, so that n (h / w)^2 clusters of the same kind give the width w, where n give
    h. If nothing leaks, the upper end is h above 0, and w is the tolerance. If the measured leakage is above the
    tolerance and the true one, the lower end is h below it, and w is what lies between.

    Where the attacker did just as the floor, and no interval has a spread, n clusters without a change rule out a share
    of changes above 1 - a^(1 / n), with a constant a. Changes can gain something in the part m of recordings where the
    floor is wrong: h = m (1 - a^(1 / n)), so that n is in proportion to 1 / log(1 - h / m).
    """
    up, down, above = leakage.high - leakage.score, leakage.score - leakage.low, leakage.score - TOLERANCE
    wrong = 1.0 - floor
    if above > 0.0:
        shown: Literal["hidden", "leaks"] = "leaks"
        times = (down / above) ** 2
    elif alike and TOLERANCE < up < wrong:
        shown, times = "hidden", math.log1p(-up / wrong) / math.log1p(-TOLERANCE / wrong)
    elif above < 0.0:
        shown, times = "hidden", (up / TOLERANCE) ** 2
    else:
        return None
    times = max(1.0, times)
    if times * recordings > 1e9:
        return None
    needed = math.ceil(times * people) if by_people else people
    return Settle(verdict=shown, recordings=math.ceil(times * recordings), people=needed or None)
