"""What lies below speech goes, speech stays, and both ends of a segment are like its middle."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sottovoce.audio.highpass import CELLS, DEGREE, KNOT_SAMPLES, high_pass, spline
from sottovoce.audio.segment import cut, front_end, full_band
from sottovoce.audio.spectrum import SEGMENT_SAMPLES

TIME_S = np.arange(SEGMENT_SAMPLES) / 16000


def speech(seed: int, samples: int = SEGMENT_SAMPLES) -> np.ndarray:
    """Noise above 200 Hz whose level rises and falls."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    spectrum[np.fft.rfftfreq(samples, 1 / 16000) < 200] = 0.0
    wav = np.fft.irfft(spectrum, samples) * (1.1 + np.sin(np.arange(samples) / 2000))
    return (0.01 * wav / wav.std()).astype(np.float32)


def test_it_is_what_least_squares_leave():
    """The slow, obvious way: every B-spline as a column, and a solver."""
    pieces, _ = spline()
    columns = np.zeros((SEGMENT_SAMPLES, CELLS + DEGREE))
    for cell in range(CELLS):
        columns[cell * KNOT_SAMPLES : (cell + 1) * KNOT_SAMPLES, cell : cell + DEGREE + 1] = pieces.T
    wav = np.random.default_rng(0).standard_normal(SEGMENT_SAMPLES).astype(np.float32)
    expected = wav - columns @ np.linalg.lstsq(columns, wav.astype(np.float64), rcond=None)[0]
    assert np.abs(high_pass(wav[None])[0] - expected).max() < 1e-4


@pytest.mark.parametrize(
    ("hertz", "low_db", "high_db"),
    [(0, -200, -90), (10, -200, -80), (50, -200, -55), (60, -200, -42), (110, -1, 0), (200, -0.1, 0), (4000, -0.1, 0)],
)
def test_how_much_is_left_of_a_tone(hertz, low_db, high_db):
    tones = np.stack([np.cos(2 * np.pi * hertz * TIME_S + phase) for phase in (0.0, 1.0, 2.0)]).astype(np.float32)
    left = 20 * np.log10(np.sqrt(np.square(high_pass(tones)).mean() / np.square(tones).mean()))
    assert low_db <= left <= high_db + 1e-6


def test_a_tone_is_removed_up_to_the_ends_of_the_segment():
    left = high_pass(np.cos(2 * np.pi * 40 * TIME_S + 0.5).astype(np.float32)[None])[0]
    ends = np.concatenate([left[:400], left[-400:]])
    assert np.abs(ends).max() < 0.1


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 99), st.floats(-0.5, 0.5), st.floats(0.0, 0.1), st.sampled_from([0, 7, 25, 50]))
def test_an_offset_and_hum_do_not_change_what_the_networks_see(seed, offset, loud, hertz):
    """Without the high-pass they set the level of the segment, and speech disappears beside them."""
    wav = speech(seed)
    disturbed = (wav + offset + loud * np.sin(2 * np.pi * hertz * TIME_S + seed)).astype(np.float32)
    moved = np.abs(front_end(disturbed[None]) - front_end(wav[None])).mean()
    assert moved < 0.05
    if abs((disturbed - wav).mean()) > 0.05:  # a hum of 0 Hz is an offset, too
        assert np.abs(full_band(disturbed[None]) - full_band(wav[None])).mean() > 0.2, "this test can fail"


@pytest.mark.parametrize("samples", [4000, 12_345, SEGMENT_SAMPLES - 1])
def test_a_short_sound_is_filled_up_without_a_step(samples):
    wav = speech(0, samples)
    moved = np.abs(front_end(cut(wav + np.float32(0.2))) - front_end(cut(wav))).mean()
    assert moved < 0.05


def test_bits_do_not_depend_on_the_batch():
    segments = np.stack([speech(seed) for seed in range(9)])
    whole = high_pass(segments)
    for size in (1, 2, 4):
        assert all(np.array_equal(high_pass(segments[i : i + size]), whole[i : i + size]) for i in range(0, 9, size))
    assert not high_pass(np.zeros((1, SEGMENT_SAMPLES), np.float32)).any()
