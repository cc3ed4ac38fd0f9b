"""The record of an audit: results.json, scores.npz and the pages, with a digest of each; others can check it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from sottovoce.arrays import read_arrays
from sottovoce.audit import summary
from sottovoce.audit.results import READ, SCHEMA, Findings, Interval, Results
from sottovoce.audit.scores import Scores
from sottovoce.errors import ConfigError, ModelError
from sottovoce.files import file_sha256, read_bytes, read_json, write_file
from sottovoce.redaction import visible

RESULTS, TABLE, SCORES, DIGESTS = "results.json", "results.csv", "scores.npz", "digests.json"
PAGES = ("report.html", "report.md")
FILES = (RESULTS, TABLE, SCORES, *PAGES)
STATEMENT = "statement.intoto.json"  # where the record is signed
LARGEST_RESULTS_BYTES = 1 << 26
LARGEST_BYTES = 1 << 30
_SHOWN = 20
_RECOMPUTED = 5  # the first schema whose verdicts follow from the rules of this version
_SIDES = ("attackers", "originals", "linkers")
_SCORED = re.compile(r"((.+/(?:attackers|originals|obfuscated|linkers|judges))/(\d+))/[a-z-]+", re.DOTALL)


@dataclass(frozen=True)
class Check:
    """What a check of a record shows, in sentences: what is right, what is wrong, and what a reader has to know."""

    right: Sequence[str] = ()
    wrong: Sequence[str] = ()
    notes: Sequence[str] = ()


def write_scores(folder: Path, arrays: Mapping[str, NDArray[Any]]) -> str:
    """Write scores.npz; returns its SHA-256 in hex."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{name: np.asarray(array) for name, array in sorted(arrays.items())})  # type: ignore[arg-type]
    write_file(folder / SCORES, buffer.getvalue())
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def write_results(folder: Path, results: Results) -> dict[str, Any]:
    """Write results.json and the same as a table, results.csv; returns results.json as it is read again."""
    shown = Results.model_validate(_visible(results.model_dump(by_alias=True)))
    text = shown.model_dump_json(by_alias=True, indent=1)
    write_file(folder / RESULTS, text.encode())
    write_file(folder / TABLE, csv_table(shown).encode())
    (folder / STATEMENT).unlink(missing_ok=True)  # it was about the record that was there before
    read: dict[str, Any] = json.loads(text)
    return read


