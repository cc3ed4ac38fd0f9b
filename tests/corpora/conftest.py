"""Small sound files for the tests of the corpora."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

Record = Callable[..., Path]


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """Write noise, different at each call, to a file below `tmp_path`."""
    rng = np.random.default_rng(0)

    def write(name: str, duration_s: float = 0.1, sample_rate: int = 16000) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * rng.standard_normal(round(duration_s * sample_rate)), sample_rate)
        return path

    return write
