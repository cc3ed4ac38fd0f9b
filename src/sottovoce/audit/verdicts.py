"""When a leakage is called a leak, hidden, or implied by what is permitted."""

from __future__ import annotations

from sottovoce.audit.results import (
    Interval,
    Verdict,
)

TOLERANCE = 0.02  # a leakage whose interval reaches down to this may be called hidden
_PLAIN = 0.10  # a leakage above this is called a leak however wide its interval: too little evidence is no comfort


def verdict(leakage: Interval, floor: float, chance: float, ceiling: float) -> Verdict:
    """ "leaks", "implied" (nothing beyond the permitted answer, which itself says much) or "hidden"."""
    if leakage.low > TOLERANCE or leakage.score > _PLAIN:
        return "leaks"
    return "implied" if floor - chance > 0.5 * max(0.0, ceiling - chance) else "hidden"
