"""The obfuscator as it ships: an ONNX graph, run by onnxruntime on the processor."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime

from sottovoce.audio.spectrum import BINS, SEGMENT_FRAMES, Spectrum
from sottovoce.errors import ModelError

INPUT = "spectrum"
OUTPUT = "obfuscated"
BATCH = 16  # segments at once: enough to keep a core busy, 20 MiB for every 16 channels of a layer


class Engine(Protocol):
    """Whatever turns spectra [S, 161, 128] into obfuscated ones of the same shape, each by itself."""

    def run(self, spectra: Spectrum) -> Spectrum: ...


class OnnxEngine:
    """An obfuscator [B, 161, 128] -> [B, 161, 128] from an ONNX file or its bytes, on `threads` threads.

    Nothing is remembered from one segment to the next. ModelError if it is not such a graph.
    """

    def __init__(self, model: str | os.PathLike[str] | bytes, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # leave the core to the application
        name = "the ONNX model" if isinstance(model, bytes) else str(model)
        try:
            content = model if isinstance(model, bytes) else Path(model).read_bytes()
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises many kinds, all bare
            raise ModelError(f"{name} is not a usable ONNX graph ({type(error).__name__}); export it again.") from error
        for ports, expected in ((self._session.get_inputs(), INPUT), (self._session.get_outputs(), OUTPUT)):
            found = [(port.name, port.type, port.shape[1:]) for port in ports]
            if found != [(expected, "tensor(float)", [BINS, SEGMENT_FRAMES])]:
                wanted = f"one float tensor '{expected}' [batch, {BINS}, {SEGMENT_FRAMES}]"
                raise ModelError(f"{name} takes or gives {found}; expected {wanted}: export it again.")

    def run(self, spectra: Spectrum) -> Spectrum:
        """Obfuscated spectra [S, 161, 128] of standardised log spectra [S, 161, 128], in batches."""
        obfuscated = np.empty_like(spectra)
        for start in range(0, len(spectra), BATCH):
            batch = np.ascontiguousarray(spectra[start : start + BATCH], dtype=np.float32)
            obfuscated[start : start + BATCH] = self._session.run([OUTPUT], {INPUT: batch})[0]
        return obfuscated
