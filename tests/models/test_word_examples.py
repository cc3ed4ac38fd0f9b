"""Keywords from examples: the front end of the word encoder, the rule of the nearest mean, and the way to a target."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sottovoce import cli
from sottovoce.audio.spectrum import SEGMENT_SAMPLES
from sottovoce.errors import ConfigError, MissingExtraError, ModelError
from sottovoce.jobs import word_examples as job
from sottovoce.models import word_encoder
from sottovoce.models.target_loading import load_target
from sottovoce.models.word_examples import WordExamples, learnt, left_one_out, restored

RATE = 16000
TONES = {"no": 300.0, "stop": 900.0, "yes": 2400.0}  # in Hz
SPREAD = 0.05


def literal_log_mel(wav: np.ndarray) -> np.ndarray:
    """Frame by frame and band by band, as the formula has it."""
    points = 700.0 * (10.0 ** (np.linspace(0.0, 2595.0 * np.log10(1.0 + 8000.0 / 700.0), 66) / 2595.0) - 1.0)
    corner = [int(513 * hertz / RATE) for hertz in points]
    rows = []
    for start in range(0, max(1, len(wav) - 400 + 160), 160):
        power = np.abs(np.fft.fft(wav[start : start + 400].astype(np.float64), 512)[:257]) ** 2 / 512
        bands = []
        for low, peak, high in zip(corner, corner[1:], corner[2:], strict=False):
            rising = sum(power[i] * (i - low) / (peak - low) for i in range(low, peak))
            falling = sum(power[i] * (high - i) / (high - peak) for i in range(peak, high))
            bands.append(np.log(rising + falling or np.finfo(float).eps))
        rows.append(bands)
    return np.array(rows)


@pytest.mark.parametrize("samples", [300, 400, 401, 4000, 24_000])
def test_the_front_end_is_the_formula(samples: int) -> None:
    wav = 0.1 * np.random.default_rng(0).standard_normal(samples).astype(np.float32)
    wav[samples // 2 :] = 0.0
    np.testing.assert_allclose(word_encoder.log_mel(wav[None])[0], literal_log_mel(wav), rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(importlib.util.find_spec("eff_word_net") is None, reason="EfficientWord-Net is not installed")
def test_the_front_end_is_that_of_the_package() -> None:
    place = Path(next(iter(importlib.util.find_spec("eff_word_net").submodule_search_locations)))
    found = importlib.util.spec_from_file_location("their_audio", place / "audio_utils.py")
    theirs = importlib.util.module_from_spec(found)
    found.loader.exec_module(theirs)
    wav = 0.1 * np.random.default_rng(0).standard_normal(24_000).astype(np.float32)
    expected = theirs.logfbank(wav, RATE, 0.025, 0.01, 64, 512, preemph=0.0)
    np.testing.assert_allclose(word_encoder.log_mel(wav[None])[0], expected, atol=1e-5)


@pytest.mark.skipif(not word_encoder.available(), reason="the word encoder is not installed")
def test_embeddings_have_length_1_and_do_not_depend_on_the_batch() -> None:
    waves = 0.1 * np.random.default_rng(0).standard_normal((3, SEGMENT_SAMPLES)).astype(np.float32)
    found = word_encoder.embed(waves)
    assert found.shape == (3, word_encoder.EMBEDDING)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-5)
    np.testing.assert_array_equal(found[1:2], word_encoder.embed(waves[1:2]))
    assert word_encoder.embed(waves[:0]).shape == (0, word_encoder.EMBEDDING)


def test_without_the_encoder_a_sentence_says_how_to_install_it(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(word_encoder, "_place", lambda: None)
    word_encoder._graph.cache_clear()
    for call in (
        lambda: word_encoder.embed(np.zeros((1, 400), np.float32)),
        lambda: job.make_from_examples(tmp_path, tmp_path / "t", lambda *_: None),
    ):
        with pytest.raises(MissingExtraError, match="pip install --no-deps EfficientWord-Net"):
            call()


def clouds(count: int, seed: int = 0) -> tuple[list[np.ndarray], np.ndarray]:
    """Embeddings near to three directions, and others near to none of these."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((4, count, word_encoder.EMBEDDING)) * SPREAD
    axes = np.eye(word_encoder.EMBEDDING)[:3]
    near = [axes[word] + noise[word] for word in range(3)]
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (*near, noise[3])]
    return [rows.astype(np.float32) for rows in unit[:3]], unit[3].astype(np.float32)


def test_new_examples_are_named_and_what_is_near_to_no_word_is_none() -> None:
    found = learnt(*clouds(5))
    examples, other = clouds(20, seed=1)
    for word, rows in enumerate(examples):
        logs = found.log_posteriors(rows @ found.centres.T)
        assert (logs.argmax(axis=1) == word).all()
        np.testing.assert_allclose(np.exp(logs).sum(axis=1), 1.0)
    assert (found.log_posteriors(other @ found.centres.T).argmax(axis=1) == 3).all()


def test_logits_are_posteriors_that_share_what_none_gets() -> None:
    found = learnt(*clouds(5))
    examples, other = clouds(20, seed=1)
    rows = np.concatenate([*examples, other])
    shares = np.exp(found.log_posteriors(rows @ found.centres.T))
    np.testing.assert_allclose(np.exp(found.logits(rows)), shares[:, :3] + shares[:, 3:] / 3, rtol=1e-4)
    assert np.exp(found.logits(other)).max() < 0.5 < np.exp(found.logits(examples[0]))[:, 0].min()


