"""Laws of what ships: the graph gives what the network gives, and a folder that is not whole is refused."""

import json
import shutil

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from sottovoce.audio.segment import FRONT_END
from sottovoce.audio.spectrum import BINS, SEGMENT_FRAMES
from sottovoce.errors import ModelError
from sottovoce.files import file_sha256
from sottovoce.models.architectures import build
from sottovoce.models.checkpoint import CARD, read_folder, write_folder
from sottovoce.runtime.engine import FilterConfig, Graph
from sottovoce.runtime.export import Dithered, check_parity, save_filter, target_place, to_onnx
from sottovoce.runtime.filter import Filter

COMPACT = ("compact-autoencoder", {"width": 4, "blocks": 1})
PAPER = ("cyclegan-vc2", {"bins": BINS, "blocks": 1, "first": 4, "second": 8, "body": 8, "hidden": 16})


def network(architecture: str, settings: dict[str, int], seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return build(architecture, settings).eval()


# The graph


@pytest.mark.parametrize("which", [COMPACT, PAPER])
@pytest.mark.parametrize("batch", [1, 2, 3, 17])
def test_the_graph_gives_what_the_network_gives(which, batch):
    obfuscator = network(*which)
    spectra = torch.randn(batch, BINS, SEGMENT_FRAMES, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = obfuscator(spectra).numpy()
    assert np.abs(Graph(to_onnx(obfuscator)).run(spectra.numpy()) - expected).max() < 1e-4


@pytest.mark.parametrize("which", [COMPACT, PAPER])
def test_silence_in_a_batch_is_what_it_is_alone(which):
    engine = Graph(to_onnx(network(*which)))
    spectra = np.random.default_rng(0).standard_normal((3, BINS, SEGMENT_FRAMES)).astype(np.float32)
    spectra[1] = 0.0
    assert np.allclose(engine.run(spectra)[1], engine.run(np.zeros_like(spectra[:1]))[0], atol=1e-4)


def test_no_segments_give_no_segments(filter_folder):
    empty = np.zeros((0, BINS, SEGMENT_FRAMES), np.float32)
    assert Graph(filter_folder / "filter.onnx").run(empty).shape == empty.shape


def test_export_is_repeatable_and_leaves_the_network_alone():
    obfuscator = network(*COMPACT).train()
    before = {name: value.clone() for name, value in obfuscator.state_dict().items()}
    assert to_onnx(obfuscator) == to_onnx(obfuscator)
    assert obfuscator.training
    assert all(torch.equal(before[name], value) for name, value in obfuscator.state_dict().items())


def test_a_graph_of_another_network_is_found_out():
    with pytest.raises(ModelError, match="off by"):
        check_parity(Dithered(network(*COMPACT, seed=1)).eval(), Graph(to_onnx(network(*COMPACT))))


def test_a_network_that_gives_no_numbers_is_not_exported():
    obfuscator = network(*COMPACT)
    with torch.no_grad():
        next(obfuscator.parameters()).fill_(torch.nan)
    with pytest.raises(ModelError, match="off by nan"):
        to_onnx(obfuscator)


def identity_graph(name: str = "spectrum", bins: int = BINS, kind: int = TensorProto.FLOAT) -> bytes:
    shape = ["batch", bins, SEGMENT_FRAMES]
    ports = [helper.make_tensor_value_info(port, kind, shape) for port in (name, "obfuscated")]
    node = helper.make_node("Identity", [name], ["obfuscated"])
    graph = helper.make_graph([node], "identity", ports[:1], ports[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def test_an_engine_takes_bytes_or_a_file(tmp_path):
    (tmp_path / "a.onnx").write_bytes(identity_graph())
    spectra = np.random.default_rng(0).standard_normal((20, BINS, SEGMENT_FRAMES)).astype(np.float32)
    for model in (identity_graph(), tmp_path / "a.onnx", str(tmp_path / "a.onnx")):
        assert np.array_equal(Graph(model).run(spectra), spectra)


@pytest.mark.parametrize(
    "graph",
    [b"", b"no graph", identity_graph("sound"), identity_graph(bins=160), identity_graph(kind=TensorProto.DOUBLE)],
)
def test_a_graph_of_another_kind_is_refused(graph):
    with pytest.raises(ModelError, match="export it again"):
        Graph(graph)


def test_a_missing_graph_is_refused(tmp_path):
    with pytest.raises(ModelError, match="FileNotFoundError"):
        Graph(tmp_path / "none.onnx")


# The folder


@pytest.fixture
def folder(filter_folder, tmp_path):
    """A copy of a right one, to be spoilt."""
    return shutil.copytree(filter_folder, tmp_path / "copy")


def refusal(folder) -> str:
    with pytest.raises(ModelError) as caught:
        Filter.load(folder)
    assert str(caught.value).endswith(".")
    return str(caught.value)


def rewrite_config(folder, **changes) -> None:
    """Change `config.json` and the card with it, as someone who means it would."""
    config = json.loads((folder / "config.json").read_text())
    config.update(changes)
    (folder / "config.json").write_text(json.dumps({key: value for key, value in config.items() if value is not None}))
    card = json.loads((folder / CARD).read_text())
    card["files"]["config.json"] = file_sha256(folder / "config.json")
    (folder / CARD).write_text(json.dumps(card))


@pytest.mark.parametrize("name", ["filter.onnx", "config.json", "weights.safetensors"])
def test_a_missing_or_altered_file_is_refused(folder, name):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-1] + b"?")
    assert name in refusal(folder)
    (folder / name).unlink()
    assert f"missing files: {name}" in refusal(folder)


def test_an_extra_file_is_refused(folder):
    (folder / "more.pkl").touch()
    assert "extra files: more.pkl" in refusal(folder)


def test_no_folder_no_card_and_another_kind_are_refused(folder, tmp_path):
    assert "not a folder" in refusal(tmp_path / "none")
    (folder / CARD).unlink()
    assert CARD in refusal(folder)
    write_folder(tmp_path / "other", "target", {"config.json": b"{}"}, {})
    assert "'target'" in refusal(tmp_path / "other")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"shell": "rm"}, "expected just"),
        ({"sound_std": None}, "expected just"),
        ({"front_end": FRONT_END + 1}, "front end 3"),
        ({"sound_mean": float("nan")}, "sound_mean is nan"),
        ({"sound_mean": "1"}, "sound_mean is '1'"),
        ({"sound_mean": True}, "sound_mean is True"),
        ({"sound_std": float("inf")}, "sound_std is inf"),
        ({"sound_std": 0.0}, "more than 0"),
        ({"architecture": 1}, "'architecture'"),
        ({"settings": []}, "'settings'"),
    ],
)
def test_a_config_that_says_anything_else_is_refused(folder, changes, reason):
    rewrite_config(folder, **changes)
    assert reason in refusal(folder)


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "\ud83d"])
def test_a_config_that_is_no_table_is_refused(text):
    with pytest.raises(ModelError, match=r"config\.json"):
        FilterConfig.parse(text)


