"""The experiment on digit strings, with noise for recordings and hardly any training: it is whole, and goes on."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sottovoce.corpora.readers import strings
from sottovoce.experiments import digit_strings
from sottovoce.methods.digits import method as digits

SPEAKER = {
    "chance": 0.5,
    "ceiling": {"score": 1.0},
    "leakage": {"score": 0.0, "low": -0.1, "high": 0.1},
    "strongest": {"attacker": "nobody", "score": 0.5, "low": 0.4, "high": 0.6},
    "verdict": "hidden",
}


@pytest.fixture
def corpora(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(strings, "STRINGS", {"train": 8, "validation": 4, "test": 4})
    monkeypatch.setattr(digit_strings, "SEEDS", (0,))
    monkeypatch.setattr(digits, "TARGET_STEPS", 1)
    monkeypatch.setattr(digits, "ENCODER_STEPS", 1)
    monkeypatch.setattr(digits, "TRIED", 1)
    monkeypatch.setattr(digit_strings, "_TREES", 5)
    rng = np.random.default_rng(0)
    folder = tmp_path / "corpora" / "fsdd" / "recordings"
    folder.mkdir(parents=True)
    for speaker in ("ada", "bob"):
        for digit in range(10):
            for index in (0, 5, 10):
                wav = 0.1 * rng.standard_normal(1600)
                soundfile.write(folder / f"{digit}_{speaker}_{index}.wav", wav, 8000)
    return tmp_path / "corpora"


def test_it_runs_writes_its_record_without_paths_and_goes_on(corpora: Path, tmp_path: Path, monkeypatch) -> None:
    attacked = []

    def audit(case, function, name, effort, seed, heard):
        attacked.append(name)
        assert function(case.sounds.wave(0)).ndim == 1
        return {"attackers": effort, "valid": True, "controls": {}, "private": {"speaker": SPEAKER}}

    monkeypatch.setattr(digit_strings, "_audit", audit)
    out = tmp_path / "out"
    table = digit_strings.run(corpora, out, 1)
    assert attacked == [f"words, {pace}, seed 0" for pace in ("even", "steady", "live")]
    assert "| 0, even |" in table and "| 0, live |" in table
    text = (out / "digit-strings.json").read_text()
    assert str(tmp_path) not in text
    found = json.loads(text)
    assert {"digest", "split", "train", "test"} <= set(found["corpus"])
    assert found["filters"][0]["entropy_bits_per_block"] <= found["bits_per_block"]
    monkeypatch.setattr(digits, "train_ctc", None)
    assert digit_strings.run(corpora, out, 1) == table
    assert len(attacked) == 3, "nothing is done twice"


@pytest.mark.parametrize("pace", ["even", "live"])
def test_the_outline_tells_of_time_only_at_a_live_pace(pace) -> None:
    quick, slow = [3, 1, 10, 4], [10] * 9 + [3, *[10] * 30, 1, *[10] * 25, 4, 10]
    same = np.array_equal(*(digit_strings._outline(codes, 10, pace) for codes in (quick, slow)))
    assert same == (pace == "even")
