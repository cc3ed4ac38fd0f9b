"""Synthesised events are the same on every call, lie on a circle, and each layer is what its numbers say."""

from dataclasses import replace

import numpy as np
import pytest

from sottovoce.audio.event_table import EVENTS
from sottovoce.audio.events import Clicks, Noise, Tone, synthesise
from sottovoce.audio.spectrum import SEGMENT_SAMPLES
from sottovoce.models.home_sounds import LISTS


def test_there_is_a_sound_for_each_class_of_the_lists():
    assert set(EVENTS) == {class_ for list_ in LISTS.values() for class_ in list_}


@pytest.mark.parametrize("name", EVENTS)
def test_a_sound_is_always_the_same_and_within_full_scale(name):
    sound = synthesise(EVENTS[name])
    assert sound.shape == (SEGMENT_SAMPLES,)
    assert sound.dtype == np.float32
    assert np.abs(sound).max() == pytest.approx(0.6)
    np.testing.assert_array_equal(sound, synthesise(EVENTS[name]))


@pytest.mark.parametrize("name", EVENTS)
def test_the_end_goes_on_at_the_beginning(name):
    """Where every onset is half a circle later, so is the sound, but for what sounds all the time."""
    layers = [layer for layer in EVENTS[name] if layer.length < 1.28 and not layer.depth]
    if not layers:
        return
    late = [replace(layer, onsets=tuple(onset + 0.64 for onset in layer.onsets)) for layer in layers]
    np.testing.assert_allclose(synthesise(late), np.roll(synthesise(layers), SEGMENT_SAMPLES // 2), atol=2e-3)


def test_a_tone_is_a_sum_of_sines():
    time = np.arange(SEGMENT_SAMPLES) / 16000
    found = Tone(gain=2.0, hertz=(500.0, 500.0), partials=2, tilt=-6.02, attack=0.0).sound(np.random.default_rng(0))
    phase = 2 * np.pi * 500 * (time + 1 / 16000)
    expected = np.sin(phase) + 0.5 * np.sin(2 * phase)
    expected *= 2.0 / np.sqrt(np.mean(expected**2))
    np.testing.assert_allclose(found[100:-100], expected[100:-100], atol=0.01)


def test_noise_lies_in_its_band_and_only_while_it_lasts():
    found = Noise(onsets=(1.0,), length=0.5, low=1000.0, high=2000.0).sound(np.random.default_rng(0))
    power = np.abs(np.fft.rfft(found)) ** 2
    hertz = np.fft.rfftfreq(SEGMENT_SAMPLES, 1 / 16000)
    assert power[(hertz > 800) & (hertz < 2500)].sum() > 0.8 * power.sum()
    assert not found[round(0.22 * 16000) + 2 : 16000].any()  # it goes around
    assert found[: round(0.22 * 16000) - 400].any()


def test_clicks_are_as_many_as_they_are_said_to_be():
    found = Clicks(count=20.0, ring=0.0005, spread=0.0, low=3000.0, high=3000.0).sound(np.random.default_rng(0))
    loud = np.abs(found) > 0.1 * np.abs(found).max()
    begins = np.flatnonzero(loud & ~np.roll(loud, 1))
    assert 10 <= np.sum(np.diff(begins, prepend=-1000) > 40) <= 20


def test_a_modulation_takes_what_its_depth_says():
    found = Tone(hertz=(1000.0,), rate=4.0, depth=1.0, attack=0.0).sound(np.random.default_rng(0))
    quarters = np.abs(found).reshape(4, -1)
    assert quarters[:, :400].max() > 1.0
    assert quarters[:, 2500:2620].max() < 0.01 * quarters.max() + 0.02
