"""The form of results.json: what an audit says, as data. Its JSON schema is published as docs/results.schema.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sottovoce.audit.results_base import Failure as Failure
from sottovoce.audit.results_base import Interval as Interval
from sottovoce.audit.results_base import Knowledge as Knowledge
from sottovoce.audit.results_linkage import Crowd as Crowd
from sottovoce.audit.results_linkage import Linkage as Linkage
from sottovoce.audit.results_linkage import LinkageFacts as LinkageFacts
from sottovoce.audit.results_linkage import Linker as Linker
from sottovoce.audit.results_linkage import LinkerFacts as LinkerFacts
from sottovoce.audit.results_words import Words as Words
from sottovoce.audit.results_words import WordsFacts as WordsFacts

SCHEMA = 5
READ = (2, 3, 4, SCHEMA)  # which schemas this version reads
_DATE = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"
Verdict = Literal["hidden", "implied", "leaks", "not shown"]
Input = str  # features, sound, restored, inverted, original, or a property of what leaves, such as "lowest bit"
Kind = Literal["trained-with", "seed", "architecture", "third-party"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


class Curve(_Strict):
    """Accuracy on validation over the budget: pairs of training recordings, or of training steps, and accuracy."""

    recordings: list[tuple[int, float]] = []
    steps: list[tuple[int, float]] = []


class AttackerFacts(_Strict):
    """One attacker on one attribute, apart from its scores."""

    attacker: str
    knowledge: Knowledge
    input: Input = Field(description="what it is scored on")
    needs: str = Field(description="what it has to have, in words")
    converged: bool = Field(description="neither more steps nor, as far as tried, more recordings help on validation")
    curve: Curve
    seconds: float


class Row(AttackerFacts, Interval):
    """One attacker on one attribute: its balanced accuracy on test, and what stands behind it."""

    validation: float = Field(description="balanced accuracy on validation, by which the strongest is chosen")
    bits: Interval = Field(description="lower bound on the mutual information of label and guess, bits per recording")
    seeds: list[float] = Field(description="accuracy on test of each seed; the row is the seed best on validation")


class Floor(Interval):
    """What the permitted answer itself gives away."""

    attacker: str


class Person(Interval):
    """How often the strongest attacker is right about one person."""

    speaker: str
    clips: int


class Pooled(Interval):
    """Accuracy when the scores of so many utterances of one person are added up."""

    utterances: int


class Exposed(Interval):
    """What an attacker of originals reads in the few recordings that resemble theirs most, above the floor."""

    recordings: int
    copies: int = Field(description="how many of them are nearly their originals")
    attacker: str
    accuracy: float


class PrivateFacts(_Strict):
    """A private attribute and its attackers, apart from their scores."""

    class_names: list[str]
    cluster: Literal["speaker", "utterance"] = Field(description="what intervals are resampled by")
    attackers: Sequence[AttackerFacts]
    originals: Sequence[AttackerFacts]
    failed: list[Failure] = []


class Settle(_Strict):
    """What would settle a verdict that is not shown."""

    verdict: Literal["hidden", "leaks"] = Field(
        description="what would then be shown: hidden if nothing leaks, leaks if the measured leakage is the true one"
    )
    recordings: int = Field(description="test recordings")
    people: int | None = Field(description="people who speak in them; null where the corpus names nobody")


class Private(PrivateFacts):
    """What the attackers found about one private attribute."""

    classes: int
    chance: float = Field(description="balanced accuracy of any constant guess: 1 / the number of classes in test")
    floor: Floor
    ceiling: Row
    leakage: Interval
    corrected: Interval | None = Field(
        None, description="the leakage with an interval of the level in `level`, which decides the verdict"
    )
    verdict: Verdict
    unreadable: bool = Field(
        False, description="no attacker is shown to read it from originals either, so that nothing was tested"
    )
    settle: Settle | None = Field(None, description="null where the verdict is shown, or where no number settles it")
    strongest: Row
    attackers: list[Row]
    originals: list[Row]
    confusion: list[list[int]] = Field(
        description="of the strongest attacker: recordings of class (row) called (column)"
    )
    people: list[Person] = Field(description="the strongest attacker on each person, the most exposed first")
    pooled: list[Pooled] = Field(description="the strongest attacker's scores added up over utterances of a person")
    exposed: Exposed | None = Field(None, description="leakage among the recordings that resemble their originals most")


class TargetFacts(_Strict):
    """A recogniser that answers a permitted task."""

    digest: str = Field(description="SHA-256 of its files; empty for a function")
    task: str


class JudgeFacts(_Strict):
    """A recogniser besides the target that measures a permitted task, apart from its answers."""

    judge: str = Field(description="what it is, in words")
    kind: Kind = Field(
        description="against the target: a recogniser that the filter was trained with, the same architecture from "
        "another seed, another architecture, or a recogniser that sottovoce did not train"
    )
    digest: str = Field(description="SHA-256 of its files; empty for a function")
    input: Input = Field(description="what it is asked about: sound, or features where no sound leaves")


class Judge(JudgeFacts):
    """The accuracy of a judge on original and obfuscated recordings."""

    original: Interval
    obfuscated: Interval


class PermittedFacts(_Strict):
    """Who measures a permitted task."""

    trained_with: bool | None = Field(None, description="whether the filter was trained with its target; null: unknown")
    judges: Sequence[JudgeFacts] = []


class Permitted(PermittedFacts):
    """The accuracy of the target, and of judges, on original and obfuscated recordings."""

    original: Interval
    obfuscated: Interval = Field(description="on features where these leave, otherwise on sound")
    sound: Interval | None = Field(None, description="on the sound that leaves; null where none does")
    chance: float
    judges: list[Judge] = []


class ContinuousFacts(_Strict):
    """An attribute that is a number, and who estimates it."""

    unit: str
    estimators: list[str] = Field([], description="all that were tried, in words")


class Continuous(ContinuousFacts):
    """An attribute that is a number: the share of its variance explained (R²) by the best estimator."""

    floor: float = Field(description="explained by the permitted answer")
    ceiling: Interval = Field(description="explained from originals")
    strongest: Interval
    error: float = Field(description="mean absolute error of the strongest estimator, in the unit")
    constant_error: float = Field(description="mean absolute error of the best constant guess, in the unit")
    estimator: str


class Span(_Strict):
    """What can be told at most in a span of time, and how often a guess from that can be right at most."""

    span: str
    bits: float
    counted: float = Field(description="bound by counting: the best constant guess times 2^bits")
    fano: float = Field(description="bound by Fano's inequality")
    accuracy: float = Field(description="the smaller of both")


class BoundedAttribute(_Strict):
    """What the codes can tell about one attribute."""

    entropy_bits: float = Field(description="of the label: all that there is to know")
    block: Interval = Field(description="accuracy of the best guess from the code of one block, a table look-up")
    spans: list[Span]


class BoundFacts(_Strict):
    """What a filter that draws from codes can send."""

    codes: dict[str, int] = Field(description="of each task; 1 where it was revoked")
    block_s: float
    constant_blocks: int = Field(description="blocks for every sound, which tell one code; 0: one for each block_s")


class Bound(BoundFacts):
    """What a filter that draws from codes can send at most, whoever listens."""

    bits_per_block: float
    entropy_bits_per_block: float = Field(description="measured on the training recordings")
    attributes: dict[str, BoundedAttribute]


class Control(_Strict):
    """Whether the audit found what is known to be there, and nothing where nothing is."""

    passed: bool
    detail: str


class PanelFacts(_Strict):
    """One form of an exhibit: what the page shows of it, its picture and sound as their SHA-256."""

    name: str
    picture: str
    sound: str
    seconds: float
    level_db: float
    bands: list[float]


class ExhibitFacts(_Strict):
    """A recording that the page holds to see and to play."""

    title: str
    brightest: float
    panels: list[PanelFacts]


class Facts(_Strict):
    """What an audit did, apart from scores."""

    control: str = Field("", description="the attribute that the controls use")
    levels_db: list[float] = Field([], description="levels of the planted tones that were tried")
    permitted: Mapping[str, PermittedFacts] = {}
    private: Mapping[str, PrivateFacts]
    continuous: Mapping[str, ContinuousFacts] = {}
    linkage: LinkageFacts | None = None
    words: WordsFacts | None = None
    bound: BoundFacts | None = Field(None, description="null for a system of which nothing bounds what it sends")


class Findings(Facts):
    """What follows from the facts and the scores of an audit, which `sottovoce verify` computes again."""

    valid: bool
    controls: dict[str, Control]
    sensitivity_db: float | None = Field(
        None, description="level of the faintest planted tone that was found, in dB against the sound; null for none"
    )
    tolerance: float = Field(description="the leakage that counts as none")
    level: float = Field(
        0.95, description="of the intervals that decide verdicts: 1 - 0.05 / the number of private attributes"
    )
    plain: float | None = Field(
        None, description="up to schema 4: a leakage above this was called a leak however wide its interval"
    )
    permitted: dict[str, Permitted]
    private: dict[str, Private]
    continuous: dict[str, Continuous] = {}
    linkage: Linkage | None = None
    words: Words | None = Field(None, description="null where they were not attacked; the notes say why")
    bound: Bound | None = Field(None, description="null for a system of which nothing bounds what it sends")


class Results(Findings):
    """Everything that an audit says."""

    schema_: int = Field(SCHEMA, alias="schema")
    sottovoce: str
    seconds: float
    attackers: str
    seed: int
    date: str = Field(description="when the audit ended: UTC, ISO 8601", pattern=_DATE)
    command: str = Field(description="without secrets, user names and folders")
    names_shown: bool = Field(
        description="whether people and files have their own names here; otherwise classes that may identify people "
        "are numbered at random, and files are keyed hashes"
    )
    corpus: dict[str, Any]
    filter: dict[str, Any]
    targets: list[TargetFacts]
    notes: list[str] = []
    scores: str = Field(description="SHA-256 of scores.npz, the score of every attacker for every recording")
    versions: dict[str, str] = {}
    exhibits: list[ExhibitFacts] = []

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True, populate_by_name=True)


def fields(model: BaseModel, of: type[BaseModel]) -> dict[str, Any]:
    """The values that `model` has for the fields of `of`, which it extends."""
    return {name: getattr(model, name) for name in of.model_fields}


def schema() -> str:
    """The JSON schema of results.json, as docs/results.schema.json publishes it."""
    return json.dumps(Results.model_json_schema(by_alias=True), indent=1) + "\n"
