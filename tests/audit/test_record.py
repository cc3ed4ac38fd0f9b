"""The record of an audit: whoever has the folder can check every number, and find every one that was changed."""

import csv
import io
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sottovoce.audit import budgets, record, results, summary
from sottovoce.audit.budgets import Effort
from sottovoce.audit.record import csv_table, verify
from sottovoce.audit.scores import Scores
from sottovoce.errors import ConfigError
from sottovoce.jobs.audit import AuditConfig, run_audit

SCHEMA = Path(__file__).parents[2] / "docs" / "results.schema.json"
FILES = {"results.json", "results.csv", "scores.npz", "report.html", "report.md", "digests.json"}
EFFORT = Effort(
    ("nearest", "linear"),
    ("linear",),
    (),
    {},
    curves=("linear",),
    shares=(0.5,),
    sensitivity_db=(10.0, -90.0),
    linkage=True,
    continuous=True,
)


def silent(done: int, total: int, note: str) -> None:
    pass


@pytest.fixture(scope="module")
def written(crowd, tmp_path_factory) -> Iterator[Path]:
    """The record of an audit of what protects nothing."""
    place = tmp_path_factory.mktemp("record")
    for clip in crowd.manifest.clips:
        (place / "protected").mkdir(exist_ok=True)
        shutil.copy(clip.path, place / "protected")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOTTOVOCE_CACHE", str(place / "cache"))
        patch.setitem(budgets.EFFORTS, "little", EFFORT)
        run_audit(AuditConfig(str(place / "protected"), crowd.manifest.spec, place / "out", "little"), silent)
        yield place / "out"


@pytest.fixture
def folder(written, tmp_path) -> Path:
    shutil.copytree(written, tmp_path / "out")
    return tmp_path / "out"


def stored(folder: Path) -> Any:
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


