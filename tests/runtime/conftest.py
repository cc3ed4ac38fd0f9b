"""A filter that is tiny, random and right: what the tests of the runtime pass sound through."""

from pathlib import Path

import pytest
import torch

from sottovoce.models.architectures import build
from sottovoce.runtime.export import save_filter
from sottovoce.runtime.filter import Filter

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
