"""A cluster gives what one machine gives, whatever dies and wherever disks are; only the scheduler is called."""

import http.server
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from joblib.parallel import get_active_backend

import sottovoce
from sottovoce.audit.cached_jobs import JobResult, run_jobs
from sottovoce.cluster import _Sent, connected
from sottovoce.cluster_worker import Answer
from sottovoce.corpora.store import build_once
from sottovoce.errors import ConfigError
from sottovoce.experiments import runner
from sottovoce.parallel import discard_copies

distributed = pytest.importorskip("distributed")
dask = pytest.importorskip("dask")
ROOT = Path(sottovoce.__file__).parents[1]
HERE = Path(__file__).parent
UNSHARE = ["unshare", "--mount", "--map-root-user"]
APART = shutil.which("unshare") is not None and subprocess.run([*UNSHARE, "true"], capture_output=True).returncode == 0
pytestmark = pytest.mark.skipif(not APART, reason="this system gives no process disks of its own")


def silent(done: int, total: int, note: str) -> None:
    pass


class Cluster:
    """A scheduler and workers, each worker with a cache of its own and without the folder `hidden` of the caller."""

    def __init__(self, folder: Path, hidden: Path) -> None:
        self.folder, self.hidden = folder, hidden
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        self.running: list[subprocess.Popen[bytes]] = []
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", self.address.rpartition(":")[2])

    def _start(self, *words: str, mounts: str = "", cache: Path | None = None) -> subprocess.Popen[bytes]:
        command = shlex.join([sys.executable, "-m", "dask", *words, "--no-dashboard"])
        script = f"mount -t tmpfs none {shlex.quote(str(self.hidden))} && {mounts} exec {command}"
        environment = os.environ | {
            "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}",
            "SOTTOVOCE_CACHE": str(cache or self.folder / "none"),
            "DASK_DISTRIBUTED__SCHEDULER__WORKER_SATURATION": "1.0",
        }
        with (self.folder / f"log-{words[0]}").open("ab") as log:
            started = subprocess.Popen(
                [*UNSHARE, "sh", "-c", script], stdout=log, stderr=log, env=environment, start_new_session=True
            )
        self.running.append(started)
        return started

    def worker(self, name: str, *words: str, mounts: str = "") -> Path:
        """Start a worker; its cache."""
        cache = self.folder / name
        cache.mkdir(mode=0o700)
        place = self.folder / f"{name}-scratch"
        more = ["--nthreads", "1", *words, "--local-directory", str(place), "--host", "127.0.0.1"]
        self._start("worker", self.address, *more, mounts=mounts, cache=cache)
        return cache

    def restart(self) -> None:
        """Kill the scheduler, and start another at its address."""
        self._end(self.scheduler)
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", self.address.rpartition(":")[2])

    def kill_workers(self) -> None:
        """Kill all processes but the scheduler."""
        for process in self.running:
            if process is not self.scheduler:
                self._end(process)

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def end(self) -> None:
        for process in self.running:
            self._end(process)


@pytest.fixture
def hidden(tmp_path) -> Path:
    """A folder that workers do not see."""
    (tmp_path / "hidden").mkdir()
    return tmp_path / "hidden"


@pytest.fixture
def cluster(tmp_path, hidden, monkeypatch) -> Iterator[Cluster]:
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(HERE))
    (tmp_path / "log").write_text("")
    with ExitStack() as stack:
        made = Cluster(tmp_path, hidden)
        stack.callback(made.end)
        yield made


@pytest.fixture
def view(cluster, hidden) -> Path:
    """What jobs read, 20 MB."""

    def build(folder: Path) -> None:
        (folder / "part").mkdir()
        np.save(folder / "part" / "x.npy", np.arange(5_000_000, dtype=np.float32))

    return build_once(hidden / "observed" / "view-0123", build)


def jobs(cluster: Cluster, count: int, *inputs: Path, **more: Any) -> list[Any]:
    from counted_jobs import Counted

    return [Counted(i, cluster.folder / "log", inputs, **more) for i in range(count)]


