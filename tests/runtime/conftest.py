"""A filter that is tiny, random and right: what the tests of the runtime pass sound through."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sottovoce.models.architectures import build
from sottovoce.models.codebook import Codebook
from sottovoce.runtime.export import save_codebook, save_filter
from sottovoce.runtime.filter import Filter
from sottovoce.training.codebook import Encoder

BINS = {"no": 10, "yes": 18}
SETTINGS = {"width": 4, "blocks": 1}


@pytest.fixture(scope="session")
def filter_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    network = build("compact-autoencoder", SETTINGS)
    folder = tmp_path_factory.mktemp("filters") / "tiny"
    save_filter(folder, network, "compact-autoencoder", SETTINGS, 1.5, 1.0, {"permits": ["nothing"]})
    return folder


@pytest.fixture(scope="session")
def tiny(filter_folder: Path) -> Filter:
    return Filter.load(filter_folder)


class Tones(torch.nn.Module):
    """Which of two tones is louder, or how loud the sound is above: crude recognisers of a word and a mood."""

    def __init__(self, bins: list[int]) -> None:
        super().__init__()
        self.bins = bins

    def forward(self, spectra: torch.Tensor) -> torch.Tensor:
        return 4.0 * spectra[:, self.bins].mean(dim=2)


@pytest.fixture(scope="session")
def codebook_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    centres = (np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32))
    book = Codebook(("word", "mood"), centres, rng.integers(0, 256, (3, 3, 3, 20, 8), dtype=np.uint8), -1.0, 3.0)
    place = tmp_path_factory.mktemp("codebook") / "filter"
    encoder = Encoder([Tones(list(BINS.values())), Tones([60, 120])])
    save_codebook(place, encoder, book, 0.6, 0.8, {"method": "codebook", "permit": ["word", "mood"]}, {})
    return place


@pytest.fixture(scope="session")
def codebook(codebook_folder: Path) -> Filter:
    return Filter.load(codebook_folder)