def forge(folder: Path, change: Callable[[Any], Any]) -> None:
    """Change results.json, and write digests that match, and the table where there can be one."""
    found = stored(folder)
    change(found)
    (folder / "results.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    with suppress(ConfigError):
        (folder / "results.csv").write_text(csv_table(record.read_results(folder)), encoding="utf-8")
    record.write_digests(folder)


def test_a_record_holds_everything_and_is_right(written):
    names = {path.name for path in written.iterdir()}
    assert names == FILES, "and nothing besides"
    found = stored(written)
    assert found["linkage"] and {*found["continuous"]} == {"hertz", "pitch"} and found["sensitivity_db"] == 10.0
    assert verify(written) == []


def test_the_same_numbers_in_other_words_are_right(folder):
    forge(folder, lambda found: None)
    assert verify(folder) == []


def test_a_changed_digit_is_found_by_the_digest(folder):
    text = (folder / "results.json").read_text()
    (folder / "results.json").write_text(text.replace('"seconds": ', '"seconds": 1', 1))
    assert any("results.json is not the file" in wrong for wrong in verify(folder))


def entry(*path: Any) -> Callable[[Any], Any]:
    """Change what stands at the end of a path: a number by a little, a word or a truth to another."""

    def change(found: Any) -> None:
        for key in path[:-1]:
            found = found[key]
        value = found[path[-1]]
        if isinstance(value, bool):
            found[path[-1]] = not value
        elif isinstance(value, str):
            found[path[-1]] = {"leaks": "hidden", "hidden": "leaks"}.get(value, f"{value}!")
        else:
            found[path[-1]] = value + (1 if isinstance(value, int) else 0.001)

    change.__name__ = ".".join(map(str, path))
    return change


FORGED = [
    entry("valid"),
    entry("controls", "planted leak", "passed"),
    entry("controls", "shuffled labels", "detail"),
    entry("sensitivity_db"),
    entry("tolerance"),
    entry("scores"),
    entry("private", "speaker", "chance"),
    entry("private", "speaker", "floor", "score"),
    entry("private", "speaker", "ceiling", "high"),
    entry("private", "speaker", "leakage", "score"),
    entry("private", "speaker", "leakage", "low"),
    entry("private", "speaker", "verdict"),
    entry("private", "speaker", "strongest", "score"),
    entry("private", "speaker", "strongest", "attacker"),
    entry("private", "speaker", "strongest", "curve", "recordings", 0, 1),
    entry("private", "gender", "attackers", 1, "low"),
    entry("private", "gender", "attackers", 0, "bits", "score"),
    entry("private", "gender", "attackers", 0, "validation"),
    entry("private", "gender", "attackers", 0, "seeds", 0),
    entry("private", "speaker", "originals", 0, "score"),
    entry("private", "speaker", "confusion", 1, 1),
    entry("private", "gender", "people", 0, "score"),
    entry("private", "gender", "people", 0, "clips"),
    entry("private", "speaker", "pooled", 0, "score"),
    entry("continuous", "hertz", "strongest", "score"),
    entry("continuous", "pitch", "error"),
    entry("linkage", "strongest", "eer", "score"),
    entry("linkage", "ceiling", "tpr", "high"),
    entry("linkage", "linkers", 0, "d_sys"),
    entry("linkage", "same_pairs"),
]


@pytest.mark.parametrize("change", FORGED, ids=lambda change: change.__name__)
def test_a_changed_digit_is_found_although_the_digests_are_forged(folder, change):
    forge(folder, change)
    wrong = verify(folder)
    assert wrong and not any("digests.json" in sentence for sentence in wrong)


def without(*path: Any) -> Callable[[Any], Any]:
    def change(found: Any) -> None:
        for key in path[:-1]:
            found = found[key]
        if isinstance(found[path[-1]], dict) and path[-1] == "linkage":
            found[path[-1]] = None
        else:
            del found[path[-1]]

    change.__name__ = ".".join(map(str, path))
    return change


@pytest.mark.parametrize(
    "change",
    [
        without("private", "speaker"),
        without("private", "gender", "attackers", -1),
        without("private", "gender", "originals", 0),
        without("continuous", "hertz"),
        without("continuous", "hertz", "estimators", 0),
        without("linkage"),
        without("linkage", "linkers", 0),
    ],
    ids=lambda change: change.__name__,
)
def test_what_was_left_out_is_found(folder, change):
    """Even where all that is left was made to fit, as anyone can who has the code."""
    forge(folder, change)
    with np.load(folder / "scores.npz") as kept:
        arrays = {name: kept[name] for name in kept.files}

    def fit(found: Any) -> None:
        read = record.read_results(folder)
        found |= summary.findings(read, Scores(arrays)).model_dump(mode="json")

    with suppress(KeyError, IndexError, ValueError, ConfigError):  # where it cannot even be made to fit
        forge(folder, fit)
    assert verify(folder)


# Scores


def test_changed_scores_are_found(folder):
    with np.load(folder / "scores.npz") as kept:
        arrays = {name: kept[name] for name in kept.files}
    name = "speaker/attackers/1/test"
    arrays[name] = np.roll(arrays[name], 1, axis=2)
    digest = record.write_scores(folder, arrays)
    assert {sentence.split(" is not")[0] for sentence in verify(folder)} >= {"scores.npz"}
    forge(folder, lambda found: found.update(scores=digest))
    assert any("private.speaker" in sentence for sentence in verify(folder))


def packed(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


SCORES = {
    "nothing": lambda content: b"",
    "garbage": lambda content: b"PK\x03\x04" + bytes(100),
    "cut off": lambda content: content[: len(content) // 2],
    "no arrays": lambda content: packed(),
    "a pickle": lambda content: packed(**{"speaker/labels/test": np.array([{}], dtype=object)}),
    "a bomb": lambda content: packed(a=np.zeros(1 << 24)),
    "words": lambda content: packed(
        **{name: np.array(["x"]) for name in np.load(io.BytesIO(content), allow_pickle=False).files}
    ),
    "numbers": lambda content: packed(
        **{name: np.array(7.5) for name in np.load(io.BytesIO(content), allow_pickle=False).files}
    ),
}


@pytest.mark.parametrize("name", SCORES)
def test_scores_that_are_none_are_found(folder, monkeypatch, name):
    monkeypatch.setattr(record, "LARGEST_BYTES", 1 << 26)
    place = folder / "scores.npz"
    place.write_bytes(SCORES[name](place.read_bytes()))
    forge(folder, lambda found: found.update(scores=record.file_sha256(place)))
    (sentence,) = verify(folder)
    assert sentence.startswith("scores.npz does not hold the scores")


# What is no record


@pytest.mark.parametrize(
    "name", ["results.json", "results.csv", "scores.npz", "report.html", "report.md", "digests.json"]
)
def test_a_record_that_is_not_whole_is_refused(folder, name):
    (folder / name).unlink()
    with pytest.raises(ConfigError, match=name):
        verify(folder)


GARBAGE = [b"", b"{", b"[]", b"null", b"7", b'"text"', b"\xff\xfe\x00", b"[" * 100_000, b"{}", b'{"schema": 1}']


@pytest.mark.parametrize("content", GARBAGE, ids=lambda content: repr(content[:12]))
@pytest.mark.parametrize("name", ["results.json", "digests.json"])
def test_garbage_is_refused(folder, name, content):
    (folder / name).write_bytes(content)
    if name == "digests.json" and content in (b"{}", b'{"schema": 1}'):
        assert len(verify(folder)) == 5, "no file is the one that nothing was written for"
        return
    if name == "results.json":
        record.write_digests(folder)
    with pytest.raises(ConfigError, match=name) as refused:
        verify(folder)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("value", [0, 1, 6, "3", "2", None, [3]])
def test_another_version_is_refused(folder, value):
    forge(folder, lambda found: found.update(schema=value))
    with pytest.raises(ConfigError, match=r"has schema .*this version reads 2 to 5: audit again") as refused:
        verify(folder)
    assert str(refused.value).endswith(".") and "\n" not in str(refused.value)


def test_a_record_of_the_former_schema_gets_a_sentence(folder):
    """It had neither a date nor a word about names, and is refused before anything of it is missed."""

    def former(found: Any) -> None:
        found["schema"] = 1
        for name in ("date", "names_shown"):
            del found[name]

    forge(folder, former)
    with pytest.raises(ConfigError, match=r"has schema 1, which an earlier version of sottovoce wrote; .*reads 2 to 5"):
        verify(folder)


@pytest.mark.parametrize("schema", [2, 3, 4])
def test_the_verdicts_of_earlier_versions_are_read_and_not_computed_again(folder, tmp_path, schema):
    """Their digests are checked, and the rest gets a sentence that says what to do."""
    if schema == 2:  # in other words
        folder = tmp_path / "former"
        shutil.copytree(Path(__file__).parent / "schema-2", folder)
    else:
        forge(folder, lambda found: found.update(schema=schema, plain=0.1))
    with pytest.raises(ConfigError, match=r"verdicts of earlier versions are not computed again, .*: audit again"):
        verify(folder)
    read = record.read_results(folder)
    assert read.schema_ == max(schema, 3) and read.plain == 0.1
    assert {row.knowledge for row in read.private["speaker"].attackers} == {"uninformed", "informed"}
    (folder / "results.json").write_bytes((folder / "results.json").read_bytes() + b"\n")
    wrong = verify(folder)
    assert any("results.json is not the file" in sentence for sentence in wrong) and "audit again" in wrong[-1]


def test_the_table_has_a_row_for_every_attacker(written):
    table = list(csv.DictReader((written / "results.csv").open(encoding="utf-8", newline="")))
    found = stored(written)
    entries = found["private"].items()
    assert len(table) == sum(len(entry["attackers"]) + len(entry["originals"]) for _, entry in entries)
    for name, entry in entries:
        (strongest,) = [row for row in table if row["attribute"] == name and row["strongest"] == "True"]
        assert float(strongest["score"]) == entry["strongest"]["score"]
        assert float(strongest["leakage"]) == pytest.approx(entry["leakage"]["score"])
        assert strongest["verdict"] == entry["verdict"]
    assert all((row["leakage"] == "") == (row["input"] == "original") for row in table)


def test_a_table_that_says_something_else_is_found(folder):
    table = folder / "results.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("leaks", "hidden"), encoding="utf-8")
    record.write_digests(folder)
    assert verify(folder) == ["results.csv is not the table of what results.json says"]


@pytest.mark.parametrize("date", ["", "yesterday", "2026-11-25", "2026-11-25T17:21:10+01:00", 7, None])
def test_a_date_that_is_none_is_refused(folder, date):
    forge(folder, lambda found: found.update(date=date))
    with pytest.raises(ConfigError, match="date"):
        verify(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "much", {}])
def test_a_number_that_is_none_is_refused(folder, value):
    forge(folder, lambda found: found["private"]["speaker"]["strongest"].update(score=value))
    with pytest.raises(ConfigError, match=r"private\.speaker\.strongest\.score|not a finite number"):
        verify(folder)


def test_what_is_unknown_is_refused(folder):
    forge(folder, lambda found: found.update(praise="the best filter"))
    with pytest.raises(ConfigError, match="praise"):
        verify(folder)


def test_what_is_no_record_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path, tmp_path / "nowhere", tmp_path / "file"):
        with pytest.raises(ConfigError, match=str(place)):
            verify(place)


def test_the_published_schema_is_that_of_this_version():
    """Refresh it with: python -c "from sottovoce.audit.results import schema; print(schema(), end='')" > PLACE."""
    assert SCHEMA.read_text(encoding="utf-8") == results.schema(), (
        f"""python -c "from sottovoce.audit.results import schema; print(schema(), end='')" > {SCHEMA}"""
    )
