"""What the card of a filter says of its codewords: whether they are recordings, of how many, and how similar."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sottovoce.corpora.cache import Sounds
from sottovoce.corpora.manifest import Manifest
from sottovoce.models.codebook import Codebook
from sottovoce.models.codewords import RECORDINGS, SYNTHETIC
from sottovoce.progress import Report
from sottovoce.training.similarity import between_people, highest
from sottovoce.training.words import rendered

_SPEAKER = "speaker"


def described(
    book: Codebook,
    sources: NDArray[np.int64],
    manifest: Manifest,
    sounds: Sounds,
    clips: NDArray[np.int64],
    sound: tuple[float, float],
    seed: int,
    report: Report,
) -> dict[str, Any]:
    """What the card says of codewords that were made of the recordings `sources`, or of none; `clips` are of training.

    Templates and the sounds that are played of them are both compared with every recording.
    """
    places = np.array(list(np.ndindex(book.words.shape[:-2])))
    templates = book.draw(places[:, 1:], places[:, 0])
    shown = np.concatenate([templates, rendered(templates, 0, sound, seed)])
    people = speakers(manifest, clips)
    measured = {
        "highest_similarity": float(highest(shown, sounds, clips).max()),
        "between_people": None if people is None else between_people(sounds, clips, people, seed),
    }
    if not len(sources):
        return {"source": SYNTHETIC, **measured}
    return {**of_recordings(manifest, sources, report), **measured}


def speakers(manifest: Manifest, clips: NDArray[np.int64]) -> NDArray[np.str_] | None:
    """Whose each of the recordings `clips` is; None where the corpus does not name two people."""
    people = np.array([manifest.clips[i].labels.get(_SPEAKER, "") for i in clips])
    return people if len(np.unique(people)) > 1 else None


def of_recordings(manifest: Manifest, sources: NDArray[np.int64], report: Report) -> dict[str, Any]:
    """How many recordings of how many people codewords are, and of which corpus; which ones `report` alone is told."""
    clips = [manifest.clips[i] for i in sources]
    people = sorted({clip.labels[_SPEAKER] for clip in clips if _SPEAKER in clip.labels})
    spoken = f" of the people {', '.join(people)}" if people else ""
    names = ", ".join(clip.id for clip in clips)
    report(len(clips), len(clips), f"codewords: the recordings {names}{spoken}")
    return {
        "source": RECORDINGS,
        "recordings": len(clips),
        "people": len(people) or None,
        "corpus": manifest.name,
        "licence": manifest.licence,
    }
