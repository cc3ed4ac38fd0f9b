"""From a filter to a folder that can be taken elsewhere: checked, audited as it is, and refused where it is off."""

import numpy as np
import pytest
import torch

from sottovoce.errors import ConfigError, ModelError, ParityError
from sottovoce.jobs import export as job
from sottovoce.methods.codebook.none import Presence
from sottovoce.methods.codebook.training import Encoder
from sottovoce.models.architectures import build
from sottovoce.models.checkpoint import read_folder
from sottovoce.models.codebook import SOUND_SAMPLES, Codebook, nothing
from sottovoce.runtime import golden
from sottovoce.runtime.export import save_codebook
from sottovoce.runtime.filter import Filter


def silent(done: int, total: int, note: str) -> None:
    pass


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    encoder = Encoder([build("compact-recogniser", {"classes": 3})], Presence())
    sounds = np.random.default_rng(0).integers(0, 256, (2, 4, SOUND_SAMPLES), dtype=np.uint8)
    sounds[nothing(1)] = 128
    book = Codebook(("word",), (np.eye(3, dtype=np.float32),), (0.9,), sounds)
    save_codebook(tmp_path / "filter", encoder, book, 0.6, 0.8, {"permit": ["word"], "audit": {"valid": True}}, {})
    return tmp_path / "filter"


def test_an_export_is_a_filter_that_says_the_same(folder, tmp_path):
    card = job.export(job.ExportConfig(folder, tmp_path / "out"), silent)
    assert card == read_folder(tmp_path / "out", "filter")
    assert card["audit"] == {"valid": True} and max(card["parity"].values()) < 0.01
    wav = np.random.default_rng(0).standard_normal(50_000).astype(np.float32)
    assert np.array_equal(Filter.load(tmp_path / "out").filter(wav), Filter.load(folder).filter(wav))


def test_in_8_bits_without_a_corpus_the_weights_are(folder, tmp_path):
    card = job.export(job.ExportConfig(folder, tmp_path / "out", int8=True), silent)
    assert card["quantised"] == "8 bits, weights" and "audit" not in card and card["audit_before"] == {"valid": True}
    assert card["int8"]["weights"]["bytes"] < card["int8"]["float"]["bytes"] / 3
    assert card["int8"]["weights"]["same_codes"] > 0.9
    with pytest.raises(ConfigError, match="in 8 bits already"):
        job.export(job.ExportConfig(tmp_path / "out", tmp_path / "again", int8=True), silent)


def test_with_a_corpus_all_of_it_is_and_both_are_audited(folder, shaped, tmp_path, monkeypatch):
    asked = []

    def audited(ask, report):
        asked.append(ask)
        return {"system": ask.system}

    monkeypatch.setattr(job, "run_audit", audited)
    monkeypatch.setattr(job, "headline", lambda found: found)
    card = job.export(job.ExportConfig(folder, tmp_path / "out", True, shaped.spec, "standard"), silent)
    assert card["quantised"] == "8 bits, static"
    assert set(card["int8"]) == {"measured_on", "float", "weights", "dynamic", "static"}
    assert card["audit_before"]["system"] == str(folder) and card["audit"]["system"] == str(tmp_path / "out")
    assert [ask.attackers for ask in asked] == ["standard"] * 2
    assert max(golden.check(tmp_path / "out").values()) < 0.01


def test_what_is_off_is_not_written(folder, tmp_path, monkeypatch):
    def off(place):
        raise ParityError("off")

    monkeypatch.setattr(golden, "check", off)
    with pytest.raises(ParityError):
        job.export(job.ExportConfig(folder, tmp_path / "out"), silent)
    assert not (tmp_path / "out").exists()


def test_what_is_in_the_way_stays(folder, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(ModelError, match="in the way"):
        job.export(job.ExportConfig(folder, tmp_path / "out"), silent)
