"""ONNX graphs of strangers: what may not end, reaches outside or cannot be bounded is refused before it is run."""

import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from sottovoce import cli, graphs, onnx_file
from sottovoce.audit.system import of_onnx
from sottovoce.errors import ModelError
from sottovoce.models.checkpoint import read_folder, write_folder
from sottovoce.models.target_loading import load_target
from sottovoce.runtime.bundled import find
from sottovoce.runtime.filter import Filter

SPECTRA = ["batch", 161, 128]


def model(nodes: list, constants: dict | None = None, shape: list | None = None, opset: int = 17) -> onnx.ModelProto:
    """A graph from `x` to `y`, both of `shape`, that is a target of two classes by its metadata."""
    ports = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, shape or SPECTRA)] for name in ("x", "y")]
    held = [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()]
    domains = {node.domain for node in nodes} | {""}
    made = helper.make_model(
        helper.make_graph(nodes, "g", *ports, held),
        opset_imports=[helper.make_opsetid(domain, 1 if domain else opset) for domain in domains],
        ir_version=8,
    )
    helper.set_model_props(made, {"task": "word", "classes": '["no", "yes"]'})
    return made


def body(nodes: list, takes: list, gives: list) -> onnx.GraphProto:
    kinds = {"i": TensorProto.INT64, "go": TensorProto.BOOL, "more": TensorProto.BOOL}
    given, made = (
        [
            helper.make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT), [] if name in kinds else None)
            for name in names
        ]
        for names in (takes, gives)
    )
    return helper.make_graph(nodes, "body", given, made)


def loop() -> onnx.NodeProto:
    inner = [helper.make_node("Identity", ["go"], ["more"]), helper.make_node("Identity", ["v"], ["w"])]
    return helper.make_node("Loop", ["", "true", "x"], ["y"], body=body(inner, ["i", "go", "v"], ["more", "w"]))


def scan() -> onnx.NodeProto:
    inner = [helper.make_node("Identity", ["v"], ["w"])]
    return helper.make_node("Scan", ["x"], ["y"], num_scan_inputs=1, body=body(inner, ["v"], ["w"]))


def branch(inner: list) -> onnx.NodeProto:
    other = [helper.make_node("Identity", ["x"], ["z"])]
    branches = {"then_branch": body(inner, [], ["z"]), "else_branch": body(other, [], ["z"])}
    return helper.make_node("If", ["true"], ["y"], **branches)


def nested(depth: int) -> onnx.NodeProto:
    node = helper.make_node("Identity", ["x"], ["z"])
    for _ in range(depth):
        node = branch([node])
        node.output[0] = "z"
    node.output[0] = "y"
    return node


def looping() -> onnx.ModelProto:
    return model([loop()], {"true": np.array(True)})


def loop_in_a_branch() -> onnx.ModelProto:
    inner = loop()
    inner.output[0] = "z"
    return model([branch([inner])], {"true": np.array(True)})


def loop_in_a_function() -> onnx.ModelProto:
    made = model([helper.make_node("Mine", ["x"], ["y"], domain="own")])
    made.functions.append(helper.make_function("own", "Mine", ["x"], ["y"], [loop()], [helper.make_opsetid("", 17)]))
    return made


def external() -> onnx.ModelProto:
    made = model([helper.make_node("Add", ["x", "w"], ["y"])], {"w": np.ones(4, np.float32)})
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../secret")
    return made


def external_constant() -> onnx.ModelProto:
    tensor = external().graph.initializer[0]
    return model([helper.make_node("Constant", [], ["w"], value=tensor), helper.make_node("Add", ["x", "w"], ["y"])])


def sparse() -> onnx.ModelProto:
    made = model([helper.make_node("Add", ["x", "w"], ["y"])])
    weights = made.graph.sparse_initializer.add(dims=[1 << 40])
    weights.values.CopyFrom(numpy_helper.from_array(np.ones(1, np.float32), "w"))
    weights.indices.CopyFrom(numpy_helper.from_array(np.zeros(1, np.int64), "i"))
    return made


def enormous() -> onnx.ModelProto:
    made = model([helper.make_node("Add", ["x", "w"], ["y"])], {"w": np.ones(4, np.float32)})
    made.graph.initializer[0].dims[0] = 1 << 40
    return made


def text() -> onnx.ModelProto:
    joined = helper.make_node("StringConcat", ["s", "s"], ["t"])
    return model([joined, helper.make_node("Identity", ["x"], ["y"])], {"s": np.array(["a"])}, opset=20)


def other_domain(domain: str) -> onnx.ModelProto:
    return model([helper.make_node("Relu", ["x"], ["y"], domain=domain)])


