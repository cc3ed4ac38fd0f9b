"""Forged records, and which check finds each: digests and numbers, pages, signature, attackers that are fitted again.

The table of docs/verify.md states what these tests show.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from sottovoce.audit import budgets, record, summary
from sottovoce.audit.budgets import Effort
from sottovoce.audit.plan import AttackRun
from sottovoce.audit.scores import Scores
from sottovoce.errors import ConfigError, SottovoceError
from sottovoce.jobs import audit as job
from sottovoce.jobs.audit import AuditConfig, run_audit
from sottovoce.jobs.rerun import RerunConfig
from sottovoce.jobs.verify import VerifyConfig, run_verify
from sottovoce.report import rendered_again
from sottovoce.report.pages import write_report

LITTLE = Effort(("target", "nearest", "linear"), ("linear",), (), {}, curves=(), shares=(0.5,))
MORE = replace(LITTLE, informed=("target", "nearest", "linear", "trees"))


class Made(NamedTuple):
    """A record, signed where signatures can be made, and what it is about."""

    out: Path
    spec: str
    protected: Path
    public: Path


def silent(done: int, total: int, note: str) -> None:
    pass


@pytest.fixture(scope="module")
def made(shaped_once, tmp_path_factory) -> Iterator[Made]:
    """The audit of what protects nothing, while the word is permitted and measured."""
    place = tmp_path_factory.mktemp("verify")
    (place / "protected").mkdir()
    for clip in shaped_once.manifest.clips:
        shutil.copy(clip.path, place / "protected")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOTTOVOCE_CACHE", str(place / "cache"))
        patch.setitem(budgets.EFFORTS, "little", LITTLE)
        patch.setitem(budgets.EFFORTS, "more", MORE)
        patch.setattr(job, "load_target", lambda place: shaped_once.target)
        sign = None
        try:
            from cryptography.hazmat.primitives import serialization as form
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        except ModuleNotFoundError:
            pass
        else:
            key, sign = Ed25519PrivateKey.generate(), place / "key"
            pem = form.Encoding.PEM
            sign.write_bytes(key.private_bytes(pem, form.PrivateFormat.PKCS8, form.NoEncryption()))
            (place / "pub").write_bytes(key.public_key().public_bytes(pem, form.PublicFormat.SubjectPublicKeyInfo))
        config = AuditConfig(
            str(place / "protected"),
            shaped_once.spec,
            place / "out",
            "little",
            ("speaker", "gender"),
            targets=("tone",),
        )
        run_audit(replace(config, sign=sign), silent)
        yield Made(place / "out", shaped_once.spec, place / "protected", place / "pub")


@pytest.fixture
def folder(made, tmp_path) -> Path:
    shutil.copytree(made.out, tmp_path / "out")
    return tmp_path / "out"


def again(made: Made, count: int = 99, **settings: Any) -> RerunConfig:
    return RerunConfig(count, made.spec, str(made.protected), 0, ("tone",), **settings)


def wrong(folder: Path, rerun: RerunConfig | None = None, key: Path | None = None) -> list[str]:
    return run_verify(VerifyConfig(folder, key, rerun), silent)["wrong"]


# What is right


def test_a_record_is_right_by_every_check(made):
    pytest.importorskip("cryptography")
    found = run_verify(VerifyConfig(made.out, made.public, again(made, 3)), silent)
    assert found["verified"] and not found["wrong"]
    assert found["right"][:2] == ["every digest and every number is right", "the pages are those that the results give"]
    assert "signed with the key" in found["right"][2]
    assert found["right"][3] == "3 of 3 attackers that were fitted again agree with the record"
    assert sum("equal scores" in note for note in found["notes"]) == 3


def test_no_score_is_taken_from_the_cache_and_none_is_kept(made, monkeypatch, tmp_path):
    """The cache still has the scores of the audit; they are fitted again all the same."""
    fitted = []
    whole = AttackRun.run
    monkeypatch.setattr(AttackRun, "run", lambda self: fitted.append(self.family) or whole(self))
    cache = made.out.parent / "cache"
    before = sorted(path for path in cache.rglob("*"))
    assert not wrong(made.out, again(made))
    assert sorted(fitted) == ["linear", "linear", "linear", "linear", "nearest", "nearest", "target", "target"]
    assert sorted(path for path in cache.rglob("*")) == before


@pytest.mark.parametrize("seed", range(6))
def test_the_strongest_of_an_attribute_is_always_among_those_that_are_fitted(made, seed):
    found = run_verify(VerifyConfig(made.out, None, replace(again(made, 1), seed=seed)), silent)
    (line,) = [note for note in found["notes"] if "scores" in note]
    results = record.read_results(made.out)
    strongest = {task: entry.strongest.attacker for task, entry in results.private.items()}
    assert strongest[line.partition(":")[0]] in line


def test_a_record_with_names_is_fitted_again_as_well(made, shaped_once, tmp_path):
    config = AuditConfig(
        str(made.protected), shaped_once.spec, tmp_path / "named", "little", ("gender",), names=True, only=("linear",)
    )
    run_audit(config, silent)
    rerun = replace(again(made), targets=())
    found = run_verify(VerifyConfig(tmp_path / "named", None, rerun), silent)
    assert found["right"][-1] == "3 of 3 attackers that were fitted again agree with the record"


# Pages


def test_another_process_renders_the_same_pages(made):
    code = f"""
