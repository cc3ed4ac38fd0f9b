"""The few recordings that resemble their originals most: these are found without labels, wherever they are."""

import numpy as np
import pytest

from sottovoce.audit import exposed
from sottovoce.audit.scores import Scores

RNG = np.random.default_rng(0)


def hum(seed: int, samples: int = 40000) -> np.ndarray:
    rng = np.random.default_rng(seed)
    pitch = np.cumsum(rng.uniform(80, 300) * (1 + 0.1 * rng.standard_normal(samples).cumsum() / 100))
    return (np.sin(2 * np.pi * pitch / 16000) * rng.uniform(0.1, 0.3)).astype(np.float32)


def test_a_sound_resembles_itself_at_any_level_and_delay():
    wav = hum(0)
    assert exposed.resemblance(wav, wav) == pytest.approx(2.0, abs=0.01)
    late = np.concatenate([np.zeros(800, np.float32), 0.1 * wav])
    assert exposed.resemblance(late, wav) > exposed.resemblance(hum(1), wav) + 0.5


def test_silence_resembles_nothing():
    assert exposed.resemblance(np.zeros(100, np.float32), hum(0)) < 0.1


def test_the_few_are_those_that_resemble_most():
    own = RNG.permutation(100).astype(np.float32) / 100
    assert sorted(own[exposed.few(own)] * 100) == pytest.approx([95, 96, 97, 98, 99])
    nearly = np.where(np.arange(100) < 20, exposed.COPY, 0.0).astype(np.float32)
    assert exposed.few(nearly).sum() == 20
    assert exposed.few(np.zeros(3, np.float32)).tolist() == [True, False, False]


def test_the_control_fails_where_copies_would_not_be_found():
    others = np.linspace(0, 1, 50, dtype=np.float32)
    for copies, passed in ((1.8, True), (0.5, False)):
        scores = Scores({"resemblance/copies": np.full(50, copies), "resemblance/others": others})
        (control,) = exposed.control(scores).values()
        assert control.passed == passed