def test_an_example_is_compared_with_the_mean_of_the_others() -> None:
    examples, other = clouds(4)
    found = learnt(examples, other)
    cosines, right = left_one_out(examples, found.centres)
    mean = np.delete(examples[1], 2, axis=0).mean(axis=0)
    np.testing.assert_allclose(cosines[6, 1], examples[1][2] @ mean / np.linalg.norm(mean), rtol=1e-5)
    np.testing.assert_allclose(cosines[6, 0], examples[1][2] @ found.centres[0], rtol=1e-5)
    assert right.tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_what_is_written_is_read_back_and_what_does_not_fit_is_refused() -> None:
    found = learnt(*clouds(5))
    weights, settings = found.files()
    again = restored(settings, weights)
    np.testing.assert_array_equal(again.centres, found.centres)
    assert (again.threshold, again.scale) == (found.threshold, found.scale)
    other, _ = WordExamples(found.centres[:, :7], 0.3, 20.0).files()
    for bad, content in (
        ({**settings, "encoder": "0"}, weights),
        ({**settings, "threshold": "high"}, weights),
        ({**settings, "scale": float("nan")}, weights),
        ({}, weights),
        (settings, b"nothing"),
        (settings, other),
    ):
        with pytest.raises(ModelError, match="make the target again"):
            restored(bad, content)


@pytest.fixture
def tones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Recordings of tones, and an encoder that measures how much of a sound lies in each of 2048 bands."""
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for word, hertz in TONES.items():
        for take in range(3):
            write(tmp_path / "words" / word / f"{take}.wav", hertz, 0.6 + 0.4 * take, rng)
    write(tmp_path / "words" / job.OTHER / "0.wav", 5000.0, 3.0, rng)

    def embed(waves: np.ndarray) -> np.ndarray:
        power = np.abs(np.fft.rfft(waves, 2 * word_encoder.EMBEDDING))[:, : word_encoder.EMBEDDING] + 1e-6
        return (power / np.linalg.norm(power, axis=1, keepdims=True)).astype(np.float32)

    monkeypatch.setattr(word_encoder, "available", lambda: True)
    monkeypatch.setattr(word_encoder, "embed", embed)
    monkeypatch.setattr(job.espeak, "installed", lambda: False)
    return tmp_path / "words"


def write(path: Path, hertz: float, seconds: float, rng: np.random.Generator) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    times = np.arange(round(seconds * RATE)) / RATE
    wav = 0.1 * np.sin(2 * np.pi * hertz * times) + 0.001 * rng.standard_normal(len(times))
    soundfile.write(path, wav, RATE)


def test_a_folder_of_examples_becomes_a_target_of_sound(tones: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["sottovoce", "target", "--examples", str(tones), "--out", str(tmp_path / "t")])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert not stopped.value.code
    card = json.loads((tmp_path / "t" / "card.json").read_text())
    assert card["examples"] == dict.fromkeys(TONES, 3) and card["negatives"] == {"noise": 60, job.OTHER: 3}
    assert card["leave_one_out"] == {"accuracy": 1.0, "miss_rate": 0.0, "recordings": 9}
    target = load_target(tmp_path / "t")
    assert (target.task, target.classes, target.takes) == ("keyword", tuple(TONES), "wave")
    times = np.arange(SEGMENT_SAMPLES) / RATE
    waves = np.stack([0.01 * np.sin(2 * np.pi * hertz * times) for hertz in (*TONES.values(), 5000.0)])
    posteriors = np.exp(target.predict_sound(waves.astype(np.float32)))
    assert posteriors[:3].argmax(axis=1).tolist() == [0, 1, 2] and posteriors[:3].max(axis=1).min() > 0.5
    assert posteriors[3].max() < 0.5


def test_a_target_of_other_examples_is_replaced_only_if_that_is_said(tones: Path, tmp_path: Path) -> None:
    first = job.make_from_examples(tones, tmp_path / "t", lambda *_: None)
    again = job.make_from_examples(tones, tmp_path / "t", lambda *_: None, replace=False)
    assert again["files"] == first["files"]
    (tones / "yes" / "2.wav").unlink()
    with pytest.raises(ConfigError, match="--replace"):
        job.make_from_examples(tones, tmp_path / "t", lambda *_: None, replace=False)


def test_the_loudest_segment_of_a_long_recording_is_taken() -> None:
    wav = np.zeros(5 * RATE, np.float32)
    wav[40_000:50_000] = 0.1
    assert np.count_nonzero(job._loudest(wav)) == 10_000


def test_too_few_words_or_examples_are_refused(tones: Path, tmp_path: Path) -> None:
    (tones / "yes" / "1.wav").unlink()
    (tones / "yes" / "2.wav").unlink()
    with pytest.raises(ConfigError, match="1 recording of 'yes'; expected two words or more"):
        job.make_from_examples(tones, tmp_path / "t", lambda *_: None)
    for word in ("yes", "stop"):
        for path in (tones / word).iterdir():
            path.unlink()
    with pytest.raises(ConfigError, match="1 word; expected two words"):
        job.make_from_examples(tones, tmp_path / "t", lambda *_: None)


@pytest.mark.parametrize(
    "options",
    [[], ["--corpus", "voices"], ["--task", "word"], ["--examples", "x", "--corpus", "voices"]],
)
def test_either_a_corpus_or_examples_are_named(options: list[str], monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["sottovoce", "target", "--out", "t", *options])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 2 and "--examples" in capsys.readouterr().err