import json, pathlib, sys
from sottovoce.report.pages import render
folder = pathlib.Path({str(made.out)!r})
pages = render(json.loads((folder / "results.json").read_text()), [])
sys.exit(any((folder / name).read_bytes() != page for name, page in pages.items()))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ["report.html", "report.md"])
def test_a_changed_word_of_a_page_is_found_although_the_digests_are_forged(folder, name):
    place = folder / name
    place.write_text(re.sub("LEAKS|leaks", "hidden", place.read_text()))
    record.write_digests(folder)
    assert wrong(folder) == [f"{name} is not the page that results.json gives when it is rendered again"]


@pytest.mark.parametrize("name", ["matplotlib", "jinja2", "pages", "sottovoce"])
@pytest.mark.parametrize("version", ["0.0.1", None])
def test_pages_of_another_version_are_not_called_forged(folder, name, version):
    """Nor are they called right: that they could not be compared is said."""

    def other(found: dict[str, Any], arrays: dict[str, Any]) -> None:
        place = found if name == "sottovoce" else found["versions"]
        place[name] = version or "1"
        if version is None and name != "sottovoce":
            del place[name]

    forge(folder, other)
    (folder / "report.md").write_text("a page of another form")
    record.write_digests(folder)
    found = run_verify(VerifyConfig(folder), silent)
    assert found["verified"] and "the pages are those that the results give" not in found["right"]
    (note,) = [note for note in found["notes"] if "could not be compared" in note]
    assert note.startswith("report.md could not be compared, since another version rendered them") and name in note


def test_a_record_of_an_earlier_schema_is_not_called_forged(tmp_path):
    shutil.copytree(Path(__file__).parents[1] / "audit" / "schema-2", tmp_path / "out")
    with pytest.raises(ConfigError, match="audit again"):
        run_verify(VerifyConfig(tmp_path / "out"), silent)


@pytest.fixture(scope="module")
def exhibited(made, shaped_once, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("exhibited") / "out"
    config = AuditConfig(
        str(made.protected), shaped_once.spec, out, "little", ("gender",), only=("linear",), with_originals=True
    )
    run_audit(config, silent)
    return out


def test_exhibits_are_compared_by_digest_and_everything_around_them_by_byte(exhibited):
    found = run_verify(VerifyConfig(exhibited), silent)
    assert found["verified"] and found["notes"] == [
        "report.html holds sounds and pictures, which were compared by their digests alone"
    ]
    facts = json.loads((exhibited / "results.json").read_text())["exhibits"]
    assert len(facts) == 3 and all(re.fullmatch("[0-9a-f]{64}", p["sound"]) for f in facts for p in f["panels"])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (r"base64,UklGR", "base64,UklGX"),
        (
            r"(<figure><figcaption>Original</figcaption><svg [^>]*>)(?=(?:(?!<figure>).)*<audio)",
            r"\1<text>hidden</text>",
        ),
        (r"<figcaption>Original", "<figcaption>Hidden"),
        (r"<h3>gender female", "<h3>nothing leaks"),
        (r"<h3>gender male", "<h3>nothing leaks"),
        (r"<audio controls", "<audio"),
        (r"(?s)<figure><figcaption>Obfuscated.*?</figure>", ""),
    ],
)
def test_what_is_changed_within_the_exhibits_is_found(exhibited, tmp_path, old, new):
    shutil.copytree(exhibited, tmp_path / "out")
    place = tmp_path / "out" / "report.html"
    changed, count = re.subn(old, new, place.read_text(), count=1, flags=re.DOTALL)
    if not count:
        pytest.skip("these recordings are not among the exhibits")
    place.write_text(changed)
    record.write_digests(tmp_path / "out")
    assert any("report.html" in sentence for sentence in wrong(tmp_path / "out"))


