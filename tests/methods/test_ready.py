"""Filters for targets that know none by themselves: nothing is learned, and codewords mean what they say."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sottovoce.corpora import espeak
from sottovoce.errors import ConfigError
from sottovoce.jobs.train import TrainConfig, make_filter, make_target
from sottovoce.methods.codebook.ready import is_ready, noises
from sottovoce.models.level import CLASSES, LevelMeter
from sottovoce.models.speech import WEIGHTS
from sottovoce.models.target_loading import load_target
from sottovoce.progress import silent
from sottovoce.runtime.filter import Filter

METER = LevelMeter()


def decibels(wav: np.ndarray) -> float:
    return float(METER.decibels(torch.from_numpy(wav)[None]))


@pytest.fixture(scope="module")
def level(shaped_once, tmp_path_factory) -> Filter:
    folder = tmp_path_factory.mktemp("ready") / "level"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOTTOVOCE_CACHE", str(shaped_once.table.parent / "cache"))
        make_filter(
            TrainConfig(shaped_once.spec, ("level",), ("level:",), folder, settings={"none.measured": 64}), silent
        )
    return Filter.load(folder)


@pytest.fixture
def made(shaped, tmp_path) -> Path:
    make_target(shaped.spec, "word", tmp_path / "target", "quick", None, 0, "", silent, {"steps": 2})
    return tmp_path / "target"


def test_targets_of_others_are_not_ready(shaped):
    assert is_ready(load_target("level:"))
    assert not is_ready(shaped.target)


def test_candidates_have_the_levels_that_they_should():
    measured = [decibels(wav) for wav in noises()]
    assert measured == pytest.approx(list(np.arange(-57.0, -10.0, 1.5)), abs=1.5)


@pytest.mark.parametrize("db", [-90, -63, -57, -48, -42, -33, -27, -18, -12])
def test_what_leaves_has_the_step_of_what_came(level, db):
    wav = (10 ** (db / 20) * np.random.default_rng(0).standard_normal(60_000)).astype(np.float32)
    answers = {row.answer for row in level.labels(wav)}
    left = level.filter(wav)
    if db < -60:
        assert answers == {None} and not left.any()
    else:
        expected = CLASSES[min(3, int((decibels(wav) + 60) // 15))]
        assert answers == {expected}
        assert CLASSES[min(3, int((decibels(left) + 60) // 15))] == expected
        assert {row.answer for row in level.labels(left)} == {expected}, "a second filter reads the same"


def test_each_block_counts_by_itself(level):
    loud, faint = (10 ** (db / 20) * np.random.default_rng(0).standard_normal(20480 * 2) for db in (-20, -50))
    rows = level.labels(np.concatenate([loud, faint, loud]).astype(np.float32))
    assert [row.answer for row in rows] == [CLASSES[2]] * 2 + [CLASSES[0]] * 2 + [CLASSES[2]] * 2


def test_its_card_says_how_and_bounds_it(level):
    assert level.rate.bits_per_block == pytest.approx(np.log2(5))
    assert level.card["none"]["level"]["threshold"] == 0.5 and level.card["none"]["level"]["miss_rate"] == 0.0
    assert level.card["codewords"]["source"] == "synthetic"
    assert sum(path.stat().st_size for path in level.path.iterdir()) < 200_000


@pytest.mark.skipif(not WEIGHTS.is_file() or not espeak.installed(), reason="needs the weights, and the extra voices")
def test_a_codeword_for_speech_is_speech(shaped, tmp_path: Path):
    make_filter(
        TrainConfig(shaped.spec, ("speech",), ("speech:",), tmp_path / "speech", settings={"none.measured": 64}), silent
    )
    filter_ = Filter.load(tmp_path / "speech")
    said = filter_.engine.vocabulary().waves()[1]
    assert filter_.rate.bits_per_block == 1.0
    assert {row.answer for row in filter_.labels(np.tile(said, 3))} == {"speech"}
    assert not filter_.filter(np.zeros(50_000, np.float32)).any()


def test_a_filter_permits_one_of_them_alone(shaped, made, tmp_path):
    with pytest.raises(ConfigError, match="word and level cannot share a filter"):
        config = TrainConfig(shaped.spec, ("word", "level"), (made, "level:"), tmp_path / "both")
        make_filter(config, silent)
