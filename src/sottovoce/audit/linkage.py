"""Who links what in an audit: the linkers of a report, and the numbers made of their similarities."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sottovoce.attack.attacker import Array, Knowledge, Observations
from sottovoce.attack.classical import statistics
from sottovoce.attack.linkage import Cosine, Discriminant, Linker, pairs
from sottovoce.attack.speaker_encoder import embeddings
from sottovoce.audit import verification
from sottovoce.audit.case import PARTS, Case
from sottovoce.audit.evidence import Evidence
from sottovoce.audit.observations import View, identity
from sottovoce.audit.plan import Views
from sottovoce.audit.work import JobResult


@dataclass(frozen=True, eq=False)
class LinkLine:
    """One linker of a report, and what it knows."""

    side: Literal["linkers", "originals"]
    knowledge: Knowledge
    input: str
    job: Linking


def lines(case: Case, views: Views, seed: int) -> list[LinkLine]:
    """Every linker that has what it needs here."""
    names, original, leaving = speakers_of(case), views.original, views.leaving
    as_ = views.leaving_as

    def line(front: str, back: str, view: View, enrolled: View, input: str, knows: Knowledge) -> LinkLine:
        side: Literal["linkers", "originals"] = "originals" if view is original else "linkers"
        return LinkLine(side, knows, input, Linking(front, back, names, view, enrolled, seed))

    both = f"{as_} with {as_}"
    found = [line("statistics", back, leaving, leaving, both, "informed") for back in BACK_ENDS]
    for front in ("statistics", *(["encoder"] if original.voices else [])):
        found += [line(front, back, original, original, "original with original", "uninformed") for back in BACK_ENDS]
    if original.voices and views.sound is not None:
        sound = views.sound
        found += [
            line("encoder", "cosine", sound, original, "sound with original", "uninformed"),
            line("encoder", "cosine", sound, sound, "sound with sound", "uninformed"),
            line("encoder", "discriminant", sound, sound, "sound with sound", "informed"),
        ]
    return found


def evidence(found: Sequence[LinkLine], results: Mapping[str, JobResult]) -> Evidence:
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
        facts = {"attacker": outcome.facts["attacker"], "knowledge": line.knowledge, "input": line.input}
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
        "strongest": min(linkers, key=lambda row: float(row["eer"]["score"])),
        "ceiling": min(originals, key=lambda row: float(row["eer"]["score"])),
        "linkers": linkers,
        "originals": originals,
        "failed": list(known["failed"]),
    }


def _linker(facts: Mapping[str, Any], name: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    similarity, same, first, second = (arrays[f"{name}/{key}"] for key in ("similarity", "same", "first", "second"))
    eer, tpr = verification.intervals(similarity, same, first, second)
    return {
        **{key: facts[key] for key in ("attacker", "knowledge", "input")},
        "eer": eer._asdict(),
        "d_sys": verification.d_sys(similarity[same], similarity[~same]),
        "tpr": tpr._asdict(),
    }


_FOLDS = 3
_FEWEST = 6  # people with two recordings
_SEGMENTS, _VOICES = 3, 4  # in a piece of some four seconds: a long recording is several examples of its speaker

BACK_ENDS: dict[str, Callable[[], Linker]] = {"cosine": Cosine, "discriminant": Discriminant}
FRONT_ENDS: dict[str, Callable[[Observations], Array]] = {
    "statistics": statistics,
    "encoder": embeddings,
}
_WORDS = {"statistics": "statistics", "encoder": "pretrained encoder"}


def possible(case: Case) -> bool:
    """Whether there are enough people with two recordings or more."""
    return bool(len(_tested(speakers_of(case))) >= _FEWEST)


@dataclass(frozen=True, eq=False)
class Linking:
    """One way to compare recordings: vectors of each, and how alike two vectors are.

    `enrolled` is how the known recordings are heard, `view` how the others are. Found are "similarity" [P], "same"
    [P] and the names of the two speakers, "first" and "second" [P].
    """

    front: str
    back: str
    speakers: NDArray[np.str_]  # of every utterance: training, validation, test
    view: View
    enrolled: View
    seed: int

    @cached_property
    def digest(self) -> str:
        """What the outcome depends on."""
        views = [self.view.digest, self.enrolled.digest]
        return identity("linking", self.front, self.back, self.speakers.tolist(), views, self.seed)

    @property
    def title(self) -> str:
        """The words of a linker."""
        return f"linkage: {_WORDS[self.front]}, {self.back}"

    cost = 5

    def run(self) -> JobResult:
        """Learn from all folds but one, compare the recordings of that one; in turn."""
        vector = FRONT_ENDS[self.front]
        there = np.concatenate([vector(self.view.part(part)) for part in PARTS])
        known = there
        if self.enrolled is not self.view:
            known = _aligned(np.concatenate([vector(self.enrolled.part(part)) for part in PARTS]), there)
        examples, whose = self._examples(vector)
        people = np.random.default_rng(self.seed).permutation(_tested(self.speakers))
        found: dict[str, list[NDArray[Any]]] = {"similarity": [], "same": [], "first": [], "second": []}
        for fold in range(_FOLDS):
            unheard = np.isin(self.speakers, people[fold::_FOLDS])
            learnt = (whose != "") & ~np.isin(whose, people[fold::_FOLDS])
            linker = BACK_ENDS[self.back]().fit(examples[learnt], whose[learnt])
            here = np.flatnonzero(unheard)
            first, second, same = pairs(self.speakers[here])
            found["similarity"].append(linker.similarity(known[here[first]], there[here[second]]))
            found["same"].append(same)
            found["first"].append(self.speakers[here[first]])
            found["second"].append(self.speakers[here[second]])
        facts = {"attacker": f"{_WORDS[self.front]}, {self.back}"}
        return JobResult(facts, {name: np.concatenate(parts) for name, parts in found.items()})

    def _examples(self, vector: Callable[[Observations], Array]) -> tuple[Array, NDArray[np.str_]]:
        """Vectors of pieces of some four seconds, and who speaks in each."""
        vectors, whose, before = [], [], 0
        for part in PARTS:
            heard = self.view.part(part)
            cut, owner = _pieces(heard, self.front == "encoder")
            vectors.append(vector(cut))
            whose.append(self.speakers[before + owner])
            before += len(heard)
        return np.concatenate(vectors), np.concatenate(whose)


def speakers_of(case: Case) -> NDArray[np.str_]:
    """Who speaks in each utterance: those of training, validation, test."""
    return np.array([name for part in PARTS for name in case.speakers(part)])


def _tested(names: NDArray[np.str_]) -> NDArray[np.str_]:
    people, counts = np.unique(names[names != ""], return_counts=True)
    return people[counts > 1]


def _aligned(vectors: Array, others: Array) -> Array:
    """The vectors, moved and scaled so that each dimension is spread as among the others."""
    deviation = np.maximum(vectors.std(axis=0), 1e-9)
    moved: Array = (vectors - vectors.mean(axis=0)) / deviation * others.std(axis=0) + others.mean(axis=0)
    return moved


def _pieces(heard: Observations, voices: bool) -> tuple[Observations, NDArray[np.int64]]:
    """The same as more, shorter utterances, by their segments or voices, and of which utterance each is [Q]."""
    if voices and heard.speaker_embeddings is not None:
        each, owner = heard.speaker_embeddings
        piece, of = _grouped(owner, _VOICES)
        return replace(heard, speaker_embeddings=(each, piece), outline=heard.outline[of]), of
    piece, of = _grouped(heard.owner, _SEGMENTS)
    return Observations(heard.spectra, piece, heard.outline[of]), of


def _grouped(owner: NDArray[np.int64], size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of groups of `size` neighbours with the same owner [S], and whose each group is [Q].

    What is left over at the end of an owner's stays with the group before it.
    """
    first, count = np.searchsorted(owner, owner), np.bincount(owner)[owner]
    within = np.minimum((np.arange(len(owner)) - first) // size, np.maximum(count // size, 1) - 1)
    begins = np.concatenate([[True], (np.diff(owner) > 0) | (np.diff(within) > 0)])
    return np.cumsum(begins) - 1, owner[begins]
