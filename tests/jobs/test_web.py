"""A filter as a page for browsers: what is refused, and what is written."""

import gzip
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

from sottovoce import cli
from sottovoce.errors import ConfigError, ModelError
from sottovoce.jobs import web
from sottovoce.models.architectures import build
from sottovoce.runtime import bundled
from sottovoce.runtime.export import save_filter
from sottovoce.runtime.filter import Filter

needs_runtime = pytest.mark.skipif(
    not any(place.is_file() for place in web.runtime_places()), reason=f"needs {web.RUNTIME}, which `npm pack` fetches"
)


@needs_runtime
def test_what_is_written_is_complete_and_the_same_each_time(tmp_path):
    card = web.export_web([bundled.find("level")], tmp_path / "page")
    again = web.export_web([bundled.find("level")], tmp_path / "page")
    assert card == again and card["kind"] == "web"
    for name, digest in card["files"].items():
        assert hashlib.sha256((tmp_path / "page" / name).read_bytes()).hexdigest() == digest
    assert {"index.html", "filters.json", "onnxruntime-web/LICENSE"} <= card["files"].keys()
    folder = tmp_path / "page" / "filters" / "level"
    facts = json.loads((folder / "filter.json").read_text())
    golden = np.frombuffer(gzip.decompress((folder / "golden.i16.gz").read_bytes()), "<i2").astype(np.float32) / 2**15
    left = Filter.load("level").filter(golden)
    assert facts["golden"]["sha256"] == hashlib.sha256(left.tobytes()).hexdigest()
    assert len({tuple(codes) for codes in facts["golden"]["codes"]}) > 1


@needs_runtime
def test_a_folder_of_something_else_is_not_replaced(tmp_path):
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "mine").write_text("mine")
    with pytest.raises(ModelError, match="it is not a web folder"):
        web.export_web([bundled.find("level")], tmp_path / "page")
    assert (tmp_path / "page" / "mine").read_text() == "mine"


@needs_runtime
def test_a_filter_without_codewords_is_refused(tmp_path):
    settings = {"width": 4, "blocks": 1}
    save_filter(
        tmp_path / "tiny", build("compact-autoencoder", settings), "compact-autoencoder", settings, 1.5, 1.0, {}
    )
    with pytest.raises(ConfigError, match="draws no codewords from codes"):
        web.export_web([tmp_path / "tiny"], tmp_path / "page")
    assert not (tmp_path / "page").exists()


@pytest.mark.parametrize(
    ("content", "expected"), [(None, "npm pack onnxruntime-web@1.30.0"), (b"something else", "as it was published")]
)
def test_the_runtime_is_the_pinned_one(tmp_path, content, expected):
    if content:
        (tmp_path / "runtime.tgz").write_bytes(content)
    with pytest.raises(ConfigError, match=expected):
        web.export_web([bundled.find("level")], tmp_path / "page", tmp_path / "runtime.tgz")
    assert not (tmp_path / "page").exists()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--to", "wasm"], "expected onnx, or web"),
        (["--to", "web"], "--out is missing"),
        (["--to", "web", "--out", "page", "--int8"], "--to web takes no"),
        (["--to", "web", "--check"], "--to web takes no"),
        (["--out", "page", "--runtime", "x"], "with --to web alone"),
    ],
)
def test_wrong_options_are_one_sentence(options, expected, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["sottovoce", "export", "level", *options])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 2
    said = capfd.readouterr().err
    assert expected in said and said.count("\n") == 1
    assert not any(tmp_path.iterdir())


def test_what_is_fetched_at_installation_is_what_an_export_takes():
    root = Path(__file__).parents[2]
    package, version = re.search(
        r"package=(\S+) version=(\S+)", (root / ".ci" / "browser-runtime").read_text()
    ).groups()
    assert f"{package}-{version}.tgz" == web.RUNTIME
    assert f"npm pack {package}@{version}" in (root / "docs" / "studio.md").read_text()
