"""What an audit found, in sentences, with what the evidence leaves open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sottovoce.audit.mutual_information import entropy
from sottovoce.report.transfer import loss, unmeasured
from sottovoce.report.wording import capitalised, interval, listed, number_with_interval, rounded_percent

INPUTS = {
    "features": "the spectrum that leaves the filter",
    "sound": "the sound that leaves it",
    "restored": "the output of a network that was trained to restore originals",
    "inverted": "the result of inverting the filter by its weights",
    "original": "the recording without the filter",
}
_TRAINED = {
    "uninformed": "an attacker trained on original sound",
    "informed": "an attacker trained on filtered sound",
    "white-box": "an attacker that also uses the filter's weights",
}
_MOST_EXPOSED = 5
_MOST_NAMES = 4  # of attributes in the headline
Row = Mapping[str, Any]


def label(row: Row) -> str:
    """An attacker's name, which says if it restores or inverts first, and whether it was scored on sound."""
    return f"{row['attacker']}, on sound" if row["input"] == "sound" else str(row["attacker"])


def full_label(row: Row) -> str:
    """An attacker's name with its knowledge: no other attacker of the same attribute has it."""
    return label(row) if row["input"] == "original" else f"{label(row)} ({row['knowledge']})"


def headline(results: Row) -> str:
    """The audit in one sentence: leaks, losses of the permitted tasks, what was not measured or cannot be ruled out."""
    if not results["valid"]:
        return "This audit is invalid, because it failed its own controls"
    private, tolerance = results["private"], results["tolerance"]
    leaks = [name for name, entry in private.items() if entry["verdict"] == "leaks"]
    open_ = [name for name, entry in private.items() if doubt(entry, tolerance)]
    parts = [f"{listed(leaks, most=_MOST_NAMES)} {'leaks' if len(leaks) == 1 else 'leak'}"] if leaks else []
    parts += [f"{task} {loss(scores)}" for task, scores in results["permitted"].items() if loss(scores)]
    alone = [(task, unmeasured(task, results)) for task in results["permitted"]]
    for text in dict.fromkeys(text for _, text in alone if text):
        tasks = [task for task, each in alone if each == text]
        parts.append(f"{listed(tasks, most=_MOST_NAMES)} {'is' if len(tasks) == 1 else 'are'} {text}")
    if open_:
        widest = max((private[name] for name in open_), key=lambda entry: float(entry["leakage"]["high"]))
        parts.append(f"for {listed(open_, most=_MOST_NAMES)}, {doubt(widest, tolerance)}")
    if not leaks and not open_:
        parts.append("no leak was found" if private else "no private attribute was attacked")
    return capitalised("; ".join(parts))


def doubt(attribute: Row, tolerance: float) -> str:
    """How large a leakage the evidence does not rule out; empty for a leak, or where that is within the tolerance."""
    high = attribute["leakage"]["high"]
    if attribute["verdict"] == "leaks" or high <= tolerance:
        return ""
    return f"a leakage of up to {_points(high)} points cannot be ruled out"


def status(attribute: Row, results: Row) -> str:
    """The colour of a verdict: that of "hidden" or "implied" only where nothing is left open, otherwise "open"."""
    if attribute["verdict"] == "leaks":
        return "leaks"
    open_ = doubt(attribute, results["tolerance"]) or not attribute["strongest"]["converged"] or _unlearnable(attribute)
    return "open" if open_ or not results["valid"] else str(attribute["verdict"])


def attacked(name: str, attribute: Row) -> str:
    """What the strongest attacker of a private attribute reaches, beside what there was to reach."""
    strongest = attribute["strongest"]
    floor = attribute["floor"]["score"]
    text = (
        f"{capitalised(_TRAINED[strongest['knowledge']])} ({label(strongest)}) recognises {name} "
        f"(one of {attribute['classes']}) in {'' if strongest['converged'] else 'at least '}"
        f"{rounded_percent(strongest['score'])} ({interval(strongest, 0)}) of recordings; guessing gives "
        f"{rounded_percent(attribute['chance'])}, "
        + (f"the permitted answer alone {rounded_percent(floor)}, " if floor > attribute["chance"] else "")
        + f"and without the filter an attacker reaches {rounded_percent(attribute['ceiling']['score'])}."
    )
    if _unlearnable(attribute):
        text += (
            f" Even without the filter no attacker recognised {name} clearly better than chance, so this result says "
            "nothing about the filter."
        )
    return text


def _unlearnable(attribute: Row) -> bool:
    return bool(attribute["ceiling"]["low"] <= attribute["chance"])


def _points(share: float) -> str:
    return f"{round(100 * share, 1):g}"


def estimated(name: str, number: Row) -> str:
    """What was found of an attribute that is a number."""
    return (
        f"The best estimator ({number['estimator']}) explains {number_with_interval(number['strongest'])} of the "
        f"variance of {name}; the permitted answer alone explains {number['floor']:.2f}, and without the filter "
        f"{number_with_interval(number['ceiling'])} was explained. It is off by {number['error']:.4g} on average "
        f"({number['unit']}), the best constant guess by {number['constant_error']:.4g}."
    )


def linked(linkage: Row) -> str:
    """Whether recordings of one person can be linked."""
    strongest, ceiling = linkage["strongest"], linkage["ceiling"]
    return (
        "Attackers decided whether two recordings are of the same person, for people they were not trained on. The "
        f"strongest ({strongest['attacker']}, {strongest['knowledge']}, {strongest['input']}) is wrong in "
        f"{rounded_percent(strongest['eer']['score'])} ({interval(strongest['eer'], 0)}) of pairs when both kinds of "
        "error are equally frequent (the equal error rate); without the filter, an attacker is wrong in "
        f"{rounded_percent(ceiling['eer']['score'])}. 50\u202f% is chance, and 0\u202f% is always right."
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


def label_entropy(attribute: Row) -> float:
    """Bits that tell the class of a test recording: all that there is to know about the attribute."""
    return entropy(np.array(attribute["confusion"]).sum(axis=1))
