"""No trace: no sound in what an audit writes unless asked, and no name of a person or a file leaves with it.

What leaves is the folder of the audit, all of it, and what is printed: pages, results, scores. Names do not leave by
order either: whoever knows the people of a corpus, or the names of its files, learns nothing from what comes first.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from sottovoce.audit import budgets
from sottovoce.audit.budgets import Effort
from sottovoce.audit.pseudonyms import Pseudonyms, disguised
from sottovoce.audit.record import verify
from sottovoce.audit.results import BoundFacts, Facts, PrivateFacts
from sottovoce.audit.scores import Evidence, Scores
from sottovoce.corpora.manifest import Clip, Manifest
from sottovoce.jobs.audit import AuditConfig, names_place, notes_with_names, run_audit
from sottovoce.report.dossier import provenance
from sottovoce.report.table import table

RATE = 16_000
PEOPLE = ("Annegret Achterberg", "berthold_b", "Çelik", "D'Arcy", "Émile", "Ферапонт", "Gü|nter", "<i>Hedwig</i>")
EFFORT = Effort(
    ("nearest", "linear"), ("linear",), (), {}, curves=(), shares=(0.5,), sensitivity_db=(10.0,), linkage=True,
    continuous=True,
)  # fmt: skip
COPY = "import shutil, sys; shutil.copy(*sys.argv[1:3])"


def silent(done: int, total: int, note: str) -> None:
    pass


def hum(who: int, take: int) -> np.ndarray:
    rng = np.random.default_rng(100 * who + take)
    hertz = 90 + 20 * who + 3 * take
    wav = np.sign(np.sin(2 * np.pi * hertz * np.arange(24_000) / RATE)) + 0.3 * rng.standard_normal(24_000)
    return 0.05 * wav


def recorded(folder: Path, labels: dict[str, Callable[[int], str]]) -> str:
    """A corpus whose files and folders are named by who speaks, with a twin and a file that is no sound."""
    folder.mkdir(parents=True)
    rows = [("path", *labels)]
    for who, person in enumerate(PEOPLE):
        for take in range(6):
            name = f"{person.replace('/', '')}, {take}.wav"
            soundfile.write(folder / name, hum(who, take), RATE)
            rows.append((name, *(label(who) for label in labels.values())))
    for name, content in ((f"{PEOPLE[0]}, again.wav", None), (f"{PEOPLE[1]}, broken.wav", b"RIFF, no more")):
        if content is None:
            shutil.copy(folder / f"{PEOPLE[0]}, 0.wav", folder / name)
        else:
            (folder / name).write_bytes(content)
        rows.append((name, *(label(0 if content is None else 1) for label in labels.values())))
    with (folder / "clips.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return f"csv:{folder / 'clips.csv'}"


@dataclasses.dataclass(frozen=True)
class Audit:
    """The folder that is sent on, what was returned, and what was asked for."""

    folder: Path
    results: Any
    ask: AuditConfig

    def files(self) -> dict[str, str]:
        """Everything that is in the folder, as text: of scores every name and every text."""
        found = {}
        for path in self.folder.rglob("*"):
            if path.suffix == ".npz":
                with np.load(path, allow_pickle=False) as kept:
                    words = [str(text) for name in kept.files if kept[name].dtype.kind == "U" for text in kept[name]]
                    found[path.name] = "\n".join([*kept.files, *words])
            elif path.is_file():
                found[path.name] = path.read_text(encoding="utf-8")
        return found

    def said(self) -> str:
        """Everything that leaves, as one text, with what HTML and Markdown escape in it undone."""
        printed = json.dumps(self.results, ensure_ascii=False) + table(self.results)
        text = "\n".join([*self.files().values(), printed])
        return text.replace("&lt;", "<").replace("&gt;", ">").replace("&#39;", "'").replace("\\", "")


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Audit]]:
    """Audit a command that copies, of a corpus in somebody's home."""
    place = tmp_path_factory.mktemp("trace")
    columns = {"speaker": lambda who: PEOPLE[who], "gender": lambda who: "fm"[who % 2]}
    labelled = {"label": lambda who: PEOPLE[who]}
    specs = {
        "speakers": recorded(place / "home" / "berta" / "speakers", columns),
        "labels": recorded(place / "home" / "berta" / "labels", labelled),
    }
    run = shlex.join([sys.executable, "-c", COPY])
    secrets = "HTTP://berta:geheim@localhost/?key=geheim --token geheim A=geheim -uberta:geheim --pin=geheim geheim"
    system = f"command:{run} {{in}} {{out}} {secrets}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOTTOVOCE_CACHE", str(place / "cache"))
        patch.setattr(budgets, "EFFORTS", {"quick": EFFORT})

        def made(corpus: str = "speakers", **more: Any) -> Audit:
            out = place / f"out-{len(list(place.iterdir()))}"
            command = shlex.join(["sottovoce", "audit", system, "--corpus", specs[corpus], "--out", str(out)])
            ask = AuditConfig(system, specs[corpus], out, command=command, **more)
            return Audit(out, run_audit(ask, silent), ask)

        yield made


