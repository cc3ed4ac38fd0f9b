"""The detector of speech: that it is bundled, and does what it says for sound that anybody can make."""

import numpy as np
import pytest
import torch

from sottovoce.audio.segment import front_end
from sottovoce.audio.spectrum import SAMPLE_RATE, SEGMENT_SAMPLES
from sottovoce.corpora import espeak
from sottovoce.errors import ConfigError
from sottovoce.models.speech import WEIGHTS, SpeechDetector
from sottovoce.models.target_loading import load_target

LARGEST_BYTES = 300_000
TRAINED = pytest.mark.skipif(not WEIGHTS.is_file(), reason="needs the weights that an experiment makes")


def talking(waves: np.ndarray) -> np.ndarray:
    """The probability of speech in segments."""
    network = load_target("speech:").logits
    with torch.no_grad():
        return network.log_posteriors(torch.from_numpy(front_end(waves)))[:, 0].exp().numpy()


@TRAINED
def test_it_is_a_small_target_by_its_name():
    target = load_target("speech:")
    assert (target.task, target.classes, target.takes) == ("speech", ("speech",), "spectrum")
    assert WEIGHTS.stat().st_size < LARGEST_BYTES
    with pytest.raises(ConfigError, match="nothing after the colon"):
        load_target("speech:loud")


def test_posteriors_are_those_of_speech_and_of_none():
    spectra = torch.randn(3, 161, 128)
    network = SpeechDetector().eval()
    answers = network.log_posteriors(spectra)
    assert answers.shape == (3, 2) and torch.allclose(answers.exp().sum(dim=1), torch.ones(3))
    assert torch.allclose(answers[:, :1] - answers[:, 1:], network(spectra), atol=1e-4)


@TRAINED
def test_silence_noise_and_tones_are_no_speech():
    rng, time = np.random.default_rng(0), np.arange(SEGMENT_SAMPLES) / SAMPLE_RATE
    white = 0.1 * rng.standard_normal((4, SEGMENT_SAMPLES))
    tones = 0.1 * np.sin(2 * np.pi * np.array([[110.0], [440.0], [1000.0], [3000.0]]) * time)
    waves = np.concatenate([np.zeros((1, SEGMENT_SAMPLES)), white, np.cumsum(white, axis=1) / 100, tones])
    assert (talking(waves.astype(np.float32)) < 0.5).all()


@TRAINED
@pytest.mark.skipif(not espeak.installed(), reason="needs the extra voices")
def test_a_synthetic_voice_is_speech_at_any_level():
    said = [espeak.Utterance("en-us", "this is a synthetic voice that says something", 160, 50, 50, 100)]
    wav = np.frombuffer(espeak.speak(said)[0], "<i2").astype(np.float32) / np.float32(2**15)
    wav = np.interp(np.arange(0, len(wav), espeak.SAMPLE_RATE / SAMPLE_RATE), np.arange(len(wav)), wav)
    waves = np.stack([wav[:SEGMENT_SAMPLES], 0.001 * wav[:SEGMENT_SAMPLES]]).astype(np.float32)
    assert (talking(waves) > 0.5).all()
