"""The script for SLURM runs shards: submitit's local executor stands for the batch system."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import sottovoce

submitit = pytest.importorskip("submitit")
ROOT = Path(sottovoce.__file__).parents[2]
SCRIPT = ROOT / "docs" / "cluster" / "audit.sbatch"


def shard(words: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(["bash", *words], env=environment, capture_output=True, text=True, check=False)
    return f"{done.returncode} {done.stdout} {done.stderr}"


def test_the_script_for_slurm_runs_one_shard_in_each_task(shaped: Any, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "sottovoce"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m sottovoce.cli "$@"\n')
    program.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
        "SLURM_ARRAY_TASK_COUNT": "2",
    }
    words = [str(SCRIPT), "command:cp {in} {out}", "--corpus", shaped.spec, "--out", str(tmp_path / "out")]
    words += ["--attackers", "quick", "--attacker", "linear", "--attack", "gender"]
    executor = submitit.AutoExecutor(folder=tmp_path / "logs", cluster="local")
    executor.update_parameters(timeout_min=10)
    jobs = [executor.submit(shard, words, environment | {"SLURM_ARRAY_TASK_ID": str(i)}) for i in (1, 2)]
    for number, job in enumerate(jobs, start=1):
        assert job.result().startswith(f"0 shard {number}/2 is complete"), job.result()