@pytest.fixture(scope="module")
def sent(audit: Callable[..., Audit]) -> Audit:
    return audit()


def parts(person: str) -> list[str]:
    return [part for part in person.replace("<i>", " ").replace("</i>", " ").replace("_", " ").split() if len(part) > 2]


def test_no_name_of_a_person_leaves(sent: Audit) -> None:
    for name in (name for person in PEOPLE for name in (person, *parts(person))):
        assert name.lower() not in sent.said().lower()
    assert sorted(sent.results["private"]["speaker"]["class_names"]) == [f"speaker {n}" for n in range(1, 9)]
    assert sent.results["private"]["gender"]["class_names"] == ["f", "m"], "who is described is not named"
    assert {person["speaker"] for person in sent.results["private"]["gender"]["people"]} <= {
        f"speaker {n}" for n in range(1, 9)
    }


def test_a_folder_of_people_is_no_less_private_than_a_column_of_speakers(audit: Callable[..., Audit]) -> None:
    found = audit("labels")
    assert sorted(found.results["private"]["label"]["class_names"]) == [f"label {n}" for n in range(1, 9)]
    for name in (name for person in PEOPLE for name in (person, *parts(person))):
        assert name.lower() not in found.said().lower()
    assert verify(found.folder) == []


def test_no_name_of_a_file_leaves_and_what_was_skipped_is_counted(sent: Audit) -> None:
    said = sent.said()
    assert ".wav" not in said
    assert any("duplicate" in note for note in sent.results["notes"])
    assert any("left out" in note for note in sent.results["notes"])
    with np.load(sent.folder / "scores.npz") as kept:
        assert all(len(name) == 16 and int(name, 16) >= 0 for name in kept["clips/test"])
        assert len(set(kept["clips/test"])) == len(kept["clips/test"])


def test_whoever_made_the_audit_keeps_the_names(sent: Audit) -> None:
    told = "\n".join(notes_with_names(sent.results))
    assert f"{PEOPLE[0]}, again.wav" in told and f"{PEOPLE[1]}, broken.wav" in told
    place = names_place(sent.results)
    assert sent.folder not in place.parents and place.stat().st_mode & 0o777 == 0o600
    kept = json.loads(place.read_text(encoding="utf-8"))
    assert {*kept["people"]["speaker"]} == {*PEOPLE}
    with np.load(sent.folder / "scores.npz") as scores:
        assert {*scores["clips/test"]} < {*kept["files"].values()}
        files = {hashed: name for name, hashed in kept["files"].items()}
        people = {number: name for name, number in kept["people"]["speaker"].items()}
        for clip, speaker in zip(scores["clips/test"], scores["speakers/test"], strict=True):
            assert files[clip].startswith(people[speaker].replace("/", ""))


def test_no_sound_and_no_spectrogram_leaves(sent: Audit) -> None:
    page = sent.files()["report.html"]
    assert "data:" not in page and "<audio" not in page and "<image" not in page and "<img" not in page
    assert "--with-originals" in page, "the page says how to have them"
    assert {path.name for path in sent.folder.iterdir()} == {
        "results.json", "scores.npz", "report.html", "report.md", "digests.json",
    }  # fmt: skip


def test_who_asks_for_originals_gets_them_and_still_no_names(audit: Callable[..., Audit]) -> None:
    found = audit(with_originals=True)
    page = found.files()["report.html"]
    assert page.count("data:audio/wav;base64,") == 6 and page.count("data:image/png;base64,") == 6
    assert not [name for person in PEOPLE for name in parts(person) if name in page]
    assert "speaker" in page and verify(found.folder) == []


def test_who_asks_for_names_gets_them(audit: Callable[..., Audit]) -> None:
    found = audit(names=True)
    assert found.results["private"]["speaker"]["class_names"] == sorted(PEOPLE)
    assert any(f"{PEOPLE[1]}, broken.wav" in note for note in found.results["notes"])
    with np.load(found.folder / "scores.npz") as kept:
        assert f"{PEOPLE[2]}, " in str(list(kept["clips/test"]))
    assert "geheim" not in found.said() and verify(found.folder) == []


