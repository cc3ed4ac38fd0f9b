"""The record of an audit: results.json, scores.npz and the pages, with a digest of each; others can check it."""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sottovoce.arrays import read_arrays
from sottovoce.audit import summary
from sottovoce.audit.results import LARGEST_RESULTS_BYTES, Results, parse
from sottovoce.corpora.manifest import file_sha256
from sottovoce.errors import ConfigError, ModelError
from sottovoce.files import read_bytes, read_json
from sottovoce.models.checkpoint import write_file
from sottovoce.redaction import visible

RESULTS, SCORES, DIGESTS = "results.json", "scores.npz", "digests.json"
PAGES = ("report.html", "report.md")
_LARGEST_BYTES = 1 << 30
_SHOWN = 20
_SIDES = ("attackers", "originals", "linkers")
_SCORED = re.compile(r"((.+/(?:attackers|originals|obfuscated|linkers))/(\d+))/[a-z]+", re.DOTALL)


def write_scores(folder: Path, arrays: Mapping[str, NDArray[Any]]) -> str:
    """Write scores.npz; returns its SHA-256 in hex."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{name: np.asarray(array) for name, array in sorted(arrays.items())})  # type: ignore[arg-type]
    write_file(folder / SCORES, buffer.getvalue())
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def write_results(folder: Path, results: Mapping[str, Any]) -> dict[str, Any]:
    """Write results.json, checked against its form; returns it as it is read again."""
    text = Results.model_validate(_visible(dict(results))).model_dump_json(by_alias=True, indent=1)
    write_file(folder / RESULTS, text.encode())
    read: dict[str, Any] = json.loads(text)
    return read


def _visible(value: Any) -> Any:
    """The same with every text in it as a reader may be shown it; names of attributes stay, since scores have them."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {key: _visible(each) for key, each in value.items()}
    return [_visible(each) for each in value] if isinstance(value, list | tuple) else value


def write_digests(folder: Path) -> None:
    """Write the digest of every file of the record; the last step, which makes the record complete."""
    digests = {name: file_sha256(folder / name) for name in (RESULTS, SCORES, *PAGES)}
    write_file(folder / DIGESTS, json.dumps(digests, indent=1).encode())


def verify(folder: Path) -> list[str]:
    """What is wrong with a record, in sentences; nothing where all digests and all numbers are right.

    Every number of results.json that scores decide is made again from scores.npz. ConfigError where there is no record
    that this version can read.
    """
    digests = _digests(folder)
    wrong = []
    for name in (RESULTS, SCORES, *PAGES):
        if not (folder / name).is_file():
            raise ConfigError(f"{folder / name} is missing; expected the whole folder that `sottovoce audit` wrote.")
        if (folder / name).stat().st_size > _LARGEST_BYTES:
            raise ConfigError(f"{folder / name} is larger than 1 GiB; an audit writes no such file.")
        if file_sha256(folder / name) != digests.get(name):
            wrong.append(f"{name} is not the file that {DIGESTS} was written for")
    results = parse(read_bytes(folder / RESULTS, LARGEST_RESULTS_BYTES), str(folder / RESULTS))
    stored: dict[str, Any] = results.model_dump(mode="json", by_alias=True)
    if file_sha256(folder / SCORES) != results.scores:
        wrong.append(f"{SCORES} is not the file that {RESULTS} was made from")
    try:
        arrays = read_arrays(folder / SCORES, _LARGEST_BYTES)
        again = Results.model_validate(stored | summary.numbers(stored, arrays))
    except Exception as error:  # the file is from others, and there is no end to what can be wrong with it
        return [*wrong, f"{SCORES} does not hold the scores that {RESULTS} speaks of ({type(error).__name__}: {error})"]
    wrong += _left_out(stored, arrays)
    return wrong + list(_differences("", stored, again.model_dump(mode="json", by_alias=True)))[:_SHOWN]


def _digests(folder: Path) -> dict[str, str]:
    try:
        found: dict[str, str] = read_json(folder / DIGESTS)
    except ModelError as error:
        raise ConfigError(
            f"{folder} has no readable {DIGESTS}; expected a folder that `sottovoce audit` has finished: audit again."
        ) from error
    return found


def _left_out(stored: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> list[str]:
    """Attackers and tasks that there are scores of, but that the results are silent about."""
    told = {f"{task}/{side}": len(entry[side]) for task, entry in stored["private"].items() for side in _SIDES[:2]}
    told |= {f"linkage/{side}": len((stored["linkage"] or {}).get(side, ())) for side in _SIDES}
    for task, number in stored["continuous"].items():
        told |= {f"{task}/obfuscated": len(number["estimators"]), f"{task}/originals": len(arrays)}
    scored = (_SCORED.fullmatch(name) for name in arrays)
    silent = {match[1] for match in scored if match and int(match[3]) >= told.get(match[2], 0)}
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
