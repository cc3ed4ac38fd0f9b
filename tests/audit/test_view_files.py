"""The files of a view are those that numpy.save writes of the whole, in memory that does not grow."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sottovoce.audit.view_files import GrowingArray, PartFiles


@pytest.mark.parametrize(
    "whole",
    [
        np.arange(1234),
        np.random.default_rng(0).standard_normal((50, 7, 3)).astype(np.float32),
        np.random.default_rng(0).standard_normal((7, 40)).T,
        np.zeros((12, 0), np.int16),
    ],
)
def test_a_growing_array_is_the_file_that_numpy_writes(whole: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "whole.npy", np.ascontiguousarray(whole))
    growing = GrowingArray(tmp_path / "growing.npy", whole[:1])
    for start in range(0, len(whole), 5):
        growing.append(whole[start : start + 5])
        assert growing.rows == min(len(whole), start + 5)
    np.testing.assert_array_equal(growing.read(3, 9), whole[3:9])
    growing.close()
    assert (tmp_path / "growing.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()


def test_values_of_another_shape_are_refused(tmp_path: Path) -> None:
    with PartFiles(tmp_path) as out, pytest.raises(ValueError, match="shape"):
        out.append("spectra", np.zeros((2, 3)))
        out.append("spectra", np.zeros((2, 4)))


def test_every_file_is_complete_when_it_is_closed(tmp_path: Path) -> None:
    with PartFiles(tmp_path) as out:
        for i in range(3):
            out.append("a", np.full(2, i))
            out.append("b", np.full((1, 2), float(i)))
    assert np.load(tmp_path / "a.npy").tolist() == [0, 0, 1, 1, 2, 2]
    assert np.load(tmp_path / "b.npy", mmap_mode="r").shape == (3, 2)


def test_memory_does_not_grow_with_the_view(tmp_path: Path) -> None:
    script = f"""
import resource
import numpy as np
from pathlib import Path
from sottovoce.audit.view_files import PartFiles
segment = np.zeros((2, 161, 128), np.float32)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with PartFiles(Path({str(tmp_path)!r})) as out:
    for _ in range(600):
        out.append("spectra", segment)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""
    ended = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert (tmp_path / "spectra.npy").stat().st_size > 90 << 20
    assert float(ended.stdout) < 30.0