REFUSED = {
    "loop": (looping, "the operator 'Loop'"),
    "loop in a branch": (loop_in_a_branch, "the operator '"),
    "loop in a function": (loop_in_a_function, "'own:Mine'|functions of its own"),
    "scan": (lambda: model([scan()]), "the operator 'Scan'"),
    "sequence of graphs": (lambda: model([helper.make_node("SequenceMap", ["x"], ["y"])]), "'SequenceMap'"),
    "branches in branches": (lambda: model([nested(20)], {"true": np.array(True)}), "deep|'If'"),
    "own operator": (lambda: other_domain("org.example"), "'org.example:Relu'"),
    "reader of files": (lambda: other_domain("com.microsoft"), "'com.microsoft:Relu'"),
    "no operator of that name": (lambda: model([helper.make_node("Rm\nRf", ["x"], ["y"])]), r"'Rm\\nRf'"),
    "weights elsewhere": (external, "data in another file"),
    "constant elsewhere": (external_constant, "data in another file"),
    "sparse weights": (sparse, "sparse weights"),
    "enormous weights": (enormous, "more numbers than fit"),
    "strings": (text, "'StringConcat'"),
}


def grown(*nodes: onnx.NodeProto, **constants: np.ndarray) -> onnx.ModelProto:
    """A graph whose answer is right, once a tensor `big` that no machine has memory for is there."""
    ends = [helper.make_node("ReduceMax", ["big"], ["top"], keepdims=0), helper.make_node("Mul", ["x", "top"], ["y"])]
    return model([*nodes, *ends], {"one": np.ones(1, np.float32), "size": np.array([1 << 37], np.int64), **constants})


def doubled(start: str, times: int) -> list[onnx.NodeProto]:
    names = [start, *(f"c{i}" for i in range(times - 1)), "big"]
    pairs = itertools.pairwise(names)
    return [helper.make_node("Concat", [one, one], [other], axis=0) for one, other in pairs]


