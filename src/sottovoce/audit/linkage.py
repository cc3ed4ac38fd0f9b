"""Who links what in an audit: the linkers of a report, and the numbers made of their similarities."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sottovoce.attack.attacker import Array, Knowledge, Observations
from sottovoce.attack.classical import statistics
from sottovoce.attack.linkage import Cosine, Discriminant, Linker, pairs
from sottovoce.attack.speaker_encoder import ENCODERS, embeddings
from sottovoce.audit import linkability, results, verification
from sottovoce.audit.bootstrap import ratio
from sottovoce.audit.cached_jobs import JobResult
from sottovoce.audit.case import PARTS, Case
from sottovoce.audit.observations import View, identity
from sottovoce.audit.plan import Views
from sottovoce.audit.results import Crowd, Failure, Interval, Linkage, LinkageFacts, LinkerFacts, fields
from sottovoce.audit.scores import Scores


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
    planned = [line("statistics", back, leaving, leaving, both, "informed") for back in BACK_ENDS]
    for front in ("statistics", *original.voices):
        planned += [line(front, back, original, original, "original with original", "uninformed") for back in BACK_ENDS]
    for front, sound in [(front, views.sound) for front in original.voices if views.sound is not None]:
        planned += [
            line(front, "cosine", sound, original, "sound with original", "uninformed"),
            line(front, "cosine", sound, sound, "sound with sound", "uninformed"),
            line(front, "discriminant", sound, sound, "sound with sound", "informed"),
        ]
    return planned


def gather(tried: Sequence[LinkLine], outcomes: Mapping[str, JobResult], scores: Scores) -> LinkageFacts | None:
    """Add the similarities of all linkers to `scores`; None where all of one side broke down."""
    sides: dict[str, list[LinkerFacts]] = {"linkers": [], "originals": []}
    failed, arrays = [], Scores()
    for line in tried:
        outcome = outcomes[line.job.digest]
        if outcome.error:
            failed.append(Failure(attacker=line.job.title, knowledge=line.knowledge, reason=outcome.error))
            continue
        place = f"linkage/{line.side}/{len(sides[line.side])}"
        arrays |= {f"{place}/{name}": array for name, array in outcome.arrays.items()}
        facts = LinkerFacts(attacker=outcome.facts["attacker"], knowledge=line.knowledge, input=line.input)
        sides[line.side].append(facts)
    if not all(sides.values()):
        return None
    scores |= arrays
    return LinkageFacts(recordings=len(tried[0].job.speakers), **sides, failed=failed)


def summary(facts: LinkageFacts, scores: Scores) -> Linkage:
    """The entry of results."""
    linkers, originals = (
        [_linker(known, f"linkage/{side}/{i}", scores) for i, known in enumerate(tried)]
        for side, tried in (("linkers", facts.linkers), ("originals", facts.originals))
    )
    same, first, second = (scores[f"linkage/linkers/0/{name}"] for name in ("same", "first", "second"))
    return Linkage(
        recordings=facts.recordings,
        failed=facts.failed,
        speakers=len({*first, *second}),
        same_pairs=int(same.sum()),
        other_pairs=int((~same).sum()),
        strongest=min(linkers, key=lambda row: row.eer.score),
        ceiling=min(originals, key=lambda row: row.eer.score),
        linkers=linkers,
        originals=originals,
    )


def _linker(facts: LinkerFacts, name: str, scores: Scores) -> results.Linker:
    similarity, same, first, second = (scores[f"{name}/{key}"] for key in ("similarity", "same", "first", "second"))
    eer, tpr = verification.intervals(similarity, same, first, second)
    d_sys = verification.d_sys(similarity[same], similarity[~same])
    return results.Linker(
        **fields(facts, LinkerFacts),
        eer=eer,
        d_sys=d_sys,
        tpr=tpr,
        searches=_searches(name, scores),
        isolations=_isolations(name, scores),
    )


def _searches(name: str, scores: Scores) -> list[Crowd]:
    """How often a person is found, by how many people there are and how many utterances are pooled."""
    rivals, others, utterances, speaker = (scores.get(f"{name}/search-{key}", np.array([])) for key in COLUMNS)
    rows = []
    for count in np.unique(utterances):
        own = utterances == count
        for people in linkability.sizes(int(others[own].min()) + 1):
            found = linkability.found_among(rivals[own], others[own], people)
            rows.append(_crowd(people, int(count), found, speaker[own]))
    return rows


def _isolations(name: str, scores: Scores) -> list[Crowd]:
    """How often one person is set apart, by how many people there are and how many utterances are pooled."""
    alone, people, utterances, speaker = (scores.get(f"{name}/isolation-{key}", np.array([])) for key in COLUMNS)
    kinds = sorted({*zip(utterances.tolist(), people.tolist(), strict=True)})
    chosen = [(people == size) & (utterances == count) for count, size in kinds]
    return [_crowd(size, count, alone[own], speaker[own]) for (count, size), own in zip(kinds, chosen, strict=True)]


def _crowd(people: int, utterances: int, values: NDArray[np.float64], speaker: NDArray[np.str_]) -> Crowd:
    share = ratio(values, np.ones(len(values)), np.unique(speaker, return_inverse=True)[1])
    return Crowd(people=people, utterances=utterances, **fields(share, Interval))


_FOLDS = 3
_FEWEST = 6  # people with two recordings
_SEGMENTS = 3  # in a piece of some four seconds: a long recording is several examples of its speaker

COLUMNS = ("value", "people", "utterances", "speaker")  # of the tables of searches and isolations

BACK_ENDS: dict[str, Callable[[], Linker]] = {"cosine": Cosine, "discriminant": Discriminant}
FRONT_ENDS: dict[str, Callable[[Observations], Array]] = {
    "statistics": statistics,
    **{name: partial(embeddings, name) for name in ENCODERS},
}
_WORDS = {"statistics": "statistics", **{name: encoder.title for name, encoder in ENCODERS.items()}}


def possible(case: Case) -> bool:
    """Whether there are enough people with two recordings or more."""
    return bool(len(_tested(speakers_of(case))) >= _FEWEST)


@dataclass(frozen=True, eq=False)
class Linking:
    """One way to compare recordings: vectors of each, and how alike two vectors are.

    `enrolled` are observations of the known recordings, `view` of the others. The result has "similarity" [P], "same"
    [P] and the names of the two speakers, "first" and "second" [P], and tables of `linkability.rows`, a column each.
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

    @property
    def inputs(self) -> tuple[Path, ...]:
        """The folders of its views."""
        return tuple({self.view.folder: None, self.enrolled.folder: None})

    def run(self) -> JobResult:
        """Learn from all folds but one, compare the recordings of that one; in turn."""
        vector = FRONT_ENDS[self.front]
        there = np.concatenate([vector(self.view.part(part)) for part in PARTS])
        known = there
        if self.enrolled is not self.view:
            known = _aligned(np.concatenate([vector(self.enrolled.part(part)) for part in PARTS]), there)
        examples, whose = self._examples(vector)
        people = np.random.default_rng(self.seed).permutation(_tested(self.speakers))
        pairwise: dict[str, list[NDArray[Any]]] = {"similarity": [], "same": [], "first": [], "second": []}
        searched: linkability.Rows = {}
        for fold in range(_FOLDS):
            tested = np.isin(self.speakers, people[fold::_FOLDS])
            learnt = (whose != "") & ~np.isin(whose, people[fold::_FOLDS])
            linker = BACK_ENDS[self.back]().fit(examples[learnt], whose[learnt])
            here = np.flatnonzero(tested)
            first, second, same = pairs(self.speakers[here])
            pairwise["similarity"].append(linker.similarity(known[here[first]], there[here[second]]))
            pairwise["same"].append(same)
            pairwise["first"].append(self.speakers[here[first]])
            pairwise["second"].append(self.speakers[here[second]])
            more = linkability.rows(linker.similarity, known[here], there[here], self.speakers[here], self.seed)
            searched = {table: searched.get(table, []) + rows for table, rows in more.items()}
        facts = {"attacker": f"{_WORDS[self.front]}, {self.back}"}
        arrays = {name: np.concatenate(parts) for name, parts in pairwise.items()}
        for table, rows in searched.items():
            columns = zip(*rows, strict=True) if rows else ((),) * len(COLUMNS)
            arrays |= {f"{table}-{name}": np.array([*column]) for name, column in zip(COLUMNS, columns, strict=True)}
        return JobResult(facts, arrays)

    def _examples(self, vector: Callable[[Observations], Array]) -> tuple[Array, NDArray[np.str_]]:
        """Vectors of pieces of some four seconds, and who speaks in each."""
        vectors, whose, before = [], [], 0
        for part in PARTS:
            observed = self.view.part(part)
            cut, owner = _pieces(observed, self.front)
            vectors.append(vector(cut))
            whose.append(self.speakers[before + owner])
            before += len(observed)
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


def _pieces(observed: Observations, front: str) -> tuple[Observations, NDArray[np.int64]]:
    """The same as more, shorter utterances, by their segments or embeddings, and of which utterance each is [Q]."""
    if front in (observed.speaker_embeddings or {}):
        assert observed.speaker_embeddings is not None
        each, owner = observed.speaker_embeddings[front]
        piece, of = _grouped(owner, ENCODERS[front].in_four_seconds)
        return replace(observed, speaker_embeddings={front: (each, piece)}, outline=observed.outline[of]), of
    piece, of = _grouped(observed.owner, _SEGMENTS)
    return Observations(observed.spectra, piece, observed.outline[of]), of


def _grouped(owner: NDArray[np.int64], size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of groups of `size` neighbours with the same owner [S], and whose each group is [Q].

    What is left over at the end of an owner's stays with the group before it.
    """
    first, count = np.searchsorted(owner, owner), np.bincount(owner)[owner]
    within = np.minimum((np.arange(len(owner)) - first) // size, np.maximum(count // size, 1) - 1)
    begins = np.concatenate([[True], (np.diff(owner) > 0) | (np.diff(within) > 0)])
    return np.cumsum(begins) - 1, owner[begins]
