"""Distillation alone: words that say what they stand for, no label, and of a black box nothing but answers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sottovoce.audio.segment import front_end
from sottovoce.corpora.splits import split
from sottovoce.errors import ConfigError
from sottovoce.methods.codebook import blends, codewords, training
from sottovoce.methods.codebook.codewords import SHARPNESS, CodewordSettings, interpolation
from sottovoce.methods.codebook.distillation import StudentSettings, distil
from sottovoce.methods.codebook.method import METHOD
from sottovoce.methods.codebook.none import BUILT_IN, NoneSettings
from sottovoce.methods.codebook.training import CodebookSettings, Material, train_codebook
from sottovoce.methods.method import TrainConfig
from sottovoce.models.codebook import SOUND_SAMPLES
from sottovoce.models.target import Target, from_callable, from_module
from sottovoce.training.loop import Run

SOUND = (0.65, 0.85)
WORDS = ("no", "stop", "yes")
TINY = CodebookSettings(
    student=StudentSettings(steps=20, queries=200, batch=16),
    drawing=CodewordSettings(steps=30, candidates=128),
    none=NoneSettings(steps=20, measured=32),
)


class Reader(nn.Module):
    """A recogniser of words that is right already: the tones that the corpus has."""

    def __init__(self, bins=(10, 14, 18)) -> None:
        super().__init__()
        self.bins = list(bins)
        self.scale = nn.Parameter(torch.tensor(3.0))

    def forward(self, spectrum: torch.Tensor) -> torch.Tensor:
        return self.scale * spectrum[:, self.bins].mean(dim=2)


@pytest.fixture(autouse=True)
def no_voices(monkeypatch):
    """Synthetic voices have a test of their own."""
    monkeypatch.setattr(training, "spoken", lambda *_: np.zeros((0, SOUND_SAMPLES), np.float32))


@pytest.fixture
def target() -> Target:
    return from_module(Reader(), "word", WORDS)


@pytest.fixture(scope="module")
def train_clips(shaped_once) -> np.ndarray:
    return split(shaped_once.manifest, "utterance").train


def trained(shaped_once, clips, targets, settings=TINY):
    """An encoder, a codebook and the recordings in it; without voters, so that codewords are the targets' alone."""
    run = Run(settings.student.steps, 0, lambda *_: None)
    voters = [[] for _ in targets]
    material = Material(shaped_once.sounds, clips, None, clips, targets, voters, BUILT_IN, BUILT_IN, SOUND)
    made = train_codebook(material, settings, run)
    return made.encoder, made.book, made.sources


def test_goals_by_hand():
    first, second = codewords.goals([np.eye(2, dtype=np.float32), np.eye(3, dtype=np.float32)], len(SHARPNESS))
    assert first.shape == (len(SHARPNESS) * 3 * 4, 2)
    assert first[0].tolist() == [0.5, 0.5]  # both revoked
    assert second[1].tolist() == pytest.approx([0.38 + 0.62 / 3, 0.62 / 3, 0.62 / 3])  # first block, 0.95 * 0.4
    assert second[-1].tolist() == pytest.approx([0.05 / 3, 0.05 / 3, 0.95 + 0.05 / 3])  # a late block
    assert torch.allclose(first.sum(dim=1), torch.ones(len(first)))


def test_drawn_words_say_what_they_stand_for(shaped_once, train_clips, target):
    _, book, _ = trained(shaped_once, train_clips, [target])
    codes = np.arange(4)
    late = np.zeros(4, np.int64)
    logits = target.predict(book.draw(codes[:, None], late))
    assert logits[1:].argmax(axis=1).tolist() == [0, 1, 2]
    assert not book.waves()[0].any()


def test_two_tasks_in_one_codebook_each_with_its_own_codes(shaped_once, train_clips, target):
    mood = from_module(Reader((60, 120)), "mood", ("low", "high"))
    encoder, book, _ = trained(shaped_once, train_clips, [target, mood])
    assert book.tasks == ("word", "mood")
    assert book.sounds.shape[:3] == (1, 4, 3)
    late = np.zeros(2, np.int64)
    both = book.draw(np.array([[2, 1], [2, 2]]), late)
    assert target.predict(both).argmax(axis=1).tolist() == [1, 1]
    assert mood.predict(both).argmax(axis=1).tolist() == [0, 1]
    with torch.no_grad():
        assert torch.allclose(encoder(torch.randn(2, 161, 128))[:, :3].exp().sum(dim=1), torch.ones(2), atol=1e-5)


ANSWERS = (
    ("synthetic", 128 + 128 + 16 * 4 + 2 * 16 * 2),  # segments, blends, one round in four forms, the choice of two
    ("recordings", 128 + 64),  # segments, and mixtures of two
)


@pytest.mark.parametrize(("codewords", "queries"), ANSWERS)
def test_a_black_box_is_asked_within_its_budget_and_nothing_else(shaped_once, train_clips, codewords, queries):
    asked = []

    def answer(spectra: np.ndarray) -> np.ndarray:
        asked.append(len(spectra))
        return 5.0 * spectra[:, [10, 14, 18]].mean(axis=2)

    box = from_callable(answer, "word", WORDS)
    encoder, book, _ = trained(shaped_once, train_clips, [box], replace(TINY, codewords=codewords))
    assert sum(asked) <= TINY.student.queries + queries
    late = np.zeros(3, np.int64)
    assert box.predict(book.draw(np.array([[1], [2], [3]]), late)).argmax(axis=1).tolist() == [0, 1, 2]
    assert not any(parameter.requires_grad and parameter.grad is None for parameter in encoder.parameters())


