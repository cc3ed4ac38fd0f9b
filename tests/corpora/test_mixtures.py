"""Pairs with and without speech: nothing but speech may tell their halves apart, and nobody is heard in two parts."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sottovoce.audio import io
from sottovoce.audio.level import rms
from sottovoce.corpora import cache
from sottovoce.corpora.catalogue import open_corpus
from sottovoce.corpora.manifest import Manifest
from sottovoce.corpora.readers import mixtures, tau
from sottovoce.corpora.readers.mixtures import Mixing
from sottovoce.corpora.splits import split
from sottovoce.errors import CorpusError

CLASSES = ("Dog bark", "Rain")
MIXING = Mixing(windows=2, uses=1)
SPEAKERS = {"F": range(10, 20), "M": range(20, 30)}
RATE = 16000


@pytest.fixture
def folder(record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two classes of events in five folds, and twenty speakers with 3 s each."""
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "cache"))
    for number, name in enumerate(CLASSES, start=1):
        for fold in range(1, 6):
            record(f"esc10/00{number} - {name}/{fold}-{1000 + fold}-A.wav", 2.5, 22050)
    lines = []
    for sex, names in SPEAKERS.items():
        for name in names:
            record(f"librispeech/train-clean-100/{name}/7/{name}-7-0000.wav", 3.2)
            lines.append(f"{name} | {sex} | train-clean-100 | 1.0 | Reader\n")
    (tmp_path / "librispeech" / "SPEAKERS.TXT").write_text("".join(lines))
    return tmp_path


def pairs(folder: Path, mixing: Mixing) -> list[mixtures.Pair]:
    return list(mixtures.plan(*mixtures.corpora_in(folder, mixing), mixing))


def test_the_halves_of_a_pair_differ_by_the_speech_and_by_nothing_else(folder: Path) -> None:
    for pair in pairs(folder, MIXING):
        quiet, both = mixtures.halves(pair, MIXING)
        start_s = pair.speech.start / RATE
        speech = io.read(pair.speech.clip.path, RATE, start_s=start_s, duration_s=1.0)
        heard = both - quiet
        assert np.abs(heard / np.abs(heard).max() - speech / np.abs(speech).max()).max() < 1e-3
        assert 20 * np.log10(rms(quiet) / rms(heard)) == pytest.approx(pair.snr_db, abs=0.01)


