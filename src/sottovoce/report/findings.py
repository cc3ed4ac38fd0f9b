"""What the attackers found about one attribute, in sentences, with the tables behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sottovoce.report.wording import interval, span, whole

INPUTS = {
    "features": "the spectrum that leaves the filter",
    "sound": "the sound that leaves it",
    "restored": "what a network that learnt to restore originals makes of it",
    "inverted": "what comes of undoing the filter by its weights",
    "original": "the recording without the filter",
}
_TRAINED = {
    "uninformed": "an attacker trained on original sound",
    "informed": "an attacker trained on filtered sound",
    "white-box": "an attacker who also uses the filter's weights",
}
_MOST_EXPOSED = 5
Row = Mapping[str, Any]


def label(row: Row) -> str:
    """An attacker's name, which says if it restores or inverts first, and whether it was scored on sound."""
    return f"{row['attacker']}, on sound" if row["input"] == "sound" else str(row["attacker"])


def verdict(attribute: Row, tolerance: float) -> str:
    """The verdict in words."""
    if attribute["verdict"] == "leaks":
        beyond = "chance" if _at_chance(attribute) else "the permitted answer says"
        return f"the attackers found more than {beyond}: {label(attribute['strongest'])}"
    within = f"within the tolerance of {100 * tolerance:.3g} points"
    if attribute["verdict"] == "implied":
        return f"already told by what is permitted; beyond that the attackers found nothing, {within}"
    return f"the attackers found nothing beyond what the permitted answer says, {within}"


_MORE = " It had not converged: more training or more recordings would help it."


def sentences(attribute: Row, tolerance: float, recordings: int) -> str:
    """What was found, beside what there was to find, and what the evidence leaves open."""
    strongest = attribute["strongest"]
    least, improving = ("", "") if strongest["converged"] else ("at least ", _MORE)
    said = (
        f"{_TRAINED[strongest['knowledge']]} ({label(strongest)}) names the right one of {attribute['classes']} in "
        f"{least}{whole(strongest['score'])} ({interval(strongest, 0)}) of recordings; {_beside(attribute)}, "
        f"{whole(attribute['ceiling']['score'])} was found without the filter.{improving}"
    )
    if attribute["verdict"] != "leaks":
        said = f"{verdict(attribute, tolerance)}. The strongest: {said}{_unresolved(attribute, recordings)}"
    if attribute["ceiling"]["low"] <= attribute["chance"]:
        said += (
            " No attacker was clearly better than chance even on the original, so this says nothing about the filter."
        )
    return said


def _at_chance(attribute: Row) -> bool:
    """Nothing is known to follow from the permitted answer: it tells nothing, or nobody was there to give it."""
    return bool(attribute["floor"]["score"] <= attribute["chance"])


def _beside(attribute: Row) -> str:
    chance, floor = whole(attribute["chance"]), whole(attribute["floor"]["score"])
    told = "" if _at_chance(attribute) else f", {floor} is what the permitted answer itself gives away"
    return f"{chance} is chance{told}"


def _unresolved(attribute: Row, recordings: int) -> str:
    most = 100 * attribute["leakage"]["high"]
    if most <= 0:
        return ""
    return f" With {recordings} test recordings, a leakage of up to {most:.0f} points cannot be ruled out."


def estimated(name: str, number: Row) -> str:
    """What was found of an attribute that is a number."""
    return (
        f"{name}: the best estimator ({number['estimator']}) explains {span(number['strongest'])} of its variance; "
        f"{number['floor']:.2f} is the floor, {span(number['ceiling'])} was explained without the filter. "
        f"It is off by {number['error']:.4g} on average ({number['unit']}), the best constant guess by "
        f"{number['constant_error']:.4g}."
    )


def linked(linkage: Row) -> str:
    """Whether people can be linked."""
    strongest, ceiling = linkage["strongest"], linkage["ceiling"]
    return (
        f"asked whether two recordings are of one person, whom it never heard before, the strongest attacker "
        f"({strongest['attacker']}, {strongest['knowledge']}, {strongest['input']}) has an equal error rate of "
        f"{whole(strongest['eer']['score'])} ({interval(strongest['eer'], 0)}); 50\u202f% is chance, "
        "0\u202f% is always right, "
        f"{whole(ceiling['eer']['score'])} was reached without the filter."
    )


def exposed(people: Sequence[Row]) -> list[Row]:
    """The people on whom the strongest attacker is right most often, and the one on whom least."""
    return list(people) if len(people) <= _MOST_EXPOSED + 1 else [*people[:_MOST_EXPOSED], people[-1]]


def confused(attribute: Row, most: int = 10) -> list[tuple[str, str, int]]:
    """The classes most often taken for another: (is, taken for, recordings)."""
    counts = np.array(attribute["confusion"])
    np.fill_diagonal(counts, 0)
    names = attribute["class_names"]
    order = np.argsort(-counts, axis=None, kind="stable")[:most]
    pairs = [divmod(int(place), len(counts)) for place in order]
    return [(names[row], names[column], int(counts[row, column])) for row, column in pairs if counts[row, column]]


def entropy(attribute: Row) -> float:
    """Bits that tell the class of a test recording: all that there is to know about the attribute."""
    counts = np.array(attribute["confusion"]).sum(axis=1)
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum())
