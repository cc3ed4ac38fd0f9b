"""With the filter's weights, what it turned a sound into leads back towards the sound."""

import numpy as np
import pytest
import torch
from torch import nn

from sottovoce.attack.reconstruction import invert
from sottovoce.audio.segment import standardise

SEGMENTS, BINS, FRAMES = 5, 40, 24


class Mixing(nn.Module):
    """Keeps everything, in another form."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Tanh(), nn.Dropout(0.5), nn.Conv2d(4, 1, 1))

    def forward(self, spectra: torch.Tensor) -> torch.Tensor:
        return self.layers(spectra.unsqueeze(1)).squeeze(1)


@pytest.fixture
def obfuscator() -> nn.Module:
    torch.manual_seed(0)
    return Mixing().eval()


def spectra(seed: int) -> np.ndarray:
    return standardise(np.random.default_rng(seed).standard_normal((SEGMENTS, BINS, FRAMES), dtype=np.float32))


def heard(obfuscator: nn.Module, original: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return obfuscator(torch.from_numpy(original)).numpy()


def test_it_comes_closer_to_the_original_than_it_started(obfuscator):
    original = spectra(0)
    start = standardise(0.5 * original + 0.5 * spectra(1))
    found = invert(obfuscator, heard(obfuscator, original), start, steps=60)
    assert found.shape == original.shape and found.dtype == np.float32
    assert np.square(found - original).mean() < 0.5 * np.square(start - original).mean()


def test_results_are_standardised_and_each_segment_stands_for_itself(obfuscator):
    original, start = spectra(0), spectra(1)
    sound = heard(obfuscator, original)
    found = invert(obfuscator, sound, start, steps=10)
    np.testing.assert_allclose(found.mean(axis=(1, 2)), 0.0, atol=1e-5)
    np.testing.assert_allclose(found.std(axis=(1, 2), ddof=1), 1.0, rtol=1e-4)
    np.testing.assert_array_equal(found, invert(obfuscator, sound, start, steps=10))
    np.testing.assert_allclose(found[:2], invert(obfuscator, sound[:2], start[:2], steps=10), atol=1e-3)


def test_the_filter_is_left_as_it_was(obfuscator):
    before = [weight.clone() for weight in obfuscator.parameters()]
    start = spectra(1)
    kept = start.copy()
    invert(obfuscator, spectra(0), start, steps=3)
    np.testing.assert_array_equal(start, kept)
    for weight, copy in zip(obfuscator.parameters(), before, strict=True):
        assert weight.grad is None
        assert torch.equal(weight, copy)


def test_a_filter_that_lets_nothing_through_gives_back_the_start():
    start = spectra(1)
    found = invert(nn.Threshold(1e9, 0.0), np.zeros_like(start), start, steps=5)
    np.testing.assert_allclose(found, start, atol=1e-4)
