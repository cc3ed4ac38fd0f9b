"""What a worker of a cluster does: calls, unless something is in the way, and copies of folders that it lacks."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sottovoce import __version__, private
from sottovoce.corpora.store import build_once, copies_folder, on_this_machine
from sottovoce.errors import SottovoceError

_LIBRARIES = ("numpy", "onnxruntime", "scikit-learn", "scipy", "torch")
RECEIVING = ".receiving-"  # begins the name of a folder that is not complete


@dataclass(frozen=True)
class Answer:
    """What a worker says: a `result`, an `error` that was raised, a `mistake` of its own, or inputs that it lacks."""

    worker: str
    result: Any = None
    error: Exception | None = None
    mistake: str = ""
    lacks: tuple[Path, ...] = ()


@cache
def versions() -> dict[str, str]:
    """What results depend on."""
    others = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return {"sottovoce": __version__, "python": platform.python_version(), **others}


def _different(here: Mapping[str, str], there: Mapping[str, Any]) -> str:
    """A sentence on versions that differ; empty where none do."""
    pairs = [
        f"{name} is {there.get(name) or 'not installed'} there and {version} here"
        for name, version in here.items()
        if there.get(name) != version
    ]
    return f"{', '.join(pairs)}; install the same versions on both." if pairs else ""


def answer(
    expected: Mapping[str, str], inputs: Sequence[Path], call: Callable[..., Any], arguments: tuple[Any, ...]
) -> Answer:
    """On a worker: do a call, unless something is in the way."""
    from distributed import get_worker

    worker = get_worker().address
    if expected and (different := _different(expected, versions())):
        return Answer(worker, mistake=different)
    try:
        if lacks := tuple(folder for folder in inputs if not has(folder)):
            return Answer(worker, lacks=lacks)
        for folder in inputs:
            private.check_private(on_this_machine(folder))
    except SottovoceError as error:
        return Answer(worker, mistake=str(error))
    try:
        return Answer(worker, call(*arguments))
    except Exception as error:
        return Answer(worker, error=error)


def has(folder: Path) -> bool:
    return on_this_machine(folder).is_dir()


def receive(scratch: str, name: Path, piece: bytes) -> None:
    """On a worker: write the next piece of a file."""
    place = copies_folder() / scratch / name
    try:
        private.private_folder(place.parent)
        with open(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
            file.write(piece)
    except OSError as error:
        shutil.rmtree(copies_folder() / scratch, ignore_errors=True)
        raise private.unwritable(place.parent, error) from error


def keep(scratch: str, folder: Path) -> None:
    """On a worker: a folder is complete."""

    def build(unfinished: Path) -> None:
        shutil.copytree(copies_folder() / scratch, unfinished, dirs_exist_ok=True, copy_function=os.replace)

    build_once(copies_folder() / folder.name, build)
    shutil.rmtree(copies_folder() / scratch, ignore_errors=True)


def discard(names: Sequence[str]) -> None:
    for name in names:
        for place in (copies_folder() / name, *copies_folder().glob(f"{RECEIVING}{name}-*")):
            shutil.rmtree(place, ignore_errors=True)
    for place in copies_folder().glob(".building-*/*"):  # what a worker that was killed had not completed
        if place.name in names:
            shutil.rmtree(place.parent, ignore_errors=True)
