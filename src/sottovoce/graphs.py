"""ONNX graphs: read as what strangers may have written, and run by onnxruntime on the processor, within bounds.

The one place that imports onnxruntime. Its telemetry is turned off by the package itself, before anything is imported.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event, Thread
from typing import Any

import onnxruntime

from sottovoce.errors import ModelError
from sottovoce.onnx_file import LARGEST_BYTES, check

LONGEST_RUN_S = 600.0  # of a graph of another maker, each time
LONGEST_FILTER_RUN_S = 60.0  # of a filter's graph, each time
_MOST_COMPUTED = 1 << 30  # bytes of constants that are computed when a graph is loaded


class Session(onnxruntime.InferenceSession):  # type: ignore[misc]
    """A graph that is run within bounds of memory and of time: `limit_s`, looked at every second between operators."""

    name = "the ONNX model"
    limit_s = LONGEST_FILTER_RUN_S

    def run(self, outputs: Sequence[str] | None, inputs: Mapping[str, Any], options: Any = None) -> list[Any]:
        """The arrays that the graph gives for `inputs`; ModelError where it fails, or takes too long."""
        options = options or onnxruntime.RunOptions()
        if not _watcher.is_alive():  # the first run of this process, also where it is a copy of another
            _start_watcher()
        run = object()
        _running[run] = time.monotonic() + self.limit_s, options
        try:
            return list(super().run(outputs, inputs, options))
        except Exception as error:  # onnxruntime raises many kinds, all bare
            late = f"it took more than {self.limit_s} s" if options.terminate else _reason(error)
            raise ModelError(f"{self.name} cannot be run on this input ({late}); export it again.") from error
        finally:
            del _running[run]


_running: dict[object, tuple[float, Any]] = {}  # when each run is to be over, and its options
_watcher = Thread()


def _start_watcher() -> None:
    """Start the one thread that ends runs which take too long: a timer for each run costs more than a short run."""
    global _watcher
    _watcher = Thread(target=_watch, name="limit of runs", daemon=True)
    _watcher.start()


def _watch() -> None:
    tick = Event()  # never set
    while not tick.wait(1.0):
        for end, options in list(_running.values()):
            if time.monotonic() > end:
                options.terminate = True


def session(model: str | os.PathLike[str] | bytes, threads: int = 1, others: bool = False) -> Session:
    """An ONNX graph, from a file or its bytes, on `threads` threads of the processor, of operators that end.

    With `others` it may hold branches and what recognisers of other makers have, and run for ten minutes at most.
    ModelError if it is no such graph.
    """
    name = "the ONNX model" if isinstance(model, bytes) else str(model)
    try:
        if not isinstance(model, bytes) and Path(model).stat().st_size > LARGEST_BYTES:
            raise ModelError(f"{name} is not a file of at most 1 GiB; name an ONNX graph that is.")
        content = model if isinstance(model, bytes) else Path(model).read_bytes()
    except OSError as error:
        raise ModelError(f"{name} is not a usable ONNX graph ({type(error).__name__}); export it again.") from error
    facts = check(content, name, others)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # whatever is wrong is raised as well
    entries = {
        "session.intra_op.allow_spinning": "0",  # leave the core to the application
        "session.load_model_format": "ONNX",  # and no other, which `check` would not have read
        "session.use_env_allocators": "1",
        "optimization.constant_folding_max_output_size_in_bytes": str(_MOST_COMPUTED // facts.nodes),  # for each
    }
    if b"QuantizeLinear" not in content:  # only weights are in 8 bits: unpack them now and not at every step
        entries["session.disable_quant_qdq"] = "1"
    for key, value in entries.items():
        options.add_session_config_entry(key, value)
    _bound_memory()
    try:
        # Nothing limits how long onnxruntime computes constants; with quick operators it is known before.
        kept_back = [] if facts.quick and not others else ["ConstantFolding"]
        opened = Session(content, options, providers=["CPUExecutionProvider"], disabled_optimizers=kept_back)
    except Exception as error:  # onnxruntime raises many kinds, all bare
        raise ModelError(f"{name} is not a usable ONNX graph ({_reason(error)}); export it again.") from error
    opened.name, opened.limit_s = name, LONGEST_RUN_S if others else LONGEST_FILTER_RUN_S
    return opened


@functools.cache
def _bound_memory() -> None:
    """Give all graphs of this process one pool of memory, half of the machine's."""
    try:
        most = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):  # not POSIX
        most = 4 << 30
    kind, use = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, onnxruntime.OrtMemType.DEFAULT
    arena = onnxruntime.OrtArenaCfg(most, -1, -1, -1)
    onnxruntime.create_and_register_allocator(onnxruntime.OrtMemoryInfo("Cpu", kind, 0, use), arena)


def _reason(error: Exception) -> str:
    """The message of onnxruntime, in one short line without the places in its own source."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {ascii(lines[0].rpartition(' : ')[2][:160])[1:-1]}"