def test_what_cannot_be_read_is_not_written(tmp_path):
    with pytest.raises(ModelError, match="not a finite number"):
        save_filter(tmp_path / "f", network(*COMPACT), *COMPACT, 0.0, float("nan"), {})
    assert not list(tmp_path.iterdir())


def test_a_target_folder_and_a_target_file_are_copied_in(tmp_path):
    write_folder(tmp_path / "target", "target", {"weights.safetensors": b"w", "config.json": b"{}"}, {})
    (tmp_path / "black box.onnx").write_bytes(identity_graph())
    obfuscator = network(*COMPACT)
    card = save_filter(tmp_path / "a", obfuscator, *COMPACT, 0.0, 1.0, {"seed": 7}, {"word": tmp_path / "target"})
    assert card == read_folder(tmp_path / "a", "filter") == Filter.load(tmp_path / "a").card
    assert card["seed"] == 7
    assert {f"targets/word/{name}" for name in ("card.json", "config.json", "weights.safetensors")} <= card[
        "files"
    ].keys()
    save_filter(
        tmp_path / "b",
        obfuscator,
        *COMPACT,
        0.0,
        1.0,
        {},
        {"word": tmp_path / "black box.onnx", "../mood": tmp_path / "target"},
    )
    assert (tmp_path / "b" / "targets" / "word" / "target.onnx").read_bytes() == identity_graph()
    assert (tmp_path / "b" / target_place("../mood") / "config.json").read_bytes() == b"{}"
