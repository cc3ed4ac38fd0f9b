"""A trained obfuscator to what ships: an ONNX graph, compared with the network it came from, in a filter folder."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from sottovoce.audio.segment import FRONT_END, front_end
from sottovoce.audio.spectrum import BINS, SEGMENT_FRAMES, SEGMENT_SAMPLES
from sottovoce.errors import ParityError
from sottovoce.graphs import session
from sottovoce.models.checkpoint import copy_files, path_part, write_folder
from sottovoce.models.codebook import Codebook
from sottovoce.models.codewords import describe
from sottovoce.models.digit_codes import BLOCK_FRAMES
from sottovoce.models.digit_encoder import DigitEncoder
from sottovoce.models.onnx_graph import traced
from sottovoce.models.whole import STATE, CodewordDecoder, FrontEnd
from sottovoce.models.word_table import WordTable
from sottovoce.runtime import latent
from sottovoce.runtime.engine import CODEBOOK, INPUT, OUTPUT, SCORES, SOUND, TAKES_SOUND, WORDS, FilterConfig, Graph
from sottovoce.runtime.filter import Filter
from sottovoce.runtime.word_filter import AFTER, BEFORE, BLOCK_CODES, BLOCK_INPUT

JUDGES = "judges"  # the folder, in that of a filter, of recognisers that its training never asked
TOLERANCE = 1e-3  # of spectra of unit deviation; rounding alone makes 1e-5

_STEPS = 500  # of a graph with a state, compared


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
    return _checked(Dithered(_frozen(network)).eval(), OUTPUT, (BINS, SEGMENT_FRAMES))


def encoder_to_onnx(encoder: nn.Module, classes: int, takes_sound: bool = False) -> bytes:
    """An ONNX graph, batch axis free, of an encoder [B, 161, 128] -> log posteriors [B, C], C = `classes`.

    With `takes_sound` it is one of sound [B, 20480]. ModelError if it does not give what the encoder gives.
    """
    if not takes_sound:
        return _checked(_frozen(encoder), SCORES, (classes,))
    shipped, shape = _frozen(encoder), (SEGMENT_SAMPLES,)
    graph = _exported(shipped, SCORES, SOUND, shape)
    given = 0.1 * torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    _compare(shipped, Graph(graph, SCORES, (classes,), 1, SOUND, shape), [given, given[:1], torch.zeros_like(given)])
    return graph


def _frozen(network: nn.Module) -> nn.Module:
    return copy.deepcopy(network).cpu().eval()


def _checked(network: nn.Module, output: str, shape: Sequence[int]) -> bytes:
    graph = _exported(network, output)
    check_parity(network, Graph(graph, output, shape))
    return graph


def save_latent(
    folder: Path,
    sender: nn.Module,
    config: FilterConfig,
    readers: Mapping[str, nn.Module],
    card: Mapping[str, Any],
    targets: Mapping[str, Path],
    unprotected: nn.Module | None = None,
) -> dict[str, Any]:
    """Write a filter of latents as a folder, all or nothing; returns its card as written. See `save_filter`.

    `sender` maps what `latent.sender_input` names for `config` to latents, each of `readers` maps latents to logits.
    `unprotected` gives the latents that there were without protection, which an uninformed attacker learns from.
    """
    name, shape = latent.sender_input(config)
    width = config.settings["latent"]
    shipped = _frozen(sender)
    graph = _exported(shipped, latent.LATENT, name, shape)
    given = torch.rand(3, *shape, generator=torch.Generator().manual_seed(0))
    _compare(shipped, Graph(graph, latent.LATENT, (width,), 1, name, shape), [given, given[:1]])
    files = {}
    if unprotected is not None:
        files[latent.UNPROTECTED] = _exported(_frozen(unprotected), latent.LATENT, name, shape)
    for task, reader in readers.items():
        posteriors = nn.Sequential(_frozen(reader), nn.LogSoftmax(dim=1))
        files[latent.reader_place(task)] = _exported(posteriors, SCORES, latent.LATENT, (width,))
    return _saved(folder, config, card, targets, graph, files)


def _exported(
    network: nn.Module, output: str, name: str = INPUT, shape: Sequence[int] = (BINS, SEGMENT_FRAMES)
) -> bytes:
    return traced(network, (torch.ones(2, *shape),), [name], [output], True)


def check_parity(network: nn.Module, graph: Graph) -> float:
    """The largest difference between a network and its ONNX graph, over noise and silence, one segment and three.

    ModelError if it is more than `TOLERANCE`, or not a number.
    """
    noise = torch.randn(3, BINS, SEGMENT_FRAMES, generator=torch.Generator().manual_seed(0))
    return _compare(network, graph, [noise, noise[:1], torch.zeros_like(noise), torch.zeros_like(noise[:1])])


def _compare(network: nn.Module, graph: Graph, inputs: Sequence[torch.Tensor]) -> float:
    """The largest difference over these inputs."""
    worst = 0.0
    for spectra in inputs:
        with torch.no_grad():
            expected = network(spectra).numpy()
        worst = float(np.maximum(worst, np.abs(graph.run(spectra.numpy()) - expected).max()))  # NaN stays NaN
    if not worst <= TOLERANCE:
        raise ParityError(f"the ONNX graph is off by {worst:.2g}, more than {TOLERANCE}; try another version of torch.")
    return worst


def whole(loaded: Filter, graph: bytes) -> bytes:
    """One ONNX graph from sound at 16 kHz to what leaves a filter, without any code around it; `graph` is its own.

    Of a codebook `sound` [k, 20480], a block, and `permit` [T] (1: permitted, 0: revoked) become `heard` [20480 k],
    5 ms late; `heard_so_far`, `blocks` and `tail` are its state, zeros at first, and go in and come out (with `_after`
    in their names). Of an obfuscator, segments [B, 20480] become the spectra [B, 161, 128]. ConfigError for a filter
    of another kind or with so many codewords that the graph would be larger than its purpose bears.
    """
    from onnx import compose, load_from_string

    book = loaded.engine.decoder()
    joined = _from_sound(loaded, graph)
    if book is not None:
        decoder = CodewordDecoder(book)
        state = decoder.initial_state()
        inputs = (torch.zeros(book.block_segments, book.classes), torch.ones(len(book.tasks)), *state.values())
        names = ["log_posteriors/whole", "permit", *STATE]
        last = load_from_string(traced(decoder, inputs, names, ["heard", *(f"{name}_after" for name in STATE)]))
        last = compose.add_prefix(last, "last/", rename_inputs=False, rename_outputs=False)
        last.ir_version = joined.ir_version
        joined = compose.merge_models(joined, last, io_map=[(SCORES, "log_posteriors/whole")])
    if text := describe(loaded.card):  # the graph travels without its card
        joined.metadata_props.add(key="codewords", value=text)
    return bytes(joined.SerializeToString())


def from_sound(loaded: Filter, graph: bytes) -> bytes:
    """One ONNX graph from segments `sound` [B, 20480] at 16 kHz to what `graph`, that of a filter, gives for them."""
    return bytes(_from_sound(loaded, graph).SerializeToString())


def _from_sound(loaded: Filter, graph: bytes) -> Any:
    """The front end and the graph of a filter, joined as an ONNX model; a graph that takes sound needs no front end."""
    from onnx import compose, load_from_string

    own = load_from_string(graph)
    del own.graph.value_info[:]  # shapes of what flows in it, which may name its output, and so rename it
    own = compose.add_prefix(own, "own/", rename_inputs=False, rename_outputs=False)
    if loaded.config.settings.get(TAKES_SOUND):
        return own
    front = load_from_string(
        traced(FrontEnd(), (torch.zeros(2, SEGMENT_SAMPLES),), ["sound"], ["spectrum/whole"], True)
    )
    front = compose.add_prefix(front, "front/", rename_inputs=False, rename_outputs=False)
    own.ir_version = front.ir_version = max(own.ir_version, front.ir_version)
    return compose.merge_models(front, own, io_map=[("spectrum/whole", INPUT)])


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
    config = FilterConfig(FRONT_END, architecture, settings, sound_mean, sound_std)
    weights = save({name: value.contiguous() for name, value in obfuscator.state_dict().items()})
    return _saved(folder, config, card, targets, to_onnx(obfuscator), {"weights.safetensors": weights})


def save_codebook(
    folder: Path,
    encoder: nn.Module,
    codebook: Codebook,
    sound_mean: float,
    sound_std: float,
    card: Mapping[str, Any],
    targets: Mapping[str, Path],
    others: Mapping[str, bytes] = MappingProxyType({}),
    takes_sound: bool = False,
) -> dict[str, Any]:
    """Write a codebook filter as a folder, all or nothing; returns its card as written. See `save_filter`.

    `others` are further files of the folder. With `takes_sound` the encoder takes sound [B, 20480], and not spectra.
    """
    config = FilterConfig(FRONT_END, CODEBOOK, {TAKES_SOUND: int(takes_sound)}, sound_mean, sound_std)
    graph = encoder_to_onnx(encoder, codebook.classes, takes_sound)
    return _saved(folder, config, card, targets, graph, {"codebook.npz": codebook.to_bytes(), **others})


def save_words(folder: Path, encoder: DigitEncoder, table: WordTable, card: Mapping[str, Any]) -> dict[str, Any]:
    """Write a filter of words as a folder, all or nothing; returns its card as written. See `save_filter`."""
    config = FilterConfig(FRONT_END, WORDS, {}, 0.0, 1.0)
    return _saved(folder, config, card, {}, words_to_onnx(encoder), {"words.npz": table.to_bytes()})


def _saved(
    folder: Path,
    config: FilterConfig,
    card: Mapping[str, Any],
    targets: Mapping[str, Path],
    graph: bytes,
    others: Mapping[str, bytes],
) -> dict[str, Any]:
    """Write the files of a filter, and targets as they lie in a filter folder; ModelError for what cannot be read."""
    numbers = {"sound_mean": float(config.sound_mean), "sound_std": float(config.sound_std)}
    text = json.dumps({**vars(config), "settings": dict(config.settings), **numbers}, indent=1)
    FilterConfig.parse(text)
    files = {"config.json": text.encode(), **others, "filter.onnx": graph}
    for task, place in targets.items():
        inside = target_place(task)
        files |= {f"{inside}/target.onnx": place.read_bytes()} if place.is_file() else copy_files(place, inside)
    return write_folder(folder, "filter", files, card)


class _Step(nn.Module):
    """`DigitEncoder.step` with its state in order, for a graph."""

    def __init__(self, encoder: DigitEncoder) -> None:
        super().__init__()
        self.encoder, self.names = encoder, tuple(encoder.initial_state(1))

    def forward(self, frames: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        codes, after = self.encoder.step(frames, dict(zip(self.names, state, strict=True)))
        return (codes, *(after[name] for name in self.names))


def words_to_onnx(encoder: DigitEncoder) -> bytes:
    """An ONNX graph of one step of 40 ms, frames [1, 161, 4] to its code, the state in and out by name.

    ParityError if over 20 s of noise a code or the state differs from that of the encoder.
    """
    step = _Step(copy.deepcopy(encoder).cpu()).eval()
    state = tuple(step.encoder.initial_state(1).values())
    takes = [BLOCK_INPUT, *(BEFORE + name for name in step.names)]
    gives = [BLOCK_CODES, *(AFTER + name for name in step.names)]
    graph = traced(step, (torch.zeros(1, BINS, BLOCK_FRAMES), *state), takes, gives)
    running, before = session(graph), dict(zip(takes[1:], (part.numpy() for part in state), strict=True))
    rng = np.random.default_rng(0)
    for _ in range(_STEPS):
        frames = np.abs(rng.standard_normal((1, BINS, BLOCK_FRAMES), dtype=np.float32))
        with torch.no_grad():
            code, *state_after = step(torch.from_numpy(frames), *state)
        result, *after = running.run(gives, {BLOCK_INPUT: frames, **before})
        worst = max(float(np.abs(one - other.numpy()).max()) for one, other in zip(after, state_after, strict=True))
        if result[0, 0] != code[0, 0] or not worst <= TOLERANCE:
            raise ParityError(f"the encoder's graph is off by {worst:.2g}; try another version of torch.")
        state, before = tuple(state_after), dict(zip(before, after, strict=True))
    return graph