@pytest.mark.parametrize("codewords", ["synthetic", "recordings"])
def test_a_black_box_of_sound_is_asked_about_sound_that_an_application_receives(shaped_once, train_clips, codewords):
    asked = []

    def answer(waves: np.ndarray, sample_rate: int) -> np.ndarray:
        asked.append(waves)
        power = np.abs(np.fft.rfft(waves, axis=1)) ** 2
        bands = [power[:, round((50 * bin - 25) * 1.28) : round((50 * bin + 25) * 1.28)] for bin in (10, 14, 18)]
        return np.log(np.stack([band.mean(axis=1) for band in bands], axis=1) + 1e-9)

    box = from_callable(answer, "word", WORDS, "wave")
    _, book, _ = trained(shaped_once, train_clips, [box], replace(TINY, codewords=codewords))
    sounds = np.concatenate(asked)
    assert sounds.shape[1] == 20_480 and np.abs(sounds).max() <= 2.0
    assert 0.05 < np.median(sounds.std(axis=1)) < 0.2, "the level of sound files, and not that of the front end"
    late = np.zeros(3, np.int64)
    assert box.predict(book.draw(np.array([[1], [2], [3]]), late)).argmax(axis=1).tolist() == [0, 1, 2]


def test_targets_of_spectra_and_of_sound_share_a_filter(shaped_once, train_clips, target):
    loud = from_callable(
        lambda waves, _: np.stack([waves.std(axis=1), 0.1 + 0 * waves[:, 0]], axis=1), "level", "ab", "wave"
    )
    encoder, book, _ = trained(shaped_once, train_clips, [target, loud])
    assert book.tasks == ("word", "level") and len(encoder.recognisers) == 2


def test_a_black_box_of_two_tasks_has_a_codeword_for_each_combination(shaped_once, train_clips):
    word = from_callable(lambda spectra: 5.0 * spectra[:, [10, 14, 18]].mean(axis=2), "word", WORDS)
    band = from_callable(lambda spectra: 5.0 * spectra[:, [40, 64]].mean(axis=2), "band", ("low", "high"))
    _, book, sources = trained(shaped_once, train_clips, [word, band])
    assert book.sounds.shape[:3] == (1, 4, 3) and not len(sources)


@pytest.mark.parametrize("settings", [TINY, replace(TINY, gradients=False)])
def test_recordings_are_named_and_only_where_they_were_asked_for(shaped_once, train_clips, target, settings):
    """Whether the target has gradients or not."""
    _, _, none = trained(shaped_once, train_clips, [target], settings)
    _, _, some = trained(shaped_once, train_clips, [target], replace(settings, codewords="recordings"))
    assert not len(none) and len(some) and set(some) <= set(train_clips.tolist())


def test_what_cannot_be_is_refused_before_anything_is_opened():
    config = TrainConfig("voices", ("word",), ("target",), Path("filter"))
    for settings, expected in (
        (replace(TINY, codewords="borrowed"), "'borrowed'; expected synthetic or recordings"),
        (replace(TINY, block_segments=3), "a block is 3 segments; expected one of"),
    ):
        with pytest.raises(ConfigError, match=expected):
            METHOD.check(config, settings)


def test_a_student_learns_the_answers(shaped_once, train_clips, target):
    clips = split(shaped_once.manifest, "utterance").test
    settings = StudentSettings(steps=80, queries=1280, batch=16)
    student = distil(shaped_once.sounds, train_clips, target, settings, Run(80, 0, lambda *_: None))
    spectra = front_end(shaped_once.sounds.segments(clips, np.zeros(len(clips), int), 20480))
    with torch.no_grad():
        same = student(torch.from_numpy(spectra)).argmax(dim=1).numpy() == target.predict(spectra).argmax(axis=1)
    assert same.mean() > 0.8


def test_the_target_is_never_changed(shaped_once, train_clips, target):
    before = target.logits.scale.item()
    trained(shaped_once, train_clips, [target])
    assert target.logits.scale.item() == before
    assert target.logits.scale.grad is None


def test_fewer_codes_than_classes_are_groups_of_answers(shaped_once, train_clips, target):
    _, book, _ = trained(shaped_once, train_clips, [target], replace(TINY, codes=2))
    assert book.sizes == (2,)
    assert np.allclose(book.centres[0].sum(axis=1), 1.0, atol=1e-5)


def test_more_combinations_than_can_be_drawn_are_refused(shaped_once, train_clips, target):
    classes = tuple(map(str, range(20)))
    wide = [from_module(nn.Sequential(nn.Flatten(), nn.Linear(161 * 128, 20)), name, classes) for name in "abc"]
    with pytest.raises(ConfigError, match="combinations of codes are too many"):
        trained(shaped_once, train_clips, wide)


def test_a_blend_is_of_different_people_as_far_as_there_are_any():
    rng = np.random.default_rng(0)
    people = np.array(["ada"] * 20 + ["bea", "cyn"])
    assert sorted(people[blends._contributors(people, np.arange(22), rng)]) == ["ada", "bea", "cyn"]
    assert len(set(blends._contributors(people, np.arange(20), rng))) == 3


@pytest.mark.parametrize(("points", "onto"), [(41, 161), (32, 128), (1, 7), (5, 5), (161, 161)])
def test_interpolation_is_the_bilinear_one_of_torch(points, onto):
    values = torch.randn(1, 1, points, 1, generator=torch.Generator().manual_seed(0))
    expected = nn.functional.interpolate(values, (onto, 1), mode="bilinear").flatten()
    assert np.allclose(interpolation(points, onto) @ values.flatten().numpy(), expected.numpy(), atol=1e-5)
