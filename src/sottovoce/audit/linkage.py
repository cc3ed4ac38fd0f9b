"""Who links what in an audit: the linkers of a report, and the numbers made of their similarities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

from sottovoce.attack.attacker import Knowledge
from sottovoce.audit import verification
from sottovoce.audit.case import Case
from sottovoce.audit.evidence import Evidence
from sottovoce.audit.hearing import Hearing
from sottovoce.audit.linking import BACK_ENDS, Linking, speakers_of
from sottovoce.audit.plan import Hearings
from sottovoce.audit.work import Found


@dataclass(frozen=True, eq=False)
class LinkLine:
    """One linker of a report, and what it knows."""

    side: Literal["linkers", "originals"]
    knowledge: Knowledge
    hears: str
    job: Linking


def lines(case: Case, hearings: Hearings, seed: int) -> list[LinkLine]:
    """Every linker that has what it needs here."""
    names, original, leaving = speakers_of(case), hearings.original, hearings.leaving
    as_ = hearings.leaving_as

    def line(front: str, back: str, hearing: Hearing, enrolled: Hearing, hears: str, knows: Knowledge) -> LinkLine:
        side: Literal["linkers", "originals"] = "originals" if hearing is original else "linkers"
        return LinkLine(side, knows, hears, Linking(front, back, names, hearing, enrolled, seed))

    both = f"{as_} with {as_}"
    found = [line("statistics", back, leaving, leaving, both, "informed") for back in BACK_ENDS]
    for front in ("statistics", *(["encoder"] if original.voices else [])):
        found += [line(front, back, original, original, "original with original", "ignorant") for back in BACK_ENDS]
    if original.voices and hearings.sound is not None:
        sound = hearings.sound
        found += [
            line("encoder", "cosine", sound, original, "sound with original", "ignorant"),
            line("encoder", "cosine", sound, sound, "sound with sound", "ignorant"),
            line("encoder", "discriminant", sound, sound, "sound with sound", "informed"),
        ]
    return found


def evidence(found: Sequence[LinkLine], results: Mapping[str, Found]) -> Evidence:
    """The facts and similarities of all linkers; none where all of one side broke down."""
    known: dict[str, Any] = {"linkers": [], "originals": [], "failed": []}
    arrays: dict[str, NDArray[Any]] = {}
    for line in found:
        outcome = results[line.job.digest]
        if outcome.error:
            failure = {"attacker": line.job.title, "knowledge": line.knowledge, "reason": outcome.error}
            known["failed"].append(failure)
            continue
        place = f"linkage/{line.side}/{len(known[line.side])}"
        arrays |= {f"{place}/{name}": array for name, array in outcome.arrays.items()}
        facts = {"attacker": outcome.facts["attacker"], "knowledge": line.knowledge, "hears": line.hears}
        known[line.side].append(facts)
    if not (known["linkers"] and known["originals"]):
        return Evidence()
    return Evidence({"linkage": {**known, "recordings": len(found[0].job.speakers)}}, arrays)


def summary(known: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """The entry of results; `known` holds the facts of each linker, arrays are linkage/NUMBER/NAME."""
    linkers, originals = (
        [_linker(facts, f"linkage/{side}/{i}", arrays) for i, facts in enumerate(known[side])]
        for side in ("linkers", "originals")
    )
    same = arrays["linkage/linkers/0/same"]
    people = set(arrays["linkage/linkers/0/first"]) | set(arrays["linkage/linkers/0/second"])
    return {
        "speakers": len(people),
        "recordings": known["recordings"],
        "same_pairs": int(same.sum()),
        "other_pairs": int((~same).sum()),
        "worst": min(linkers, key=lambda row: float(row["eer"]["score"])),
        "ceiling": min(originals, key=lambda row: float(row["eer"]["score"])),
        "linkers": linkers,
        "originals": originals,
        "failed": list(known["failed"]),
    }


def _linker(facts: Mapping[str, Any], name: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    similarity, same, first, second = (arrays[f"{name}/{key}"] for key in ("similarity", "same", "first", "second"))
    eer, tpr = verification.intervals(similarity, same, first, second)
    return {
        **{key: facts[key] for key in ("attacker", "knowledge", "hears")},
        "eer": eer._asdict(),
        "d_sys": verification.d_sys(similarity[same], similarity[~same]),
        "tpr": tpr._asdict(),
    }
