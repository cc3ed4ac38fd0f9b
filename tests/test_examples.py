"""The examples, installed as anybody would install them: Sottovoce knows them by name, and they do their work."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile

import sottovoce

EXAMPLES = Path(__file__).parents[1] / "examples"
FILES = sorted(EXAMPLES.rglob("*.py"))
COMMAND = "from sottovoce.cli import main; main()"  # as the installed script does

ATTACK = """
import sys
from pathlib import Path
import numpy as np
from sottovoce.attack.families import ATTACKERS, outside
from sottovoce.audit.observations import View
from sottovoce.audit.plan import AttackRun
from sottovoce.audit.cached_jobs import run_jobs

assert outside("informed") == outside("uninformed") == ("nearest-mean",)
place, rng = Path(sys.argv[1]), np.random.default_rng(0)
labels = {part: np.arange(30) % 3 for part in ("train", "validation", "test")}
for part, given in labels.items():
    spectra = rng.standard_normal((30, 6, 4)).astype(np.float32)
    spectra[np.arange(30), given] += 3.0
    (place / part).mkdir(parents=True)
    for name, array in (("spectra", spectra), ("owner", np.arange(30)), ("outline", np.ones((30, 1)))):
        np.save(place / part / f"{name}.npy", array)
view = View("features", place, "digest")
runs = [AttackRun("nearest-mean", "speaker", labels, 3, view, (view,), seed=seed) for seed in (0, 1)]
for found in run_jobs(runs, 2, lambda *_: None):
    assert not found.error, found.error
    assert found.facts["attacker"] == "nearest class mean"
    assert (found.arrays["0/test"].argmax(axis=1) == labels["test"]).mean() > 0.9
print(ATTACKERS.version("nearest-mean"))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the examples are installed by pip, without a network."""
    if not (find_spec("pip") and find_spec("hatchling")):
        pytest.skip("pip or hatchling, which builds the distribution, is not installed")
    target = tmp_path_factory.mktemp("installed")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--no-compile", "--target", str(target)]
    command = [sys.executable, "-m", "pip", "install", *options, str(EXAMPLES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def python(place: Path, tmp_path: Path):
    """Runs Python with the examples installed; what it prints."""

    def run(*arguments: object) -> str:
        paths = [str(place), str(Path(sottovoce.__file__).parents[1])]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "SOTTOVOCE_CACHE": str(tmp_path / "cache")}
        command = [sys.executable, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Two speakers, two words, each word a tone."""
    folder, rng = tmp_path / "recordings", np.random.default_rng(0)
    folder.mkdir()
    time = np.arange(20_000) / 16_000
    for speaker in ("anna", "ben"):
        for word, hertz in (("yes", 500.0), ("no", 1500.0)):
            for number in range(10):
                wav = 0.1 * np.sin(2 * np.pi * hertz * time) + 0.02 * rng.standard_normal(len(time))
                soundfile.write(folder / f"{speaker}_{word}_{number:02}.wav", wav, 16_000)
    return folder


def test_an_attacker(python, tmp_path):
    assert python("-c", ATTACK, tmp_path / "view").startswith("0.1+")


def test_an_installed_attacker_takes_part_in_an_audit(python, recordings, tmp_path):
    options = ["--corpus", f"named:{recordings}", "--attack", "speaker", "--attacker", "nearest-mean"]
    python("-c", COMMAND, "audit", recordings, *options, "--out", tmp_path / "audit", "--json")
    results = json.loads((tmp_path / "audit" / "results.json").read_text())
    rows = results["private"]["speaker"]["attackers"]
    assert {row["attacker"] for row in rows if row["knowledge"] == "informed"} >= {"nearest class mean"}


def test_a_corpus(python, recordings):
    found = json.loads(python("-c", COMMAND, "corpora", "check", f"named:{recordings}", "--json"))
    assert found["clips"] == 40 and found["labels"] == {"speaker": ["anna", "ben"], "word": ["no", "yes"]}


def test_a_method(python, recordings, tmp_path):
    pytest.importorskip("sottovoce.methods.registry")
    corpus, target, out = f"named:{recordings}", tmp_path / "target", tmp_path / "filter"
    verb = ["-c", COMMAND]
    short = ["--corpus", corpus, "--set", "steps=2", "--set", "batch=4"]
    python(*verb, "target", *short, "--task", "word", "--out", target)
    options = ["--permit", "word", "--target", target, "--method", "distilled"]
    card = json.loads(python(*verb, "train", *short, *options, "--out", out, "--json"))
    assert card["method"] == "distilled" and card["parameters"] > 0
    assert (out / "filter.onnx").is_file()


def test_each_is_one_short_file():
    assert {path.stem for path in FILES} == {"__init__", "attacker", "corpus", "method"}
    assert all(len(path.read_text().splitlines()) < 60 for path in FILES)
