"""From pairs of clips to a filter of latents: trained, loaded, read, audited, and refused in one sentence."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sottovoce.audio.segment import FRONT_END
from sottovoce.audit import budgets
from sottovoce.audit.budgets import Effort
from sottovoce.audit.record import verify
from sottovoce.errors import ConfigError, ModelError, SottovoceError
from sottovoce.jobs.audit import AuditConfig, run_audit
from sottovoce.jobs.train import TrainConfig, make_filter, make_target
from sottovoce.runtime.engine import Rate
from sottovoce.runtime.filter import Filter

RATE, EVENTS = 16000, ("bell", "drum")
TINY = {
    "width": 2,
    "batch": 8,
    "steps": 6,
    "check_every": 2,
    "verifier_patience": 1,
    "masking.width": 1,
    "masking.epochs": 1,
    "masking.batch": 8,
}
TINY_TARGET = {
    "architecture": "deepspeech2",
    "settings.maps": 2,
    "settings.hidden": 8,
    "settings.layers": 1,
    "steps": 3,
    "batch": 4,
}
LITTLE = Effort(("nearest", "linear"), ("linear",), (), {}, curves=(), shares=(0.5,), restorer_steps=2)


def silent(done: int, total: int, note: str) -> None:
    pass


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setattr(budgets, "EFFORTS", {"quick": LITTLE})
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path_factory.mktemp("cache")))


def corpus(folder: Path, twins: bool = True, speech: bool = True) -> str:
    """Tones for events, noise for speech."""
    rng = np.random.default_rng(0)
    rows = [("path", "event", *(["speech"] if speech else []), "split")]
    time = np.arange(RATE) / RATE
    for number in range(48):
        part = ("train", "train", "train", "train", "validation", "test")[number % 6]
        event = EVENTS[number // 6 % 2]
        quiet = 0.1 * np.sin(2 * np.pi * (500 + 1500 * EVENTS.index(event)) * time + rng.uniform(0, 6))
        quiet += 0.001 * rng.standard_normal(RATE)
        stem = f"{part}-{number:03}" if twins else f"{number}"
        names = (f"{stem}-quiet.flac", f"{stem}-speech.flac" if twins else f"{stem}-x.flac")
        both = (quiet, quiet + 0.05 * rng.standard_normal(RATE))
        for name, wav, said in zip(names, both, ("no", "yes"), strict=True):
            soundfile.write(folder / name, wav, RATE)
            rows.append((name, event, *([said] if speech else []), part))
    with (folder / "clips.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return f"csv:{folder / 'clips.csv'}"


def made(spec: str, folder: Path, preset: str) -> Mapping[str, object]:
    make_target(spec, "event", folder / "target", "compact", None, 0, "", silent, TINY_TARGET)
    config = TrainConfig(spec, ("event",), (folder / "target",), folder / "filter", "rdal", preset, TINY)
    return make_filter(config, silent)


@pytest.mark.parametrize("preset", ["no-privacy", "compact", "masked", "pool", "codes", "paper", "paper-masked"])
def test_features_are_latents_that_a_reader_reads(tmp_path: Path, preset: str) -> None:
    card = made(corpus(tmp_path), tmp_path, preset)
    filter_ = Filter.load(tmp_path / "filter")
    wav = np.random.default_rng(1).standard_normal(2 * 20480 + 100).astype(np.float32)
    latents = filter_.features(wav)
    assert latents.shape == (64, 3) and filter_.permit == ("event",)
    assert np.allclose(latents, filter_.features(7.0 * wav), atol=1e-2), "the level does not pass"
    answers = filter_.engine.read(latents.T[:, :, None])
    assert list(answers) == ["event"] and answers["event"].shape == (3, 2)
    assert np.allclose(np.exp(answers["event"]).sum(axis=1), 1.0, atol=1e-5)
    with pytest.raises(ConfigError, match="latents, which cannot be heard"):
        filter_.filter(wav)
    rate = Rate(1.0, 1.28) if preset == "codes" else None
    assert filter_.rate == rate and card["bits_per_block"] == (rate.bits_per_block if rate else None)


def test_an_audit_treats_latents_as_whatever_leaves(tmp_path: Path) -> None:
    spec = corpus(tmp_path)
    made(spec, tmp_path, "no-privacy")
    results = run_audit(AuditConfig(str(tmp_path / "filter"), spec, tmp_path / "audit"), silent)
    assert verify(tmp_path / "audit") == []
    assert results["valid"] and list(results["private"]) == ["speech"]
    heard = {
        (entry["attacker"], entry["knowledge"], entry["input"]) for entry in results["private"]["speech"]["attackers"]
    }
    assert ("linear on statistics", "informed", "features") in heard
    assert ("linear on statistics", "uninformed", "features") not in heard, "who knows spectra cannot read latents"
    assert any(input == "restored" for *_, input in heard)
    assert {"original", "obfuscated"} <= set(results["permitted"]["event"])


@pytest.mark.parametrize(
    ("preset", "more", "said"),
    [
        ("compact", {"speech": False}, "has no label 'speech'"),
        ("masked", {"twins": False}, "no pairs of one event with and without speech"),
        ("no such", {}, "the method 'rdal' has no preset 'no such'; known: no-privacy, reversal"),
    ],
)
def test_what_cannot_be_trained_is_one_sentence(tmp_path: Path, preset: str, more: dict[str, bool], said: str) -> None:
    with pytest.raises(SottovoceError, match=said):
        made(corpus(tmp_path, **more), tmp_path, preset)


def test_clips_that_are_no_twins_are_paired_as_they_come(tmp_path: Path) -> None:
    made(corpus(tmp_path, twins=False), tmp_path, "compact")
    assert Filter.load(tmp_path / "filter").features(np.ones(100, np.float32)).shape == (64, 1)


@pytest.mark.parametrize(("name", "value"), [("latent", 0), ("latent", "64"), ("sample_rate", 10**9), ("codes", None)])
def test_settings_that_cannot_be_are_refused(tmp_path: Path, name: str, value: object) -> None:
    from sottovoce.runtime.engine import FilterConfig
    from sottovoce.runtime.latent import sender_input

    settings = {"latent": 64, "classes": 2, "codes": 0, "sample_rate": 16000, name: value}
    config = FilterConfig.parse(
        json.dumps(
            {"front_end": FRONT_END, "architecture": "rdal", "settings": settings, "sound_mean": 0.0, "sound_std": 1.0}
        )
    )
    with pytest.raises(ModelError, match=f"{name} is "):
        sender_input(config)


def test_another_sample_rate_is_one_sentence(tmp_path: Path) -> None:
    config = TrainConfig("csv:none", ("event",), (), tmp_path / "f", "rdal", "paper", {"sample_rate": 44100})
    with pytest.raises(ConfigError, match="sample_rate is 44100 Hz, and recordings are kept at 16000 Hz"):
        make_filter(config, silent)
