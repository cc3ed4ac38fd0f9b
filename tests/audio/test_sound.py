"""Laws of sound from magnitude: it has that magnitude, depends on nothing else, and shows no seams."""

import numpy as np
import pytest

from sottovoce.audio.griffin_lim import (
    ITERATIONS,
    MARGIN_SAMPLES,
    OVERLAP_FRAMES,
    Crossfade,
    PhaseContinuation,
    griffin_lim,
    to_sound,
)
from sottovoce.audio.spectrum import BINS, HOP_SAMPLES, SAMPLE_RATE, stft


def voiced(seconds: float) -> np.ndarray:
    """A gliding buzz with pauses: harmonics, onsets and silence, as speech has them."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    phase = 2 * np.pi * np.cumsum(120 + 40 * np.sin(2 * np.pi * 0.7 * time)) / SAMPLE_RATE
    buzz = sum(np.sin(k * phase) / k for k in range(1, 30))
    return (buzz * np.maximum(0, np.sin(2 * np.pi * 1.5 * time))).astype(np.float32)


def convergence_db(wav: np.ndarray, magnitude: np.ndarray) -> float:
    error = np.abs(stft(wav)) - magnitude
    return float(20 * np.log10(np.linalg.norm(error) / np.linalg.norm(magnitude)))


def in_pieces(magnitudes: list[np.ndarray], iterations: int = ITERATIONS) -> np.ndarray:
    voice = PhaseContinuation(iterations)
    return np.concatenate([np.zeros(0, np.float32), *map(voice.feed, magnitudes), voice.flush()])


def cut(magnitude: np.ndarray, size: int) -> list[np.ndarray]:
    return [magnitude[:, start : start + size] for start in range(0, magnitude.shape[1], size)]


def test_the_sound_has_the_magnitude_and_more_steps_bring_it_nearer():
    magnitude = np.abs(stft(voiced(3)))
    reached = [convergence_db(to_sound(magnitude, steps), magnitude) for steps in (0, 8, ITERATIONS)]
    assert reached == sorted(reached, reverse=True)
    assert reached[-1] < -18


def test_momentum_is_worth_having():
    magnitude = np.abs(stft(voiced(3)))
    guess = magnitude * np.exp(2j * np.pi * np.random.default_rng(0).random(magnitude.shape))
    for _ in range(ITERATIONS):  # Griffin and Lim 1984, as it is written
        guess = magnitude * np.exp(1j * np.angle(stft(slow_inverse(guess))))
    assert convergence_db(to_sound(magnitude), magnitude) < convergence_db(slow_inverse(guess), magnitude) - 1


def slow_inverse(spectrum: np.ndarray) -> np.ndarray:
    window = np.hamming(321)[:-1]
    sound = np.zeros((spectrum.shape[1] + 1) * HOP_SAMPLES)
    weight = np.zeros_like(sound)
    for frame, start in zip(np.fft.irfft(spectrum.T, n=320), range(0, len(sound), HOP_SAMPLES), strict=False):
        sound[start : start + 320] += frame * window
        weight[start : start + 320] += window**2
    return (sound / weight)[HOP_SAMPLES:].astype(np.float32)


def test_equal_arguments_give_equal_samples_and_another_seed_another_phase():
    magnitude = np.abs(stft(voiced(1)))
    assert np.array_equal(to_sound(magnitude), to_sound(magnitude))
    assert not np.allclose(to_sound(magnitude), to_sound(magnitude, seed=1), atol=0.1)


def test_the_magnitude_given_is_left_alone():
    magnitude = np.abs(stft(voiced(1)))
    before = magnitude.copy()
    to_sound(magnitude)
    assert np.array_equal(magnitude, before)


@pytest.mark.parametrize("frames", [1, 2, 7, 128])
def test_no_magnitude_is_silence_of_the_right_length(frames):
    wav = to_sound(np.zeros((BINS, frames), np.float32))
    assert wav.dtype == np.float32
    assert np.array_equal(wav, np.zeros(frames * HOP_SAMPLES))


@pytest.mark.parametrize("frames", [1, 5, OVERLAP_FRAMES, 128, 129, 381])
def test_pieces_add_up_to_the_whole_length(frames):
    magnitude = np.ones((BINS, frames), np.float32)
    assert len(in_pieces(cut(magnitude, 128), iterations=1)) == frames * HOP_SAMPLES
    assert len(in_pieces(cut(magnitude, 3), iterations=1)) == frames * HOP_SAMPLES


def test_nothing_gives_nothing():
    assert len(in_pieces([])) == 0


def test_seams_cannot_be_heard():
    """At the seams the sound keeps its energy, fits its magnitude and jumps no more than elsewhere."""
    magnitude = np.abs(stft(voiced(8)))
    wav = in_pieces(cut(magnitude, 100))
    at_seams = np.unique(np.concatenate([np.arange(seam - 10, seam + 2) for seam in range(100, 790, 100)]))
    there, wanted = np.abs(stft(wav))[:, at_seams], magnitude[:, at_seams]
    assert np.linalg.norm(there - wanted) < 0.2 * np.linalg.norm(wanted)
    assert np.linalg.norm(there) > 0.93 * np.linalg.norm(wanted)
    jumps = np.abs(np.diff(wav))
    borders = np.concatenate([np.arange(seam - 2, seam + 2) for seam in range(100 * 160, len(wav) - 2, 100 * 160)])
    borders = np.concatenate([borders, borders - OVERLAP_FRAMES * HOP_SAMPLES])
    assert jumps[borders].max() < jumps.max()


def joined(magnitudes: list[np.ndarray]) -> np.ndarray:
    voice = Crossfade()
    return np.concatenate([np.zeros(0, np.float32), *(voice.feed(griffin_lim(m)) for m in magnitudes), voice.flush()])


@pytest.mark.parametrize("frames", [1, 2, 5, 128])
def test_sounds_made_alone_have_margins_and_join_to_the_whole_length(frames):
    magnitude = np.ones((BINS, frames), np.float32)
    assert len(griffin_lim(magnitude, 1)) == frames * HOP_SAMPLES + 2 * MARGIN_SAMPLES
    assert len(joined([magnitude] * 3)) == 3 * frames * HOP_SAMPLES
    assert len(joined([magnitude])) == frames * HOP_SAMPLES
    assert len(joined([])) == 0


def test_where_they_are_joined_the_power_stays():
    """Noise of one loudness, made in ten parts that know nothing of each other."""
    magnitude = np.abs(stft(np.random.default_rng(0).standard_normal(10 * 128 * HOP_SAMPLES).astype(np.float32)))
    wav = joined(cut(magnitude, 128))
    power = np.square(wav.reshape(-1, HOP_SAMPLES)).mean(axis=1)
    seams = np.concatenate([power[seam - 1 : seam + 1] for seam in range(128, 1280, 128)])
    assert 0.7 * power.mean() < seams.mean() < 1.3 * power.mean()
    steps = np.abs(np.diff(wav))
    assert steps[np.arange(128, 1280, 128)[:, None] * HOP_SAMPLES + np.arange(-100, 100)].max() < steps.max()
