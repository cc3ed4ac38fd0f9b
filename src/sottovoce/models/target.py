"""The target: the useful recogniser that must keep working and is never modified, wherever it comes from."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn

from sottovoce.audio.segment import FRONT_END
from sottovoce.audio.spectrum import BINS, SEGMENT_FRAMES
from sottovoce.errors import ModelError
from sottovoce.files import LARGEST_JSON_BYTES, file_sha256, read_bytes, read_json
from sottovoce.graphs import session
from sottovoce.machine import usable_cores
from sottovoce.models.architectures import MOST_BYTES, restore
from sottovoce.models.checkpoint import folder_digest, read_folder, write_folder
from sottovoce.redaction import is_address

Array = NDArray[np.float32]
QUERIES = 20_000  # that `load_target` may ask of a recogniser that is not on this machine

_BATCH = 64
_RAREST = 1e-12  # of probabilities, below which a logarithm says no more


@dataclass(frozen=True)
class Target:
    """A frozen recogniser of one task: standardised log spectra [B, 161, 128] to logits [B, K].

    `differentiable` says whether gradients flow through `logits` to the spectra; `source` is where it was loaded from.
    """

    task: str
    classes: tuple[str, ...]
    differentiable: bool
    logits: Callable[[Tensor], Tensor]
    digest: str = ""
    source: Path | None = None
    card: Mapping[str, Any] | None = None

    def predict(self, spectra: Array) -> Array:
        """Logits [B, K] of spectra [B, 161, 128], without gradients, in batches."""
        with torch.no_grad():
            batches = [self.logits(torch.from_numpy(spectra[i : i + _BATCH])) for i in range(0, len(spectra), _BATCH)]
        return torch.cat(batches).numpy()


def vote(logits: Array, owner: NDArray[np.int64]) -> Array:
    """Scores [U, K] of utterances from the logits [S, K] of their segments; `owner` [S] says whose each is.

    As in the paper each segment has one vote for its class; equal counts are decided by the mean posterior, which adds
    less than one vote. The class of an utterance is the argmax.
    """
    posterior = np.exp(logits - logits.max(axis=1, keepdims=True))
    posterior /= posterior.sum(axis=1, keepdims=True)
    ballot = np.eye(logits.shape[1], dtype=np.float32)[logits.argmax(axis=1)]
    utterances = int(owner.max()) + 1
    scores = np.zeros((utterances, logits.shape[1]), np.float32)
    mean = np.zeros_like(scores)
    np.add.at(scores, owner, ballot)
    np.add.at(mean, owner, posterior / np.bincount(owner)[owner, None])
    return scores + 0.99 * mean


def _tried(target: Target) -> Target:
    """The same target, having answered one silent segment; ModelError where its answer does not fit its classes."""
    shape = target.predict(np.zeros((1, BINS, SEGMENT_FRAMES), np.float32)).shape
    if shape != (1, len(target.classes)):
        raise ModelError(f"the target gives scores {shape} for one segment; expected (1, {len(target.classes)}).")
    return target


def from_module(module: nn.Module, task: str, classes: Sequence[str]) -> Target:
    """A target from a torch module that maps [B, 161, 128] to [B, K]; it is put in evaluation mode and frozen."""
    module.eval().requires_grad_(False)
    digest = hashlib.sha256(save({k: v.contiguous() for k, v in module.state_dict().items()})).hexdigest()
    return _tried(Target(task, tuple(classes), True, module, digest))


def from_callable(function: Callable[[Array], Array], task: str, classes: Sequence[str]) -> Target:
    """A target from any function of numpy spectra [B, 161, 128] to scores [B, K]; it can only be queried."""

    def logits(spectra: Tensor) -> Tensor:
        scores = np.asarray(function(spectra.detach().numpy()), dtype=np.float32)
        if scores.shape != (len(spectra), len(classes)):
            expected = (len(spectra), len(classes))
            raise ModelError(f"the target returned scores of shape {scores.shape}; expected {expected}.")
        return torch.from_numpy(scores)

    return Target(task, tuple(classes), False, logits)


def from_classifier(model: Any, task: str, classes: Sequence[str], features: Callable[[Array], NDArray[Any]]) -> Target:
    """A target from a fitted scikit-learn classifier and the `features` [B, D] that it takes of spectra [B, 161, 128].

    `classes` name the model's own, in its order; ModelError where the model has others: `classes_` of a model that
    was fitted on names, or numbers from 0.
    """
    known = [str(name) for name in model.classes_]
    if known not in (list(classes), [str(i) for i in range(len(classes))]):
        raise ModelError(f"the classifier knows the classes {known}, in this order; got {list(classes)}.")
    return from_callable(lambda heard: np.log(model.predict_proba(features(heard)) + _RAREST), task, classes)


def from_onnx(path: Path) -> Target:
    """A target from an ONNX file [B, 161, 128] -> [B, K] whose metadata name `task` and `classes` (JSON)."""
    graph = session(path, usable_cores(), others=True)
    metadata = graph.get_modelmeta().custom_metadata_map
    try:
        task, classes = _named(metadata["task"], json.loads(metadata["classes"][:LARGEST_JSON_BYTES]))
    except (KeyError, ValueError, RecursionError) as error:
        raise ModelError(
            f"{path} does not say what it recognises: add metadata 'task' and 'classes' (JSON)."
        ) from error
    name = graph.get_inputs()[0].name

    def run(spectra: Array) -> Array:
        try:
            scores: Array = graph.run(None, {name: spectra})[0]
        except Exception as error:
            raise ModelError(f"{path} does not take spectra [B, {BINS}, {SEGMENT_FRAMES}] ({error}).") from error
        return scores

    queried = _tried(from_callable(run, task, classes))
    return Target(queried.task, queried.classes, False, queried.logits, file_sha256(path), path)


def _named(task: Any, classes: Any) -> tuple[str, tuple[str, ...]]:
    """Task and classes as a file names them; ValueError where these are no names."""
    names = [task, *classes] if isinstance(classes, list) else []
    if len(names) < 3 or not all(isinstance(name, str) for name in names):
        raise ValueError("it names no task and classes")
    return task, tuple(classes)


def load_target(place: Path | str) -> Target:
    """A target from a folder that `sottovoce target` wrote, from an ONNX file, or from text that is an address.

    What is behind http:// or https:// is asked at most `QUERIES` times. ModelError says what is wrong, ConfigError that
    an address is none of a target.
    """
    path, text = Path(place), str(place)
    # Where nothing of that name exists, a query or a user belongs to an address without a scheme.
    if is_address(text) or (re.search("[?@]", text) and not os.path.exists(path)):
        from sottovoce.models.remote import from_http  # which makes targets, and so imports this module

        return from_http(text, QUERIES)
    if path.suffix == ".onnx" and path.is_file():
        return from_onnx(path)
    card = read_folder(path, "target")
    try:
        config = read_json(path / "config.json")
        task, classes = _named(config["task"], config["classes"])
        if (trained := config.get("front_end", 1)) != FRONT_END:
            raise ModelError(
                f"{path} was trained with front end {trained!r}, this version has {FRONT_END}; train the target again."
            )
        weights = read_bytes(path / "weights.safetensors", MOST_BYTES)
        network = restore(config["architecture"], config["settings"], weights)
    except (KeyError, ValueError) as error:
        raise ModelError(f"{path} has no usable config.json and weights ({error}); train the target again.") from error
    target = from_module(network, task, classes)
    return Target(task, classes, True, target.logits, folder_digest(card), path, card)


def save_target(
    folder: Path,
    network: nn.Module,
    architecture: str,
    settings: Mapping[str, int],
    task: str,
    classes: Sequence[str],
    card: Mapping[str, Any],
) -> None:
    """Write a trained recogniser as a target folder, all or nothing."""
    config = {"front_end": FRONT_END, "architecture": architecture, "settings": dict(settings)}
    config |= {"task": task, "classes": list(classes)}
    weights = save({name: value.contiguous() for name, value in network.state_dict().items()})
    files = {"config.json": json.dumps(config, indent=1).encode(), "weights.safetensors": weights}
    write_folder(folder, "target", files, {"task": task, "classes": list(classes), **card})