def test_the_numbers_are_those_of_the_audit_with_names(sent: Audit, audit: Callable[..., Audit]) -> None:
    named = audit(names=True).results
    for task, entry in sent.results["private"].items():
        other = named["private"][task]
        for key in ("chance", "classes", "verdict", "failed"):
            assert entry[key] == other[key]
        for key in ("floor", "ceiling", "strongest", "leakage"):
            assert entry[key]["score"] == pytest.approx(other[key]["score"], abs=1e-9)
        assert sorted(map(sorted, entry["confusion"])) == sorted(map(sorted, other["confusion"]))
        assert sorted(person["score"] for person in entry["people"]) == sorted(p["score"] for p in other["people"])
    assert sent.results["controls"] == named["controls"]
    for key in ("speakers", "same_pairs", "other_pairs"):
        assert sent.results["linkage"][key] == named["linkage"][key]
    assert sent.results["linkage"]["strongest"]["eer"]["score"] == named["linkage"]["strongest"]["eer"]["score"]
    assert {task: n["error"] for task, n in sent.results["continuous"].items()} == pytest.approx(
        {task: n["error"] for task, n in named["continuous"].items()}
    )


def test_the_same_audit_gives_the_same_names_and_another_gives_others(sent: Audit, audit: Callable[..., Audit]) -> None:
    again, other = audit(), audit(seed=1)
    same = ("private", "linkage", "continuous", "scores", "notes")
    assert {key: again.results[key] for key in same} == {key: sent.results[key] for key in same}
    first, second = (json.loads(names_place(found.results).read_text())["people"] for found in (sent, other))
    assert first != second
    with np.load(sent.folder / "scores.npz") as one, np.load(other.folder / "scores.npz") as two:
        assert not {*one["clips/test"]} & {*two["clips/test"]}, "nobody can tell that they are the same files"


def test_no_secret_and_no_folder_leaves_with_the_command(sent: Audit) -> None:
    assert "geheim" not in sent.said() and "berta" not in sent.said()
    assert str(sent.folder.parent) not in sent.said() and "/home" not in sent.said()
    assert sent.results["filter"]["method"].startswith("command:python")
    assert sent.results["corpus"]["spec"] == "csv:clips.csv"
    assert sent.results["command"].startswith("sottovoce audit 'command:python")
    assert sent.results["command"].endswith(f"--corpus csv:clips.csv --out {sent.folder.name}")


def test_an_audit_has_a_date(sent: Audit) -> None:
    date = sent.results["date"]
    assert np.datetime64(date.removesuffix("Z")) and date.endswith("Z")
    assert all(date in sent.files()[name] for name in ("report.html", "report.md"))
    assert dict(provenance(sent.results))["Date"] == date


def test_verify_is_content_with_what_was_sent(sent: Audit) -> None:
    assert verify(sent.folder) == []


# By order


CLIPS = 40  # of ten people