GROWING = {
    "filled": grown(helper.make_node("ConstantOfShape", ["size"], ["big"])),
    "expanded": grown(helper.make_node("Expand", ["one", "size"], ["big"])),
    "tiled": grown(helper.make_node("Tile", ["one", "size"], ["big"])),
    "padded": grown(helper.make_node("Pad", ["one", "ends"], ["big"]), ends=np.array([0, 1 << 37], np.int64)),
    "counted": grown(
        helper.make_node("Range", ["low", "high", "step"], ["big"]),
        low=np.array(0, np.float32), high=np.array(1e11, np.float32), step=np.array(1, np.float32),
    ),
    "doubled": grown(*doubled("x", 40)),
    "constant doubled": grown(*doubled("one", 40)),
    "random": grown(helper.make_node("RandomNormal", [], ["big"], shape=[1 << 37])),
    "one-hot": grown(
        helper.make_node("OneHot", ["at", "size", "pair"], ["big"]),
        at=np.zeros(1, np.int64), pair=np.array([0, 1], np.float32),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("others", [False, True])
def test_what_may_not_end_or_reaches_outside_is_refused_unread(kind, others):
    made, reason = REFUSED[kind]
    with pytest.raises(ModelError, match=reason) as error:
        graphs.session(made().SerializeToString(), others=others)
    assert "\n" not in str(error.value) and "expected" in str(error.value)


@pytest.mark.parametrize("kind", GROWING)
def test_memory_is_bounded_while_a_graph_is_loaded_and_while_it_runs(kind, tmp_path):
    """In a process that may take 6 GiB of address space at most: nothing is even asked for beyond the pool's bound."""
    path = tmp_path / "g.onnx"
    onnx.save(GROWING[kind], path)
    assert path.stat().st_size < 4000
    code = f"""
import os, resource
pages = os.sysconf
os.sysconf = lambda name: 1 << 18 if name == "SC_PHYS_PAGES" else pages(name)  # a machine of 1 GiB
import numpy as np
from sottovoce import graphs
from sottovoce.errors import ModelError
try:
    graphs.session({str(path)!r}, others=True).run(None, {{"x": np.ones((1, 161, 128), np.float32)}})
except ModelError as error:
    assert "cannot be run" in str(error) and len(str(error)) < 500, error
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 1500, "MiB of memory"


@pytest.mark.parametrize("kind", ["loop", "weights elsewhere"])
def test_every_way_in_refuses_them_with_one_sentence(kind, tmp_path, shaped, filter_card, monkeypatch, capfd):
    content = REFUSED[kind][0]().SerializeToString()
    path, folder = tmp_path / "g.onnx", tmp_path / "filter"
    path.write_bytes(content)
    held = {name: (find("digit") / name).read_bytes() for name in filter_card["files"]}
    write_folder(folder, "filter", held | {"filter.onnx": content}, filter_card)
    for opened in (lambda: load_target(path), lambda: of_onnx(path, shaped.sounds), lambda: Filter.load(folder)):
        with pytest.raises(ModelError):
            opened()
    sound, out = next(shaped.table.parent.glob("*.wav")), tmp_path / "out"
    corpus = ["--corpus", shaped.spec]
    for words in (
        ["protect", folder, sound, out.with_suffix(".wav")],
        ["audit", path, *corpus, "--attack", "gender", "--out", out],
        ["audit", folder, *corpus, "--attack", "gender", "--out", out],
        ["train", "--permit", "word", "--target", path, *corpus, "--out", out],
    ):
        monkeypatch.setattr(sys, "argv", ["sottovoce", *map(str, words)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        told = capfd.readouterr().err
        assert stopped.value.code == 2 and told.startswith("sottovoce: ") and told.count("\n") == 1, (words, told)
        assert "holds" in told


@pytest.fixture
def filter_card() -> dict:
    card = read_folder(find("digit"), "filter")
    return {key: value for key, value in card.items() if key not in ("schema", "kind", "sottovoce")}


def test_a_graph_in_another_format_of_onnxruntime_is_refused():
    with pytest.raises(ModelError, match="not a usable ONNX graph"):
        graphs.session(b"\x18\x00\x00\x00ORTM" + bytes(100))


def test_a_name_that_comes_twice_counts_twice():
    """Readers of protobuf take the last one."""
    made = model([helper.make_node("Relu", ["x"], ["y"])])
    twice = onnx.NodeProto(op_type="Loop").SerializeToString() + made.graph.node[0].SerializeToString()
    del made.graph.node[:]
    graph = made.graph.SerializeToString() + bytes([0x0A, len(twice)]) + twice
    made.ClearField("graph")
    content = made.SerializeToString() + bytes([0x3A, len(graph)]) + graph
    assert onnx.load_from_string(content).graph.node[0].op_type == "Relu"
    with pytest.raises(ModelError, match="'Loop'"):
        onnx_file.check(content)


def test_a_graph_of_others_that_runs_for_long_is_stopped(monkeypatch):
    monkeypatch.setattr(graphs, "LONGEST_RUN_S", 0.2)
    square = model(
        [
            helper.make_node("MatMul", [f"x{i}" if i else "x", "w"], [f"x{i + 1}" if i < 299 else "y"])
            for i in range(300)
        ],
        {"w": np.eye(1500, dtype=np.float32)},
        [1500, 1500],
    )
    with pytest.raises(ModelError, match=r"it took more than 0\.2 s"):
        graphs.session(square.SerializeToString(), others=True).run(None, {"x": np.eye(1500, dtype=np.float32)})


def test_a_filter_that_runs_for_long_is_stopped_too(monkeypatch):
    monkeypatch.setattr(graphs, "LONGEST_FILTER_RUN_S", 0.2)
    names = ["x", *(f"x{i}" for i in range(299)), "y"]
    products = [helper.make_node("MatMul", [one, "w"], [other]) for one, other in itertools.pairwise(names)]
    slow = model(products, {"w": np.eye(1500, dtype=np.float32)}, [1500, 1500])
    with pytest.raises(ModelError, match=r"it took more than 0\.2 s"):
        graphs.session(slow.SerializeToString()).run(None, {"x": np.eye(1500, dtype=np.float32)})


def constant_conv(*first: onnx.NodeProto, **constants: list[int]) -> onnx.ModelProto:
    """A graph that adds to its input the convolution of two constants `a` and `b`, which would take hours."""
    nodes = [
        *first,
        helper.make_node("Conv", ["a", "b"], ["c"]),
        helper.make_node("ReduceMax", ["c"], ["m"], keepdims=0),
        helper.make_node("Add", ["x", "m"], ["y"]),
    ]
    return model(nodes, {name: np.array(value, np.int64) for name, value in constants.items()})


def filled(shape: str, made: str) -> onnx.NodeProto:
    return helper.make_node("ConstantOfShape", [shape], [made])


def of_the_shape_of_the_input() -> onnx.ModelProto:
    first = [helper.make_node("Identity", ["x"], ["same"]), helper.make_node("Shape", ["same"], ["told"], start=1)]
    first += [
        helper.make_node("Mul", ["told", "times"], ["long"]),
        helper.make_node("Concat", ["one", "long"], ["p"], axis=0),
    ]
    return constant_conv(*first, filled("p", "a"), filled("q", "b"), times=[25], one=[1, 1], q=[1, 1, 1500, 1500])


def of_an_input_that_is_a_constant() -> onnx.ModelProto:
    """As old files have it: what they hold is named among the inputs as well."""
    made = constant_conv(filled("p", "a"), filled("q", "b"), p=[1, 1, 4000, 4000], q=[1, 1, 1500, 1500])
    made.ir_version = 3
    made.graph.input.extend([helper.make_tensor_value_info(name, TensorProto.INT64, [4]) for name in "pq"])
    return made


SLOW_TO_LOAD = {
    "filled": constant_conv(filled("p", "a"), filled("q", "b"), p=[1, 1, 4000, 4000], q=[1, 1, 1500, 1500]),
    "shape of the input": of_the_shape_of_the_input(),
    "constant among the inputs": of_an_input_that_is_a_constant(),
}


@pytest.mark.parametrize("kind", SLOW_TO_LOAD)
@pytest.mark.parametrize("others", [False, True])
def test_nothing_slow_is_computed_when_a_graph_is_loaded(kind, others, tmp_path):
    onnx.save(SLOW_TO_LOAD[kind], tmp_path / "g.onnx")
    assert (tmp_path / "g.onnx").stat().st_size < 1000
    code = f"from sottovoce import graphs; graphs.session({str(tmp_path / 'g.onnx')!r}, others={others})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=10)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["digit", "home-sounds", "level", "speech"])
def test_the_weights_of_our_own_filters_are_unpacked_when_they_are_loaded(name):
    assert onnx_file.check((find(name) / "filter.onnx").read_bytes()).quick


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_is_in_the_file_the_answer_is_yes_or_one_sentence(data):
    content = bytearray((find("digit") / "filter.onnx").read_bytes()[: data.draw(st.integers(0, 4000))])
    for _ in range(data.draw(st.integers(0, 8))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert onnx_file.check(bytes(content) + data.draw(st.binary(max_size=30))).nodes > 0
    except ModelError as error:
        assert str(error)


# What ordinary recognisers are made of passes


class Recogniser(torch.nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.conv = torch.nn.Sequential(
            torch.nn.Conv1d(161, 16, 5, padding=2), torch.nn.BatchNorm1d(16), torch.nn.GELU(), torch.nn.Dropout(0.1)
        )
        self.middle = {
            "lstm": torch.nn.LSTM(16, 8, batch_first=True, bidirectional=True),
            "gru": torch.nn.GRU(16, 16, batch_first=True),
            "rnn": torch.nn.RNN(16, 16, batch_first=True),
            "attention": torch.nn.TransformerEncoderLayer(16, 4, 32, batch_first=True),
        }[kind]
        self.norm = torch.nn.LayerNorm(16)
        self.last = torch.nn.Linear(16, 2)

    def forward(self, spectra: torch.Tensor) -> torch.Tensor:
        deep = self.conv(spectra).transpose(1, 2)
        found = self.middle(deep)
        found = found if self.kind == "attention" else found[0]
        return torch.log_softmax(self.last(self.norm(found)).mean(1) + found.std() * 0, dim=1)


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn", "attention"])
@pytest.mark.parametrize("quantised", [False, True])
def test_an_ordinary_recogniser_passes_also_in_8_bits(kind, quantised, tmp_path):
    from sottovoce.models.onnx_graph import traced
    from sottovoce.runtime.quantise import dynamic

    torch.manual_seed(0)
    content = traced(Recogniser(kind).eval(), (torch.zeros(1, 161, 128),), ["x"], ["y"], batch=True)
    made = onnx.load_from_string(dynamic(content) if quantised else content)
    helper.set_model_props(made, {"task": "word", "classes": '["no", "yes"]'})
    onnx.save(made, tmp_path / "t.onnx")
    scores = load_target(tmp_path / "t.onnx").predict(np.zeros((3, 161, 128), np.float32))
    assert scores.shape == (3, 2) and np.isfinite(scores).all()


def test_branches_and_classifiers_of_others_pass_where_a_target_is_named():
    node = branch([helper.make_node("Relu", ["x"], ["z"])])
    content = model([node], {"true": np.array(True)}).SerializeToString()
    assert graphs.session(content, others=True).run(None, {"x": np.ones((1, 161, 128), np.float32)})[0].shape
    with pytest.raises(ModelError, match="'If'"):
        graphs.session(content)


def operators() -> Iterator[str]:
    for path in sorted(Path(onnx_file.__file__).parent.glob("filters/*/*.onnx")):
        yield from (node.op_type for node in onnx.load(path).graph.node)


def test_what_is_named_is_there():
    """Every name on the lists is an operator of ONNX, and none of them holds a graph that is run again and again."""
    standard = {schema.name: schema for schema in onnx.defs.get_all_schemas()}
    named = set(onnx_file._OPERATORS.split())
    assert named <= set(standard) and set(operators()) <= named
    holders = {
        name
        for name, schema in standard.items()
        if any(kind.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for kind in schema.attributes.values())
    }
    assert not named & holders and set(onnx_file._OTHERS.split()) & holders == {"If"}
    learning = {f"ai.onnx.ml:{s.name}" for s in onnx.defs.get_all_schemas() if s.domain == "ai.onnx.ml"}
    assert {name for name in onnx_file._OTHERS.split() if name.startswith("ai.onnx.ml")} <= learning
