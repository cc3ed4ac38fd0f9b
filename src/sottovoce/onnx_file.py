"""An ONNX file, read as what a stranger may have written: what is in it, before anything runs it.

A reader of the file's own format (protobuf) that builds nothing, so that a device needs no further package.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from sottovoce.errors import ModelError

LARGEST_BYTES = 1 << 30
_MOST_NODES = 50_000
_DEEPEST = 16  # graphs within graphs
_MOST_AXES = 64  # of a tensor
_MOST_FIELDS = 4_000_000  # of the file, names and numbers included: seconds to read

# What networks and the front ends of recognisers are made of. Each of them ends, and needs memory for its output alone.
_OPERATORS = """
Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh Attention AveragePool BatchNormalization Bernoulli
BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor BlackmanWindow Cast CastLike Ceil Celu CenterCropPad Clip Col2Im
Compress Concat Constant ConstantOfShape Conv ConvInteger ConvTranspose Cos Cosh CumSum DFT DepthToSpace
DequantizeLinear Det Div Dropout DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor GRU
Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual
GridSample GroupNormalization HammingWindow HannWindow HardSigmoid HardSwish Hardmax Identity
InstanceNormalization IsInf IsNaN LRN LSTM LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax
LpNormalization LpPool MatMul MatMulInteger Max MaxPool MaxUnpool Mean MeanVarianceNormalization Min Mish Mod Mul
Neg NonZero Not OneHot Or PRelu Pad Pow QLinearConv QLinearMatMul QuantizeLinear RMSNormalization RNN RandomNormal
RandomNormalLike RandomUniform RandomUniformLike Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp
ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize ReverseSequence
RotaryEmbedding Round STFT Scatter ScatterElements ScatterND Selu Shape Shrink Sigmoid Sign Sin Sinh Size Slice
Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Swish Tan Tanh TensorScatter ThresholdedRelu Tile
TopK Transpose Trilu Unique Unsqueeze Upsample Where Xor
"""
# What others' recognisers hold beside that: branches, classifiers of scikit-learn, and what optimisers put together.
_OTHERS = """
ConcatFromSequence If SequenceAt SequenceConstruct SequenceLength SplitToSequence ai.onnx.ml:ArrayFeatureExtractor
ai.onnx.ml:Binarizer ai.onnx.ml:FeatureVectorizer ai.onnx.ml:Imputer ai.onnx.ml:LinearClassifier
ai.onnx.ml:LinearRegressor ai.onnx.ml:Normalizer ai.onnx.ml:SVMClassifier ai.onnx.ml:SVMRegressor ai.onnx.ml:Scaler
ai.onnx.ml:TreeEnsemble ai.onnx.ml:TreeEnsembleClassifier ai.onnx.ml:TreeEnsembleRegressor com.microsoft:Attention
com.microsoft:BiasAdd com.microsoft:BiasGelu com.microsoft:BiasSoftmax com.microsoft:DequantizeLinear
com.microsoft:DynamicQuantizeLSTM com.microsoft:DynamicQuantizeMatMul com.microsoft:EmbedLayerNormalization
com.microsoft:FastGelu com.microsoft:FusedConv com.microsoft:FusedGemm com.microsoft:FusedMatMul com.microsoft:Gelu
com.microsoft:MatMulInteger16 com.microsoft:MatMulIntegerToFloat com.microsoft:MatMulNBits
com.microsoft:MultiHeadAttention com.microsoft:QAttention com.microsoft:QGemm com.microsoft:QLinearAdd
com.microsoft:QLinearAveragePool com.microsoft:QLinearConcat com.microsoft:QLinearConv
com.microsoft:QLinearGlobalAveragePool com.microsoft:QLinearLeakyRelu com.microsoft:QLinearMul
com.microsoft:QLinearReduceMean com.microsoft:QLinearSigmoid com.microsoft:QLinearSoftmax
com.microsoft:QuantizeLinear com.microsoft:QuickGelu com.microsoft:SkipLayerNormalization
com.microsoft:SkipSimplifiedLayerNormalization
"""
# What is computed from constants when a graph is loaded may be these alone: each number of input and output costs one
# step, unlike in a convolution or a product of matrices.
_QUICK = """
Cast Constant DequantizeLinear Gather Identity ReduceProd Reshape Shape Size Slice Squeeze Sub Transpose Unsqueeze
"""
_MOST_READ = 1 << 34  # bytes of the file, by all of these operators: seconds


class Facts(NamedTuple):
    """What is known of a graph before it is loaded."""

    nodes: int
    quick: bool  # all that depends on constants alone is of operators that are quick


def check(content: bytes, name: str = "the ONNX model", others: bool = False) -> Facts:
    """Facts of a graph that ends and stands in one file; ModelError where it is none.

    It is read before any of it is given to onnxruntime, which computes constants as soon as it loads a graph.
    """
    reader = _Reader(frozenset((_OPERATORS + _OTHERS if others else _OPERATORS).split()))
    try:
        if len(content) > LARGEST_BYTES:
            raise _Refused("more than 1 GiB")
        reader.walk(memoryview(content), _MODEL, 0)
        if not reader.nodes:
            raise ValueError("no operators")
    except _Refused as error:
        raise ModelError(
            f"{name} holds {error}; expected ordinary operators without loops, all in one file: export it so."
        ) from error
    except (ValueError, LookupError) as error:
        raise ModelError(f"{name} is not a usable ONNX graph (it cannot be read); export it again.") from error
    return Facts(reader.nodes, reader.quick(len(content)))


def with_metadata(content: bytes, metadata: Mapping[str, str]) -> bytes:
    """The same graph with further metadata; none of the keys may be there already."""
    # A protobuf message may be written in parts, one after the other: entries of a list are joined.
    entries = (_field(1, key.encode()) + _field(2, value.encode()) for key, value in metadata.items())
    return content + b"".join(_field(14, entry) for entry in entries)


def _field(number: int, value: bytes) -> bytes:
    """A protobuf field that holds bytes."""
    size, digits = len(value), bytearray([number << 3 | 2])
    while size > 127:
        digits.append(size & 127 | 128)
        size >>= 7
    return bytes([*digits, size]) + value


class _Refused(Exception):
    """What a graph holds and must not."""


# Messages of ONNX (onnx.proto3): what is in the fields of each that matter here. What is refused has a sentence.
_Message = dict[int, "str | _Message"]
_TENSOR: _Message = {1: "dims", 8: "constant", 13: "data in another file", 14: "location"}
_GRAPH: _Message = {15: "sparse weights"}
_ATTRIBUTE: _Message = {5: _TENSOR, 6: _GRAPH, 10: _TENSOR, 11: _GRAPH, 22: "sparse weights", 23: "sparse weights"}
_NODE: _Message = {1: "takes", 2: "gives", 4: "operator", 5: _ATTRIBUTE, 7: "domain"}
_INPUT: _Message = {1: "input"}
_GRAPH |= {1: _NODE, 5: _TENSOR, 11: _INPUT}
_MODEL: _Message = {7: _GRAPH, 20: "training steps", 25: "functions of its own"}


class _Reader:
    """Walks through a protobuf message, of whatever size and shape, without building it."""

    def __init__(self, operators: frozenset[str]) -> None:
        self.operators = operators
        self.nodes = self.fields = 0
        self.inputs: set[str] = set()  # of the whole graph
        self.constants: set[str] = set()
        self.steps: list[tuple[list[str], list[str], list[str]]] = []  # operators, takes, gives

    def walk(self, message: memoryview, known: _Message, depth: int) -> None:
        if known is _GRAPH:
            depth += 1
        if depth > _DEEPEST:
            raise _Refused(f"graphs within graphs, more than {_DEEPEST} deep")
        dims: list[int] = []
        operators: list[str] = []
        domains: list[str] = []
        takes: list[str] = []
        gives: list[str] = []
        for field, value in self._read(message):
            what = known.get(field)
            if isinstance(what, dict) and isinstance(value, memoryview):
                self.walk(value, what, depth)
            elif what == "dims":
                dims += (value,) if isinstance(value, int) else _numbers(value)
                if len(dims) > _MOST_AXES:
                    raise _Refused(f"a tensor of more than {_MOST_AXES} axes")
            elif what == "location":
                if value:
                    raise _Refused("data in another file")
            elif what == "operator":
                operators.append(_text(value))
            elif what == "domain":
                domains.append(_text(value))
            elif what in ("takes", "gives"):
                (takes if what == "takes" else gives).append(_name(value))
            elif what == "constant":
                self.constants.add(_name(value))
            elif what == "input":
                if depth == 1:
                    self.inputs.add(_name(value))
            elif isinstance(what, str):
                raise _Refused(what)
        if known is _TENSOR and math.prod(dims) > 8 * len(message):
            raise _Refused(f"a tensor of more numbers than fit into its {len(message)} bytes")
        if known is _NODE:
            self._node(operators, domains)
            self.steps.append((operators, takes, gives))

    def quick(self, size: int) -> bool:
        """Whether every operator that is not known to depend on the graph's inputs is quick, in a file of `size`."""
        known, read = frozenset(_QUICK.split()), 0
        depends = self.inputs - self.constants
        for operators, takes, gives in self.steps:
            if depends.isdisjoint(takes):
                read += size
                if not known.issuperset(operators) or read > _MOST_READ:
                    return False
            elif not {"Shape", "Size"} & {*operators}:  # what they tell of an input may be known before it comes
                depends.update(gives)
        return True

    def _node(self, operators: Sequence[str], domains: Sequence[str]) -> None:
        self.nodes += 1
        if self.nodes > _MOST_NODES:
            raise _Refused(f"more than {_MOST_NODES} operators")
        for domain in domains or [""]:
            for operator in operators or [""]:
                whole = operator if domain in ("", "ai.onnx") else f"{domain}:{operator}"
                if whole not in self.operators:
                    raise _Refused(f"the operator {whole[:60]!a}, which is not among those that are run here")

    def _read(self, message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
        """Fields and values: numbers, or bytes."""
        place, end = 0, len(message)
        while place < end:
            self.fields += 1
            if self.fields > _MOST_FIELDS:
                raise _Refused(f"more than {_MOST_FIELDS} names and numbers")
            tag, place = _number(message, place)
            field, wire = tag >> 3, tag & 7
            if field >= 1 << 29:  # others may read only a part of such a number
                raise ValueError("a field of no number that there is")
            if wire == 0:
                value, place = _number(message, place)
                yield field, value
                continue
            size, place = _number(message, place) if wire == 2 else ({1: 8, 5: 4}[wire], place)
            if place + size > end:
                raise ValueError("a field is longer than what holds it")
            yield field, message[place : place + size]
            place += size


def _number(message: memoryview, place: int) -> tuple[int, int]:
    """A varint, and the place after it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = message[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise ValueError("a number of more than 64 bits")


def _numbers(message: memoryview) -> Iterator[int]:
    """Varints one after another, as far as a tensor can have axes."""
    place = 0
    for _ in range(_MOST_AXES + 1):
        if place == len(message):
            return
        value, place = _number(message, place)
        yield value


def _text(value: int | memoryview) -> str:
    if isinstance(value, int):
        raise ValueError("a number where a name belongs")
    return bytes(value[:200]).decode("utf-8", "replace")


def _name(value: int | memoryview) -> str:
    if isinstance(value, int):
        raise ValueError("a number where a name belongs")
    return bytes(value).decode("utf-8", "surrogateescape")
