"""A target from an ONNX file of another maker, which takes sound or the standardised spectra of the front end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sottovoce.audio.spectrum import BINS, SAMPLE_RATE, SEGMENT_FRAMES, Wave
from sottovoce.corpora.store import cache_folder
from sottovoce.errors import ModelError
from sottovoce.files import LARGEST_JSON_BYTES, file_sha256, read_bytes, write_file
from sottovoce.graphs import Session, session
from sottovoce.machine import usable_cores
from sottovoce.models.target import Target, from_callable, tried
from sottovoce.models.target_metadata import TargetMetadata, checked_names, checked_rate
from sottovoce.onnx_file import LARGEST_BYTES, with_metadata

Array = NDArray[np.float32]

_FORMS = f"float32 sound [B, T] or [B, 1, T], or spectra [B, {BINS}, {SEGMENT_FRAMES}]"


def from_onnx(path: Path, given: TargetMetadata | None = None) -> Target:
    """A target from an ONNX file that maps sound [B, T] or [B, 1, T], or spectra [B, 161, 128], to scores [B, K].

    The metadata of the file name `task`, `classes` (JSON) and, for sound, `sample_rate` in Hz (16000 if nothing states
    it); `given` states what they do not. B may be free or 1. Where T is a number, the target gets the first T samples
    of each segment of 1.28 s, and zeros after its end. ModelError for a file of another form.
    """
    graph = session(path, usable_cores(), others=True)
    own = _stated(graph, path)
    metadata = own.completed(given or TargetMetadata(), path)
    task, classes = metadata.names(path)
    entry = graph.get_inputs()[0]
    axes: list[Any] = list(entry.shape)
    if entry.type != "tensor(float)" or len(axes) not in (2, 3):
        raise ModelError(f"{path} takes {entry.type} {axes}; expected {_FORMS}: export it so.")

    def run(inputs: Array) -> Array:
        size = 1 if axes[0] == 1 else max(1, len(inputs))
        try:
            parts = [graph.run(None, {entry.name: inputs[i : i + size]})[0] for i in range(0, len(inputs), size)]
        except ModelError as error:
            raise ModelError(f"{path} does not take {_FORMS} ({error}).") from error
        return np.concatenate(parts) if parts else np.zeros((0, len(classes)), np.float32)

    if len(axes) == 3 and axes[1] != 1:
        TargetMetadata(sample_rate=SAMPLE_RATE).completed(metadata, path)  # that of the front end
        target = from_callable(run, task, classes)
    else:
        target = from_callable(_of_sound(run, axes), task, classes, "wave", metadata.sample_rate or SAMPLE_RATE)
    source = path if own == metadata else _described(path, own, metadata)
    return replace(tried(target), digest=file_sha256(source), source=source)


def _of_sound(run: Callable[[Array], Array], axes: list[Any]) -> Callable[[Wave, int], Array]:
    """`run` on sound of any length, by the axes of the graph's input."""

    def function(waves: Wave, _: int) -> Array:
        samples = axes[-1] if isinstance(axes[-1], int) else waves.shape[1]
        fitted = np.pad(waves[:, :samples], ((0, 0), (0, max(0, samples - waves.shape[1]))))
        return run(fitted[:, None] if len(axes) == 3 else fitted)

    return function


def _stated(graph: Session, path: Path) -> TargetMetadata:
    """What the metadata of a graph state; ModelError for what is none."""
    known = graph.get_modelmeta().custom_metadata_map
    try:
        classes = json.loads(known["classes"][:LARGEST_JSON_BYTES]) if "classes" in known else None
        if classes is not None:
            checked_names(known.get("task", "any task"), classes)
        rate = checked_rate(int(known["sample_rate"])) if "sample_rate" in known else None
    except (ValueError, RecursionError) as error:
        raise ModelError(
            f"{path} has unusable metadata ({error}); expected 'task', 'classes' (a JSON list of names) and "
            "'sample_rate' (in Hz): correct them."
        ) from error
    return TargetMetadata(known.get("task"), classes and tuple(classes), rate)


def _described(path: Path, own: TargetMetadata, metadata: TargetMetadata) -> Path:
    """A copy of an ONNX file in the cache that states `metadata` itself, for the folders of filters that keep it."""
    missing = {name: value for name, value in asdict(metadata).items() if getattr(own, name) is None and value}
    texts = {name: json.dumps(value) if name == "classes" else str(value) for name, value in missing.items()}
    content = with_metadata(read_bytes(path, LARGEST_BYTES), texts)
    copy = cache_folder() / "targets" / f"{hashlib.sha256(content).hexdigest()}.onnx"
    write_file(copy, content)
    return copy
