"""The level in steps: as a plain meter reads it, whatever the sound is of."""

import numpy as np
import pytest
import torch

from sottovoce.audio.spectrum import SAMPLE_RATE, SEGMENT_SAMPLES
from sottovoce.errors import ConfigError
from sottovoce.models.level import CLASSES, LevelMeter
from sottovoce.models.target_loading import load_target

METER = LevelMeter()


def a_weighted_db(wav: np.ndarray) -> float:
    """By the definition: the power of each frequency, weighted by IEC 61672."""
    squared = np.fft.rfftfreq(len(wav), 1 / SAMPLE_RATE) ** 2
    gain = 12194**2 * squared**2 / ((squared + 20.6**2) * (squared + 12194**2))
    gain = gain / np.sqrt((squared + 107.7**2) * (squared + 737.9**2)) * 10 ** (2.0 / 20)
    power = np.abs(np.fft.rfft(wav) * gain) ** 2
    return 10 * np.log10((2 * power.sum() - power[0]) / len(wav) ** 2)


def noise(db: float, exponent: float = 0.0, seed: int = 0) -> np.ndarray:
    """Noise of an A-weighted level, whose power falls with frequency from 20 Hz on."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(SEGMENT_SAMPLES))
    wav = np.fft.irfft(spectrum * np.maximum(25, np.arange(len(spectrum))) ** -exponent)
    return (wav * 10 ** ((db - a_weighted_db(wav)) / 20)).astype(np.float32)


@pytest.mark.parametrize("hertz", [50, 100, 200, 500, 1000, 2000, 4000, 7000])
def test_a_tone_has_the_level_of_the_definition(hertz):
    wav = 0.1 * np.sin(2 * np.pi * hertz * np.arange(SEGMENT_SAMPLES) / SAMPLE_RATE)
    level = float(METER.decibels(torch.from_numpy(wav.astype(np.float32))[None]))
    expected = a_weighted_db(wav)
    assert abs(level - expected) < (1.0 if hertz >= 200 else 4.0), "far below speech the filter is too short"
    if hertz == 1000:
        assert level == pytest.approx(20 * np.log10(0.1) - 3.01, abs=0.1)


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_each_step_is_read_and_below_all_there_is_none(exponent):
    levels = [-75, -61.5, -58.5, -46.5, -43.5, -31.5, -28.5, -16.5, -13.5, -5]
    answers = METER.log_posteriors(torch.from_numpy(np.stack([noise(db, exponent) for db in levels])))
    assert answers.exp().sum(dim=1).numpy() == pytest.approx(1.0, abs=1e-5)
    none = len(CLASSES)
    assert answers.argmax(dim=1).tolist() == [none, none, 0, 0, 1, 1, 2, 2, 3, 3]
    assert METER.none(torch.zeros(1, SEGMENT_SAMPLES)).item() == pytest.approx(1.0)


def test_it_is_a_target_by_its_name():
    target = load_target("level:")
    assert (target.task, target.classes, target.takes) == ("level", CLASSES, "wave")
    loud = target.predict_sound(np.stack([noise(-50.0), noise(-10.0)]))
    assert loud.argmax(axis=1).tolist() == [0, 3] and target.digest
    with pytest.raises(ConfigError, match="nothing after the colon"):
        load_target("level:loud")
