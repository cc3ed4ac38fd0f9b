"""Table 1: every way is measured once in a process of its own, what costs are counted right, and the table is whole."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from sottovoce.audio.spectrum import BINS, SEGMENT_FRAMES, SEGMENT_S
from sottovoce.errors import ConfigError
from sottovoce.experiments import table1
from sottovoce.models.codebook import Codebook


class Known(nn.Module):
    """A network whose multiplications can be counted by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 3, (5, 3), stride=2, padding=(2, 1))
        self.back = nn.ConvTranspose1d(3, 2, 4, stride=4)
        self.linear = nn.Linear(2, 7)

    def forward(self, spectrum: torch.Tensor) -> torch.Tensor:
        hidden = self.back(self.convolution(spectrum.unsqueeze(1)).mean(dim=2))
        return self.linear(hidden.mean(dim=2))


def test_costs_are_those_counted_by_hand() -> None:
    found = table1.cost(Known())
    frames = SEGMENT_FRAMES // 2
    macs = 81 * frames * 3 * 15 + frames * 3 * 2 * 4 + 2 * 7
    assert found == {"parameters": 3 * 15 + 3 + 3 * 2 * 4 + 2 + 2 * 7 + 7, "macs_per_s": macs / SEGMENT_S}


def test_the_codebook_that_is_measured_has_the_classes_of_its_encoder() -> None:
    assert Codebook.from_bytes(table1._BOOK.read_bytes()).classes == table1.NETWORKS["codebook"][1]["classes"]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table1, "THREADS", (1,))
    monkeypatch.setattr(table1, "WAYS", ("eager", "onnx", "int8"))
    monkeypatch.setattr(table1, "NETWORKS", {k: v for k, v in table1.NETWORKS.items() if k != "paper"})


def test_everything_is_measured_once(few, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = table1.run(Path(), tmp_path, 1)
    found = json.loads((tmp_path / "table1.json").read_text())
    ways = {(row["network"], row["way"]) for row in found["rows"]}
    assert ways == {
        ("front end", "numpy"),
        *(("compact", way) for way in ("eager", "onnx", "int8")),
        *(("codebook", way) for way in ("onnx", "int8")),
    }
    assert all(0 < row["ms"] <= row["median_ms"] and row["mib"] >= 0 for row in found["rows"])
    by_way = {row["way"]: row for row in found["rows"] if row["network"] == "compact"}
    assert by_way["eager"]["mib"] > by_way["onnx"]["mib"], "a device needs no torch"
    assert "| the paper, Raspberry Pi 2B | | 1923 |" in text and "compact obfuscator, int8" in text
    monkeypatch.setattr(table1.subprocess, "run", None)
    assert table1.run(Path(), tmp_path, 1) == text, "a run that was killed goes on"


def test_without_a_compiler_the_row_says_so_and_other_failures_are_errors(tmp_path: Path) -> None:
    row = table1._kept("nothing", "compiled", 1, tmp_path)
    assert "KeyError" in row["failed"]
    assert "failed" in table1.table(
        {"machine": {"processor": "p", "cores": 1}, "cost": {}, "rows": [row], "paper_ms": {}}
    )
    with pytest.raises(ConfigError, match="could not be measured"):
        table1._kept("nothing", "eager", 1, tmp_path)


def test_a_segment_is_what_goes_through(tmp_path: Path) -> None:
    output = table1._runner("compact", "eager", 1, tmp_path)()
    assert output.shape == (1, BINS, SEGMENT_FRAMES)
