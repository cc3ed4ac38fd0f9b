"""A trained obfuscator to what ships: an ONNX graph, compared with the network it came from, in a filter folder."""

from __future__ import annotations

import copy
import io
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from sottovoce.audio.segment import front_end
from sottovoce.audio.spectrum import BINS, SEGMENT_FRAMES, SEGMENT_SAMPLES
from sottovoce.errors import ModelError
from sottovoce.models.checkpoint import copy_files, path_part, write_folder
from sottovoce.models.codebook import Codebook
from sottovoce.runtime import latent
from sottovoce.runtime.config import CODEBOOK, FRONT_END, FilterConfig
from sottovoce.runtime.engine import INPUT, OUTPUT, SCORES, Graph, OnnxEngine

TOLERANCE = 1e-3  # of spectra of unit deviation; rounding alone makes 1e-5

_OPSET = 17
_FEW_WEIGHTS = 1000  # are not worth packing


class Dithered(nn.Module):
    """`network` [B, 161, 128] -> [B, 161, 128], but for digital silence, which it gets as faint white noise.

    Of silence, instance normalisation sees only its own rounding errors, and scales them up to full size: what came out
    would be another on every machine.
    """

    noise: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        noise = np.random.default_rng(0).standard_normal((1, SEGMENT_SAMPLES), dtype=np.float32)
        self.register_buffer("noise", torch.from_numpy(front_end(noise)))

    def forward(self, spectrum: Tensor) -> Tensor:
        """Obfuscated spectra [B, 161, 128] of standardised log spectra [B, 161, 128]."""
        silent = spectrum.abs().amax(dim=(1, 2), keepdim=True) == 0
        obfuscated: Tensor = self.network(torch.where(silent, self.noise, spectrum))
        return obfuscated.reshape(-1, BINS, SEGMENT_FRAMES)  # so that the graph names its shape


def to_onnx(network: nn.Module) -> bytes:
    """An ONNX graph, batch axis free, of an obfuscator [B, 161, 128] -> [B, 161, 128], as `Dithered` makes it.

    ModelError if it does not give what the network gives.
    """
    shipped = Dithered(copy.deepcopy(network).cpu()).eval()
    graph = _exported(shipped, OUTPUT)
    check_parity(shipped, OnnxEngine(graph))
    return graph


def encoder_to_onnx(encoder: nn.Module, classes: int) -> bytes:
    """An ONNX graph, batch axis free, of an encoder [B, 161, 128] -> log posteriors [B, C], C = `classes`.

    ModelError if it does not give what the encoder gives.
    """
    shipped = copy.deepcopy(encoder).cpu().eval()
    graph = _exported(shipped, SCORES)
    check_parity(shipped, Graph(graph, SCORES, (classes,)))
    return graph


def save_latent(
    folder: Path,
    sender: nn.Module,
    config: FilterConfig,
    readers: Mapping[str, nn.Module],
    card: Mapping[str, Any],
    targets: Mapping[str, Path],
) -> dict[str, Any]:
    """Write a filter of latents as a folder, all or nothing; returns its card as written. See `save_filter`.

    `sender` maps what `latent.heard` says of `config` to latents, each of `readers` maps latents to logits.
    """
    name, shape = latent.heard(config)
    width = config.settings["latent"]
    shipped = copy.deepcopy(sender).cpu().eval()
    graph = _exported(shipped, latent.LATENT, name, shape)
    given = torch.rand(3, *shape, generator=torch.Generator().manual_seed(0))
    _compare(shipped, Graph(graph, latent.LATENT, (width,), hears=name, heard=shape), [given, given[:1]])
    files = {
        "config.json": _config(config.architecture, config.settings, config.sound_mean, config.sound_std),
        "filter.onnx": graph,
    }
    for task, reader in readers.items():
        posteriors = nn.Sequential(copy.deepcopy(reader).cpu().eval(), nn.LogSoftmax(dim=1))
        files[latent.reader_place(task)] = _exported(posteriors, SCORES, latent.LATENT, (width,))
    return write_folder(folder, "filter", {**files, **_target_files(targets)}, card)


def _exported(
    network: nn.Module, output: str, hears: str = INPUT, heard: Sequence[int] = (BINS, SEGMENT_FRAMES)
) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own age, and of instance norm, which is right
        torch.onnx.export(
            network,
            (torch.ones(2, *heard),),
            file,  # type: ignore[arg-type]  # this exporter takes it, the other does not
            input_names=[hears],
            output_names=[output],
            dynamic_axes={hears: {0: "batch"}, output: {0: "batch"}},
            opset_version=_OPSET,
            dynamo=False,  # the other exporter needs one more package
        )
    return file.getvalue()


