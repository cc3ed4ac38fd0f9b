"""Every label of a corpus is attacked, or named with the reason: on the page, in the results and in the last line.

Blanks, classes that occur once and numbers that are names are no reason to pass over a label.
"""

import csv
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sottovoce import cli
from sottovoce.audit import budgets
from sottovoce.audit.budgets import Effort
from sottovoce.audit.record import verify

LITTLE = Effort(("linear",), ("linear",), (), {}, curves=(), shares=(0.5,), restorer_steps=2, continuous=True)


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> tuple[Path, list[str]]:
    """Forty-eight hums of six people, each of whom has a band, without any label."""
    folder, rng = tmp_path_factory.mktemp("hums"), np.random.default_rng(0)
    names = []
    for i in range(48):
        spectrum = np.fft.rfft(rng.standard_normal(22_000))
        frequency = np.fft.rfftfreq(22_000, 1 / 16_000)
        spectrum[np.abs(frequency - 1000 - 800 * (i % 6)) < 300] *= 8.0
        names.append(f"{i}.wav")
        soundfile.write(folder / names[-1], 0.05 * np.fft.irfft(spectrum), 16_000)
    return folder, names


def audit(
    tmp_path, monkeypatch, capfd, clips: tuple[Path, list[str]], **labels: list[str]
) -> tuple[int, dict, str, str]:
    """The exit status, results, page and last line of an audit of the originals under these labels."""
    folder, names = clips
    shutil.copytree(folder, tmp_path / "originals")
    shutil.copytree(folder, tmp_path / "protected")
    table = tmp_path / "originals" / "clips.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([("path", *labels), *zip(names, *labels.values(), strict=True)])
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(budgets.EFFORTS, "quick", LITTLE)
    command = ["audit", tmp_path / "protected", "--corpus", f"csv:{table}", "--out", tmp_path / "out", "--names"]
    monkeypatch.setattr(sys, "argv", ["sottovoce", *map(str, command), "--attackers", "quick", "--workers", "1"])
    with pytest.raises(SystemExit) as left:
        cli.main()
    error = capfd.readouterr().err
    assert verify(tmp_path / "out") == [], error
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8").replace("&#39;", "'")
    return int(left.value.code or 0), results, page, error.strip().splitlines()[-1]


def test_blanks_and_rare_classes(tmp_path, monkeypatch, capfd, clips):
    """The blanks are nobody's: those clips are neither in training nor in test."""
    band = [f"b{i % 6}" for i in range(48)]
    blank = ["" if i % 12 < 2 else name for i, name in enumerate(band)]
    once = ["once" if i == 7 else "xyz"[i % 3] for i in range(48)]
    labels = {"band": blank, "rare": once, "hall": ["hall"] * 48, "nearly": ["yes"] + [""] * 47}
    status, results, page, last = audit(tmp_path, monkeypatch, capfd, clips, **labels)
    assert status == 0 and {*results["private"]} == {"band", "rare"}
    kept = np.array(results["private"]["band"]["confusion"]).sum()
    assert 0 < kept <= results["corpus"]["test_clips"] and results["private"]["band"]["leakage"]["score"] > 0.3
    notes = [note for note in results["notes"] if note.startswith("the label ")]
    assert any("band was attacked without 8 of 48 clips" in note for note in notes)
    assert any("hall was not attacked: " in note for note in notes)
    assert any("nearly was not attacked: " in note for note in notes)
    assert any("rare " in note and "'once'" in note for note in notes)
    for note in notes:
        assert note in last and note in page, "in the last line and on the page"


@pytest.mark.parametrize("name", ["speaker", "actor", "voice", "badge"])
@pytest.mark.parametrize("form", ["{}", "{:04}"])
def test_numbers_that_are_names(tmp_path, monkeypatch, capfd, clips, name, form):
    numbers = [form.format(1 + i % 6) for i in range(48)]
    status, results, _, _ = audit(tmp_path, monkeypatch, capfd, clips, **{name: numbers})
    assert status == 0 and {*results["private"]} == {name}
    assert results["private"][name]["leakage"]["score"] > 0.3
