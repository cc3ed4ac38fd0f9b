"""The files of the local page: the page that runs filters, made once for the same filters, and that of audits."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

from sottovoce import __version__
from sottovoce.corpora.store import build_once, cache_folder
from sottovoce.errors import ConfigError
from sottovoce.files import file_sha256, read_json
from sottovoce.jobs import web
from sottovoce.models.checkpoint import CARD
from sottovoce.runtime.engine import CODEBOOK
from sottovoce.runtime.filter import Filter

_OWN = Path(__file__).parent / "page"
_AUDITS = "audits.html"
_INDEX = "index.html"


def pages(filters: Mapping[str, Path], runtime: Path | None) -> tuple[dict[str, Path], list[str]]:
    """Every file of the page by its name in addresses, and sentences on what the page lacks.

    Where the page cannot run filters, the page of audits comes first.
    """
    own = {path.name: path for path in (*_OWN.iterdir(), web.PAGE / "studio.css", web.PAGE / "icon.svg")}
    try:
        folder = _built(filters, runtime)
    except ConfigError as error:
        return {**own, _INDEX: _OWN / _AUDITS}, [f"the page runs no filters, since {error}"]
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    shown = {entry["name"] for entry in read_json(folder / "filters.json")["filters"]}
    missing = [f"the filter {name} draws no codewords, so it runs not on the page" for name in filters.keys() - shown]
    return {**files, **own}, missing


def policy() -> str:
    """The Content-Security-Policy that the page states."""
    text = (web.PAGE / _INDEX).read_text(encoding="utf-8")
    match = re.search(r'http-equiv="Content-Security-Policy"\s+content="([^"]+)"', text)
    assert match, "the page states a policy"
    return match[1]


def add_link(index: Path, address: str, text: str) -> None:
    """Add a link to the head of the page in a file."""
    before, end, after = index.read_text(encoding="utf-8").partition("</header>")
    index.write_text(f'{before}  <nav><a href="{address}">{text}</a></nav>\n    {end}{after}', encoding="utf-8")


def _built(filters: Mapping[str, Path], runtime: Path | None) -> Path:
    """The folder of the page in the cache; ConfigError where the runtime for browsers is missing."""
    files = {path.name: file_sha256(path) for path in sorted(web.PAGE.iterdir()) if path.is_file()}
    cards = {name: file_sha256(folder / CARD) for name, folder in sorted(filters.items())}
    key = json.dumps([__version__, web.RUNTIME_SHA256, files, cards])

    def build(folder: Path) -> None:
        able = [path for path in filters.values() if Filter.load(path).config.architecture == CODEBOOK]
        web.export_web(able, folder / "page", runtime)
        add_link(folder / "page" / _INDEX, _AUDITS, "Audits and progress on this machine")

    return build_once(cache_folder() / "studio" / hashlib.sha256(key.encode()).hexdigest()[:32], build) / "page"
