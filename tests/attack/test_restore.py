"""A restorer finds the way back where there is one, from any feature, and says whether it had long enough."""

import numpy as np
import pytest
import torch

from sottovoce.attack.reconstruction import Restorer

PAIRS, BINS, FRAMES = 60, 33, 24


def originals(seed: int) -> np.ndarray:
    """Smooth shapes, louder in one of a few places."""
    rng = np.random.default_rng(seed)
    centre = rng.uniform(4, BINS - 4, (PAIRS, 1, 1))
    shape = np.exp(-0.1 * np.square(np.arange(BINS)[:, None] - centre)) * np.ones(FRAMES)
    return (shape / shape.std()).astype(np.float32)


def turned(spectra: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(spectra[:, ::-1])


def squeezed(spectra: np.ndarray) -> np.ndarray:
    """A latent of one frame: a fixed random projection of the mean over time."""
    projection = np.random.default_rng(7).standard_normal((20, BINS)) / 5.0
    return (projection @ spectra.mean(axis=2, keepdims=True)).astype(np.float32)


def some_frames(spectra: np.ndarray) -> np.ndarray:
    """A latent of fewer frames, whose number does not divide that of the spectrum."""
    return np.ascontiguousarray(spectra[:, :, :5])


@pytest.mark.parametrize("obfuscate", [turned, squeezed, some_frames])
def test_what_can_be_undone_is_undone(obfuscate):
    spectra, unheard = originals(0), originals(1)
    restorer = Restorer(25, 0).fit(obfuscate(spectra), spectra)
    restored = restorer.restore(obfuscate(unheard))
    assert restored.shape == unheard.shape and restored.dtype == np.float32
    assert np.square(restored - unheard).mean() < 0.5 * unheard.var()


def test_the_seed_decides():
    spectra = originals(0)

    def restored(seed: int) -> np.ndarray:
        return Restorer(2, seed).fit(turned(spectra), spectra).restore(turned(spectra[:3]))

    torch.manual_seed(5)
    first = restored(0)
    torch.manual_seed(6)
    np.testing.assert_array_equal(first, restored(0))
    assert not np.array_equal(first, restored(1))


def test_it_has_converged_when_twice_the_steps_hardly_help():
    spectra = originals(0)
    short = Restorer(4, 0).fit(turned(spectra), spectra)
    assert not short.converged_, "there is much to learn still"
    noise = np.random.default_rng(0).standard_normal(spectra.shape, dtype=np.float32)
    nothing = Restorer(20, 0).fit(np.zeros_like(noise), noise)
    assert nothing.converged_, "there is nothing to learn"
    for restorer in (short, nothing):
        assert restorer.converged_ == (restorer.errors_[1] > 0.95 * restorer.errors_[0])
    assert not [key for key in vars(Restorer(1, 0)) if key.endswith("_")]
