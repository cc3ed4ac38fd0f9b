"""Laws of level: one RMS for every sound, silence stays silence, trimming takes silence and nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce.audio.level import LEVEL_RMS, MAX_GAIN, normalise, rms, trim_silence
from sottovoce.audio.spectrum import SAMPLE_RATE


def noise(seconds: float, scale: float = 0.1, seed: int = 0) -> np.ndarray:
    samples = round(seconds * SAMPLE_RATE)
    return (scale * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def trimmed_slowly(wav: np.ndarray, sample_rate: int, threshold_db: float, margin_s: float) -> np.ndarray:
    """The definition of `trim_silence`, frame by frame."""
    frame = round(0.02 * sample_rate)
    levels = [float(np.sqrt(np.mean(wav[i : i + frame].astype(np.float64) ** 2))) for i in range(0, len(wav), frame)]
    loud = float(np.percentile(levels, 95))
    kept = [i for i, level in enumerate(levels) if loud == 0 or level >= loud / 10 ** (threshold_db / 20)]
    first = kept[0] * frame - round(margin_s * sample_rate)
    last = (kept[-1] + 1) * frame + round(margin_s * sample_rate)
    return wav[max(0, first) : last]


def test_rms_of_a_full_scale_sine_is_the_root_of_one_half():
    sine = np.sin(2 * np.pi * 100 * np.arange(SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)
    assert rms(sine) == pytest.approx(np.sqrt(0.5), rel=1e-6)


def test_rms_is_taken_over_the_last_axis():
    wav = np.stack([noise(0.1, 0.1), noise(0.1, 0.2)])
    assert rms(wav).shape == (2,)
    assert rms(wav)[1] == pytest.approx(rms(wav[1]))


def test_rms_of_nothing_is_zero():
    assert rms(np.zeros(0, np.float32)) == 0.0


@given(exponent=st.floats(-4.0, 4.0))
def test_every_sound_within_the_gain_is_brought_to_the_level(exponent):
    scaled = normalise(noise(0.05, scale=10.0**exponent))
    assert scaled.dtype == np.float32
    assert rms(scaled) == pytest.approx(min(LEVEL_RMS, 10.0**exponent * MAX_GAIN), rel=0.1)


@given(gain=st.floats(0.01, 100.0))
def test_the_level_of_the_input_does_not_show_in_the_output(gain):
    wav = noise(0.05)
    np.testing.assert_allclose(normalise(wav * np.float32(gain)), normalise(wav), rtol=1e-5, atol=1e-7)


def test_each_sound_of_a_batch_is_normalised_alone():
    wav = np.stack([noise(0.1, 0.3), noise(0.1, 0.001, seed=1), np.zeros(1600, np.float32)])
    np.testing.assert_array_equal(normalise(wav), np.stack([normalise(one) for one in wav]))


def test_digital_silence_stays_silence():
    np.testing.assert_array_equal(normalise(np.zeros((2, 100), np.float32)), np.zeros((2, 100), np.float32))


def test_faint_noise_is_raised_by_the_greatest_gain_only():
    wav = noise(0.1, 1e-7)
    np.testing.assert_allclose(normalise(wav), wav * MAX_GAIN, rtol=1e-5)


def test_trimming_keeps_the_sound_and_its_margin():
    silence = np.zeros(SAMPLE_RATE, np.float32)
    sound = noise(0.5)
    margin = np.zeros(SAMPLE_RATE // 10, np.float32)
    trimmed = trim_silence(np.concatenate([silence, sound, silence]))
    np.testing.assert_array_equal(trimmed, np.concatenate([margin, sound, margin]))


def test_silence_inside_a_sound_is_kept():
    wav = np.concatenate([noise(0.5), np.zeros(SAMPLE_RATE, np.float32), noise(0.5)])
    np.testing.assert_array_equal(trim_silence(wav), wav)


@pytest.mark.parametrize("fainter_db, is_cut", [(30.0, False), (40.0, True)])
def test_the_threshold_is_relative_to_the_loud_parts(fainter_db, is_cut):
    faint = noise(1.0, 0.1 * 10 ** (-fainter_db / 20), seed=1)
    wav = np.concatenate([faint, noise(0.5)])
    assert (len(trim_silence(wav)) < len(wav)) == is_cut


@given(
    scales=st.lists(st.sampled_from([0.0, 1e-4, 1e-3, 0.01, 0.1]), min_size=1, max_size=12),
    ragged=st.integers(1, 2000),
    margin_s=st.sampled_from([0.0, 0.015, 0.1]),
    sample_rate=st.sampled_from([8000, 16000, 44100]),
)
def test_trimming_equals_its_definition(scales, ragged, margin_s, sample_rate):
    wav = np.concatenate([noise(0.05, scale, seed=i) for i, scale in enumerate(scales)])[:-ragged]
    if len(wav):
        trimmed = trim_silence(wav, sample_rate, 35.0, margin_s)
        assert len(trimmed)
        np.testing.assert_array_equal(trimmed, trimmed_slowly(wav, sample_rate, 35.0, margin_s))


@pytest.mark.parametrize("samples", [0, 1, 319, 5000])
def test_a_silent_sound_is_returned_unchanged(samples):
    np.testing.assert_array_equal(trim_silence(np.zeros(samples, np.float32)), np.zeros(samples, np.float32))


def test_a_sound_shorter_than_a_frame_is_returned_unchanged():
    np.testing.assert_array_equal(trim_silence(noise(0.005)), noise(0.005))
