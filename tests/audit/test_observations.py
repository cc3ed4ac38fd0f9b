"""What attackers observe: every clip once and whole, in files that appear complete or not at all."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sottovoce.audio.level import rms
from sottovoce.audio.segment import cut, front_end, full_band
from sottovoce.audio.spectrum import SEGMENT_SAMPLES
from sottovoce.audit import observations
from sottovoce.audit.case import PARTS, Case
from sottovoce.audit.observations import View, observe_changed, observe_features, observe_sound
from sottovoce.corpora.splits import split
from sottovoce.errors import ModelError
from sottovoce.models.target import from_callable
from sottovoce.models.vote import vote

SECOND = 16_000


@pytest.fixture
def features(case, tmp_path) -> Callable[..., View]:
    def hear(listen: Callable[..., Any] = front_end, case: Case = case, seed: int = 3, **more: Any) -> View:
        return observe_features(case, listen, "features", more.pop("source", "s"), seed, tmp_path, **more)

    return hear


def test_every_clip_is_heard_once_and_whole(features, case):
    for part in ("validation", "test"):
        heard, clips = features().part(part), case.clips(part)
        alone = [front_end(cut(case.sounds.wave(clip))) for clip in clips]
        np.testing.assert_allclose(heard.spectra, np.concatenate(alone), atol=1e-5)
        assert np.array_equal(heard.owner, np.repeat(np.arange(len(clips)), [len(one) for one in alone]))
        assert len(heard) == len(clips)


def test_training_clips_are_also_heard_from_random_places(features, case):
    train = features().part("train")
    assert np.array_equal(np.bincount(train.owner), np.full(len(case.split.train), 3))


def test_a_listener_gets_one_sound_at_a_time_in_order_from_its_start(features, longer):
    """It may remember what came before: a sound is never mixed with another, or with a place in itself."""
    met: list[np.ndarray] = []

    def listen(segments: np.ndarray) -> np.ndarray:
        met.append(segments.copy())
        return front_end(segments)

    train = features(listen, case=longer).part("train")
    calls = iter(met)
    for clip in longer.clips("train"):
        np.testing.assert_array_equal(next(calls), cut(longer.sounds.wave(clip)))
        for crop in (next(calls), next(calls)):
            assert crop.shape == (1, SEGMENT_SAMPLES)
            assert within(crop[0], longer.sounds.wave(clip))
    for part in ("validation", "test"):
        for clip in longer.clips(part):
            np.testing.assert_array_equal(next(calls), cut(longer.sounds.wave(clip)))
    assert not list(calls)
    np.testing.assert_array_equal(train.spectra, front_end(np.concatenate(met[: 3 * len(longer.split.train)])))


def within(crop: np.ndarray, wav: np.ndarray) -> bool:
    """Whether a piece is somewhere in a sound."""
    starts = np.flatnonzero(wav[: len(wav) - len(crop) + 1] == crop[0])
    return any(np.array_equal(wav[start : start + len(crop)], crop) for start in starts)


@pytest.fixture
def longer(case) -> Case:
    """The same with every clip joined to its neighbours: 3.6 s, three segments."""

    class Crossfade:
        def wave(self, i: int) -> np.ndarray:
            return np.concatenate([case.sounds.wave((int(i) + step) % 75) for step in range(3)])

        def samples(self, i: int) -> int:
            return len(self.wave(i))

        def duration_s(self, i: int) -> float:
            return self.samples(i) / SECOND

        def segments(self, clips: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
            pieces = [self.wave(i)[start : start + length] for i, start in zip(clips, starts, strict=True)]
            return np.array(pieces, np.float32).reshape(-1, length)

    return replace(case, sounds=Crossfade())


def test_where_whole_segments_leave_the_outline_is_their_number(features, longer):
    """The exact duration does not show where what leaves ends with a segment."""
    exact, whole = features(case=longer), features(case=longer, whole_segments=True)
    for part in PARTS:
        assert exact.part(part).outline[:, 0].tolist() == pytest.approx([3.6] * len(longer.clips(part)))
        assert whole.part(part).outline[:, 0].tolist() == pytest.approx([3 * 1.28] * len(longer.clips(part)))
    assert exact.digest != whole.digest

    def first_two(segments: np.ndarray) -> np.ndarray:
        return front_end(segments)[:2]

    fewer = features(first_two, case=longer, source="fewer", whole_segments=True).part("train")
    assert fewer.outline[:, 0].tolist() == pytest.approx([2 * 1.28] * len(longer.split.train)), "of what leaves"


def test_the_outline_of_features_is_their_duration(features, case):
    outline = features().part("test").outline
    assert outline[:, 0].tolist() == pytest.approx([case.sounds.duration_s(i) for i in case.split.test])


def test_two_ears_hear_the_same_places(features):
    """Else restoring would be learnt from pairs that are none."""
    plain, upside_down = features(), features(lambda segments: -front_end(segments), source="other")
    for part in PARTS:
        np.testing.assert_array_equal(plain.part(part).spectra, -upside_down.part(part).spectra)


def test_answers_are_those_of_the_target(features, case):
    heard = features().part("test")
    np.testing.assert_allclose(heard.answers["word"], case.targets[0].predict(np.array(heard.spectra)))
    said = vote(heard.answers["word"], heard.owner).argmax(axis=1)
    assert np.array_equal(said, case.labels("word", "test"))
    deaf = features(case=replace(case, targets=())).part("test")
    assert deaf.answers is None


def test_every_target_is_heard_to_answer(features, case):
    (word,) = case.targets
    mood = from_callable(lambda spectra: spectra[:, :2].mean(axis=2), "a/b .mood", ("x", "y"))
    views = [features(case=replace(case, targets=both)) for both in ((word, mood), (mood, word))]
    assert views[0] == views[1] != features(), "whatever the order in which they are named"
    for part in PARTS:
        heard = views[0].part(part)
        assert {*heard.answers} == {"word", "a/b .mood"}
        for target in (word, mood):
            expected = target.predict(np.array(heard.spectra))
            np.testing.assert_allclose(heard.answers[target.task], expected, rtol=1e-5)
    some = np.array([4, 2])
    picked = heard.pick(some)
    assert {task: len(logits) for task, logits in picked.answers.items()} == {task: 2 for task in heard.answers}
    np.testing.assert_array_equal(picked.answers["word"], heard.answers["word"][some])


def halves(waves: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """An encoder that says of each half of a sound how loud it is."""
    each = [[wav[: len(wav) // 2].std(), wav[len(wav) // 2 :].std()] for wav in waves]
    return np.array(each, np.float32).reshape(-1, 1), np.repeat(np.arange(len(waves)), 2)


def test_with_an_encoder_sound_and_voices_are_heard(features, case, tmp_path):
    encoders = {"halves": halves, "again": halves}
    for view in (features(encoders=encoders), observe_sound(case, case.sounds.wave, "s", 0, tmp_path, encoders)):
        assert view.voices == ("again", "halves")
        for part in PARTS:
            heard = view.part(part)
            assert len(heard.waves) == len(heard) == len(case.clips(part))
            for name in encoders:
                for mine, again in zip(heard.speaker_embeddings[name], halves(heard.waves), strict=True):
                    np.testing.assert_array_equal(mine, again)
    for wav, clip in zip(features(encoders=encoders).part("test").waves, case.split.test, strict=True):
        np.testing.assert_array_equal(wav, case.sounds.wave(clip))
    assert features().part("test").waves is None and features().part("test").speaker_embeddings is None
    assert features().voices == ()
    assert len({features(encoders=some).digest for some in ({}, {"halves": halves}, encoders)}) == 3


def test_a_hearing_is_named_by_all_that_it_depends_on(features, case):
    (word,) = case.targets

    def other_answers(spectra: np.ndarray) -> np.ndarray:
        return np.roll(word.predict(spectra), 1, axis=1)

    by_speaker = split(case.manifest, "speaker")
    digests = {
        features().digest,
        features(seed=4).digest,
        features(source="another system").digest,
        features(case=replace(case, split=by_speaker)).digest,
        features(case=replace(case, targets=())).digest,
        features(case=replace(case, targets=(from_callable(other_answers, "word", word.classes),))).digest,
        features(case=replace(case, targets=(replace(word, digest="of a file"),))).digest,
    }
    assert len(digests) == 7
    assert features().digest in digests


def test_what_was_heard_is_not_heard_again(features):
    first = features()
    again = features(lambda segments: pytest.fail("it listened again"))
    np.testing.assert_array_equal(first.part("test").spectra, again.part("test").spectra)


def test_a_hearing_appears_whole_or_not_at_all(features, case, tmp_path):
    heard: list[int] = []

    def stopped(segments: np.ndarray) -> np.ndarray:
        heard.append(len(segments))
        if len(heard) > 3 * len(case.split.train) + 2:  # in the midst of validation
            raise KeyboardInterrupt
        return front_end(segments)

    with pytest.raises(KeyboardInterrupt):
        features(stopped)
    assert not list(tmp_path.iterdir())
    assert len(features().part("test")) == len(case.split.test)


@pytest.mark.parametrize(("wrong", "call"), [(np.nan, 6), (np.inf, 6), (np.nan, 8)])
def test_what_is_not_finite_is_refused_with_the_clip(features, case, tmp_path, wrong, call):
    """Of each training clip the whole is heard, then two places."""
    third = case.manifest.clips[case.split.train[2]].id
    count = iter(range(1000))

    def listen(segments: np.ndarray) -> np.ndarray:
        spectra = front_end(segments)
        spectra[0, 0, 0] = wrong if next(count) == call else 0.0
        return spectra

    with pytest.raises(ModelError, match=rf"{third}.* not finite"):
        features(listen)
    assert not list(tmp_path.iterdir())


# Sound


def test_sound_is_heard_at_one_level_without_the_silence_around_it(case, tmp_path):
    def sound(i: int) -> np.ndarray:
        return np.pad(0.01 * (1 + i % 3) * case.sounds.wave(i), (SECOND // 2, SECOND))

    heard = observe_sound(case, sound, "s", 0, tmp_path).part("test")
    for row, clip in enumerate(case.split.test):
        trimmed, whole, level_db = heard.outline[row]
        assert whole == pytest.approx(len(sound(clip)) / SECOND)
        assert trimmed == pytest.approx(len(heard.waves[row]) / SECOND)
        assert case.sounds.duration_s(clip) <= trimmed <= case.sounds.duration_s(clip) + 0.25
        assert level_db == pytest.approx(20 * np.log10(rms(sound(clip))), abs=1e-3)
        assert rms(heard.waves[row]) == pytest.approx(0.1, rel=1e-3)
    pieces = [full_band(cut(wav)) for wav in heard.waves]
    np.testing.assert_allclose(heard.spectra, np.concatenate(pieces), atol=1e-4)
    assert heard.answers["word"].shape == (len(heard.spectra), 3)


@pytest.mark.parametrize("samples", [1, 100, 20_479, 20_480, 50_000])
def test_silence_of_any_length_is_heard_as_silence(case, tmp_path, samples):
    heard = observe_sound(case, lambda i: np.zeros(samples, np.float32), "s", 0, tmp_path)
    for part in PARTS:
        found = heard.part(part)
        assert not found.spectra.any()
        assert np.isfinite(found.outline).all() and (found.outline[:, 2] == -100.0).all()
        assert [len(wav) for wav in found.waves] == [samples] * len(case.clips(part))


# What attackers make of it


def test_a_changed_hearing_has_validation_and_test_and_keeps_its_facts(features, tmp_path):
    before = features()
    order: list[int] = []

    def louder(spectra: np.ndarray) -> np.ndarray:
        order.append(len(spectra))
        return 2.0 * spectra

    changed = observe_changed(before, louder, "restored", "twice", tmp_path, lambda: {"calls": len(order)})
    for part in ("validation", "test"):
        np.testing.assert_array_equal(changed.part(part).spectra, 2.0 * before.part(part).spectra)
        assert np.array_equal(changed.part(part).owner, before.part(part).owner)
    assert order == [len(before.part(part).spectra) for part in ("validation", "test")]
    assert changed.facts == {"calls": 2}
    assert (
        len({changed.digest, before.digest, observe_changed(before, louder, "restored", "2", tmp_path, dict).digest})
        == 3
    )
    again = observe_changed(before, louder, "restored", "twice", tmp_path, lambda: pytest.fail("it was done again"))
    assert again.facts == {"calls": 2} and len(order) == 4


def test_folders_of_hearings_are_told_apart(features, case, tmp_path):
    for view in (features(), features(seed=4), observe_sound(case, case.sounds.wave, "s", 0, tmp_path)):
        assert isinstance(view, View) and view.folder.parent == tmp_path
    assert len(list(Path(tmp_path).iterdir())) == 3


@pytest.mark.parametrize("sound", [False, True])
def test_a_view_is_the_same_whatever_is_read_at_once(case, tmp_path, monkeypatch, sound):
    def embed(waves):
        return np.array([[wav.sum(), len(wav)] for wav in waves for _ in range(2)]), np.repeat(np.arange(len(waves)), 2)

    def written(place):
        if sound:
            view = observe_sound(case, case.sounds.wave, "s", 0, place, {"e": embed})
        else:
            view = observe_features(case, front_end, "features", "s", 0, place, encoders={"e": embed})
        return {path.relative_to(view.folder): path.read_bytes() for path in view.folder.rglob("*.npy")}

    at_once = written(tmp_path / "at once")
    monkeypatch.setattr(observations, "_SAMPLES_AT_ONCE", 30_000)
    monkeypatch.setattr(observations, "_SEGMENTS_AT_ONCE", 64)
    assert written(tmp_path / "in pieces") == at_once
    whose = View("sound" if sound else "features", next((tmp_path / "in pieces").iterdir()), "").part("test")
    assert whose.speaker_embeddings["e"][1].tolist() == sorted([*range(len(whose))] * 2)
