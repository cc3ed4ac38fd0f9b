"""Weights that ship inside a package of others, of which nothing else is used and which is never imported."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from sottovoce.files import file_sha256


@cache
def installed_weights(package: str, file: str, sha256: str) -> Path | None:
    """Where the file of a package lies, if the package is installed and the file has that SHA-256 in hex; else None."""
    found = find_spec(package)
    folders = found.submodule_search_locations if found is not None else None
    places = [Path(folder) / file for folder in folders or ()]
    return next((place for place in places if place.is_file() and file_sha256(place) == sha256), None)
