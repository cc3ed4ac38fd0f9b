"""What a data-protection impact assessment asks of an audit: what was found, what was not tested, where it is from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sottovoce.models.codewords import describe
from sottovoce.report.findings import label, linked, verdict
from sottovoce.report.wording import counted, duration, interval, listed, opening, whole

Results = Mapping[str, Any]

_WAYS = {
    "sound": "Attackers who hear the filtered sound itself, not its spectrum",
    "restored": "Attackers who restore the original first",
    "inverted": "Attackers who undo the filter by its weights",
}
_NOT_ASKED = (
    "the recordings have no labels for them that an attacker could learn, or this audit was not asked to attack them."
)
_NOBODY_ANSWERED = "no recogniser was there to answer it, so the floor is the best constant guess."
_SHOWN = "people and files have their own names here"
_HIDDEN = (
    "people and other classes that may be names are numbered at random, and files are known by keyed hashes; the names "
    "are with whoever made the audit. Another audit numbers the same people differently."
)
_DIARY = (
    "who knows when somebody spoke, from a diary, a camera or a telephone bill, can put a name to a recording by its "
    "time alone."
)


def permitted(results: Results) -> list[str]:
    """What the user permitted, whether or not there was a target to measure it with."""
    return list(dict.fromkeys([*results["permitted"], *results["filter"].get("permit", [])]))


def rate(results: Results) -> str:
    """How much can pass the filter, at most."""
    bits = results["filter"].get("bits_per_block")
    if bits is None:
        return (
            "No bound: nothing is known to limit how much can pass, so what the attackers found is all there is to say."
        )
    if results["filter"].get("constant_blocks"):
        sent = results["bound"]["bits_per_block"]
        return f"Bound: at most {sent:.4g} bits for a whole sound pass this filter, whoever attacks it."
    block_s = results["filter"]["block_s"]
    return (
        f"Bound: at most {bits:.4g} bits pass this filter with each block of {block_s:.4g} s, whoever attacks it. A "
        "shorter sound is a block all the same."
    )


def codewords(results: Results) -> str:
    """What the codewords of the filter are made of; empty for a system without codewords."""
    return describe(results["filter"])


def codes(bound: Results) -> str:
    """What a filter that draws from codes sends."""
    counts = [(size, task) for task, size in bound["codes"].items()]
    tasks = listed(
        [f"{size} for {task}" if size > 1 else f"none for {task}, which is revoked" for size, task in counts]
    )
    every = f"one code for each block of {bound['block_s']:.4g} s"
    if bound["constant_blocks"]:
        every = f"for each sound {counted(bound['constant_blocks'], 'block')}, which tell one code"
    return (
        f"This filter sends {every}, out of {tasks}: at most {bound['bits_per_block']:.4g} bits per code. On the "
        f"training recordings the codes carried {bound['entropy_bits_per_block']:.4g} bits each (their entropy)."
    )


def timing(results: Results) -> str:
    """What shows besides content."""
    bound = results.get("bound")
    if bound and bound["constant_blocks"]:
        return "That sound was sent, when and how often is visible to whoever receives it. How long it was is not."
    said = "That sound was sent, when, how often and for how long is visible to whoever receives it"
    if bound:
        return f"{said}; of its length only the number of blocks."
    return f"{said}; the filter does not hide it."


def multiplicity(results: Results) -> str:
    """How many attempts stand behind the strongest numbers, and how far their intervals hold together."""
    counts = [len(attribute["attackers"]) for attribute in results["private"].values()]
    if not counts:
        return ""
    many, attributes = sorted({min(counts), max(counts)}), counted(len(counts), "attribute")
    said = (
        f"{' to '.join(map(str, many))} attackers were tried on {'each of ' if len(counts) > 1 else ''}{attributes}, "
        f"{sum(counts)} in all. The strongest was chosen on the validation recordings and scored once on the test "
        "recordings. Each interval is a 95\u202f% interval by itself"
    )
    if len(counts) == 1:
        return f"{said}."
    together = max(0, 100 - 5 * len(counts))
    return f"{said}; with {attributes}, the chance that all of them hold is at least {together}\u202f%."


def broken(results: Results) -> list[str]:
    """The attackers that did not finish."""
    places = [(name, entry["failed"]) for name, entry in results["private"].items()]
    places += [("linking", results["linkage"]["failed"])] if results["linkage"] else []
    return [
        f"{failure['attacker']} ({failure['knowledge']}), {place}: did not finish: {failure['reason'].rstrip('.')}; "
        "the others went on."
        for place, failures in places
        for failure in failures
    ]


def sensitivity(results: Results) -> str:
    """How faint a trace the attackers would notice; empty where this was not tried."""
    if results["sensitivity_db"] is not None:
        return f"The faintest planted tone found: {-results['sensitivity_db']:.0f} dB below the sound."
    if results["levels_db"]:
        return f"No planted tone was found; the loudest was {-max(results['levels_db']):.0f} dB below the sound."
    return ""


def questions(results: Results) -> list[tuple[str, str]]:
    """The questions of the Article 29 Working Party (Opinion 05/2014), each with the answer that this audit has."""
    speaker, linkage = results["private"].get("speaker"), results["linkage"]
    if speaker:
        strongest, least = speaker["strongest"], "" if speaker["strongest"]["converged"] else "at least "
        single = (
            f"of {speaker['classes']} known people, {label(strongest)} names the right one from one recording in "
            f"{least}{whole(strongest['score'])} ({interval(strongest, 0)}); chance is {whole(speaker['chance'])}."
        )
        single += "".join(
            f" From {point['utterances']} recordings put together: {whole(point['score'])}."
            for point in speaker["pooled"][-1:]
            if point["utterances"] > 1
        )
    else:
        single = "permitted: who speaks is what the application may know." if "speaker" in permitted(results) else ""
    inferred = [
        f"{name}: {entry['verdict']}, {verdict(entry, results['tolerance'])}."
        for name, entry in results["private"].items()
    ]
    return [
        ("Singling out: can one person be picked out?", opening(single or "not tested.")),
        (
            "Linkability: can two recordings of one person be linked?",
            opening(linked(linkage) if linkage else "not tested."),
        ),
        ("Inference: can something else be learnt about a person?", " ".join(map(opening, inferred)) or "Not tested."),
    ]


def outlines(results: Results) -> list[tuple[str, Mapping[str, Any], float]]:
    """What an attacker found who looks at nothing but duration and level: (attribute, row, chance)."""
    return [
        (name, row, entry["chance"])
        for name, entry in results["private"].items()
        for row in entry["attackers"]
        if row["attacker"].startswith("duration")
    ]


def untested(results: Results) -> Iterator[tuple[str, str]]:
    """(what, why) for everything that this audit is silent about."""
    examined = [*permitted(results), *results["private"], *results["continuous"]]
    unseen = [name for name in ("health", "age", "accent", "emotion", "gender") if name not in examined]
    corpus, attributes = results["corpus"]["name"], results["private"].values()
    yield "Words", "no attacker tried to write down what was said."
    yield f"Other attributes, such as {listed(unseen[:3], 'or')}", _NOT_ASKED
    yield "Other recordings", f"other languages, people, rooms and microphones than in {corpus} may leak more or less."
    yield "Other attackers", "one with more recordings, more time or a better idea may find more."
    if results["attackers"] in ("quick", "standard"):
        yield f"Attackers left out at the effort “{results['attackers']}”", "“--attackers thorough” runs the most."
    heard = {row["input"] for attribute in attributes for row in attribute["attackers"]}
    for input, who in _WAYS.items():
        if input not in heard:
            yield who, "none was run."
    unanswered = [task for task in permitted(results) if task not in results["permitted"]]
    if unanswered:
        yield f"What the permitted answer to {listed(unanswered)} gives away", _NOBODY_ANSWERED
    if not any(attribute["pooled"] for attribute in attributes):
        yield "Long listening", "whether several recordings of one person, put together, tell more than one does."
    if not results["linkage"]:
        yield "Linking", "whether recordings of a person whom the attackers never heard are recognised as one person's."
    if not sensitivity(results):
        yield "How faint a trace these attackers would notice", "no planted tone was tried at falling levels."
    yield "Knowledge of time and place", _DIARY


def provenance(results: Results) -> list[tuple[str, str]]:
    """(term, value) of everything that is needed to make the audit again, or to check that it is this one."""
    corpus, filter_ = results["corpus"], results["filter"]
    stated = [
        ("Date", results["date"]),
        ("Command", results["command"]),
        ("Names", _SHOWN if results["names_shown"] else _HIDDEN),
        ("Sottovoce", f"{results['sottovoce']} (results schema {results['schema']})"),
        ("Versions", ", ".join(f"{name} {version}" for name, version in results["versions"].items())),
        ("Seed", str(results["seed"])),
        ("Attackers", results["attackers"]),
        ("Wall time", duration(results["seconds"])),
        ("Corpus", f"{corpus['name']} ({corpus['spec']})"),
        (
            "Recordings",
            f"{corpus['clips']}, {corpus['test_clips']} of them for the test; {corpus['speakers']} speakers",
        ),
        ("Split", f"by {corpus['split']}, seed {corpus['split_seed']}"),
        ("Corpus digest", corpus["digest"]),
        ("Licence", corpus.get("licence") or "not stated"),
        ("Citation", corpus.get("citation") or "none"),
        ("Filter digest", filter_["digest"]),
        *((f"Target digest, {target['task']}", target["digest"]) for target in results["targets"]),
        ("Scores digest", results["scores"]),
    ]
    return [(term, value) for term, value in stated if value]
