"""A refined sound is told as its class, is always the same, and stays near to what it was where nothing is asked."""

import numpy as np
import torch

from sottovoce.audio.event_table import EVENTS
from sottovoce.audio.events import synthesise
from sottovoce.methods.codebook.refinement import RefinementSettings, refined


def bands(waves: torch.Tensor) -> torch.Tensor:
    """A recogniser of three classes: where the most power is, below 1 kHz, below 3 kHz or above."""
    power = torch.fft.rfft(waves).abs().square()
    return torch.stack([part.mean(dim=1) for part in power.split([1280, 2560, 6401], dim=1)], dim=1).log()


def test_a_sound_becomes_one_of_another_class():
    sound = synthesise(EVENTS["alarm"])
    settings = RefinementSettings(steps=12, views=2)
    found = refined(sound, bands, 0, settings)
    assert found.shape == sound.shape
    assert np.abs(found).max() <= 0.6001
    before, after = (bands(torch.from_numpy(each[None]))[0] for each in (sound, found))
    assert after[0] - after[1:].max() > before[0] - before[1:].max() + 1.0
    np.testing.assert_array_equal(found, refined(sound, bands, 0, settings))


def test_a_sound_that_nothing_is_asked_of_stays_nearly_what_it_was():
    sound = synthesise(EVENTS["dog_bark"])
    found = refined(sound, lambda waves: torch.zeros(len(waves), 3, requires_grad=True), 0, RefinementSettings(steps=3))
    assert np.corrcoef(sound, found)[0, 1] > 0.95
