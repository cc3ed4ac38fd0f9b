"""The mel scale by its definition: linear to 1 kHz = 15 mel, then 27 mel for each factor of 6.4; bands of unit area."""

import numpy as np
import pytest

from sottovoce.audio.mel import filterbank, to_hertz, to_mel


@pytest.mark.parametrize(
    ("frequency_hz", "mel"), [(0, 0), (200 / 3, 1), (500, 7.5), (1000, 15), (6400, 42), (1000 * 6.4 ** (1 / 3), 24)]
)
def test_known_frequencies(frequency_hz, mel):
    assert to_mel(frequency_hz) == pytest.approx(mel)
    assert to_hertz(mel) == pytest.approx(frequency_hz)


def test_there_and_back():
    frequencies_hz = np.linspace(0.0, 8000.0, 999)
    np.testing.assert_allclose(to_hertz(to_mel(frequencies_hz)), frequencies_hz, atol=1e-9)
    assert (np.diff(to_mel(frequencies_hz)) > 0).all()


def test_each_band_is_a_triangle_over_its_neighbours_middles():
    bands, fft_size, rate = 10, 4096, 16000
    weights = filterbank(bands, fft_size, rate)
    hertz = np.arange(fft_size // 2 + 1) * rate / fft_size
    corners = to_hertz(np.arange(bands + 2) * to_mel(rate / 2) / (bands + 1))
    for weight, low, peak, high in zip(weights, corners, corners[1:], corners[2:], strict=False):
        expected = np.interp(hertz, [low, peak, high], [0.0, 2.0 / (high - low), 0.0])
        np.testing.assert_allclose(weight, expected, atol=1e-6)


def test_each_band_has_unit_area_over_frequency():
    weights = filterbank(40, 2**16, 16000)
    assert weights.dtype == np.float32
    assert weights.shape == (40, 2**15 + 1)
    np.testing.assert_allclose(weights.sum(axis=1) * 16000 / 2**16, 1.0, rtol=1e-3)


def test_white_noise_has_the_same_power_in_every_band():
    """What unit area is for: a band's width does not count."""
    np.testing.assert_allclose(filterbank(8, 2**14, 16000) @ np.ones(2**13 + 1), 2**14 / 16000, rtol=1e-2)
