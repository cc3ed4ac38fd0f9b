"""The form of results.json: what an audit says, as data. Its JSON schema is published as docs/results.schema.json."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sottovoce.errors import ConfigError, ModelError
from sottovoce.files import read_json

SCHEMA = 3
LARGEST_RESULTS_BYTES = 1 << 26
_DATE = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"
Verdict = Literal["hidden", "implied", "leaks"]
Input = Literal["features", "sound", "restored", "inverted", "original"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


class Interval(_Strict):
    """A score and its 95 % interval. Accuracies are shares from 0 to 1."""

    score: float
    low: float
    high: float


class Curve(_Strict):
    """Accuracy on validation over the budget: pairs of training recordings, or of training steps, and accuracy."""

    recordings: list[tuple[int, float]] = []
    steps: list[tuple[int, float]] = []


class Row(Interval):
    """One attacker on one attribute: its accuracy on test, and what stands behind it."""

    attacker: str
    knowledge: Literal["uninformed", "informed", "white-box"]
    input: Input = Field(description="what it is scored on")
    needs: str = Field(description="what it has to have, in words")
    converged: bool = Field(description="neither more steps nor, as far as tried, more recordings help on validation")
    validation: float = Field(description="accuracy on validation, by which the strongest is chosen")
    bits: Interval = Field(description="lower bound on the mutual information of label and guess, bits per recording")
    curve: Curve
    seeds: list[float] = Field(description="accuracy on test of each seed; the row is the seed best on validation")
    seconds: float


class Floor(Interval):
    """What the permitted answer itself gives away."""

    attacker: str


class Person(_Strict):
    """How often the strongest attacker is right about one person."""

    speaker: str
    clips: int
    score: float
    low: float
    high: float


class Pooled(Interval):
    """Accuracy when the scores of so many utterances of one person are added up."""

    utterances: int


class Failure(_Strict):
    """An attacker that broke down, and why; the others went on."""

    attacker: str
    knowledge: str
    reason: str


class Private(_Strict):
    """What the attackers found about one private attribute."""

    classes: int
    class_names: list[str]
    chance: float
    floor: Floor
    ceiling: Row
    leakage: Interval
    verdict: Verdict
    cluster: Literal["speaker", "utterance"] = Field(description="what intervals are resampled by")
    strongest: Row
    attackers: list[Row]
    originals: list[Row]
    failed: list[Failure] = []
    confusion: list[list[int]] = Field(
        description="of the strongest attacker: recordings of class (row) called (column)"
    )
    people: list[Person] = Field(description="the strongest attacker on each person, the most exposed first")
    pooled: list[Pooled] = Field(description="the strongest attacker's scores added up over utterances of a person")


class Target(_Strict):
    """A recogniser that answers a permitted task."""

    digest: str = Field(description="SHA-256 of its files; empty for a function")
    task: str


class Permitted(_Strict):
    """The accuracy of the target on original and obfuscated sound."""

    original: Interval
    obfuscated: Interval
    chance: float


class Continuous(_Strict):
    """An attribute that is a number: the share of its variance explained (R²) by the best estimator."""

    unit: str
    floor: float = Field(description="explained by the permitted answer")
    ceiling: Interval = Field(description="explained from originals")
    strongest: Interval
    error: float = Field(description="mean absolute error of the strongest estimator, in the unit")
    constant_error: float = Field(description="mean absolute error of the best constant guess, in the unit")
    estimator: str
    estimators: list[str] = Field([], description="all that were tried, in words")


class Linker(_Strict):
    """One attacker who decides whether two recordings are of one person it has never heard."""

    attacker: str
    knowledge: Literal["uninformed", "informed", "white-box"]
    input: str = Field(description="which two recordings are compared, such as 'sound with sound'")
    eer: Interval = Field(description="equal error rate; 0.5 is chance, 0 is always right")
    d_sys: float = Field(description="global linkability, from 0 (unlinkable) to 1 (Gomez-Barrero et al. 2018)")
    tpr: Interval = Field(description="share of pairs of one person found when 1 % of others are taken for one")


class Linkage(_Strict):
    """Whether recordings of unseen people can be linked."""

    speakers: int
    recordings: int
    same_pairs: int
    other_pairs: int
    strongest: Linker
    ceiling: Linker
    linkers: list[Linker]
    originals: list[Linker] = Field([], description="the same without the system")
    failed: list[Failure] = []


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


class Bound(_Strict):
    """What a filter that draws from codes can send at most, whoever listens."""

    codes: dict[str, int] = Field(description="of each task; 1 where it was revoked")
    block_s: float
    constant_blocks: int = Field(description="blocks for every sound, which tell one code; 0: one for each block_s")
    bits_per_block: float
    entropy_bits_per_block: float = Field(description="measured on the training recordings")
    attributes: dict[str, BoundedAttribute]


class Control(_Strict):
    """Whether the audit found what is known to be there, and nothing where nothing is."""

    passed: bool
    detail: str


class Results(_Strict):
    """Everything that an audit says."""

    schema_: int = Field(SCHEMA, alias="schema")
    sottovoce: str
    valid: bool
    control: str = Field("", description="the attribute that the controls use")
    controls: dict[str, Control]
    levels_db: list[float] = Field([], description="levels of the planted tones that were tried")
    sensitivity_db: float | None = Field(
        None, description="level of the faintest planted tone that was found, in dB against the sound; null for none"
    )
    seconds: float
    attackers: str
    seed: int
    tolerance: float = Field(description="a leakage whose interval reaches down to this may be called hidden")
    plain: float = Field(0.1, description="a leakage above this is called a leak however wide its interval")
    date: str = Field(description="when the audit ended: UTC, ISO 8601", pattern=_DATE)
    command: str = Field(description="without secrets, user names and folders")
    names_shown: bool = Field(
        description="whether people and files have their own names here; otherwise classes that may identify people "
        "are numbered at random, and files are keyed hashes"
    )
    corpus: dict[str, Any]
    filter: dict[str, Any]
    targets: list[Target]
    permitted: dict[str, Permitted]
    private: dict[str, Private]
    continuous: dict[str, Continuous] = {}
    linkage: Linkage | None = None
    bound: Bound | None = Field(None, description="null for a system of which nothing bounds what it sends")
    notes: list[str] = []
    scores: str = Field(description="SHA-256 of scores.npz, the score of every attacker for every recording")
    versions: dict[str, str] = {}

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True, populate_by_name=True)


def schema() -> str:
    """The JSON schema of results.json, as docs/results.schema.json publishes it."""
    return json.dumps(Results.model_json_schema(by_alias=True), indent=1) + "\n"


def parse(text: str | bytes, place: str) -> Results:
    """Results from the text of a results.json; ConfigError says what in it is not of this form."""
    try:
        data = read_json(text, LARGEST_RESULTS_BYTES)
    except ModelError as error:
        raise ConfigError(f"{place} is not the results of an audit: {error}") from error
    if data.get("schema") == 1:
        raise ConfigError(
            f"{place} has schema 1, which an earlier version of sottovoce wrote; this version reads {SCHEMA}: "
            "audit again, or verify it with the version that wrote it."
        )
    if data.get("schema") != SCHEMA:
        found = str(data.get("schema"))[:80]
        raise ConfigError(f"{place} has schema {found!r}, this version reads {SCHEMA}: audit again.")
    try:
        return Results.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{place}: {where}: {first['msg']}; audit again.") from error
