"""The corpora that are known by name, and `open_corpus`, the one way to any of them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from sottovoce.arguments import text
from sottovoce.corpora.layout import Corpus
from sottovoce.corpora.manifest import Manifest
from sottovoce.errors import CorpusError
from sottovoce.plugins import Registry

CORPORA: Registry[Corpus] = Registry(
    "corpora",
    "corpus",
    code=lambda corpus: corpus.reader or corpus.describe,
    package="sottovoce.corpora.readers",
    base=Corpus,
)


def open_corpus(spec: str) -> Manifest:
    """The corpus that `spec` names: NAME:PATH, or the name alone of one that is synthesised, such as `voices`.

    Raises CorpusError for an unknown name, a path that is not there, or one that holds nothing of that corpus.
    """
    name, colon, place = text(spec, "corpus").partition(":")
    if name not in CORPORA:
        known = ", ".join(f"{name}:PATH" if corpus.needs_path else name for name, corpus in CORPORA.items())
        raise CorpusError(f"unknown corpus {name!r}; {_offer(spec)}known: {known}.")
    corpus = CORPORA[name]
    if not corpus.needs_path:
        if colon:
            raise CorpusError(f"{spec!r} has a path, and {name} is synthesised without one; name it as {name}.")
        return corpus.read(Path())
    if not colon or not place:
        raise CorpusError(f"{name!r} needs a path, as in {name}:PATH; expected there: {corpus.layout}.")
    path = _expanded(place)
    if not os.path.exists(path):
        raise CorpusError(f"{place!r} does not exist; expected there: {corpus.layout}.")
    return replace(corpus.read(path), spec=spec)


def _offer(place: str) -> str:
    """The name that a path given without one is to be opened by, where something is there."""
    path = _expanded(place)
    if not place or not os.path.exists(path):
        return ""
    if path.is_file():
        return f"for a table of recordings give csv:{place}; " if path.suffix.lower() in (".csv", ".tsv") else ""
    likely = [name for name, corpus in CORPORA.items() if any(next(path.glob(sign), None) for sign in corpus.signs)]
    return f"that is a path: give {' or '.join(f'{name}:{place}' for name in [*likely, 'folder'])}; "


def _expanded(place: str) -> Path:
    return Path(os.path.expanduser(place))  # unlike that of Path, this leaves a home that is not known as it is