def sums(results: list[JobResult]) -> list[list[float]]:
    assert not any(result.error for result in results), [result.error for result in results]
    return [result.arrays["sum"].tolist() for result in results]


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_workers_with_other_disks_compute_and_the_caller_keeps(cluster, view, tmp_path):
    caches = [cluster.worker("one", "--nworkers", "2"), cluster.worker("other", "--nthreads", "3")]
    steps: list[tuple[int, int]] = []
    with connected(cluster.address):
        found = run_jobs(jobs(cluster, 9, view, seconds=0.3), 1, lambda done, total, note: steps.append((done, total)))
        assert [*map(sum, sums(found))] == [i + float(np.load(view / "part" / "x.npy").sum()) for i in range(9)]
        assert {result.facts["threads"] for result in found} == {1}
        assert len({result.facts["pid"] for result in found}) == 3 and os.getpid() not in {
            result.facts["pid"] for result in found
        }
        assert steps == [(i, 9) for i in range(1, 10)], "progress is that of one machine"
        for cache in caches:
            assert files(cache) == [f"copies/view-0123/{name}" for name in (".contents.json", "part/x.npy")], (
                "neither results nor a key are there"
            )
            assert (cache / "copies").stat().st_mode & 0o077 == 0
        before = [(cache / "copies" / "view-0123" / "part" / "x.npy").stat().st_ino for cache in caches]
        (tmp_path / "log").write_text("")
        assert sums(run_jobs(jobs(cluster, 12, view), 1, silent))[:9] == sums(found)
        assert sorted(map(int, (tmp_path / "log").read_text().split())) == [9, 10, 11], "the caller has the others"
        after = [(cache / "copies" / "view-0123" / "part" / "x.npy").stat().st_ino for cache in caches]
        assert after == before, "what is there is not sent again"
        discard_copies([view])
        assert not any(map(files, caches))
    assert len(list((tmp_path / "cache" / "attacks").glob("*.npz"))) == 12


def test_a_killed_worker_is_replaced_and_a_poisonous_job_is_named(cluster, tmp_path):
    cluster.worker("one", "--nworkers", "2")
    some = jobs(cluster, 8)
    some[2] = type(some[2])(2, tmp_path / "log", kills=1)
    some[5] = type(some[5])(5, tmp_path / "log", kills=99)
    client = distributed.Client(cluster.address, set_as_default=False)
    with client, joblib.parallel_config("dask", client=client):  # as a Python program does it
        found = run_jobs(some, 1, silent)
    assert "every process that ran it was killed" in found.pop(5).error
    assert [values[0] for values in sums(found)] == [i for i in range(8) if i != 5]
    tries = (tmp_path / "log").read_text().split()
    assert tries.count("2") >= 2 and 4 <= tries.count("5") <= 8


def test_a_scheduler_that_restarts_costs_what_was_running(cluster, tmp_path):
    cluster.worker("one", "--nworkers", "2")

    def restart() -> None:
        while len((tmp_path / "log").read_text().split()) < 5:
            time.sleep(0.1)
        cluster.restart()
        cluster.worker("other")  # those of the first have ended with it

    thread = threading.Thread(target=restart, daemon=True)
    with connected(cluster.address):
        thread.start()
        found = run_jobs(jobs(cluster, 12, seconds=0.5), 1, silent)
    thread.join()
    assert sums(found) == [[float(i)] for i in range(12)]
    assert len((tmp_path / "log").read_text().split()) <= 12 + 4, "only what was running is done twice"


def test_a_scheduler_that_does_not_come_back_ends_the_work_with_a_sentence(cluster, tmp_path):
    cluster.worker("one", "--nworkers", "2")

    def end() -> None:
        while len((tmp_path / "log").read_text().split()) < 3:
            time.sleep(0.1)
        cluster.end()

    thread = threading.Thread(target=end, daemon=True)
    with dask.config.set({"distributed.comm.timeouts.connect": "2s"}), connected(cluster.address):
        thread.start()
        with pytest.raises(ConfigError, match=r"the scheduler at tcp://.* does not answer any more"):
            run_jobs(jobs(cluster, 40, seconds=0.5), 1, silent)
    thread.join()
    assert list((tmp_path / "cache" / "attacks").glob("*.npz")), "what was done is kept"


def test_a_worker_that_has_died_is_not_waited_for(cluster, view):
    cluster.worker("one")
    with connected(cluster.address):
        client = get_active_backend()[0].client
        client.wait_for_workers(1)
        (worker,) = client.ncores()
        cluster.kill_workers()
        while client.ncores():
            time.sleep(0.1)
        began = time.monotonic()
        _Sent(client).to(Answer(worker, lacks=(view,)))
        assert time.monotonic() - began < 5


