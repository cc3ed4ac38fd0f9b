"""Linkage: recordings of people whom the attacker has never heard are compared, and every pair is counted."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
import pytest

from sottovoce.attack.attacker import Observations
from sottovoce.audio.segment import front_end
from sottovoce.audit import linkage, verification
from sottovoce.audit.cached_jobs import JobResult, run_jobs
from sottovoce.audit.case import PARTS
from sottovoce.audit.linkage import Linking, possible, speakers_of
from sottovoce.audit.observations import observe_features, observe_sound
from sottovoce.audit.plan import Views
from sottovoce.audit.scores import Scores


def silent(run_jobs: int, total: int, note: str) -> None:
    pass


@pytest.fixture
def heard(crowd, tmp_path, monkeypatch) -> Callable[..., Views]:
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "cache"))
    original = observe_features(crowd, front_end, "original", "", 0, tmp_path)

    def hear(listen: Callable[..., Any] = front_end) -> Views:
        return Views(original, observe_features(crowd, listen, "features", listen.__name__, 0, tmp_path), None)

    return hear


@pytest.fixture
def linked(crowd, heard) -> Callable[..., dict[str, Any] | None]:
    """The entry of results, without pretrained encoders."""

    def run(listen: Callable[..., Any] = front_end) -> dict[str, Any] | None:
        lines = linkage.lines(crowd, heard(listen), 0)
        jobs = {line.job.digest: line.job for line in lines}
        found = dict(zip(jobs, run_jobs([*jobs.values()], 1, silent), strict=True))
        scores = Scores()
        facts = linkage.gather(lines, found, scores)
        return linkage.summary(facts, scores).model_dump() if facts else None

    return run


def test_it_takes_six_people_with_two_recordings(crowd, case):
    assert possible(crowd) and not possible(case)

    def only(people: int) -> bool:
        clips = [c for c in crowd.manifest.clips if c.labels["speaker"] < f"s{people}"]
        kept = {part: np.array([i for i in crowd.clips(part) if crowd.manifest.clips[i] in clips]) for part in PARTS}
        return possible(replace(crowd, split=replace(crowd.split, **kept)))

    assert only(6) and not only(5)
    nobody = tuple(replace(clip, labels={"gender": "f"}) for clip in crowd.manifest.clips)
    assert not possible(replace(crowd, manifest=replace(crowd.manifest, clips=nobody)))


def test_a_filter_that_does_nothing_lets_people_be_linked(linked):
    entry = linked()
    assert entry["strongest"]["eer"]["score"] < 0.1 and entry["strongest"]["d_sys"] > 0.8
    assert entry["ceiling"]["eer"] == entry["strongest"]["eer"]
    assert (entry["speakers"], entry["recordings"], entry["same_pairs"]) == (8, 48, 8 * 15)
    assert entry["other_pairs"] == 36 * (3 + 3 + 1), "the people of a fold with one another: three, three and two"


def test_behind_a_wall_nobody_can_be_linked(linked, wall):
    entry = linked(wall)
    for linker in entry["linkers"]:
        assert linker["eer"]["score"] == pytest.approx(0.5)
        assert linker["eer"]["low"] <= 0.5 <= linker["eer"]["high"]
    assert entry["ceiling"]["eer"]["score"] < 0.1, "the originals still tell"


def test_every_linker_says_what_it_compares_and_knows(linked):
    entry = linked()
    said = [(row["attacker"], row["knowledge"], row["input"]) for row in entry["linkers"]]
    assert said == [
        ("statistics, cosine", "informed", "features with features"),
        ("statistics, discriminant", "informed", "features with features"),
    ]
    assert [(row["attacker"], row["input"]) for row in entry["originals"]] == [
        (name, "original with original") for name, _, _ in said
    ]
    assert entry["strongest"] == min(entry["linkers"], key=lambda row: row["eer"]["score"])


def test_who_has_an_encoder_also_compares_voices(crowd, tmp_path):
    def encode(waves: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        frames = [np.abs(np.fft.rfft(wav[: len(wav) // 512 * 512].reshape(-1, 512)))[:, 20:200] for wav in waves]
        return np.stack([np.log(frame.mean(axis=0)) for frame in frames]), np.arange(len(waves))

    encoders = {"resemblyzer": encode, "campplus": encode}
    original = observe_features(crowd, front_end, "original", "", 0, tmp_path, encoders=encoders)
    sound = observe_sound(crowd, lambda i: -crowd.sounds.wave(i), "s", 0, tmp_path, encoders)
    lines = linkage.lines(crowd, Views(original, None, sound), 0)
    kinds = Counter((line.side, line.job.front) for line in lines)
    linkers, originals = "linkers", "originals"
    assert kinds == {
        (linkers, "statistics"): 2,
        (originals, "statistics"): 2,
        **{(linkers, name): 3 for name in encoders},
        **{(originals, name): 2 for name in encoders},
    }
    assert len({line.job.digest for line in lines}) == len(lines)
    for line in lines:
        found = line.job.run().arrays
        assert np.isfinite(found["similarity"]).all()
        if line.job.back == "cosine":
            names = ("similarity", "same", "first", "second")
            assert verification.intervals(*(found[name] for name in names))[0].score < 0.1


class Noted:
    """A linker that writes down whom it has learnt from."""

    fits: list[tuple[set[str], int]]

    def fit(self, vectors: np.ndarray, speakers: np.ndarray) -> Self:
        assert len(vectors) == len(speakers)
        self.fits.append(({*speakers.tolist()}, 0))
        return self

    def similarity(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        self.fits[-1] = (self.fits[-1][0], self.fits[-1][1] or len(first))  # pairs come first
        return np.zeros(len(first), np.float32)


def test_no_pair_is_of_people_who_were_learnt_from(crowd, heard, monkeypatch):
    Noted.fits = []
    monkeypatch.setitem(linkage.BACK_ENDS, "cosine", Noted)
    view = heard().original
    found = Linking("statistics", "cosine", speakers_of(crowd), view, view, 0).run().arrays
    np.testing.assert_array_equal(found["same"], found["first"] == found["second"])
    start, tested = 0, []
    for learnt, pairs in Noted.fits:
        people = {*found["first"][start : start + pairs], *found["second"][start : start + pairs]}
        assert learnt | people == {f"s{i}" for i in range(8)} and not learnt & people
        tested += sorted(people)
        start += pairs
    assert start == len(found["same"]) and sorted(tested) == [f"s{i}" for i in range(8)], "each is tested once"


def test_recordings_of_nobody_are_neither_compared_nor_learnt_from(crowd, heard, monkeypatch):
    Noted.fits = []
    monkeypatch.setitem(linkage.BACK_ENDS, "cosine", Noted)
    names, view = speakers_of(crowd), heard().original
    names[names == "s3"] = ""
    found = Linking("statistics", "cosine", names, view, view, 0).run().arrays
    assert "" not in {*found["first"], *found["second"]}
    assert all("" not in learnt for learnt, _ in Noted.fits)


class Broken(Noted):
    def fit(self, *_: object) -> Self:
        raise MemoryError("too many people")


def test_a_linker_that_breaks_down_is_named_and_the_others_go_on(linked, monkeypatch):
    monkeypatch.setitem(linkage.BACK_ENDS, "cosine", Broken)
    entry = linked()
    assert [row["attacker"] for row in entry["linkers"]] == ["statistics, discriminant"]
    assert [failure["attacker"] for failure in entry["failed"]] == 2 * ["linkage: statistics, cosine"]
    assert all("too many people" in failure["reason"] for failure in entry["failed"])


def test_where_all_break_down_there_is_no_entry(linked, monkeypatch):
    for back in linkage.BACK_ENDS:
        monkeypatch.setitem(linkage.BACK_ENDS, back, Broken)
    assert linked() is None


def test_the_best_linker_on_originals_is_the_ceiling(crowd, heard):
    """Fed with similarities of known quality."""
    lines = [replace(line, input="x") for line in linkage.lines(crowd, heard(), 0)]
    same = np.arange(40) < 20
    people = np.array([f"p{i % 5}" for i in range(40)])
    other = np.where(same, people, np.roll(people, 1))

    def found(quality: float) -> JobResult:
        arrays = {
            "similarity": quality * same + 0.1 * np.arange(40) % 1,
            "same": same,
            "first": people,
            "second": other,
        }
        return JobResult({"attacker": f"{quality:g}"}, arrays)

    results = {line.job.digest: found(float(i)) for i, line in enumerate(lines)}
    scores = Scores()
    entry = linkage.summary(linkage.gather(lines, results, scores), scores).model_dump()
    eers = {row["attacker"]: row["eer"]["score"] for row in entry["linkers"] + entry["originals"]}
    assert eers["0"] > 0.2 and eers["1"] == 0.0
    assert entry["strongest"]["eer"]["score"] == min(row["eer"]["score"] for row in entry["linkers"])
    assert entry["ceiling"]["eer"]["score"] == min(row["eer"]["score"] for row in entry["originals"])


@pytest.mark.parametrize("counts", [[1], [3], [4], [5], [6, 1, 2], [7, 3, 11, 2]])
@pytest.mark.parametrize(("front", "size"), [("statistics", 3), ("resemblyzer", 4), ("campplus", 1)])
def test_pieces_are_the_same_in_shorter_utterances(counts, front, size):
    owner = np.repeat(np.arange(len(counts)), counts)
    each = np.arange(len(owner), dtype=np.float32).reshape(-1, 1, 1)
    outline = np.arange(len(counts), dtype=np.float32)[:, None]
    voices = {} if front == "statistics" else {front: (each[:, :, 0], owner)}
    pieces, of = linkage._pieces(Observations(each, owner, outline, speaker_embeddings=voices), front)
    found, whose = pieces.speaker_embeddings[front] if voices else (pieces.spectra, pieces.owner)
    assert found.ravel().tolist() == each.ravel().tolist()
    np.testing.assert_array_equal(of[whose], owner)
    np.testing.assert_array_equal(pieces.outline, outline[of])
    assert len(pieces) == len(of)
    sizes = np.bincount(whose)
    for u, count in enumerate(counts):
        expected = [size] * (count // size - 1) + [size + count % size] if count >= size else [count]
        assert sizes[of == u].tolist() == expected


def test_every_linker_searches_among_more_people_and_with_more_recordings(linked, wall):
    told, silent_ = linked(), linked(wall)
    for entry in (told, silent_):
        for linker in entry["linkers"] + entry["originals"]:
            searches = {(row["people"], row["utterances"]): row for row in linker["searches"]}
            assert {*searches} == {(2, 1), (2, 3)}, "folds of two and three people, six recordings each"
            assert {(row["people"], row["utterances"]) for row in linker["isolations"]} == {(2, 1)}
    best, chance = told["strongest"]["searches"][0], silent_["strongest"]["searches"][0]
    assert best["score"] > 0.9 and 0.0 <= best["low"] <= best["score"] <= best["high"] <= 1.0
    assert 0.3 < chance["score"] < 0.7
