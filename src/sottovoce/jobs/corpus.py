"""What several jobs need of a corpus: its sound, the split that belongs to a card, and its description."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sottovoce.corpora import cache, catalogue
from sottovoce.corpora.cache import Sounds
from sottovoce.corpora.manifest import Manifest, Split, split
from sottovoce.progress import Report


def opened(spec: str, report: Report) -> tuple[Manifest, Sounds]:
    """The clips of a corpus and their sound, decoded at the first use."""
    return cache.load(catalogue.open_corpus(spec), progress=lambda done, total: report(done, total, "decoding"))


def split_of(card: Mapping[str, Any] | None, manifest: Manifest) -> Split:
    """The split that a target or filter was trained with, so that its test clips stay unheard."""
    corpus = card["corpus"] if card else None
    if corpus and corpus["digest"] == manifest.digest:
        return split(manifest, corpus["split"], corpus["split_seed"])
    return split(manifest)


def describe(manifest: Manifest, parts: Split) -> dict[str, Any]:
    """What cards and results say of a corpus and its split."""
    return {
        "spec": manifest.spec,
        "name": manifest.name,
        "digest": manifest.digest,
        "split": parts.rule,
        "split_seed": parts.seed,
        "clips": len(manifest.clips),
        "speakers": len(manifest.speakers),
        "licence": manifest.licence,
        "citation": manifest.citation,
    }
