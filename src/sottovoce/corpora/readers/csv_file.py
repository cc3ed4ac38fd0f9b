"""Your own recordings, listed in a CSV file: see `listing` for its columns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sottovoce.corpora.catalogue import CORPORA
from sottovoce.corpora.labels import gaps
from sottovoce.corpora.layout import Corpus, assemble
from sottovoce.corpora.listing import LAYOUT, default_rule, listed
from sottovoce.corpora.manifest import Manifest


def _read(path: Path) -> Manifest:
    """Manifest of the clips that the CSV file at `path` lists; CorpusError names what is missing or wrong in it."""
    clips, labels, notes = listed(path, "path")
    return assemble(replace(CORPUS, split_rule=default_rule(clips)), path, clips, [*notes, *gaps(clips, labels)])


CORPUS: Corpus = Corpus(
    name="csv",
    title="clips listed in a CSV file",
    layout=LAYOUT,
    labels=(),
    licence="unknown: the recordings are the user's own",
    citation="",
    split_rule="utterance",
    reader=_read,
)
CORPORA.register(CORPUS.name, CORPUS)
