"""Laws of the spectrum: it is a DFT per frame, and there is a way back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sottovoce.audio.spectrum import (
    BINS,
    HOP_SAMPLES,
    SAMPLE_RATE,
    SEGMENT_FRAMES,
    SEGMENT_SAMPLES,
    WINDOW_SAMPLES,
    istft,
    log_spectrum,
    magnitude,
    stft,
)


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def dft_of_frame(wav: np.ndarray, frame: int) -> np.ndarray:
    """X[k] = sum over m of w[m] x[m] exp(-2 pi i k m / 320), the frame centred on sample 160 n: the definition."""
    m = np.arange(WINDOW_SAMPLES)
    hamming = 0.54 - 0.46 * np.cos(2 * np.pi * m / WINDOW_SAMPLES)
    position = frame * HOP_SAMPLES - WINDOW_SAMPLES // 2 + m
    inside = (position >= 0) & (position < len(wav))
    heard = np.where(inside, wav[np.clip(position, 0, len(wav) - 1)], 0.0)
    return np.exp(-2j * np.pi * np.outer(np.arange(BINS), m) / WINDOW_SAMPLES) @ (hamming * heard)


@settings(deadline=None, max_examples=30)
@given(samples=st.integers(1, 1500), seed=st.integers(0, 99))
def test_every_frame_is_a_literal_dft(samples, seed):
    wav = noise(samples, seed)
    spectrum = stft(wav)
    assert spectrum.shape == (BINS, -(-samples // HOP_SAMPLES))
    expected = np.stack([dft_of_frame(wav, n) for n in range(spectrum.shape[1])], axis=1)
    np.testing.assert_allclose(spectrum, expected, atol=1e-5)


def test_a_segment_has_the_frames_that_its_name_says():
    assert stft(noise(SEGMENT_SAMPLES)).shape == (BINS, SEGMENT_FRAMES)


def test_a_batch_is_transformed_one_by_one():
    batch = np.stack([noise(1000, seed) for seed in range(6)]).reshape(2, 3, 1000)
    one_by_one = np.stack([[stft(wav) for wav in row] for row in batch])
    np.testing.assert_array_equal(stft(batch), one_by_one)


def test_a_tone_falls_into_its_bin():
    tone = np.sin(2 * np.pi * 1000 * np.arange(SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)
    assert np.abs(stft(tone))[:, 50].argmax() == 1000 * WINDOW_SAMPLES // SAMPLE_RATE


@settings(deadline=None)
@given(samples=st.integers(1, 5000), seed=st.integers(0, 99))
def test_istft_undoes_stft(samples, seed):
    wav = noise(samples, seed)
    back = istft(stft(wav))
    assert back.dtype == np.float32
    assert len(back) == -(-samples // HOP_SAMPLES) * HOP_SAMPLES
    np.testing.assert_allclose(back[:samples], wav, atol=1e-5)
    np.testing.assert_allclose(back[samples:], 0.0, atol=1e-5)


def test_istft_is_the_least_squares_answer_for_a_spectrum_that_no_sound_has():
    """No sound near the answer has a spectrum closer to the given one than the answer's own."""
    rng = np.random.default_rng(0)
    given_spectrum = (rng.standard_normal((BINS, 8)) + 1j * rng.standard_normal((BINS, 8))).astype(np.complex64)
    given_spectrum[[0, -1]] = given_spectrum[[0, -1]].real  # the ends of a real sound's spectrum are real
    answer = istft(given_spectrum)

    def distance(wav: np.ndarray) -> float:
        full = np.full((BINS, 1), 2.0)  # a bin stands for its mirror image too, but for the ends
        full[[0, -1]] = 1.0
        return float(np.sum(full * np.abs(stft(wav) - given_spectrum).astype(np.float64) ** 2))

    for seed in range(10):
        assert distance(answer + noise(len(answer), seed)) > distance(answer)


@pytest.mark.parametrize("scale", [0.0, 1e-4, 1.0, 1e3])
def test_magnitude_is_the_inverse_of_the_log_spectrum(scale):
    wav = noise(4000) * np.float32(scale)
    assert log_spectrum(wav).dtype == np.float32
    np.testing.assert_allclose(magnitude(log_spectrum(wav)), np.abs(stft(wav)), rtol=1e-5, atol=1e-7)


def test_a_log_spectrum_below_zero_stands_for_silence():
    np.testing.assert_array_equal(magnitude(np.array([-3.0, -1e-6, 0.0], np.float32)), np.zeros(3, np.float32))
