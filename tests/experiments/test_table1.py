"""Table 1: every way is measured in a process of its own, costs are counted right, and the table is whole."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from sottovoce.audio.spectrum import BINS, SEGMENT_FRAMES, SEGMENT_S
from sottovoce.errors import ConfigError
from sottovoce.experiments import runner, table1
from sottovoce.experiments.experiment import Place
from sottovoce.experiments.table1 import Measurement
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


def test_every_way_is_measured_on_one_thread_and_on_two() -> None:
    runs = table1.EXPERIMENT.runs["compact"]
    assert [(run.network, run.way) for run in runs[:2]] == [("front end", "numpy"), ("paper", "eager")]
    ways = {network: {run.way for run in runs if run.network == network} for network in table1.NETWORKS}
    assert ways == {"paper": {*table1.WAYS}, "compact": {*table1.WAYS}, "codebook": {*table1.GRAPHS}}
    assert {run.threads for run in runs[1:]} == {1, 2}


def test_a_device_needs_no_torch(miniature, corpora: Path, out: Path) -> None:
    text = runner.run(miniature("table1"), corpora, out, 1)
    rows = json.loads((out / "table1.json").read_text())["runs"]
    assert all(0 < row["ms"] <= row["median_ms"] and row["mib"] >= 0 for row in rows)
    by_way = {row["way"]: row for row in rows if row["network"] == "compact"}
    assert by_way["eager"]["mib"] > by_way["onnx"]["mib"]
    assert "| the paper, Raspberry Pi 2B |  | 1923 |" in text and "compact obfuscator, onnx" in text


def test_without_a_compiler_the_row_says_so_and_other_failures_are_errors(tmp_path: Path) -> None:
    place = Place(tmp_path, tmp_path, tmp_path)
    row = table1.measure(Measurement("nothing", "compiled"), place)
    assert "KeyError" in row["failed"]
    assert "failed" in table1.TABLE.markdown([row])
    with pytest.raises(ConfigError, match="could not be measured"):
        table1.measure(Measurement("nothing", "eager"), place)


def test_a_segment_is_what_goes_through(tmp_path: Path) -> None:
    output = table1.runner("compact", "eager", 1, tmp_path)()
    assert output.shape == (1, BINS, SEGMENT_FRAMES)
