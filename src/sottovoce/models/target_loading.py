"""Targets by name: folders of our own training, ONNX files, Python functions, HTTP services and plug-ins."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save
from torch import nn

from sottovoce import arguments
from sottovoce.audio.segment import FRONT_END
from sottovoce.audio.spectrum import SAMPLE_RATE, SEGMENT_SAMPLES, Wave
from sottovoce.errors import ModelError
from sottovoce.files import read_bytes, read_json
from sottovoce.models import remote, word_examples
from sottovoce.models.architectures import MOST_BYTES, restore
from sottovoce.models.checkpoint import folder_digest, read_folder, write_folder
from sottovoce.models.level import level_target
from sottovoce.models.speech import speech_target
from sottovoce.models.target import Array, Target, from_callable, from_module, tried
from sottovoce.models.target_metadata import TargetMetadata, TargetName, checked_names
from sottovoce.models.target_onnx import from_onnx
from sottovoce.models.yamnet import yamnet_target
from sottovoce.plugins import Registry
from sottovoce.redaction import is_address

QUERIES = 20_000  # that `load_target` may ask of a recogniser that is not on this machine
# Each makes a target of what follows NAME:, a `TargetName`.
TARGETS: Registry[Callable[[str], Target]] = Registry(
    "targets", "target", {"level": level_target, "speech": speech_target, "yamnet": yamnet_target}
)

_SIGNALS = 128  # exit statuses above this stand for a signal
_FUNCTION = re.compile(r"([^\W\d][\w.]*):([^\W\d]\w*)")


def load_target(place: Path | str) -> Target:
    """The target that text or a path names; a `TargetName` adds what the target does not state itself.

    It is a folder that `sottovoce target` wrote, an ONNX file, an address (`http://` or `https://`), of which at most
    `QUERIES` segments are asked, NAME:ARGUMENT of a plug-in, or MODULE:FUNCTION in Python, which is imported: name only
    code that you trust. ModelError for what is no target, ConfigError for an address that is none.
    """
    path, text = arguments.path(place, "target"), str(place)
    given = place.metadata if isinstance(place, TargetName) else TargetMetadata()
    # Where nothing of that name exists, a query or a user belongs to an address without a scheme.
    if is_address(text) or (re.search("[?@]", text) and not os.path.exists(path)):
        target = remote.from_http(text, QUERIES)
    elif os.path.isfile(path):
        return from_onnx(path, given)
    elif os.path.exists(path):
        target = _from_folder(path)
    elif (name := text.partition(":")[0]) != text and name in TARGETS:
        target = tried(TARGETS[name](TargetName.of(text.removeprefix(f"{name}:"), given)))
        target = replace(target, source=None, digest=target.digest or _known_by(target, text, TARGETS.version(name)))
    elif _FUNCTION.fullmatch(text):
        return from_function(text, given)
    else:
        raise ModelError(
            f"there is no file or folder {text}; name a target's folder, an ONNX file, http://HOST/PATH, or "
            "MODULE:FUNCTION in Python."
        )
    TargetMetadata(target.task, target.classes, target.sample_rate).completed(given, text)
    return target


def from_function(text: str, metadata: TargetMetadata) -> Target:
    """A target from the Python function MODULE:FUNCTION of sound [B, T], float32, and its rate in Hz to scores [B, K].

    The module is an installed one, or one in the working directory. ModelError for one that cannot be imported.
    """
    task, classes = metadata.names(text)
    module, name = text.split(":")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # last: what is installed keeps its names
    try:
        with redirect_stdout(sys.stderr):  # standard output is for results
            function = getattr(importlib.import_module(module), name)
    except (Exception, SystemExit) as error:  # whatever a module does when it is imported
        _pass_on_signal(error)
        raise ModelError(
            f"{text} cannot be imported ({type(error).__name__}: {error}); name a function of an installed module or "
            "of one in the working directory, as MODULE:FUNCTION."
        ) from error

    def called(waves: Wave, rate: int) -> Array:
        try:
            with redirect_stdout(sys.stderr):
                return np.asarray(function(waves, rate))
        except (Exception, SystemExit) as error:
            _pass_on_signal(error)
            raise ModelError(
                f"{text} failed on sound {waves.shape} at {rate} Hz ({type(error).__name__}: {error}); expected scores "
                f"({len(waves)}, {len(classes)}): correct it."
            ) from error

    target = tried(from_callable(called, task, classes, "wave", metadata.sample_rate or SAMPLE_RATE))
    try:
        source = inspect.getsource(sys.modules[module])
    except (OSError, TypeError):
        source = ""
    return replace(target, digest=_known_by(target, text, source))


def _pass_on_signal(error: BaseException) -> None:
    """Raise again what ends this program because of a signal; what else a function raises is its own failure."""
    if isinstance(error, SystemExit) and isinstance(error.code, int) and error.code > _SIGNALS:
        raise error


def _known_by(target: Target, *parts: str) -> str:
    """A digest of code: of what names it, and of its answers to noise, since what it loads may change behind that."""
    noise = 0.1 * np.random.default_rng(0).standard_normal((2, SEGMENT_SAMPLES), dtype=np.float32)
    names = json.dumps([*parts, target.task, target.classes, target.sample_rate]).encode()
    return hashlib.sha256(names + target.predict_sound(noise).tobytes()).hexdigest()


def _from_folder(path: Path) -> Target:
    card = read_folder(path, "target")
    try:
        config = read_json(path / "config.json")
        task, classes = checked_names(config["task"], config["classes"])
        weights = read_bytes(path / "weights.safetensors", MOST_BYTES)
        if config["architecture"] == word_examples.ARCHITECTURE:
            target = tried(word_examples.restored(config["settings"], weights).target(task, classes))
            return replace(target, digest=folder_digest(card), source=path, card=card)
        if (trained := config.get("front_end", 1)) != FRONT_END:
            raise ModelError(
                f"{path} was trained with front end {trained!r}, this version has {FRONT_END}; train the target again."
            )
        network = restore(config["architecture"], config["settings"], weights)
    except (KeyError, ValueError) as error:
        raise ModelError(f"{path} has no usable config.json and weights ({error}); train the target again.") from error
    return replace(from_module(network, task, classes), digest=folder_digest(card), source=path, card=card)


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
