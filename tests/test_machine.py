"""Cores are counted as a process may use them, not as the machine has them."""

import os
import subprocess
import sys

import pytest

from sottovoce.machine import usable_cores

V1 = "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n"


@pytest.fixture(autouse=True)
def eight(monkeypatch):
    monkeypatch.setattr(os, "process_cpu_count", lambda: 8, raising=False)


def tree(root, files):
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


@pytest.mark.parametrize(
    ("cores", "files"),
    [
        (8, {}),
        (8, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}),
        (2, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"}),
        (3, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "250000 100000\n"}),
        (1, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "5000 100000\n"}),
        (8, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "6400000 100000\n"}),
        (4, {"proc/self/cgroup": "0::/a.slice/b.scope\n", "sys/fs/cgroup/a.slice/cpu.max": "400000 100000\n"}),
        (1, {"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "100000 100000\n"}),
        (2, {"proc/self/cgroup": "0::/../../x\n", "sys/fs/cgroup/cpu.max": "200000\n"}),
        (8, {"proc/self/cgroup": "nonsense", "sys/fs/cgroup/cpu.max": "\x00"}),
        (8, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "100000 0\n"}),
        (
            2,
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "150000\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
        ),
        (
            5,
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us": "250000\n",
                "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us": "50000\n",
            },
        ),
        (
            8,
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
        ),
    ],
)
def test_a_control_group_bounds_the_cores(tmp_path, cores, files):
    assert usable_cores(tree(tmp_path, files)) == cores


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_a_process_bound_to_one_core_has_one_core():
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from sottovoce.machine import usable_cores; from sottovoce import doctor;"
        "print(usable_cores(), '1 core' in doctor.examine()['machine'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "True"]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_the_default_of_workers_is_the_cores_that_may_be_used():
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "import inspect; from sottovoce.cli.audit import audit;"
        "print(inspect.signature(audit).parameters['workers'].default)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