def check_parity(network: nn.Module, graph: Graph) -> float:
    """The largest difference between a network and its ONNX graph, over noise and silence, one segment and three.

    ModelError if it is more than `TOLERANCE`, or not a number.
    """
    noise = torch.randn(3, BINS, SEGMENT_FRAMES, generator=torch.Generator().manual_seed(0))
    return _compare(network, graph, [noise, noise[:1], torch.zeros_like(noise), torch.zeros_like(noise[:1])])


def _compare(network: nn.Module, graph: Graph, heard: Sequence[torch.Tensor]) -> float:
    """The largest difference over what is `heard`."""
    worst = 0.0
    for spectra in heard:
        with torch.no_grad():
            expected = network(spectra).numpy()
        worst = float(np.maximum(worst, np.abs(graph.run(spectra.numpy()) - expected).max()))  # NaN stays NaN
    if not worst <= TOLERANCE:
        raise ModelError(f"the ONNX graph is off by {worst:.2g}, more than {TOLERANCE}; try another version of torch.")
    return worst


def target_place(task: str) -> str:
    """Where in a filter folder the target of a permitted task is, as a target folder or with its target.onnx alone."""
    return f"targets/{path_part(task)}"


def save_filter(
    folder: Path,
    obfuscator: nn.Module,
    architecture: str,
    settings: Mapping[str, int],
    sound_mean: float,
    sound_std: float,
    card: Mapping[str, Any],
    targets: Mapping[str, Path] = MappingProxyType({}),
) -> dict[str, Any]:
    """Write a trained obfuscator as a filter folder, all or nothing; returns its card as written.

    `sound_mean` and `sound_std` are those of the log spectra of its sound. `targets`, task to folder or ONNX file, are
    copied in. ModelError if the graph fails its comparison or the folder cannot be written.
    """
    files = {
        "config.json": _config(architecture, settings, sound_mean, sound_std),
        "weights.safetensors": save({name: value.contiguous() for name, value in obfuscator.state_dict().items()}),
        "filter.onnx": to_onnx(obfuscator),
    }
    return write_folder(folder, "filter", {**files, **_target_files(targets)}, card)


def save_codebook(
    folder: Path,
    encoder: nn.Module,
    codebook: Codebook,
    sound_mean: float,
    sound_std: float,
    card: Mapping[str, Any],
    targets: Mapping[str, Path],
) -> dict[str, Any]:
    """Write a codebook filter as a folder, all or nothing; returns its card as written. See `save_filter`."""
    files = {
        "config.json": _config(CODEBOOK, {}, sound_mean, sound_std),
        "codebook.npz": codebook.to_bytes(),
        "filter.onnx": encoder_to_onnx(encoder, codebook.classes),
    }
    return write_folder(folder, "filter", {**files, **_target_files(targets)}, card)


def packed(graph: bytes) -> bytes:
    """The same ONNX graph with its weights in 8 bits, a scale for each output channel: a quarter of the size.

    What flows through it stays float: weights are unpacked when the graph is loaded.
    """
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load_from_string(graph)
    kept, nodes = [], []
    for tensor in model.graph.initializer:
        weights = numpy_helper.to_array(tensor)
        if weights.dtype != np.float32 or weights.ndim < 2 or weights.size < _FEW_WEIGHTS:
            kept.append(tensor)
            continue
        scale = np.maximum(np.abs(weights).reshape(len(weights), -1).max(axis=1), 1e-12) / 127.0
        steps = np.rint(weights / scale.reshape(-1, *[1] * (weights.ndim - 1))).astype(np.int8)
        names = [f"{tensor.name}/{part}" for part in ("steps", "scale", "zero")]
        arrays = (steps, scale.astype(np.float32), np.zeros(len(scale), np.int8))
        kept += [numpy_helper.from_array(array, name) for array, name in zip(arrays, names, strict=True)]
        nodes.append(helper.make_node("DequantizeLinear", names, [tensor.name], axis=0))
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    unpacked = [*nodes, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(unpacked)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _config(architecture: str, settings: Mapping[str, int], sound_mean: float, sound_std: float) -> bytes:
    """The content of config.json; ModelError for what could not be read again."""
    text = json.dumps(
        {
            "front_end": FRONT_END,
            "architecture": architecture,
            "settings": dict(settings),
            "sound_mean": float(sound_mean),
            "sound_std": float(sound_std),
        },
        indent=1,
    )
    FilterConfig.parse(text)
    return text.encode()


def _target_files(targets: Mapping[str, Path]) -> dict[str, bytes]:
    """The files of targets, each a folder or an ONNX file, as they lie in a filter folder."""
    files: dict[str, bytes] = {}
    for task, place in targets.items():
        inside = target_place(task)
        files |= {f"{inside}/target.onnx": place.read_bytes()} if place.is_file() else copy_files(place, inside)
    return files
