"""From a system that somebody made and a corpus to a verified record; and what cannot be audited, in one sentence."""

import csv
import json
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import soundfile
import torch
from onnx import TensorProto, helper

from sottovoce.audit import budgets, record
from sottovoce.audit.budgets import Effort
from sottovoce.audit.record import verify
from sottovoce.corpora.splits import split
from sottovoce.errors import SottovoceError
from sottovoce.jobs import audit
from sottovoce.jobs.audit import AuditConfig, run_audit
from sottovoce.jobs.train import TrainConfig, make_filter, make_target
from sottovoce.models.architectures import build
from sottovoce.models.checkpoint import copy_files, write_folder
from sottovoce.models.target_loading import load_target, save_target
from sottovoce.runtime.export import save_filter

RATE = 16_000
LITTLE = Effort(("nearest", "linear"), ("linear",), (), {}, curves=(), shares=(0.5,), restorer_steps=2)
FULL = replace(LITTLE, linkage=True, continuous=True)


def silent(done: int, total: int, note: str) -> None:
    pass


@pytest.fixture(autouse=True)
def little(shaped, monkeypatch, tmp_path_factory) -> None:
    """Little work, none of which was done before."""
    monkeypatch.setattr(budgets, "EFFORTS", {"quick": LITTLE, "full": FULL})
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def audited(shaped, tmp_path) -> Callable[..., Any]:
    """What results.json says of a system, whose record is right."""

    def run(system: Path | str, corpus: str = shaped.spec, **more: Any) -> Any:
        returned = run_audit(AuditConfig(str(system), corpus, tmp_path / "out", **more), silent)
        stored = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
        assert stored == returned
        assert verify(tmp_path / "out") == []
        assert (tmp_path / "out" / "report.html").stat().st_size > 10_000
        return stored

    return run


def protected(shaped: Any, folder: Path, change: Callable[[np.ndarray, int], np.ndarray]) -> Path:
    """A folder of what somebody made of every recording."""
    folder.mkdir()
    for number, clip in enumerate(shaped.manifest.clips):
        soundfile.write(folder / clip.id, change(soundfile.read(clip.path)[0], number), RATE)
    return folder


def noise(wav: np.ndarray, number: int) -> np.ndarray:
    return 0.1 * np.random.default_rng(number).standard_normal(len(wav))