def test_what_a_killed_worker_had_not_completed_is_deleted_with_the_copies(cluster, view):
    cache = cluster.worker("one")
    for name in (".receiving-view-0123-ab", ".building-cd/view-0123", ".receiving-other-ab"):
        (cache / "copies" / name).mkdir(parents=True, mode=0o700)
    (cache / "copies").chmod(0o700)
    with connected(cluster.address):
        run_jobs(jobs(cluster, 1, view), 1, silent)
        discard_copies([view])
    assert [path.name for path in (cache / "copies").iterdir()] == [".receiving-other-ab"]


def test_other_versions_are_refused_with_both_named(cluster, tmp_path):
    (tmp_path / "older.py").write_text("import sottovoce\nsottovoce.__version__ = '0.0.1'\n")
    cluster.worker("one", "--preload", str(tmp_path / "older.py"))
    with connected(cluster.address), pytest.raises(ConfigError) as refused:
        run_jobs(jobs(cluster, 2), 1, silent)
    assert re.search(
        rf"worker at tcp://.*: sottovoce is 0\.0\.1 there and {sottovoce.__version__} here", str(refused.value)
    )
    assert not (tmp_path / "log").read_text()


def test_a_full_disk_of_a_worker_is_one_sentence(cluster, view, tmp_path):
    small = tmp_path / "full"
    cluster.worker("full", mounts=f"mount -t tmpfs -o size=4m,mode=700 none {small} &&")
    with connected(cluster.address), pytest.raises(ConfigError, match=r"the worker at tcp://.*No space left on device"):
        run_jobs(jobs(cluster, 2, view), 1, silent)


def test_runs_of_an_experiment_are_done_on_a_cluster_that_sees_their_folders(cluster, hidden, tmp_path):
    from counted_jobs import experiment

    cluster.worker("one", "--nworkers", "2")
    (tmp_path / "seen").mkdir()
    with connected(cluster.address):
        table = runner.run(experiment(5), tmp_path / "seen", tmp_path / "seen" / "out", 1)
        with pytest.raises(ConfigError, match=r"the worker at tcp://.*hidden"):
            runner.run(experiment(5), tmp_path / "seen", hidden / "out", 1)
    assert table == "| run |\n| --- |\n| 0 |\n| 1 |\n| 2 |\n| 3 |\n| 4 |"
    assert sorted((tmp_path / "seen" / "runs").read_text().split()) == ["0", "1", "2", "3", "4"]
    record = json.loads((tmp_path / "seen" / "out" / "counted.json").read_text())
    assert os.getpid() not in {each["pid"] for each in record["runs"]}


@pytest.mark.parametrize(
    "address", ["127.0.0.1:8786", "http://127.0.0.1:8786", "tcp://", "tcp://:8786", "inproc://x", ""]
)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(ConfigError, match=r"--cluster is .*expected tcp://HOST:PORT"), connected(address):
        pass


def test_what_answers_and_is_no_scheduler_is_one_sentence_within_the_time_to_connect():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        with (
            dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
            pytest.raises(ConfigError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:"),
            connected(f"tcp://127.0.0.1:{other.server_port}"),
        ):
            pass
        other.shutdown()


def test_where_no_scheduler_is_one_sentence_says_so():
    refused = pytest.raises(ConfigError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9")
    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}), refused, connected("tcp://127.0.0.1:9"):
        pass


CALLER = """
import json, socket, sys
seen = []
def hook(event, details):
    if event in ("socket.connect", "socket.bind"):
        seen.append([event, repr(details[1])])
    elif event == "socket.getaddrinfo":
        seen.append([event, repr(details)])
sys.addaudithook(hook)
from pathlib import Path
from counted_jobs import Counted
from sottovoce.audit.cached_jobs import run_jobs
from sottovoce.cluster import connected
if __name__ == "__main__":
    with connected(sys.argv[1]):
        run_jobs([Counted(i, Path(sys.argv[2])) for i in range(4)], 1, lambda *step: None)
    print(json.dumps(seen))
"""


def test_the_caller_speaks_to_the_scheduler_alone(cluster, tmp_path):
    cluster.worker("one", "--nworkers", "2")
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}"}
    done = subprocess.run(
        [sys.executable, "-c", CALLER, cluster.address, str(tmp_path / "log")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    host, _, port = cluster.address.removeprefix("tcp://").partition(":")
    seen = json.loads(done.stdout.splitlines()[-1])
    assert any(event == "socket.connect" for event, _ in seen)
    for event, details in seen:
        assert event != "socket.bind", details
        assert host in details, (event, details)
        assert port in details or event == "socket.getaddrinfo", (event, details)  # which takes the number as it is
