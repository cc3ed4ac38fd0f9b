"""What an audit found, in sentences, with what the evidence leaves open."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sottovoce.audit.mutual_information import entropy
from sottovoce.report.transfer import loss, unmeasured
from sottovoce.report.wording import capitalised, interval, listed, number_with_interval, points, rounded_percent

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
_KINDS = ("leaks", "not shown", "implied", "hidden")
_NO_BOUND = (
    "no bound is known, so what no attacker can see is not ruled out, such as bits that are hidden with a secret key"
)
Row = Mapping[str, Any]


def label(row: Row) -> str:
    """An attacker's name, which says if it restores or inverts first, and which property of what leaves it read."""
    if row["input"] in INPUTS and row["input"] != "sound":
        return str(row["attacker"])
    return f"{row['attacker']}, on {row['input']}"


def full_label(row: Row) -> str:
    """An attacker's name with its knowledge: no other attacker of the same attribute has it."""
    return label(row) if row["input"] == "original" else f"{label(row)} ({row['knowledge']})"


def headline(results: Row) -> str:
    """The audit in one sentence: leaks, losses of the permitted tasks, and what was not shown or not measured."""
    if not results["valid"]:
        return "; ".join(["This audit is invalid, because it failed its own controls", *_unseen(results)])
    private, tolerance = results["private"], results["tolerance"]
    of = {kind: [name for name, entry in private.items() if entry["verdict"] == kind] for kind in _KINDS}
    open_ = [name for name in of["implied"] if doubt(private[name], tolerance)]
    leaks, hidden = of["leaks"], of["hidden"]
    if (results.get("words") or {}).get("verdict") == "leaks":
        leaks = [*leaks, "what is said"]
    parts = [f"{listed(leaks, most=_MOST_NAMES)} {'leaks' if len(leaks) == 1 else 'leak'}"] if leaks else []
    parts += [f"{task} {loss(scores)}" for task, scores in results["permitted"].items() if loss(scores)]
    alone = [(task, unmeasured(task, results)) for task in results["permitted"]]
    for text in dict.fromkeys(text for _, text in alone if text):
        tasks = [task for task, each in alone if each == text]
        parts.append(f"{listed(tasks, most=_MOST_NAMES)} {'is' if len(tasks) == 1 else 'are'} {text}")
    if of["not shown"]:
        most = max((private[name] for name in of["not shown"]), key=_effort)
        parts.append(f"what leaks of {listed(of['not shown'], most=_MOST_NAMES)} is {not_shown(most)}")
    if open_:
        widest = max((private[name] for name in open_), key=lambda entry: float(entry["leakage"]["high"]))
        parts.append(f"for {listed(open_, most=_MOST_NAMES)}, {doubt(widest, tolerance)}")
    if hidden:
        verb = "is" if len(hidden) == 1 else "are"
        within = f"within the tolerance of {_points(tolerance)} points"
        parts.append(f"{listed(hidden, most=_MOST_NAMES)} {verb} hidden from these attackers, {within}")
    if not leaks and not hidden and not of["not shown"] and not open_:
        parts.append("no leak was found" if private else "no private attribute was attacked")
    return capitalised("; ".join([*parts, *_unseen(results)]))


def _unseen(results: Row) -> list[str]:
    """What attacks cannot rule out, and only a bound can."""
    return [] if results["bound"] or results["filter"].get("bits_per_block") is not None else [_NO_BOUND]


def doubt(attribute: Row, tolerance: float) -> str:
    """How large a leakage is not ruled out of what is implied; empty where that is within the tolerance."""
    high = (attribute["corrected"] or attribute["leakage"])["high"]
    if attribute["verdict"] in ("leaks", "not shown") or high <= tolerance:
        return ""
    return f"a leakage of up to {_points(high)} points cannot be ruled out"


def not_shown(attribute: Row) -> str:
    """That nothing is shown, and how many recordings and people would settle it."""
    settle = attribute["settle"]
    if settle is None and _copies(attribute):
        verb = "recording leaves" if _copies(attribute) == 1 else "recordings leave"
        return f"not shown: {_copies(attribute):,} {verb} nearly as {'it' if _copies(attribute) == 1 else 'they'} came"
    if settle is None and attribute["unreadable"]:
        return "not shown: without the filter, the attackers do not recognise it clearly better than the floor either"
    if settle is None:
        return "not shown: the leakage is too near the tolerance for any number of recordings to settle it"
    people = settle["people"]
    of = f" of {people:,} {'person' if people == 1 else 'people'}" if people else ""
    return f"not shown: {settle['recordings']:,} test recordings{of} would settle it"


def _copies(attribute: Row) -> int:
    return int((attribute.get("exposed") or {}).get("copies", 0))


def exposed_few(attribute: Row) -> str:
    """What is read of the few recordings that resemble their originals most; empty where that was not looked at."""
    few = attribute.get("exposed")
    if not few:
        return ""
    return (
        f"Among the {few['recordings']:,} test recordings that resemble their originals most, of which "
        f"{few['copies']:,} leave nearly as they came, an attacker trained on original sound ({few['attacker']}) is "
        f"right in {rounded_percent(few['accuracy'])}, {points(few['score'])} points above the floor "
        f"({points(few['low'])} to {points(few['high'])})."
    )


def _effort(attribute: Row) -> float:
    """How many recordings would settle a verdict."""
    return float(attribute["settle"]["recordings"]) if attribute["settle"] else math.inf


def conclusion(attribute: Row, tolerance: float) -> str:
    """The verdict in words, with what is left open."""
    if attribute["verdict"] == "not shown":
        return not_shown(attribute)
    open_ = doubt(attribute, tolerance)
    return f"{attribute['verdict']}{', but ' * bool(open_)}{open_}"


def status(attribute: Row, results: Row) -> str:
    """The colour of a verdict: that of "hidden" or "implied" only where nothing is left open, otherwise "open"."""
    if attribute["verdict"] in ("leaks", "not shown"):
        return str(attribute["verdict"]).replace(" ", "-")
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