def hummed(folder: Path, people: int = 8, takes: int = 4, tabled: str = "hertz") -> str:
    """A corpus of people who hum, each take in a pitch of its own."""
    folder.mkdir()
    rng, time = np.random.default_rng(0), np.arange(24_000) / RATE
    rows = [("path", "speaker", "gender", tabled)]
    for who in range(people):
        for take in range(takes):
            hertz = 90 + 20 * who + 4 * take
            wav = 0.1 * np.sign(np.sin(2 * np.pi * hertz * time)) + 0.02 * rng.standard_normal(len(time))
            soundfile.write(folder / f"{who}-{take}.wav", wav, RATE)
            rows.append((f"{who}-{take}.wav", f"s{who}", ("f", "m")[who % 2], str(hertz)))
    with (folder / "clips.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return f"csv:{folder / 'clips.csv'}"


# Systems


def test_copies_of_the_originals_leak(audited, shaped, tmp_path):
    found = audited(protected(shaped, tmp_path / "copies", lambda wav, number: wav))
    assert found["valid"] is True
    assert {*found["private"]} == {"gender", "speaker", "word"}
    for entry in found["private"].values():
        assert entry["verdict"] == "leaks"
        assert entry["strongest"]["input"] == "sound" and entry["strongest"]["score"] == entry["ceiling"]["score"]
    assert found["permitted"] == {} and found["filter"]["permit"] == [] and found["targets"] == []
    assert found["filter"]["method"] == "folder:copies"
    assert found["linkage"] is None and found["continuous"] == {}


def test_noise_in_the_place_of_sound_hides_everything(audited, shaped, tmp_path):
    found = audited(protected(shaped, tmp_path / "noise", noise), permit=("word",))
    assert found["valid"] is True
    assert {*found["private"]} == {"gender", "speaker"} and found["filter"]["permit"] == ["word"]
    for entry in found["private"].values():
        assert entry["leakage"]["low"] <= found["tolerance"] and entry["strongest"]["score"] < 0.8
        assert entry["ceiling"]["score"] > 0.9
    assert "word" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")


def test_silence_in_the_place_of_sound_leaks_nothing_but_few_recordings_cannot_show_it(audited, shaped, tmp_path):
    found = audited(protected(shaped, tmp_path / "silence", lambda wav, number: 0.0 * wav), attributes=("gender",))
    gender = found["private"]["gender"]
    assert gender["verdict"] == "not shown" and gender["leakage"]["score"] == 0.0 < gender["leakage"]["high"]
    assert found["valid"] is True


def test_a_graph_of_spectra_is_attacked_as_features(audited, shaped, tmp_path):
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["S", 161, 128]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "negated", ports[:1], ports[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, tmp_path / "negated.onnx")
    found = audited(tmp_path / "negated.onnx", attributes=("gender",))
    rows = found["private"]["gender"]["attackers"]
    assert {(row["knowledge"], row["input"]) for row in rows} == {
        ("informed", "features"),
        ("uninformed", "features"),
        ("informed", "restored"),
    }
    assert found["private"]["gender"]["verdict"] == "leaks"
    assert (
        min(row["score"] for row in rows if row["knowledge"] == "uninformed")
        < found["private"]["gender"]["strongest"]["score"]
    )


COPY = "import shutil, sys; shutil.copy(*sys.argv[1:])"


def test_a_command_is_attacked(audited, shaped):
    found = audited(f"command:{shlex.join([sys.executable, '-c', COPY])} {{in}} {{out}}", attributes=("gender",))
    assert found["private"]["gender"]["verdict"] == "leaks"
    assert found["filter"]["method"].startswith("command:")


def test_what_a_target_answers_is_measured(audited, shaped, tmp_path):
    torch.manual_seed(0)
    sizes = {"maps": 2, "hidden": 8, "layers": 1}
    classes = ("no", "stop", "yes")
    parts = split(shaped.manifest, "utterance", 5)
    card = {"corpus": {"digest": shaped.manifest.digest, "split": parts.rule, "split_seed": parts.seed}}
    network = build("deepspeech2", {"classes": 3, **sizes})
    save_target(tmp_path / "t", network, "deepspeech2", {"classes": 3, **sizes}, "word", classes, card)
    copies = protected(shaped, tmp_path / "copies", lambda wav, number: wav)
    found = audited(copies, targets=(tmp_path / "t",), attributes=("gender",))
    assert {*found["permitted"]} == {"word"} and found["filter"]["permit"] == ["word"]
    assert found["corpus"]["split_seed"] == 5, "its test clips stay unheard"


def test_where_enough_people_speak_twice_linkage_and_numbers_are_tried(audited, tmp_path):
    spec = hummed(tmp_path / "hummed")
    shutil.copytree(tmp_path / "hummed", tmp_path / "copies", ignore=shutil.ignore_patterns("*.csv"))
    found = audited(tmp_path / "copies", spec, attackers="full")
    assert {*found["continuous"]} == {"hertz", "pitch"}
    assert found["continuous"]["hertz"]["strongest"]["score"] > 0.5
    assert found["continuous"]["pitch"]["unit"] == "semitones above 55 Hz"
    linkage = found["linkage"]
    assert (linkage["speakers"], linkage["recordings"]) == (8, 32)
    assert linkage["strongest"]["eer"]["score"] < 0.3
    with_numbers_permitted = audited(tmp_path / "copies", spec, attackers="full", permit=("hertz",))
    assert {*with_numbers_permitted["continuous"]} == {"pitch"}


def test_where_few_people_speak_twice_there_is_no_linkage(audited, tmp_path):
    spec = hummed(tmp_path / "hummed", people=5, takes=6)
    shutil.copytree(tmp_path / "hummed", tmp_path / "copies", ignore=shutil.ignore_patterns("*.csv"))
    assert audited(tmp_path / "copies", spec, attackers="full")["linkage"] is None


def test_a_filter_keeps_its_own_split_whoever_judges(shaped, tmp_path, monkeypatch):
    """The clips that it was trained with must not be tested, although the target was trained with others."""
    sizes = {"width": 4, "blocks": 1}
    corpus = {"digest": shaped.manifest.digest, "split": "utterance", "split_seed": 7}
    card = {"method": "optin", "permit": ["word"], "corpus": corpus}
    save_filter(tmp_path / "f", build("compact-autoencoder", sizes), "compact-autoencoder", sizes, 1.5, 1.0, card)
    words = {"maps": 2, "hidden": 8, "layers": 1, "classes": 3}
    other = {"corpus": {**corpus, "split_seed": 8}}
    save_target(tmp_path / "t", build("deepspeech2", words), "deepspeech2", words, "word", ("no", "stop", "yes"), other)
    met: list[Any] = []

    def stop(case: Any, *_: object) -> None:
        met.append(case)
        raise KeyboardInterrupt

    monkeypatch.setattr(audit, "audit", stop)
    with pytest.raises(KeyboardInterrupt):
        run_audit(AuditConfig(str(tmp_path / "f"), shaped.spec, tmp_path / "out", targets=(tmp_path / "t",)), silent)
    assert met[0].split.seed == 7
    assert np.array_equal(met[0].split.test, split(shaped.manifest, "utterance", 7).test)


# Filters that permit several tasks


def words_and_genders(folder: Path) -> dict[str, Path]:
    """Untrained targets of two tasks."""
    classes = {"word": ("no", "stop", "yes"), "gender": ("female", "male")}
    for task, names in classes.items():
        sizes = {"maps": 2, "hidden": 8, "layers": 1, "classes": len(names)}
        save_target(folder / task, build("deepspeech2", sizes), "deepspeech2", sizes, task, names, {"corpus": None})
    return {task: folder / task for task in classes}


def two_task_filter(shaped: Any, folder: Path, targets: dict[str, Path]) -> Path:
    sizes = {"width": 4, "blocks": 1}
    corpus = {"digest": shaped.manifest.digest, "split": "utterance", "split_seed": 7}
    card = {"method": "optin", "permit": ["word", "gender"], "corpus": corpus}
    save_filter(folder, build("compact-autoencoder", sizes), "compact-autoencoder", sizes, 1.5, 1.0, card, targets)
    return folder


def test_a_filter_brings_the_targets_of_all_that_it_permits(audited, shaped, tmp_path):
    targets = words_and_genders(tmp_path / "targets")
    path = two_task_filter(shaped, tmp_path / "f", targets)
    found = audited(path)
    assert found["filter"]["permit"] == ["word", "gender"]
    assert {*found["permitted"]} == {"word", "gender"} and {*found["private"]} == {"speaker"}
    digests = {task: load_target(place).digest for task, place in targets.items()}
    assert found["targets"] == [{"digest": digests[task], "task": task} for task in ("word", "gender")]
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert all(digest in text for digest in digests.values())


def test_what_is_revoked_is_attacked_and_its_target_does_not_count(audited, shaped, tmp_path):
    targets = words_and_genders(tmp_path / "targets")
    places = tuple(targets[task] for task in ("word", "gender"))
    few = {"voters": 1, "voter_steps": 2, "judges": False, "none.steps": 3, "none.measured": 32}
    settings = {"drawing.steps": 2, "drawing.candidates": 64, **few}
    make_filter(TrainConfig(shaped.spec, ("word", "gender"), places, tmp_path / "f", settings=settings), silent)
    found = audited(tmp_path / "f", permit=("gender",))
    assert found["filter"]["permit"] == ["gender"] and {*found["permitted"]} == {"gender"}
    assert [target["task"] for target in found["targets"]] == ["gender"]
    assert {*found["private"]} == {"speaker", "word"}
    assert found["bound"]["codes"] == {"word": 1, "gender": 3}
    both = audited(tmp_path / "f")
    assert both["bound"]["codes"] == {"word": 4, "gender": 3} and {*both["private"]} == {"speaker"}


def test_a_filter_that_cannot_switch_is_audited_as_it_is_or_refused(shaped, tmp_path):
    path = two_task_filter(shaped, tmp_path / "f", words_and_genders(tmp_path / "targets"))
    ask = AuditConfig(str(path), shaped.spec, tmp_path / "out")
    refused(replace(ask, permit=("word",)), "permit word;", "expected word, gender")
    refused(replace(ask, permit=("word", "speaker")), "permit word, speaker;", "expected word, gender")
    refused(replace(ask, permit=("gender", "word"), attributes=("mood",)), "'mood'", "what can: speaker")


def test_targets_that_cannot_judge_are_refused(shaped, tmp_path):
    targets = words_and_genders(tmp_path / "targets")
    ask = AuditConfig(str(two_task_filter(shaped, tmp_path / "f", targets)), shaped.spec, tmp_path / "out")
    refused(replace(ask, targets=(targets["word"], targets["word"])), "both recognise 'word'")
    sizes = {"maps": 2, "hidden": 8, "layers": 1, "classes": 5}
    names = tuple(shaped.manifest.classes("speaker"))
    save_target(tmp_path / "s", build("deepspeech2", sizes), "deepspeech2", sizes, "speaker", names, {"corpus": None})
    refused(replace(ask, targets=(tmp_path / "s",)), "'speaker'", "word, gender")
    lacking = two_task_filter(shaped, tmp_path / "g", {"word": targets["word"]})
    refused(replace(ask, system=str(lacking)), "no target of 'gender'", "--target")


# What cannot be audited


def refused(ask: AuditConfig, *words: str) -> None:
    """One sentence with these words, and nothing is written."""
    before = sorted(ask.out.rglob("*")) if ask.out.is_dir() else None
    with pytest.raises(SottovoceError) as error:
        run_audit(ask, silent)
    sentence = str(error.value)
    assert "\n" not in sentence and sentence.endswith("."), sentence
    assert all(word in sentence for word in words), sentence
    assert (sorted(ask.out.rglob("*")) if ask.out.is_dir() else None) == before


def corpus(folder: Path, rows: list[dict[str, str]], identical: bool = False) -> str:
    """A CSV corpus of noise."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(len(rows)):
        wav = np.random.default_rng(0).standard_normal(4000) if identical else rng.standard_normal(4000)
        soundfile.write(folder / f"{number}.wav", 0.1 * wav, RATE)
    with (folder / "clips.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, ["path", *rows[0]])
        table.writeheader()
        table.writerows({"path": f"{number}.wav", **row} for number, row in enumerate(rows))
    return f"csv:{folder / 'clips.csv'}"


def test_what_is_unknown_is_refused_before_any_work(shaped, tmp_path):
    system = str(protected(shaped, tmp_path / "copies", lambda wav, number: wav))
    ask = AuditConfig(system, shaped.spec, tmp_path / "out")
    refused(replace(ask, attackers="heroic"), "'heroic'", "quick, full")
    refused(replace(ask, attributes=("mood",)), "'mood'", "gender, speaker, word")
    refused(replace(ask, permit=("mood",)), "'mood'", "gender, speaker, word")
    refused(replace(ask, permit=("gender", "speaker", "word")), "no label that an attacker could learn")
    refused(replace(ask, permit=("word",), attributes=("word",)), "'word' cannot be attacked", "gender, speaker")
    refused(replace(ask, rule="halves"), "'halves'", "utterance, speaker, official")  # type: ignore[arg-type]
    refused(replace(ask, rule="official"), "official split")
    refused(replace(ask, rule="speaker", attributes=("speaker",)), "'speaker' cannot be attacked", "what can: word")
    refused(replace(ask, corpus="csv:nowhere.csv"), "nowhere.csv")
    refused(replace(ask, targets=(tmp_path / "nowhere",)), "nowhere")
    refused(replace(ask, out=tmp_path / "copies"), "lies in the folder that is audited")
    refused(replace(ask, out=tmp_path / "copies" / "in" / "it"), "lies in the folder that is audited")
    refused(replace(ask, out=tmp_path / "copies" / "ada-no-0.wav"), "is a file")
    (tmp_path / "copies" / "ada-no-0.wav").unlink()
    refused(ask, "1 of its 75 recordings have no protected file ('ada-no-0.wav')")


def test_a_target_that_does_not_know_a_class_is_refused_before_any_work(shaped, tmp_path):
    sizes = {"maps": 2, "hidden": 8, "layers": 1, "classes": 2}
    save_target(
        tmp_path / "t", build("deepspeech2", sizes), "deepspeech2", sizes, "word", ("no", "stop"), {"corpus": None}
    )
    copies = protected(shaped, tmp_path / "copies", lambda wav, number: wav)
    refused(
        AuditConfig(str(copies), shaped.spec, tmp_path / "out", targets=(tmp_path / "t",)),
        "knows word as no, stop",
        "yes",
    )
    save_target(
        tmp_path / "t", build("deepspeech2", sizes), "deepspeech2", sizes, "mood", ("no", "stop"), {"corpus": None}
    )
    refused(AuditConfig(str(copies), shaped.spec, tmp_path / "out", targets=(tmp_path / "t",)), "no label 'mood'")


ROWS = {
    "one speaker": ([{"speaker": "me"} for _ in range(12)], None, "no label that an attacker could learn"),
    "nobody recurs": ([{"speaker": f"s{i}"} for i in range(12)], None, ""),
    "few speakers": (
        [{"speaker": f"s{i % 2}", "gender": "fm"[i % 2]} for i in range(12)],
        "speaker",
        "at least three speakers",
    ),
    "two clips": ([{"gender": "f"}, {"gender": "m"}], None, "too small for the split"),
    "unlabelled clips": ([{"gender": ("f", "m", "")[i % 3]} for i in range(12)], None, "no label that an attacker"),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_corpus_that_nothing_can_be_learnt_from_is_refused(tmp_path, name):
    rows, rule, sentence = ROWS[name]
    spec = corpus(tmp_path / "c", rows)
    shutil.copytree(tmp_path / "c", tmp_path / "copies", ignore=shutil.ignore_patterns("*.csv"))
    refused(AuditConfig(str(tmp_path / "copies"), spec, tmp_path / "out", rule=rule), sentence)


def test_a_corpus_of_one_clip_again_and_again_is_refused(tmp_path):
    spec = corpus(tmp_path / "c", [{"speaker": f"s{i % 3}"} for i in range(12)], identical=True)
    shutil.copytree(tmp_path / "c", tmp_path / "copies", ignore=shutil.ignore_patterns("*.csv"))
    refused(AuditConfig(str(tmp_path / "copies"), spec, tmp_path / "out"))


def test_a_rare_class_does_not_stop_the_audit(audited, tmp_path):
    """Two clips of a class, in whatever parts they are."""
    rows = [{"speaker": f"s{i % 3}", "accent": "rare" if i < 2 else ("one", "other")[i % 2]} for i in range(30)]
    spec = corpus(tmp_path / "c", rows)
    shutil.copytree(tmp_path / "c", tmp_path / "copies", ignore=shutil.ignore_patterns("*.csv"))
    found = audited(tmp_path / "copies", spec)
    assert "speaker" in found["private"]


def test_where_all_attackers_break_down_there_is_one_sentence_and_no_record(shaped, tmp_path, replace_attacker):
    def broken(cycles: int, seed: int) -> Any:
        raise MemoryError("not one more")

    for family in ("nearest", "linear"):
        replace_attacker(family, broken)
    copies = protected(shaped, tmp_path / "copies", lambda wav, number: wav)
    with pytest.raises(SottovoceError, match=r"every attacker of 'gender' .* broke down .*not one more"):
        run_audit(AuditConfig(str(copies), shaped.spec, tmp_path / "out"), silent)
    assert not (tmp_path / "out" / "results.json").exists()


def test_an_audit_by_fragment_says_so_and_needs_a_filter_made_by_fragment(shaped, audited, tmp_path):
    spec, target, little = f"fragments:{shaped.spec}", tmp_path / "target", {"steps": 2, "batch": 4}
    sizes = {f"{player}.{size}": 4 for player in ("obfuscator", "deobfuscator") for size in ("width", "blocks")}
    words = {"architecture": "deepspeech2", **{f"settings.{size}": 2 for size in ("maps", "hidden", "layers")}}
    make_target(spec, "word", target, "quick", None, 0, "", silent, words | little)
    make_filter(TrainConfig(spec, ("word",), (target,), tmp_path / "filter", "optin", "quick", sizes | little), silent)
    with pytest.raises(SottovoceError, match="name the corpus as fragments:"):
        run_audit(AuditConfig(str(tmp_path / "filter"), shaped.spec, tmp_path / "out"), silent)
    found = audited(tmp_path / "filter", spec)
    assert found["corpus"]["split"] == "fragment"
    assert any("both sides" in note for note in found["notes"])
    with pytest.raises(SottovoceError, match="by fragment"):
        run_audit(AuditConfig(str(protected(shaped, tmp_path / "noise", noise)), spec, tmp_path / "out"), silent)


def test_a_label_that_is_not_attacked_is_named_with_the_reason(shaped, audited, tmp_path):
    header, *rows = shaped.table.read_text().splitlines()
    moods = ["", *(("glad", "sad")[i % 2] for i in range(len(rows) - 1))]
    table = shaped.table.with_name("gaps.csv")
    table.write_text("\n".join([f"{header},mood", *(f"{row},{mood}" for row, mood in zip(rows, moods, strict=True))]))
    copies = protected(shaped, tmp_path / "copies", lambda wav, number: wav)
    found = audited(copies, f"csv:{table}", attributes=("gender",))
    table.unlink()
    assert set(found["private"]) == {"gender"}
    assert any("the label mood was not attacked: it was not asked for" in note for note in found["notes"])
    assert any("the label speaker was not attacked: it was not asked for" in note for note in found["notes"])


# What is kept


def poisoned(cache: Path) -> int:
    """Exchange all scores on what leaves for noise, as somebody would who may write to the cache; how many were."""
    rng, count = np.random.default_rng(0), 0
    for kept in (cache / "attacks").glob("*.npz"):
        with np.load(kept, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        for name in arrays:
            if name.endswith(("/test", "/validation")):
                arrays[name] = rng.standard_normal(arrays[name].shape).astype(np.float32)
                count += 1
        np.savez_compressed(kept, **arrays)
    return count


def test_a_poisoned_cache_makes_no_verdict(audited, shaped, tmp_path, monkeypatch):
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "cache"))
    copies = protected(shaped, tmp_path / "copies", lambda wav, number: wav)
    before = audited(copies, attributes=("speaker",))
    assert poisoned(tmp_path / "cache") > 5
    after = audited(copies, attributes=("speaker",))
    assert after["valid"] and after["private"]["speaker"]["verdict"] == "leaks"
    assert after["private"]["speaker"]["leakage"] == before["private"]["speaker"]["leakage"]


@pytest.mark.parametrize("place", ["attacks", "commands", "sounds", "."])
def test_a_cache_that_others_may_write_is_refused_before_it_is_read(shaped, tmp_path, monkeypatch, place):
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "cache"))
    system = f"command:{shlex.join([sys.executable, '-c', COPY])} {{in}} {{out}}"
    ask = AuditConfig(system, shaped.spec, tmp_path / "out", attributes=("gender",))
    run_audit(ask, silent)
    victim = next(path for path in sorted((tmp_path / "cache" / place).rglob("*")) if path.is_file())
    for path in (victim, tmp_path / "cache" / place):
        before = path.stat().st_mode
        path.chmod(before | 0o020)
        refused(replace(ask, out=tmp_path / "other"), "may be written by others", "SOTTOVOCE_CACHE")
        path.chmod(before)


def test_observations_are_for_the_owner_alone(shaped, tmp_path, monkeypatch):
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(audit.summary, "findings", stop)
    copies = protected(shaped, tmp_path / "copies", lambda wav, number: wav)
    ask = AuditConfig(str(copies), shaped.spec, tmp_path / "out", attributes=("gender",))
    with pytest.raises(KeyboardInterrupt):
        run_audit(ask, silent)
    observations = tmp_path / "out" / ".observations"
    assert observations.stat().st_mode & 0o777 == 0o700
    monkeypatch.undo()
    victim = next(path for path in observations.rglob("spectra.npy"))
    victim.chmod(0o666)
    with pytest.raises(SottovoceError, match="may be written by others"):
        run_audit(ask, silent)


# Recognisers that training never saw


def with_judges(shaped: Any, folder: Path, **changes: Any) -> tuple[Path, dict[str, Path]]:
    """A filter of words and genders that holds judges of both, as training keeps them back, and their folders."""
    torch.manual_seed(0)
    targets = words_and_genders(folder / "targets")
    torch.manual_seed(1)
    others = words_and_genders(folder / "others")
    made = two_task_filter(shaped, folder / "made", targets)
    files = {path.relative_to(made).as_posix(): path.read_bytes() for path in made.rglob("*") if path.is_file()}
    card = json.loads(files.pop("card.json"))
    digests = {task: load_target(place).digest for task, place in others.items()}
    card["targets"] = [{"task": task, "digest": load_target(place).digest} for task, place in targets.items()]
    card["transfer"] = {
        task: [{"judge": f"the same architecture, another seed, of {task}", "name": f"{task}-1", "digest": digest}]
        for task, digest in digests.items()
    } | changes
    for task, place in others.items():
        files |= copy_files(place, f"judges/{task}-1")
    kept = {key: value for key, value in card.items() if key not in ("files", "schema", "kind", "sottovoce")}
    write_folder(folder / "f", "filter", files, kept)
    return folder / "f", others


def test_judges_measure_what_is_permitted_beside_the_target_and_their_answers_are_verified(audited, shaped, tmp_path):
    """Those of the filter folder, and those that are named; the target's own folder scores what the target does."""
    path, others = with_judges(shaped, tmp_path / "w")
    named = (others["word"], tmp_path / "w" / "targets" / "word")
    found = audited(path, judges=named)["permitted"]
    held, sibling, own = found["word"]["judges"]
    name = "the same architecture, another seed, of word"
    assert [held["judge"], sibling["judge"], own["judge"]] == [name, "word", "word"]
    assert [held["kind"], sibling["kind"], own["kind"]] == ["seed", "seed", "trained-with"]
    assert held["digest"] == load_target(others["word"]).digest and held["obfuscated"] == sibling["obfuscated"]
    assert own["original"] == found["word"]["original"] and own["obfuscated"] == found["word"]["sound"]
    assert len(found["gender"]["judges"]) == 1 and found["word"]["trained_with"] is True
    out = tmp_path / "out"
    text = (out / "report.md").read_text(encoding="utf-8")
    assert "another seed, of word" in text and "nothing is shown about others" not in text
    table = list(csv.DictReader((out / "results.csv").open(encoding="utf-8", newline="")))
    rows = [(row["attacker"], row["input"]) for row in table if row["attribute"] == "word"]
    target = [("target", given) for given in ("original", "obfuscated", "sound")]
    assert rows == [*target, *((who, side) for who in (name, "word", "word") for side in ("original", "sound"))]
    refused(AuditConfig(str(path), shaped.spec, out, replace=False), "another audit (different: judges)")
    _changed_answers_are_found(out)


def _changed_answers_are_found(out: Path) -> None:
    with np.load(out / "scores.npz") as kept:
        arrays = {name: kept[name] for name in kept.files}
    stored = json.loads((out / "results.json").read_text(encoding="utf-8"))

    def wrong(scores: dict[str, Any]) -> list[str]:
        results = {**stored, "scores": record.write_scores(out, scores)}
        (out / "results.json").write_text(json.dumps(results), encoding="utf-8")
        (out / "results.csv").write_text(record.csv_table(record.read_results(out)), encoding="utf-8")
        record.write_digests(out)
        return verify(out)

    assert wrong(arrays) == []
    right = arrays["word/labels/test"]
    for name in ("word/judges/0/obfuscated", "word/judges/2/original", "word/answers/sound"):
        changed = np.where(arrays[name] == right, (right + 1) % 3, right)
        assert any("permitted.word" in sentence for sentence in wrong({**arrays, name: changed}))
    judges = stored["permitted"]["word"]["judges"]
    judges[0]["obfuscated"]["score"] += 0.01
    assert any("permitted.word.judges[0].obfuscated.score" in sentence for sentence in wrong(arrays))
    judges[0]["obfuscated"]["score"] -= 0.01
    del judges[2]
    assert wrong(arrays) == ["scores.npz has the scores of word/judges/2, results.json says nothing of it"]


def test_where_nobody_else_was_asked_the_results_say_so(audited, shaped, tmp_path):
    """Also where the card names a recogniser that is not there; nothing outside the filter's judges is opened."""
    missing = [{"judge": "somebody else", "name": "../targets/word"}]
    path, _ = with_judges(shaped, tmp_path / "w", word=missing, gender=[])
    found = audited(path)
    assert [entry["judges"] for entry in found["permitted"].values()] == [[], []]
    assert "the card names a recogniser of word that the filter does not hold: somebody else" in found["notes"]
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    words = "measured only with the recogniser that the filter was made with: nothing is shown about others"
    assert text.count(words) == 3, "in the headline, and with each of two tasks"


def test_judges_that_cannot_be_what_they_are_called_are_refused(shaped, tmp_path):
    path, _ = with_judges(shaped, tmp_path / "v", word=[{"judge": "forged", "name": "word-1", "digest": "0" * 64}])
    ask = AuditConfig(str(path), shaped.spec, tmp_path / "o")
    refused(ask, "word-1 is not the recogniser that the card of the filter names")
    sizes = {"maps": 2, "hidden": 8, "layers": 1, "classes": 5}
    names = tuple(shaped.manifest.classes("speaker"))
    save_target(tmp_path / "s", build("deepspeech2", sizes), "deepspeech2", sizes, "speaker", names, {"corpus": None})
    path, _ = with_judges(shaped, tmp_path / "u")
    refused(
        AuditConfig(str(path), shaped.spec, tmp_path / "o", judges=(tmp_path / "s",)),
        "recognises 'speaker', which no target of this audit answers; expected word or gender",
    )


def test_judges_of_names_are_disguised_as_the_names_are(audited, shaped, tmp_path):
    """Classes that may be names are numbered at random, in the answers of judges as in the labels."""
    torch.manual_seed(0)
    sizes = {"maps": 2, "hidden": 8, "layers": 1, "classes": 5}
    names = tuple(shaped.manifest.classes("speaker"))
    for place, seed in (("t", 0), (f"{names[0]}-recogniser", 1)):
        torch.manual_seed(seed)
        network = build("deepspeech2", sizes)
        save_target(tmp_path / place, network, "deepspeech2", sizes, "speaker", names, {"corpus": None})
    copies = protected(shaped, tmp_path / "copies", lambda wav, number: wav)
    ask = {"targets": (tmp_path / "t",), "judges": (tmp_path / f"{names[0]}-recogniser",), "attributes": ("gender",)}
    hidden = audited(copies, **ask)["permitted"]["speaker"]
    shown = audited(copies, names=True, **ask)["permitted"]["speaker"]
    assert shown["judges"][0]["judge"] == f"{names[0]}-recogniser" and names[0] not in hidden["judges"][0]["judge"]
    for side in ("original", "obfuscated"):
        assert hidden["judges"][0][side]["score"] == shown["judges"][0][side]["score"]