@pytest.fixture
def silent(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same with speakers who say nothing: all that tells the halves apart then is a trace of the mixing."""
    heard = mixtures._heard

    def silenced(piece: mixtures.Piece, mixing: Mixing) -> np.ndarray:
        return heard(piece, mixing) * np.float32(0.0 if "speaker" in piece.clip.labels else 1.0)

    monkeypatch.setattr(mixtures, "_heard", silenced)
    return folder


@pytest.mark.parametrize("level_db", [(-30.0, -30.0), (5.0, 5.0)], ids=["quiet", "would clip"])
def test_mixed_with_silence_nothing_can_be_found(silent: Path, tmp_path: Path, level_db: tuple[float, float]) -> None:
    mixing = replace(MIXING, level_db=level_db)
    built = tmp_path / "built"
    built.mkdir()
    list(mixtures.build(built, *mixtures.corpora_in(silent, mixing), mixing))
    quiet = sorted(built.rglob(f"*{mixtures.QUIET}"))
    assert len(quiet) == 20
    for path in quiet:
        assert path.read_bytes() == Path(mixtures.twin(str(path))).read_bytes(), "the same file, bit by bit"


def test_no_speaker_and_no_event_is_in_two_parts_and_genders_are_balanced(folder: Path) -> None:
    found = pairs(folder, MIXING)
    parts = {part: [pair for pair in found if pair.part == part] for part in ("train", "validation", "test")}
    speakers = [{pair.speech.clip.labels["speaker"] for pair in own} for own in parts.values()]
    events = [{pair.event.clip.id for pair in own} for own in parts.values()]
    for group in (speakers, events):
        assert sum(map(len, group)) == len(set().union(*group))
    for own in parts.values():
        men = sum(pair.speech.clip.labels["gender"] == "male" for pair in own)
        assert abs(2 * men - len(own)) <= 1


def test_a_mixture_that_would_clip_is_turned_down_with_its_twin(folder: Path) -> None:
    for pair in pairs(folder, MIXING):
        quiet, both = mixtures.halves(pair._replace(level_db=3.0), MIXING)
        soft_quiet, soft_both = mixtures.halves(pair._replace(level_db=-60.0), MIXING)
        assert np.abs(both).max() <= 0.9901
        gain = rms(quiet) / rms(soft_quiet)
        assert np.allclose(both, gain * soft_both, atol=1e-4)


def test_every_turn_tests_another_fold(folder: Path) -> None:
    tested = set()
    for turn in range(5):
        events, _ = mixtures.corpora_in(folder, replace(MIXING, turn=turn))
        tested |= {clip.labels["fold"] for clip in events.clips if clip.part == "test"}
        assert {clip.part for clip in events.clips} == {"train", "validation", "test"}
    assert tested == set("12345")


def test_the_corpora_have_both_halves_or_those_with_speech_and_clips_of_one_length(folder: Path, monkeypatch) -> None:
    monkeypatch.setattr(mixtures, "Mixing", lambda: MIXING)
    both, spoken = open_corpus(f"mixtures:{folder}"), open_corpus(f"speech-mixtures:{folder}")
    assert both.tasks == ("event", "speech") and spoken.tasks == ("event", "gender", "speaker")
    assert len(both.clips) == 2 * len(spoken.clips) == 40
    assert split(both).rule == "official"
    _, sounds = cache.load(both)
    assert {sounds.samples(i) for i in range(len(sounds))} == {RATE}, "silence at the ends is not cut"


def without(folder: Path, pattern: str) -> None:
    for path in folder.glob(pattern):
        path.unlink()


def remove_men(folder: Path) -> None:
    table = folder / "librispeech" / "SPEAKERS.TXT"
    table.write_text(table.read_text().replace("| M |", "| ? |"))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: without(folder, "esc10/001*/5-*"), "has no dog_bark for test; expected every class"),
        (lambda folder: without(folder, "librispeech/*/1*/*/*"), "no female speaker"),
        (lambda folder: without(folder, "librispeech/*/*/*/*"), "holds no recording of LibriSpeech"),
        (remove_men, "no male speaker"),
    ],
    ids=["class missing from a fold", "gender missing", "no speech", "unknown gender"],
)
def test_what_cannot_be_mixed_is_one_sentence(folder: Path, spoil: Callable[[Path], None], said: str) -> None:
    spoil(folder)
    with pytest.raises(CorpusError, match=said):
        pairs(folder, MIXING)


def test_speech_that_is_used_up_is_named(folder: Path) -> None:
    for path in (folder / "librispeech").rglob("*.wav"):
        wav, rate = soundfile.read(path)
        soundfile.write(path, wav[: round(0.9 * rate)], rate)
    with pytest.raises(CorpusError, match=r"the speech for validation is used up after 2 of 4 events"):
        pairs(folder, replace(MIXING, windows=3))


def test_an_event_shorter_than_a_clip_is_padded_in_both_halves(folder: Path, record) -> None:
    record("esc10/001 - Dog bark/1-9999-A.wav", 0.3, 44100)
    short = next(pair for pair in pairs(folder, MIXING) if "9999" in pair.event.clip.id)
    quiet, both = mixtures.halves(short, MIXING)
    assert len(quiet) == len(both) == RATE
    assert not quiet[round(0.35 * RATE) :].any() and both[round(0.35 * RATE) :].any()


def test_a_folder_without_events_or_speech_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="holds no events; expected a folder with the events in esc10"):
        open_corpus(f"mixtures:{tmp_path}")


def write_fsd50k(record: Callable[..., Path], folder: Path) -> None:
    truth = folder / "FSD50K" / "FSD50K.ground_truth"
    truth.mkdir(parents=True)
    dev, test = ["fname,labels,mids,split"], ["fname,labels,mids"]
    for number, (label, part) in enumerate(
        (label, part) for label in ("Bark,Dog", "Meow") for part in ("train", "val")
    ):
        record(f"FSD50K/FSD50K.dev_audio/{number}.wav", 1.5, 44100)
        dev.append(f'{number},"{label}","/m/1",{part}')
    for number, label in enumerate(("Bark", "Meow,Cat", "Bark,Meow", "Piano"), start=100):
        record(f"FSD50K/FSD50K.eval_audio/{number}.wav", 1.5, 44100)
        test.append(f'{number},"{label}","/m/1"')
    (truth / "dev.csv").write_text("\n".join(dev))
    (truth / "eval.csv").write_text("\n".join(test))


def test_the_papers_set_is_made_by_the_same_builder(folder: Path, record) -> None:
    for path in sorted((folder / "esc10").rglob("*.wav")):
        path.unlink()
    (folder / "esc10").rename(folder / "old")
    write_fsd50k(record, folder)
    found = pairs(folder, replace(MIXING, sample_rate=44100))
    assert [(pair.part, pair.event.clip.labels["event"]) for pair in found] == [
        (part, event) for part in ("train", "validation", "test") for event in ("dog_barking", "cat_meowing")
    ]
    manifest = open_corpus(f"fsd50k:{folder / 'FSD50K'}")
    assert any("1 file skipped, labelled with two of the classes" in note for note in manifest.notes)


def test_the_published_set_is_read_directly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for half in ("train", "val", "eval"):
        for speech, name in (("speech", "1_2_3_female_speech"), ("no_speech", "1_2_3_no_speech")):
            place = tmp_path / "tau" / "final_data_npy_split" / half / "cough" / speech
            place.mkdir(parents=True)
            np.save(place / f"{name}.npy", 0.1 * rng.standard_normal(tau.RATE).astype(np.float32))
    manifest: Manifest = open_corpus(f"tau:{tmp_path / 'tau'}")
    assert [(clip.part, clip.labels["speech"]) for clip in manifest.clips] == [
        (part, speech) for part in ("test", "train", "validation") for speech in ("no", "yes")
    ]
    np.save(place / "bad.npy", np.array(["text"]))
    with pytest.raises(CorpusError, match="expected finite sound"):
        open_corpus(f"tau:{tmp_path / 'tau'}")
