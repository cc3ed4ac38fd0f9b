"""The measure by which codewords are told from recordings."""

import numpy as np
import pytest

from sottovoce.audio.level import normalise
from sottovoce.audio.segment import LEVEL_RMS, front_end, standardise
from sottovoce.audio.spectrum import SEGMENT_SAMPLES, log_spectrum
from sottovoce.corpora.cache import Sounds
from sottovoce.methods.codebook.similarity import between_people, highest

RNG = np.random.default_rng(0)


def sounds_of(waves: list[np.ndarray]) -> Sounds:
    lengths = np.array([len(wav) for wav in waves])
    samples = np.concatenate([np.rint(wav * 3000).astype(np.int16) for wav in waves])
    return Sounds({}, samples, np.cumsum(lengths) - lengths, lengths, np.full(len(waves), 1 / 3000, np.float32))


def syllables(seed: int, seconds: float = 2.0) -> np.ndarray:
    """Noise whose colour and loudness change every 0.2 s."""
    rng = np.random.default_rng(seed)
    pieces = []
    for _ in range(round(seconds / 0.2)):
        spectrum = np.fft.rfft(rng.standard_normal(3200))
        spectrum *= np.repeat(rng.uniform(0.05, 2.0, 40), 41)[: len(spectrum)]
        pieces.append(rng.uniform(0.2, 1.5) * np.fft.irfft(spectrum, 3200))
    return np.concatenate(pieces)


@pytest.fixture(scope="module")
def sounds() -> Sounds:
    return sounds_of([syllables(seed) for seed in range(8)])


CLIPS = np.arange(8)


def test_a_segment_is_found_in_its_recording_wherever_it_was_cut(sounds):
    cut = np.stack([sounds.wave(5)[start : start + SEGMENT_SAMPLES] for start in (0, 160 * 33, 160 * 70 + 80)])
    found = highest(front_end(cut), sounds, CLIPS)
    assert found.shape == (3, 8)
    assert (found.argmax(axis=1) == 5).all() and (found.max(axis=1) > 0.9).all()
    assert np.delete(found, 5, axis=1).max() < 0.8


def test_neither_level_nor_blur_nor_faint_noise_hides_a_copy(sounds):
    segment = front_end(0.01 * sounds.wave(2)[None, :SEGMENT_SAMPLES])[0]
    blurred = segment.reshape(7, 23, 32, 4).mean(axis=3).repeat(4, axis=2).reshape(161, 128)
    noisy = segment + 0.3 * RNG.standard_normal(segment.shape)
    for copy in (segment, blurred, noisy):
        assert highest(standardise(copy)[None], sounds, CLIPS)[0, 2] > 0.9


def test_it_is_the_correlation_at_the_best_alignment(sounds):
    """Against a slow loop over alignments, without smoothing's shortcuts."""
    template = front_end(sounds.wave(0)[None, :SEGMENT_SAMPLES])
    spectra = [standardise(_log(sounds.wave(i))) for i in range(8)]
    average = np.mean([each.mean(axis=1) for each in spectra], axis=0)[:, None]

    def smooth(spectrum: np.ndarray) -> np.ndarray:
        rows = (spectrum - average)[:160].reshape(40, 4, -1).mean(axis=1)
        return np.stack([rows[:, at : at + 4].mean(axis=1) for at in range(rows.shape[1] - 3)], axis=1)

    own, other = smooth(template[0]), smooth(spectra[3])
    slow = max(
        np.corrcoef(own.ravel(), other[:, at : at + own.shape[1]].ravel())[0, 1]
        for at in range(other.shape[1] - own.shape[1] + 1)
    )
    assert highest(template, sounds, CLIPS)[0, 3] == pytest.approx(slow, abs=1e-4)


def _log(wav: np.ndarray) -> np.ndarray:
    return log_spectrum(normalise(wav, LEVEL_RMS))


def test_silence_and_short_sounds_have_a_similarity(sounds):
    short = sounds_of([syllables(0, 0.4), syllables(1, 0.6)])
    found = highest(np.zeros((1, 161, 128), np.float32), short, np.arange(2))
    assert np.isfinite(found).all() and np.abs(found).max() <= 1.001


def test_people_are_compared_with_others_alone():
    """Two recordings of each of four people, nearly equal: without the other one they have little in common."""
    sounds = sounds_of([syllables(i // 2) + 0.05 * syllables(100 + i) for i in range(8)])
    people = np.array([f"p{i // 2}" for i in range(8)])
    alone = np.array([f"p{i}" for i in range(8)])
    assert between_people(sounds, CLIPS, people, 0) < 0.7 < 0.9 < between_people(sounds, CLIPS, alone, 0)
