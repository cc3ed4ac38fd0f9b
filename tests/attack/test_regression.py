"""Numbers are estimated where they show, the mean where nothing shows; pitch is that of sounds whose pitch is known."""

import numpy as np
import pytest

from sottovoce.attack.attacker import Observations
from sottovoce.attack.regression import ESTIMATORS, pitch
from sottovoce.audio.spectrum import SAMPLE_RATE

UTTERANCES, BINS, FRAMES = 120, 30, 12


def heard(leak: float, seed: int) -> tuple[Observations, np.ndarray]:
    """Noise in which three bins rise with the number."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(20.0, 60.0, UTTERANCES)
    owner = np.repeat(np.arange(UTTERANCES), rng.integers(1, 3, UTTERANCES))
    spectra = rng.standard_normal((len(owner), BINS, FRAMES), dtype=np.float32)
    spectra[:, 5:8] += (leak * (values[owner] - 40.0) / 20.0)[:, None, None]
    return Observations(spectra, owner, np.ones((UTTERANCES, 1), np.float32)), values


def explained(name: str, leak: float) -> float:
    """R squared on utterances that were not heard before."""
    parts = [heard(leak, seed) for seed in range(3)]
    estimator = ESTIMATORS[name]()
    assert not [key for key in vars(estimator) if key.endswith("_")]
    guess = estimator.fit(*parts[0], *parts[1]).values(parts[2][0])
    assert guess.shape == (UTTERANCES,) and np.isfinite(guess).all()
    assert estimator.name and estimator.needs
    return 1.0 - float(np.square(guess - parts[2][1]).sum() / np.square(parts[2][1] - parts[2][1].mean()).sum())


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_number_that_shows_is_estimated(name):
    assert explained(name, leak=1.0) > 0.5


@pytest.mark.parametrize("name", ESTIMATORS)
def test_where_nothing_is_left_the_mean_is_as_good(name):
    assert -0.6 < explained(name, leak=0.0) < 0.15


def harmonics(frequency_hz: float, numbers: range = range(1, 12), level: float = 0.1) -> np.ndarray:
    time = np.arange(SAMPLE_RATE // 2) / SAMPLE_RATE
    phases = np.random.default_rng(0).uniform(0, 2 * np.pi, 40)
    partials = [np.sin(2 * np.pi * frequency_hz * n * time + phases[n]) / n for n in numbers if frequency_hz * n < 8000]
    return (level * np.sum(partials, axis=0)).astype(np.float32)


def semitones(frequency_hz: float) -> float:
    return 12.0 * np.log2(frequency_hz / 55.0)


@pytest.mark.parametrize("frequency_hz", [62.0, 98.0, 131.0, 207.0, 311.0, 490.0])
def test_the_pitch_of_harmonics_is_their_fundamental(frequency_hz):
    assert pitch(harmonics(frequency_hz)) == pytest.approx(semitones(frequency_hz), abs=0.1)


def test_the_fundamental_itself_may_be_missing():
    assert pitch(harmonics(150.0, range(2, 12))) == pytest.approx(semitones(150.0), abs=0.1)


@pytest.mark.parametrize("level", [1e-4, 1.0])
def test_level_does_not_count(level):
    assert pitch(harmonics(180.0, level=level)) == pytest.approx(semitones(180.0), abs=0.1)


def test_noise_beneath_the_voice_does_not_count():
    noisy = harmonics(180.0) + 0.02 * np.random.default_rng(0).standard_normal(SAMPLE_RATE // 2)
    assert pitch(noisy.astype(np.float32)) == pytest.approx(semitones(180.0), abs=0.2)


def test_it_is_the_median_of_what_is_voiced():
    silence, low, high = np.zeros(SAMPLE_RATE, np.float32), harmonics(100.0), harmonics(300.0)
    assert pitch(np.concatenate([silence, low, low, high, silence])) == pytest.approx(semitones(100.0), abs=0.1)


@pytest.mark.parametrize("samples", [0, 1, 639, 640, SAMPLE_RATE])
def test_silence_and_noise_have_no_pitch(samples):
    assert np.isnan(pitch(np.zeros(samples, np.float32)))
    assert np.isnan(pitch(np.random.default_rng(0).standard_normal(samples).astype(np.float32)))
