"""A studio on loopback with two audits, which were made by an earlier version, and its one-time link."""

import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from sottovoce.studio import pages, starting
from sottovoce.studio.machine import Machine
from sottovoce.studio.server import Studio

RECORD = Path(__file__).parents[1] / "audit" / "schema-2"


@dataclass
class Site:
    """A server, and a client that has opened its link."""

    studio: Studio
    client: httpx.Client

    @property
    def origin(self) -> str:
        return f"http://{self.studio.access.host}"

    def post(self, name: str, **wish: str) -> httpx.Response:
        return self.client.post(name, json=wish, headers={"Origin": self.origin})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two audits, a filter of a stranger, a page beside them that nobody offers; an own cache."""
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "cache"))
    for name in ("first", "second"):
        shutil.copytree(RECORD, tmp_path / "here" / name)
    (tmp_path / "here" / "notes").mkdir()
    (tmp_path / "secret.html").write_text("secret")
    return tmp_path / "here"


@pytest.fixture
def open_studio(folder: Path) -> Iterator[Callable[..., Site]]:
    """Starts servers of the folder; each is asked below the path that its link names."""
    servers: list[Studio] = []

    def start(opened: bool = True) -> Site:
        files, _ = pages.pages({}, folder / "no-runtime.tgz")
        studio = Studio(Machine((folder,), ("voices",), folder.parent / "audits"), files)
        servers.append(studio)
        threading.Thread(target=studio.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        client = httpx.Client(base_url=f"http://{studio.access.host}{studio.access.path}", trust_env=False)
        if opened:
            assert client.get(studio.access.url).status_code == 200
        return Site(studio, client)

    yield start
    for studio in servers:
        studio.shutdown()
        studio.server_close()


@pytest.fixture
def site(open_studio: Callable[..., Site]) -> Site:
    return open_studio()


@pytest.fixture
def in_place_of_audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets a program in Python take the place of `sottovoce audit`."""

    def replace(program: str) -> None:
        (tmp_path / "audit.py").write_text(program)
        monkeypatch.setattr(starting, "_AUDIT", (sys.executable, str(tmp_path / "audit.py")))

    return replace