def some_evidence() -> tuple[Manifest, Evidence]:
    """What an audit gathers, with everything in the order of names, as a corpus lists it."""
    people = [f"person {n:02}" for n in range(10) for _ in range(CLIPS // 10)]
    clips = tuple(Clip(Path(f"{i:02}.wav"), f"{i:02}.wav", {"speaker": who}) for i, who in enumerate(people))
    manifest = Manifest("csv", "csv:x", clips, "", "", "utterance")
    who = np.repeat(np.arange(10), CLIPS // 10)
    scores = np.tile(np.eye(10, dtype=np.float32)[who], (2, 1, 1))
    first, second = np.triu_indices(CLIPS, 1)
    names = np.array(people)
    arrays = {
        "clips/test": np.array([clip.id for clip in clips]),
        "speakers/test": names,
        "speaker/cluster": np.arange(CLIPS),
        "speaker/floor/test": scores[0],
        "gender/cluster": who,
        "gender/labels/test": who % 2,
        "word/answers/original": np.arange(CLIPS) % 3,
        "hertz/values/test": np.arange(CLIPS) * 1.0,
        "hertz/obfuscated/0/test": np.arange(CLIPS) * 1.0,
        "controls/shuffled labels": who,
        "controls/shuffled": who,
        "controls/original": who,
        "codes/test": np.repeat(np.arange(CLIPS), 2) % 5,
        "codes/test/owner": np.repeat(np.arange(CLIPS), 2),
        "linkage/linkers/0/similarity": (first == second) * 1.0,
        "linkage/linkers/0/same": names[first] == names[second],
        "linkage/linkers/0/first": names[first],
        "linkage/linkers/0/second": names[second],
        **{f"speaker/labels/{part}": who for part in ("train", "validation", "test")},
        **{
            f"speaker/{side}/0/{part}": scores for side in ("attackers", "originals") for part in ("validation", "test")
        },
    }
    entry = PrivateFacts(class_names=sorted(set(people)), cluster="utterance", attackers=[], originals=[])
    bound = BoundFacts(codes={"word": 5}, block_s=1.28, constant_blocks=0)
    return manifest, Evidence(Facts(private={"speaker": entry}, control="speaker", bound=bound), Scores(arrays))


FIRST: dict[str, Callable[[dict[str, Any], dict[str, str]], object]] = {
    "class": lambda found, people: people[found["classes"][0]],
    "row": lambda found, people: people[str(found["speakers/test"][0])],
    "class of a row": lambda found, people: people[found["classes"][found["speaker/labels/test"][0]]],
    "row of training": lambda found, people: people[found["classes"][found["speaker/labels/train"][0]]],
    "likeliest of the first scores": lambda found, people: people[
        found["classes"][int(found["speaker/attackers/0/test"][0, 0].argmax())]
    ],
    "floor": lambda found, people: people[found["classes"][int(found["speaker/floor/test"][0].argmax())]],
    "first of a pair": lambda found, people: people[str(found["linkage/linkers/0/first"][0])],
    "value": lambda found, people: found["hertz/values/test"][0],
    "guess of a control": lambda found, people: people[found["classes"][found["controls/original"][0]]],
    "random label": lambda found, people: found["controls/shuffled labels"][0],
    "cluster of the last row": lambda found, people: found["gender/cluster"][-1],
    "code of the first block": lambda found, people: found["codes/test"][0],
}


@pytest.fixture(scope="module")
def many() -> list[tuple[dict[str, Any], dict[str, str]]]:
    """What leaves of one and the same evidence in many audits, and who is behind each pseudonym."""
    manifest, evidence = some_evidence()
    found = []
    for number in range(40):
        names = Pseudonyms(manifest, bytes([number] * 32))
        other = disguised(evidence, names, {"speaker": manifest.classes("speaker"), "word": ["a", "b", "c"]})
        people = {pseudonym: name for name, pseudonym in names.people["speaker"].items()}
        found.append(({**other.scores, "classes": other.facts.private["speaker"].class_names}, people))
    return found


@pytest.mark.parametrize("what", FIRST)
def test_what_comes_first_can_be_anybody(many: list[tuple[dict[str, Any], dict[str, str]]], what: str) -> None:
    seen = [FIRST[what](found, people) for found, people in many]
    most = max(seen.count(one) for one in seen)
    assert most <= 20, "of 40 audits"


def test_of_two_people_in_a_pair_either_can_stand_first(many: list[tuple[dict[str, Any], dict[str, str]]]) -> None:
    found, people = many[0]
    first, second = ([people[str(who)] for who in found[f"linkage/linkers/0/{side}"]] for side in ("first", "second"))
    pairs = [one < other for one, other in zip(first, second, strict=True) if one != other]
    assert 0.4 < np.mean(pairs) < 0.6


def test_everything_still_belongs_together(many: list[tuple[dict[str, Any], dict[str, str]]]) -> None:
    for found, people in many:
        labels = found["speaker/labels/test"]
        assert [found["classes"][label] for label in labels] == list(found["speakers/test"])
        for name in ("speaker/attackers/0/test", "speaker/originals/0/test"):
            assert (found[name].argmax(axis=2) == labels).all()
        assert (found["speaker/floor/test"].argmax(axis=1) == labels).all()
        assert (found["controls/original"] == labels).all()
        assert (found["controls/shuffled"] == found["controls/shuffled labels"]).all()
        assert (found["hertz/values/test"] == found["hertz/obfuscated/0/test"]).all()
        number = {f"person {n:02}": n for n in range(10)}
        true = np.array([number[people[str(who)]] for who in found["speakers/test"]])
        assert (found["hertz/values/test"] // 4 == true).all() and (found["gender/labels/test"] == true % 2).all()
        assert len({*zip(found["gender/cluster"], true, strict=True)}) == 10, "a cluster is a person"
        codes = dict(zip(found["codes/test/owner"], found["codes/test"], strict=True))
        assert all(codes[row] == found["hertz/values/test"][row] % 5 for row in range(CLIPS))
        same = found["linkage/linkers/0/first"] == found["linkage/linkers/0/second"]
        assert (same == found["linkage/linkers/0/same"]).all()


def test_evidence_of_an_unknown_kind_does_not_leave() -> None:
    manifest, evidence = some_evidence()
    more = Evidence(evidence.facts, Scores({"faces/test": np.arange(3)}))
    with pytest.raises(AssertionError, match="faces"):
        disguised(more, Pseudonyms(manifest, b"k"), {})