# Forged records of which every number fits: as whoever has the code can make them


def forge(folder: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> None:
    """Change results and scores, and make everything else fit, the pages as well; the statement stays as it was."""
    with np.load(folder / "scores.npz") as kept:
        arrays: dict[str, Any] = {name: kept[name] for name in kept.files}
    found = json.loads((folder / "results.json").read_text())
    statement = folder / record.STATEMENT
    signed = statement.read_bytes() if statement.exists() else None
    change(found, arrays)
    found["scores"] = record.write_scores(folder, arrays)
    (folder / "results.json").write_text(json.dumps(found))
    facts = record.read_results(folder)
    found |= summary.findings(facts, Scores(arrays)).model_dump(mode="json", by_alias=True)
    (folder / "results.json").write_text(json.dumps(found))
    write_report(folder, record.write_results(folder, record.read_results(folder)), [])
    record.write_digests(folder)
    if signed is not None:
        statement.write_bytes(signed)


def random_scores(found: dict[str, Any], arrays: dict[str, Any]) -> None:
    """Every attacker on what leaves answers at random."""
    rng = np.random.default_rng(0)
    for name, array in arrays.items():
        if "/attackers/" in name:
            arrays[name] = rng.standard_normal(array.shape).astype(array.dtype)


def raised_floor(found: dict[str, Any], arrays: dict[str, Any]) -> None:
    """The permitted answer gives everything away, so that nothing else can leak."""
    for task in found["private"]:
        arrays[f"{task}/floor/test"] = np.eye(arrays[f"{task}/floor/test"].shape[1])[arrays[f"{task}/labels/test"]]


def other_labels(found: dict[str, Any], arrays: dict[str, Any]) -> None:
    """The labels are shuffled, so that the attackers' right guesses become wrong ones."""
    for task in found["private"]:
        arrays[f"{task}/labels/test"] = np.random.default_rng(1).permutation(arrays[f"{task}/labels/test"])


def fewer_attackers(found: dict[str, Any], arrays: dict[str, Any]) -> None:
    """All but the weakest attacker are left out."""
    for task, entry in found["private"].items():
        weakest = min(range(len(entry["attackers"])), key=lambda i: entry["attackers"][i]["validation"])
        kept = {part: arrays[f"{task}/attackers/{weakest}/{part}"] for part in ("validation", "test")}
        for name in [name for name in arrays if name.startswith(f"{task}/attackers/")]:
            del arrays[name]
        arrays |= {f"{task}/attackers/0/{part}": array for part, array in kept.items()}
        entry["attackers"] = [entry["attackers"][weakest]]


def grand_names(found: dict[str, Any], arrays: dict[str, Any]) -> None:
    """The attackers get names that impress."""
    for entry in found["private"].values():
        for row, name in zip(entry["attackers"], ("WavLM-large, fine-tuned", "ECAPA-TDNN", "Whisper"), strict=False):
            row["attacker"] = name


def more_effort(found: dict[str, Any], arrays: dict[str, Any]) -> None:
    found.update(attackers="more", seconds=98000.0)


def other_corpus(found: dict[str, Any], arrays: dict[str, Any]) -> None:
    found["corpus"] |= {"name": "voxceleb2", "spec": "voxceleb2:/data", "digest": "0" * 64, "speakers": 6112}


def other_filter(found: dict[str, Any], arrays: dict[str, Any]) -> None:
    found["filter"] |= {"digest": "f" * 64, "method": "acme"}


def permitted_accuracy(found: dict[str, Any], arrays: dict[str, Any]) -> None:
    """The permitted task is answered rightly for every recording; it was for every one but three."""
    answers = arrays["word/answers/obfuscated"]
    arrays["word/answers/obfuscated"] = np.where(np.arange(len(answers)) < 3, (answers + 1) % 3, answers)


def other_words(found: dict[str, Any], arrays: dict[str, Any]) -> None:
    """Names are changed, digests are not."""
    found["corpus"]["name"], found["filter"]["method"] = "voxceleb2", "acme"


def passed_control(found: dict[str, Any], arrays: dict[str, Any]) -> None:
    """The guesses of a control are others; controls are not repeated."""
    arrays["controls/original"] = np.roll(arrays["controls/original"], 1)


FORGERIES = [
    random_scores, raised_floor, other_labels, fewer_attackers, grand_names, more_effort, other_corpus, other_filter,
    permitted_accuracy, other_words, passed_control,
]  # fmt: skip


SAID = {
    random_scores: "does not agree with the record: the same guess for",
    raised_floor: "floor/test",
    other_labels: "labels/test",
    fewer_attackers: "which the record lacks",
    grand_names: "the record has WavLM-large, fine-tuned (informed, on sound), which an audit with these settings",
    more_effort: "tries trees on statistics (informed, on sound), which the record lacks",
    other_corpus: "the corpus has the digest",
    other_filter: "the system has the digest",
    permitted_accuracy: "word/answers/obfuscated",
}


@pytest.mark.parametrize("change", FORGERIES, ids=lambda change: change.__name__)
def test_a_consistent_forgery_is_found_by_the_signature_and_by_attackers_that_are_fitted_again(made, folder, change):
    """And by nothing else, so that `verify` alone shows nothing about an auditor who lies; docs/verify.md says so."""
    forge(folder, change)
    found = wrong(folder, again(made))
    assert any(SAID[change] in sentence for sentence in found) if change in SAID else found == []
    if made.public.exists():
        found = wrong(folder, key=made.public)
        assert "results.json is not the file that was signed" in found
        assert all(re.search("was signed$|states another", sentence) for sentence in found), "all else is right"


def test_a_signature_that_was_taken_away_is_missed(made, folder):
    pytest.importorskip("cryptography")
    (folder / record.STATEMENT).unlink()
    assert wrong(folder, key=made.public) == ["the record is not signed: there is no statement.intoto.json"]


def test_a_record_that_is_wrong_already_is_not_attacked_again(made, folder):
    (folder / "report.md").write_text("nothing leaks")
    found = run_verify(VerifyConfig(folder, None, again(made)), silent)
    assert "no attacker was fitted again, since the record is wrong already" in found["notes"]


# What cannot be repeated


def test_other_recordings_are_told_before_anything_is_fitted(made, tmp_path):
    table = Path(made.spec.partition(":")[2])
    for path in table.parent.glob("*.wav"):
        shutil.copy(path, tmp_path)
    lines = table.read_text().splitlines()
    (tmp_path / "clips.csv").write_text("\n".join(lines[:-1]) + "\n")
    (sentence,) = wrong(made.out, replace(again(made), corpus=f"csv:{tmp_path / 'clips.csv'}"))
    assert sentence.startswith("the corpus has the digest") and "no attacker was fitted again" in sentence


def test_a_missing_target_is_asked_for(made):
    with pytest.raises(ConfigError, match="name those of the audit with --target"):
        wrong(made.out, replace(again(made), targets=()))


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found["filter"].update(constant_blocks="many"),
        lambda found: found["corpus"].update(split_seed={}),
        lambda found: found["corpus"].update(split="by hand"),
        lambda found: found.update(attackers="endless"),
        lambda found: found.update(seed=-1),
    ],
)
def test_settings_that_are_none_get_one_sentence(made, folder, change):
    change(found := json.loads((folder / "results.json").read_text()))
    (folder / "results.json").write_text(json.dumps(found))
    forge_pages(folder)
    with pytest.raises(SottovoceError) as refused:
        wrong(folder, again(made))
    assert "\n" not in str(refused.value)


def forge_pages(folder: Path) -> None:
    write_report(folder, json.loads((folder / "results.json").read_text()), [])
    (folder / "results.csv").write_text(record.csv_table(record.read_results(folder)))
    record.write_digests(folder)


def test_results_state_what_the_pages_were_rendered_with(made):
    assert rendered_again.versions().items() <= json.loads((made.out / "results.json").read_text())["versions"].items()
