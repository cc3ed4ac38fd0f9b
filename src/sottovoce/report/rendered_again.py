"""The pages of a record, rendered again from its results, so that a changed word in one of them is noticed.

Sound and pictures of exhibits cannot be rendered again without the recordings: results.json holds their digests.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from markupsafe import Markup

from sottovoce import __version__
from sottovoce.audit.record import Check
from sottovoce.report.pages import CARD, PAGE, Exhibit, drawn, render

_MEDIA = ("picture", "sound")
_SHOWN = re.compile(
    r"<figure><figcaption>[^<]*</figcaption>(<svg (?:(?!<audio |<figure>).)*)"
    r'<audio [^>]*? src="([^"]*)"></audio></figure>',
    re.DOTALL,
)


@cache
def versions() -> dict[str, str]:
    """What the bytes of a page depend on besides its results; `pages` is a digest of templates and code."""
    here = Path(__file__).parent
    files = sorted(path for path in here.iterdir() if path.suffix in (".py", ".j2", ".css"))
    source = b"".join(hashlib.sha256(path.read_bytes()).digest() for path in files)
    libraries = {name: importlib.metadata.version(name) for name in ("jinja2", "matplotlib")}
    return {**libraries, "pages": hashlib.sha256(source).hexdigest()[:12]}


def exhibit_facts(exhibits: Sequence[Exhibit]) -> list[dict[str, Any]]:
    """What results.json holds of exhibits: all that the page shows of them, pictures and sounds as their SHA-256."""
    return [
        {**each, "panels": [{**panel, **{name: _sha256(panel[name]) for name in _MEDIA}} for panel in each["panels"]]}
        for each in drawn(exhibits)
    ]


def check_pages(folder: Path, results: Mapping[str, Any]) -> Check:
    """Whether the pages in a folder are those that `results`, which is what results.json holds, give."""
    exhibits, wrong = _with_media((folder / PAGE).read_bytes(), results.get("exhibits", []))
    made = {**results.get("versions", {}), "sottovoce": results["sottovoce"]}
    here = {**versions(), "sottovoce": __version__}
    others = [f"{name} {made.get(name, 'unknown')}, here {here[name]}" for name in here if made.get(name) != here[name]]
    try:
        again = render(results, exhibits)
    except Exception as error:  # results of another version may lack what a template asks for
        again, others = {}, others or [f"{type(error).__name__}: {error}"]
    different = [name for name in (PAGE, CARD) if (folder / name).read_bytes() != again.get(name)]
    if different and others:
        said = f"{' and '.join(different)} could not be compared, since another version rendered them"
        return Check(wrong=wrong, notes=[f"{said} ({'; '.join(others)})"])
    wrong += [f"{name} is not the page that results.json gives when it is rendered again" for name in different]
    notes = [f"{PAGE} holds sounds and pictures, which were compared by their digests alone"] if exhibits else []
    return Check([] if wrong else ["the pages are those that the results give"], wrong, notes)


def _with_media(page: bytes, facts: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
    """The exhibits with the pictures and sounds that stand in the page, and a sentence where these are others."""
    if not facts:
        return [], []
    media = _SHOWN.finditer(page.decode("utf-8", "replace"))
    exhibits = [{**each, "panels": [{**panel, **_next(media)} for panel in each["panels"]]} for each in facts]
    other = any(
        _sha256(panel[name]) != known[name]
        for each, fact in zip(exhibits, facts, strict=True)
        for panel, known in zip(each["panels"], fact["panels"], strict=True)
        for name in _MEDIA
    )
    return exhibits, [f"a sound or picture in {PAGE} is not the one of results.json"] if other else []


def _next(media: Iterator[re.Match[str]]) -> dict[str, str]:
    shown = next(media, None)
    return dict(zip(_MEDIA, (Markup(shown[1]), shown[2]), strict=True)) if shown else dict.fromkeys(_MEDIA, "")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
