"""The corpora that are known by name, and `open_corpus`, the one way to any of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from sottovoce.corpora import (
    csv_file,
    emodb,
    emovdb,
    esc10,
    folder,
    fsd50k,
    fsdd,
    kaldi,
    librispeech,
    mixtures,
    ravdess,
    strings,
    tau,
    voices,
    voxceleb2,
)
from sottovoce.corpora.layout import Corpus
from sottovoce.corpora.manifest import Manifest
from sottovoce.errors import CorpusError


class Known(NamedTuple):
    """A corpus that is known by name, and how it is read from the path that its user gives."""

    corpus: Corpus
    read: Callable[[Path], Manifest]


KNOWN: Mapping[str, Known] = MappingProxyType(
    {
        "ravdess": Known(ravdess.CORPUS, ravdess.read),
        "emodb": Known(emodb.CORPUS, emodb.read),
        "emovdb": Known(emovdb.CORPUS, emovdb.read),
        "librispeech": Known(librispeech.CORPUS, librispeech.read),
        "voxceleb2": Known(voxceleb2.CORPUS, voxceleb2.read),
        "fsdd": Known(fsdd.CORPUS, fsdd.read),
        "strings": Known(strings.CORPUS, strings.read),
        "esc10": Known(esc10.CORPUS, esc10.read),
        "fsd50k": Known(fsd50k.CORPUS, fsd50k.read),
        "mixtures": Known(mixtures.CORPUS, mixtures.read),
        "speech-mixtures": Known(mixtures.SPOKEN, mixtures.read_spoken),
        "tau": Known(tau.CORPUS, tau.read),
        "folder": Known(folder.CORPUS, folder.read),
        "kaldi": Known(kaldi.CORPUS, kaldi.read),
        "csv": Known(csv_file.CORPUS, csv_file.read),
    }
)
BUILT_IN = voices.CORPUS


def open_corpus(spec: str, cache: Path | None = None) -> Manifest:
    """The corpus that `spec` names: NAME:PATH, or `voices`, which is synthesised into `cache` at its first use.

    Raises CorpusError for an unknown name, a path that is not there, or one that holds nothing of that corpus.
    """
    if spec == BUILT_IN.name:
        return voices.read(cache)
    name, colon, place = spec.partition(":")
    if name not in KNOWN:
        raise CorpusError(f"unknown corpus {name!r}; known: {BUILT_IN.name}, {', '.join(f'{n}:PATH' for n in KNOWN)}.")
    corpus, read = KNOWN[name]
    if not colon or not place:
        raise CorpusError(f"{name!r} needs a path, as in {name}:PATH; expected there: {corpus.layout}.")
    path = Path(os.path.expanduser(place))  # unlike that of Path, this leaves a home that is not known as it is
    if not os.path.exists(path):
        raise CorpusError(f"{place!r} does not exist; expected there: {corpus.layout}.")
    return replace(read(path), spec=spec)
