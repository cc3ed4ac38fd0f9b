"""The part of results.json on linking people."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from sottovoce.audit.results_base import Failure, Interval, Knowledge, Strict


class LinkerFacts(Strict):
    """One attacker who decides whether two recordings are of one person whom it was not trained on."""

    attacker: str
    knowledge: Knowledge
    input: str = Field(description="which two recordings are compared, such as 'sound with sound'")


class Crowd(Interval):
    """A share of trials among so many people, when so many utterances of a person are pooled."""

    people: int
    utterances: int


class Linker(LinkerFacts):
    """How well one attacker links two recordings of a person whom it was not trained on."""

    eer: Interval = Field(description="equal error rate; 0.5 is chance, 0 is always right")
    d_sys: float = Field(description="global linkability, from 0 (unlinkable) to 1 (Gomez-Barrero et al. 2018)")
    tpr: Interval = Field(description="share of pairs of one person found when 1 % of others are taken for one")
    searches: list[Crowd] = Field([], description="how often a person is found among so many; chance is 1 in so many")
    isolations: list[Crowd] = Field(
        [], description="how often exactly one person passes a threshold that one in so many passes; chance is 37 %"
    )


class LinkageFacts(Strict):
    """Who links recordings of unseen people."""

    recordings: int
    linkers: Sequence[LinkerFacts]
    originals: Sequence[LinkerFacts] = Field([], description="the same without the system")
    failed: list[Failure] = Field(default=[])


class Linkage(LinkageFacts):
    """Whether recordings of unseen people can be linked."""

    speakers: int
    same_pairs: int
    other_pairs: int
    strongest: Linker
    ceiling: Linker
    linkers: list[Linker]
    originals: list[Linker] = Field([], description="the same without the system")
