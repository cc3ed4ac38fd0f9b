"""What was said: content words are counted, floors are what is guessed without sound, and verdicts follow intervals."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import soundfile

from sottovoce.audio.segment import front_end
from sottovoce.audit import words
from sottovoce.audit.cached_jobs import JobResult
from sottovoce.audit.case import Case
from sottovoce.audit.observations import observe_features, observe_sound
from sottovoce.audit.plan import Views
from sottovoce.audit.results import Interval
from sottovoce.audit.scores import Scores
from sottovoce.corpora import cache
from sottovoce.corpora.catalogue import open_corpus
from sottovoce.corpora.splits import split
from sottovoce.models import speech_recogniser

VOCABULARY = [
    f"{first}{last}" for first in ("mal", "tor", "ben", "sil") for last in ("ina", "ero", "ust", "yka", "oph")
]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """120 recordings of 12 people, of "the WORD is WORD"; where the sound is loudest tells the second of both words."""
    folder, rng = tmp_path_factory.mktemp("told"), np.random.default_rng(0)
    rows = [("path", "speaker", "text")]
    for number in range(120):
        place = int(rng.integers(len(VOCABULARY)))
        wav = 0.01 * rng.standard_normal(20_480)
        wav[1000 * place : 1000 * (place + 1)] *= 20.0
        soundfile.write(folder / f"{number:03}.wav", wav, 16_000)
        text = f"The {VOCABULARY[place - 7].upper()}, is {VOCABULARY[place]}!"
        rows.append((f"{number:03}.wav", f"s{number % 12:02}", text))
    with (folder / "clips.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    manifest, sounds = cache.load(open_corpus(f"csv:{folder / 'clips.csv'}"), folder / "cache")
    return Case(manifest, sounds, split(manifest, "utterance"))


class Listener:
    """A recogniser that knows where a sound is loudest."""

    def words(self, wav: np.ndarray) -> list[str]:
        power = np.square(wav[: len(wav) // 1000 * 1000].reshape(-1, 1000)).sum(axis=1)
        place = int(power.argmax())
        return ["the", VOCABULARY[place]] if power.max() > 20 * np.median(power) else []


class Broken:
    def words(self, wav: np.ndarray) -> list[str]:
        raise MemoryError("too loud")


@pytest.fixture
def attacked(told: Case, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any] | None]:
    monkeypatch.setattr(speech_recogniser, "available", lambda: True)
    original = observe_features(told, front_end, "original", "", 0, tmp_path)

    def run(sound: Callable[[int], np.ndarray], who: type = Listener, most: int = 100) -> dict[str, Any] | None:
        monkeypatch.setattr(speech_recogniser, "Recogniser", who)
        monkeypatch.setattr("sottovoce.audit.observations.trim_silence", lambda wav: wav)
        views = Views(original, None, observe_sound(told, sound, str(sound), 0, tmp_path))
        planned = words.plan(told, views, most, 0)
        found = {}
        for job in (job for jobs in planned.jobs.values() for job in jobs):
            try:
                found[job.digest] = job.run()
            except MemoryError as error:
                found[job.digest] = JobResult({}, {}, str(error))
        scores = Scores()
        facts = words.gather(planned, found, scores)
        assert all(array.dtype.kind in "if" for array in scores.values()), "counts, and no text"
        return words.summary(facts, scores).model_dump() if facts else None

    return run


def test_words_of_a_text_are_without_case_and_punctuation():
    assert speech_recogniser.words("It's TWO o'clock -- don’t,  wait: état-major. 4") == [
        "its", "two", "oclock", "dont", "wait", "état", "major",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "said", "recovered"),
    [
        ("", "the harbour", 0),
        ("harbour", "the harbour", 1),
        ("the and of", "the and of harbour", 0),  # common words tell nothing
        ("harbour", "harbour harbour", 1),  # recognised once, said twice
        ("harbour harbour", "harbour", 1),
        ("wall harbour", "harbour wall", 2),  # in any order
    ],
)
def test_content_words_by_hand(given, said, recovered):
    assert words._recovered(given.split(), said.split()) == recovered


def test_who_lets_everything_pass_leaks_words(told, attacked):
    entry = attacked(told.sounds.wave)
    assert entry["recordings"] == len(told.split.test)
    for side in ("original", "obfuscated"):
        assert entry[side]["recovered"]["score"] == pytest.approx(0.5, abs=0.03), "one of two content words"
        assert entry[side]["error_rate"]["score"] == pytest.approx(0.5, abs=0.03), "two words of four"
    assert entry["verdict"] == "leaks" and entry["leakage"]["low"] > 0.2
    assert entry["floor"]["score"] < 0.15


def test_behind_a_wall_there_are_no_words(told, attacked):
    entry = attacked(lambda i: 0.1 * np.random.default_rng(0).standard_normal(20_480).astype(np.float32))
    assert entry["obfuscated"]["recovered"]["score"] == 0.0 < entry["obfuscated"]["recovered"]["high"] < 0.1
    assert entry["obfuscated"]["error_rate"]["score"] == 1.0
    assert entry["leakage"]["high"] <= 0.02 and entry["verdict"] == "not shown"


def test_sound_of_another_recording_recovers_the_floor(told, attacked):
    clips = [*told.split.train, *told.split.validation]
    entry = attacked(lambda i: told.sounds.wave(int(clips[7 * i % len(clips)])))
    assert entry["leakage"]["score"] < 0.1 and entry["verdict"] != "leaks"


def test_a_recogniser_that_breaks_down_is_named(told, attacked):
    entry = attacked(told.sounds.wave, Broken)
    assert entry["recordings"] == 0 and entry["verdict"] is None
    assert entry["failed"][0]["reason"] == "too loud"


def interval(low: float, high: float) -> Interval:
    return Interval(score=(low + high) / 2, low=low, high=high)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.03, 0.2, "leaks"), (-0.1, 0.02, "not shown"), (0.02, 0.3, "not shown")],
)
def test_a_recogniser_that_learned_nothing_of_what_leaves_never_shows_that_words_are_hidden(low, high, verdict):
    assert words.verdict(interval(low, high)) == verdict


def test_where_words_are_not_attacked_a_note_says_why(told, case, tmp_path, monkeypatch):
    monkeypatch.setattr(speech_recogniser, "available", lambda: False)
    original = observe_features(told, front_end, "original", "", 0, tmp_path)
    features = Views(original, original, None)
    sound = replace(features, sound=observe_sound(told, told.sounds.wave, "s", 0, tmp_path))

    def note(case: Case, views: Views) -> str:
        notes: Sequence[str] = words.not_attacked(case, views, 100)
        assert not words.plan(case, views, 100, 0).jobs
        (only,) = notes
        return only

    assert "no label words, text or transcript" in note(case, sound)
    assert "permitted" in note(replace(told, permit=("text",)), sound)
    assert "no sound leaves" in note(told, features)
    assert "pip install" in note(told, sound)
    few = replace(told.split, test=told.split.test[:5])
    assert "5 test recordings" in note(replace(told, split=few), sound)
    assert words.not_attacked(case, sound, 0) == [], "nobody asked"


@pytest.mark.skipif(not speech_recogniser.available(), reason="the recogniser is not installed")
def test_silence_and_noise_have_no_words():
    recogniser = speech_recogniser.Recogniser()
    assert recogniser.words(np.zeros(16_000, np.float32)) == []
    assert len(recogniser.words(0.05 * np.random.default_rng(0).standard_normal(32_000).astype(np.float32))) < 3