def _visible(value: Any) -> Any:
    """The same with every text in it as a reader may be shown it; names of attributes stay, since scores have them."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {key: _visible(each) for key, each in value.items()}
    return [_visible(each) for each in value] if isinstance(value, list | tuple) else value


def _rows(results: Results) -> Iterator[dict[str, Any]]:
    """A row for each attacker of each private attribute, then for each recogniser of each permitted task.

    Accuracies are shares from 0 to 1. `leakage` is what the attacker scores above the floor, and empty where it was
    scored on originals. `verdict` is that of the attribute, which follows from the row that is the `strongest`, and
    "permitted" in the rows of recognisers. Results of schema 3 had no rows of these.
    """
    for attribute, entry in results.private.items():
        for row in (*entry.attackers, *entry.originals):
            yield {
                "attribute": attribute,
                **row.model_dump(include={"attacker", "knowledge", "input", "score", "low", "high"}),
                "chance": entry.chance,
                "floor": entry.floor.score,
                "ceiling": entry.ceiling.score,
                "leakage": None if row.input == "original" else row.score - entry.floor.score,
                "strongest": row == entry.strongest,
                "verdict": entry.verdict,
                "bits": row.bits.score,
                **row.model_dump(include={"validation", "converged"}),
                "seeds": len(row.seeds),
            }
    for task, permitted in results.permitted.items() if results.schema_ > 3 else ():
        known: list[tuple[str, str, Interval | None]] = [
            ("target", "original", permitted.original),
            ("target", "obfuscated", permitted.obfuscated),
            ("target", "sound", permitted.sound),
        ]
        for judge in permitted.judges:
            known += [(judge.judge, "original", judge.original), (judge.judge, judge.input, judge.obfuscated)]
        for recogniser, given, accuracy in known:
            if accuracy is not None:
                yield {
                    **{"attribute": task, "attacker": recogniser, "input": given, "verdict": "permitted"},
                    **{"chance": permitted.chance, **accuracy.model_dump()},
                }


def csv_table(results: Results) -> str:
    """The results as one tidy table, for pandas and spreadsheets: a row for each attribute, attacker and input."""
    table = list(_rows(results))
    text = io.StringIO()
    writer = csv.DictWriter(text, table[0] if table else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()


def read_results(folder: Path) -> Results:
    """The results of the audit in a folder; ConfigError says what is not of their form."""
    place = folder / RESULTS
    try:
        data = read_json(read_bytes(place, LARGEST_RESULTS_BYTES), LARGEST_RESULTS_BYTES)
    except ModelError as error:
        raise ConfigError(f"{place} is not the results of an audit: {error}") from error
    schema = data.get("schema")
    if schema == 1:
        raise ConfigError(
            f"{place} has schema 1, which an earlier version of sottovoce wrote; this version reads {READ[0]} to "
            f"{SCHEMA}: audit again, or verify it with the version that wrote it."
        )
    if schema == 2:
        data = {**_from_schema_2(data), "schema": 3}
    elif schema not in READ:
        raise ConfigError(
            f"{place} has schema {str(schema)[:80]!r}, this version reads {READ[0]} to {SCHEMA}: audit again."
        )
    try:
        return Results.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{place}: {where}: {first['msg']}; audit again.") from error


def _from_schema_2(value: Any) -> Any:
    """The same in the words of schema 3; version 0.2.0 wrote schema 2, which differs in these words alone."""
    if isinstance(value, list):
        return [_from_schema_2(each) for each in value]
    if not isinstance(value, dict):
        return value
    # An attribute may have any name, so that a key is renamed only beside one that stands with it.
    renamed = {"worst": "strongest"} if "ceiling" in value else {"hears": "input"} if "knowledge" in value else {}
    return {
        renamed.get(key, key): "uninformed" if (key, each) == ("knowledge", "ignorant") else _from_schema_2(each)
        for key, each in value.items()
    }


def write_digests(folder: Path) -> None:
    """Write the digest of every file of the record; the last step, which makes the record complete."""
    digests = {name: file_sha256(folder / name) for name in FILES}
    write_file(folder / DIGESTS, json.dumps(digests, indent=1).encode())


def verify(folder: Path) -> list[str]:
    """What is wrong with a record, in sentences; nothing where all digests and all numbers are right.

    Every number of results.json that scores decide is computed again from scores.npz. ConfigError where there is no
    record that this version can read.
    """
    digests = _digests(folder)
    table = [TABLE] if TABLE in digests or (folder / TABLE).exists() else []  # which earlier versions did not write
    wrong = []
    for name in (RESULTS, *table, SCORES, *PAGES):
        if not (folder / name).is_file():
            raise ConfigError(f"{folder / name} is missing; expected the whole folder that `sottovoce audit` wrote.")
        if (folder / name).stat().st_size > LARGEST_BYTES:
            raise ConfigError(f"{folder / name} is larger than 1 GiB; an audit writes no such file.")
        if file_sha256(folder / name) != digests.get(name):
            wrong.append(f"{name} is not the file that {DIGESTS} was written for")
    results = read_results(folder)
    if file_sha256(folder / SCORES) != results.scores:
        wrong.append(f"{SCORES} is not the file that {RESULTS} was made from")
    if table and (folder / TABLE).read_bytes() != csv_table(results).encode():
        wrong.append(f"{TABLE} is not the table of what {RESULTS} says")
    if results.schema_ < _RECOMPUTED:
        old = (
            f"{folder / RESULTS} has schema {results.schema_}; the verdicts of earlier versions are not computed again,"
            " since this version draws them by stricter rules: audit again, or verify with the version that wrote it."
        )
        if wrong:
            return [*wrong, old]
        raise ConfigError(old)
    try:
        scores = Scores(read_arrays(folder / SCORES, LARGEST_BYTES))
        again = summary.findings(results, scores).model_dump(mode="json")
    except Exception as error:  # the file is from others, and there is no end to what can be wrong with it
        return [*wrong, f"{SCORES} does not hold the scores that {RESULTS} speaks of ({type(error).__name__}: {error})"]
    stored = results.model_dump(mode="json", include=set(Findings.model_fields))
    wrong += _left_out(stored, scores)
    return wrong + list(_differences("", stored, again))[:_SHOWN]


def _digests(folder: Path) -> dict[str, Any]:
    try:
        return read_json(folder / DIGESTS)
    except ModelError as error:
        raise ConfigError(
            f"{folder} has no readable {DIGESTS}; expected a folder that `sottovoce audit` has finished: audit again."
        ) from error


def _left_out(stored: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> list[str]:
    """Attackers and tasks that there are scores of, but that the results do not mention."""
    counts = {f"{task}/{side}": len(entry[side]) for task, entry in stored["private"].items() for side in _SIDES[:2]}
    counts |= {f"{task}/judges": len(entry["judges"]) for task, entry in stored["permitted"].items()}
    counts |= {f"linkage/{side}": len((stored["linkage"] or {}).get(side, ())) for side in _SIDES}
    for task, number in stored["continuous"].items():
        counts |= {f"{task}/obfuscated": len(number["estimators"]), f"{task}/originals": len(arrays)}
    scored = (_SCORED.fullmatch(name) for name in arrays)
    silent = {match[1] for match in scored if match and int(match[3]) >= counts.get(match[2], 0)}
    silent |= {name.partition("/answers/")[0] for name in arrays if "/answers/" in name} - {*stored["permitted"]}
    return [f"{SCORES} has the scores of {name}, {RESULTS} says nothing of it" for name in sorted(silent)]


def _differences(place: str, stored: Any, again: Any) -> Iterator[str]:
    """Every value that is not what the scores give."""
    if isinstance(stored, dict) and isinstance(again, dict):
        for key in [*stored, *(key for key in again if key not in stored)]:
            yield from _differences(f"{place}.{key}" if place else key, stored.get(key), again.get(key))
    elif isinstance(stored, list) and isinstance(again, list) and len(stored) == len(again):
        for i, (one, other) in enumerate(zip(stored, again, strict=True)):
            yield from _differences(f"{place}[{i}]", one, other)
    elif not _equal(stored, again):
        yield f"{RESULTS} says {place} is {stored}, the scores give {again}"


def _equal(stored: Any, again: Any) -> bool:
    """Whether two values are the same; numbers may differ as the libraries of two machines do."""
    if isinstance(stored, float) and isinstance(again, float):
        return math.isclose(stored, again, rel_tol=1e-9, abs_tol=1e-12)
    return bool(stored == again)
