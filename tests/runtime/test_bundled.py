"""The bundled filters: found by what they permit, small, and ready without any training parts."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sottovoce.audio.griffin_lim import MARGIN_SAMPLES
from sottovoce.errors import ConfigError
from sottovoce.runtime import bundled
from sottovoce.runtime.filter import Filter

LARGEST_BYTES = 1 << 20


@pytest.fixture
def place(tmp_path):
    for name, permit in {"a-b": ["a", "b"], "a": ["a"], "c": ["c"]}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "card.json").write_text(json.dumps({"permit": permit}))
    return tmp_path


def test_the_filter_with_the_fewest_tasks_is_taken(place):
    assert bundled.for_tasks(["a"], place) == place / "a"
    assert bundled.for_tasks(["b"], place) == place / "a-b"
    assert bundled.for_tasks(["b", "a"], place) == place / "a-b"
    with pytest.raises(ConfigError, match=r"permits a and c; there are a: a; a-b: a, b; c: c"):
        bundled.for_tasks(["a", "c"], place)
    with pytest.raises(ConfigError, match="permits nothing"):
        bundled.for_tasks([], place)


def test_a_name_is_that_of_a_bundled_filter(place, tmp_path, monkeypatch):
    assert bundled.find("c", place) == place / "c"
    assert bundled.find("nowhere", place).name == "nowhere"
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    (here / "a").write_text("a file")
    (here / "a-b").symlink_to("nowhere")
    (here / "c").mkdir()
    assert [bundled.find(name, place) for name in ("a", "a-b", "c")] == [place / "a", place / "a-b", place / "c"]
    assert bundled.find("./c", place) == Path("c")


def test_where_a_name_means_two_filters_the_caller_is_asked(place, tmp_path, monkeypatch):
    (tmp_path / "here" / "c").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "here" / "c" / "card.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"\./c for the folder, or bundled:c"):
        bundled.find("c", place)
    assert bundled.find("./c", place) == Path("c")
    assert bundled.find("bundled:c", place) == place / "c"
    assert bundled.find(str(tmp_path / "here" / "c"), place) == tmp_path / "here" / "c"


@pytest.mark.parametrize("name", list(bundled.known()))
def test_a_bundled_filter_is_small_and_complete(name):
    folder = bundled.PLACE / name
    assert sum(path.stat().st_size for path in folder.iterdir()) < LARGEST_BYTES
    loaded = Filter.load(folder)
    assert loaded.card["licence"] and loaded.card["audit"]["valid"] and loaded.card["corpus"]["digest"]
    assert {*loaded.permit} == {*bundled.known()[name]}
    wav = loaded.engine.vocabulary().waves()[1:, MARGIN_SAMPLES:-MARGIN_SAMPLES].ravel()  # what it plays itself
    for task in loaded.permit:
        assert np.isfinite(loaded.filter(wav, permit=[task])).all()
    assert not np.array_equal(loaded.features(wav), loaded.permitting([]).features(wav))


def test_a_filter_is_loaded_by_its_name(tmp_path, monkeypatch):
    assert Filter.load("digit").path == Filter.load("bundled:digit").path == bundled.PLACE / "digit"
    shutil.copytree(bundled.PLACE / "level", tmp_path / "digit")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"\./digit for the folder"):
        Filter.load("digit")
    assert Filter.load("./digit").permit == Filter.load(Path("digit")).permit == ("level",)


def test_there_are_filters_and_they_need_no_torch():
    assert {"digit", "event", "level", "speech"} <= {task for permit in bundled.known().values() for task in permit}
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['torch', 'sklearn', 'scipy', 'pydantic'])); import numpy as np;"
        "from sottovoce.runtime import bundled; from sottovoce.runtime.filter import Filter;"
        "print(len(Filter.load(bundled.for_tasks(['digit'])).filter(np.ones(9, np.float32))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "20480"
