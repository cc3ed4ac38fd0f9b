"""The answers of an audit to a data-protection impact assessment: results, what was not tested, and provenance."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from sottovoce.models.codewords import describe
from sottovoce.models.rejection import rejections as rejections
from sottovoce.report.transfer import unmeasured
from sottovoce.report.wording import counted, duration, listed

Results = Mapping[str, Any]

_INPUTS = {
    "sound": "Attackers on the filtered sound itself instead of its spectrum",
    "restored": "Attackers that restore the original first",
    "inverted": "Attackers that invert the filter by its weights",
}
_EMOTION = "emotion"
_PROHIBITION = (
    "Since 2 February 2025 the AI Act of the European Union (Regulation (EU) 2024/1689, Article 5(1)(f)) prohibits AI "
    "systems that infer the emotions of people at work or in education, except for medical or safety reasons; a filter "
    "that permits emotion does not change that. The opposite use is evidence that emotion does not leave: permit "
    "another task, and audit with emotion as a private attribute (sottovoce audit FILTER --attack emotion)."
)
_NAMES_SHOWN = "People and files have their own names here."
_NAMES_HIDDEN = (
    "People, and other classes that may be names, are numbered at random, and files are known by keyed hashes. "
    "Whoever ran the audit has the names. Another audit numbers the same people differently."
)


def permitted(results: Results) -> list[str]:
    """What the user permitted, whether or not there was a target to measure it with."""
    return list(dict.fromkeys([*results["permitted"], *results["filter"].get("permit", [])]))


def prohibition(tasks: Collection[str]) -> str:
    """What the law prohibits of these permitted tasks; empty where it names none of them."""
    return _PROHIBITION if _EMOTION in tasks else ""


def rate(results: Results) -> str:
    """How much can pass the filter, at most."""
    bits = results["filter"].get("bits_per_block")
    if bits is None:
        return (
            "No bound is known: nothing limits how much can pass this filter, so only the attacks tell what it hides."
        )
    if results["filter"].get("constant_blocks"):
        sent = results["bound"]["bits_per_block"]
        return f"Bound: at most {sent:.4g} bits for a whole sound pass this filter, whoever attacks it."
    return (
        f"Bound: at most {bits:.4g} bits pass this filter with each block of {results['filter']['block_s']:.4g} s, "
        "whoever attacks it. A shorter sound counts as one block."
    )


def codewords(results: Results) -> str:
    """What the codewords of the filter are made of; empty for a system without codewords."""
    return describe(results["filter"])


def multiplicity(results: Results) -> str:
    """How many attempts stand behind the strongest numbers, and how far their intervals hold together."""
    counts = [len(attribute["attackers"]) for attribute in results["private"].values()]
    if not counts:
        return ""
    tried, attributes = " to ".join(map(str, sorted({min(counts), max(counts)}))), counted(len(counts), "attribute")
    together = (
        f"; the chance that all {len(counts)} intervals contain their true values is at least "
        f"{max(0, 100 - 5 * len(counts))}\u202f%"
    )
    each, together = ("each of ", together) if len(counts) > 1 else ("", "")
    return (
        f"{tried} attackers were tried on {each}{attributes}, {sum(counts)} in all. "
        f"Each interval is a 95\u202f% interval by itself{together}."
    )


def decided(results: Results) -> str:
    """Which intervals decide the verdicts."""
    count = len(results["private"])
    if count < 2:
        return ""
    return (
        f"Verdicts are decided by intervals of {100 * results['level']:.4g}\u202f%, so that all {count} of them are "
        "right in 95 of 100 audits."
    )


def failures(results: Results) -> list[str]:
    """The attackers that did not finish."""
    places = [(name, entry["failed"]) for name, entry in results["private"].items()]
    places += [("linking", results["linkage"]["failed"])] if results["linkage"] else []
    places += [("words", results["words"]["failed"])] if results.get("words") else []
    return [
        f"{failure['attacker']} ({failure['knowledge']}), {place}: did not finish: {failure['reason'].rstrip('.')}."
        for place, failed in places
        for failure in failed
    ]


def sensitivity(results: Results) -> str:
    """How faint a trace the attackers would notice; empty where this was not tried."""
    if results["sensitivity_db"] is not None:
        return f"The faintest planted tone that was found is {-results['sensitivity_db']:.0f} dB below the sound."
    if results["levels_db"]:
        return f"No planted tone was found; the loudest was {-max(results['levels_db']):.0f} dB below the sound."
    return ""


def duration_attackers(results: Results) -> list[tuple[str, Mapping[str, Any], float]]:
    """The attackers that use nothing but duration and level: (attribute, row, chance)."""
    return [
        (name, row, entry["chance"])
        for name, entry in results["private"].items()
        for row in entry["attackers"]
        if row["attacker"].startswith("duration")
    ]


def untested(results: Results) -> Iterator[tuple[str, str]]:
    """(what, why) for everything that this audit is silent about."""
    examined = [*permitted(results), *results["private"], *results["continuous"]]
    others = [name for name in ("health", "age", "accent", "emotion", "gender") if name not in examined]
    corpus, attributes = results["corpus"]["name"], results["private"].values()
    if results.get("words"):
        yield "Words, by other recognisers", "none was trained on what leaves, and none reads another language."
    else:
        yield "Words", "no attacker tried to transcribe what was said."
    yield (
        f"Other attributes, such as {listed(others[:3], 'or')}",
        "the recordings have no labels for them that an attacker could learn, or this audit was not asked to attack "
        "them.",
    )
    yield "Other recordings", f"other languages, people, rooms and microphones than in {corpus} may leak more or less."
    yield "Other attackers", "an attacker with more recordings, more time or a better method may find more."
    if results["attackers"] in ("quick", "standard"):
        yield f"Attackers left out at the effort “{results['attackers']}”", "“--attackers thorough” runs all of them."
    tried = {row["input"] for attribute in attributes for row in attribute["attackers"]}
    for input, who in _INPUTS.items():
        if input not in tried:
            yield who, "none was run."
    unanswered = [task for task in permitted(results) if task not in results["permitted"]]
    if unanswered:
        yield (
            f"What the permitted answer to {listed(unanswered)} gives away",
            "no recogniser was there to answer it, so the floor is the best constant guess.",
        )
    if alone := [task for task in results["permitted"] if unmeasured(task, results)]:
        yield (
            f"Other recognisers of {listed(alone)}",
            "the accuracy is that of one recogniser, and another may understand nothing of what leaves.",
        )
    if not any(attribute["pooled"] for attribute in attributes):
        yield (
            "Several recordings of one person",
            "it was not tested whether several recordings of one person, put together, tell more than one does.",
        )
    if not results["linkage"]:
        yield (
            "Linking",
            "it was not tested whether recordings of a person unknown to the attackers are recognised as one person's.",
        )
    if not sensitivity(results):
        yield "How faint a trace these attackers would notice", "no planted tone was tried at falling levels."
    yield (
        "Knowledge of time and place",
        "anybody who knows from a diary, a camera or a telephone bill when somebody spoke can name the speaker of a "
        "recording by its time alone.",
    )


def provenance(results: Results) -> list[tuple[str, str]]:
    """(term, value) of everything that is needed to reproduce the audit, or to check that it is this one."""
    corpus, filter_ = results["corpus"], results["filter"]
    stated = [
        ("Date", results["date"]),
        ("Command", results["command"]),
        ("Names", _NAMES_SHOWN if results["names_shown"] else _NAMES_HIDDEN),
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
        *(
            (f"Digest of another recogniser, {task}", judge["digest"])
            for task, target in results["permitted"].items()
            for judge in target["judges"]
        ),
        ("Scores digest", results["scores"]),
    ]
    return [(term, value) for term, value in stated if value]
