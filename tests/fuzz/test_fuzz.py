"""Some seconds of what `make fuzz` does for minutes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).with_name("fuzz.py")
LARGEST_SEED = 4096


@pytest.mark.parametrize("target", ["sound-file", "filter-folder", "websocket", "wyoming"])
def test_nothing_but_our_own_errors_comes_out(target):
    """In a process of its own: a decoder that crashes would take all other tests with it."""
    code = (
        f"import sys; sys.path.insert(0, {str(FUZZ.parent)!r}); sys.modules['atheris'] = None; import fuzz;"
        f"fuzz.TARGETS[{target!r}](b''); [fuzz.TARGETS[{target!r}](seed) for seed in fuzz.seeds({target!r})];"
        f"print(fuzz.by_mutation({target!r}, 3.0, 0))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout.split()[-1]) > 10


def test_what_is_kept_is_small():
    seeds = [path for path in (FUZZ.parent / "corpus").rglob("*") if path.is_file()]
    assert len(seeds) >= 10
    assert max(path.stat().st_size for path in seeds) <= LARGEST_SEED
