"""No memory that holds sound is written to disk when a process crashes."""

from __future__ import annotations

import ctypes

try:
    import resource
except ImportError:  # Windows, which has no core dumps
    resource = None  # type: ignore[assignment]

_PR_SET_DUMPABLE = 4  # of linux/prctl.h


def forbid_core_dumps() -> None:
    """Forbid core dumps of this process, and by their size limit those of the programs that it starts."""
    if resource is None:
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The limit does not hold where a crash is piped to a program (core(5)); this flag does. Only Linux has it.
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
