"""How much of this machine a process may use."""

from __future__ import annotations

import ctypes
import math
import os
import platform
from collections.abc import Iterator
from pathlib import Path


def usable_cores(root: Path = Path("/")) -> int:
    """How many cores may be kept busy: those that the process may run on, or as many as its control group pays for.

    Both are less than what the machine has in a container, a batch job and under `taskset`. `root` is where /proc and
    /sys are. At least 1.
    """
    if hasattr(os, "process_cpu_count"):
        cores = os.process_cpu_count() or 1
    elif hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min([cores, *(math.ceil(quota) for quota in _quotas(root))]))


def _quotas(root: Path) -> Iterator[float]:
    """The cores that each control group above this process allows, where it has a limit; version 2, then 1."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, name = rest.partition(":")
        if number == "0" and not controllers:
            for group in _upwards(root / "sys/fs/cgroup", name):
                yield from _quota(*(_text(group / "cpu.max").split() or ["max"]))
        elif "cpu" in controllers.split(","):
            for mount in (controllers, "cpu"):
                for group in _upwards(root / "sys/fs/cgroup" / mount, name):
                    yield from _quota(_text(group / "cpu.cfs_quota_us"), _text(group / "cpu.cfs_period_us"))


def _upwards(mount: Path, name: str) -> Iterator[Path]:
    """The folder of a group, of those above it, and the mount itself, which is all that a container may see."""
    group = mount / name.lstrip("/")
    yield from [place for place in (group, *group.parents) if place.is_relative_to(mount) and ".." not in place.parts]


def _quota(quota: str, period: str = "100000") -> Iterator[float]:
    """Time of cores in each period; nothing for "max", -1, and what is not there."""
    if quota.strip().isdecimal() and period.strip().isdecimal() and int(period) > 0 and int(quota) > 0:
        yield int(quota) / int(period)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def processor() -> str:
    """What the processor calls itself."""
    lines = _text(Path("/proc/cpuinfo")).splitlines()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


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
