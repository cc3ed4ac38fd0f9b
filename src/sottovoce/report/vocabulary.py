"""Everything that can ever leave a codebook filter, on one page: each word as a picture, and to be played."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from sottovoce.audio.griffin_lim import to_sound
from sottovoce.audio.spectrum import SEGMENT_S, Spectrum, magnitude
from sottovoce.errors import ConfigError
from sottovoce.files import write_file
from sottovoce.models import codewords
from sottovoce.models.codebook import Codebook
from sottovoce.report import pictures
from sottovoce.report.pages import data_uri, html
from sottovoce.runtime.engine import CODEBOOK, CodebookEngine
from sottovoce.runtime.filter import Filter

_MOST_WORDS = 512  # on a page
_QUIET = np.float32(0.1)


def write_vocabulary(filter_: Filter, out: Path) -> int:
    """Write the page `out` with every word of a codebook filter; returns how many there are.

    ConfigError for a filter that has no words, or more than a page can show.
    """
    if not isinstance(filter_.engine, CodebookEngine):
        raise ConfigError("this filter has no words: what it lets through is not limited to a list; see its audit.")
    book = filter_.engine.codebook
    count = int(np.prod(book.words.shape[:-2]))
    if count > _MOST_WORDS:
        raise ConfigError(f"this filter has {count} words; expected at most {_MOST_WORDS} to show on one page.")
    facts = {"count": count, "word_s": SEGMENT_S, "rate": filter_.rate, "digest": filter_.digest}
    facts["codewords"] = codewords.told({"method": CODEBOOK, **filter_.card})
    write_file(out, html("vocabulary.html.j2", True, groups=list(_groups(filter_, book)), **facts).encode())
    return count


def _groups(filter_: Filter, book: Codebook) -> Iterator[dict[str, Any]]:
    """For each combination of codes what it stands for, and its words."""
    classes = filter_.card.get("classes", {})
    for codes in product(*(range(size + 1) for size in book.sizes)):
        said = [
            f"{task}: {_meaning(code, size, classes.get(task, ()))}"
            for task, size, code in zip(book.tasks, book.sizes, codes, strict=True)
        ]
        words = [book.draw(np.array([codes]), np.array([at]))[0] for at in range(len(book.words))]
        name = "-".join(map(str, codes))
        yield {
            "title": ", ".join(said),
            "words": [_shown(filter_, word, f"word-{name}-{at}", at) for at, word in enumerate(words, 1)],
        }


def _meaning(code: int, size: int, classes: list[str]) -> str:
    if code == 0:
        return "revoked"
    return classes[code - 1] if len(classes) == size else f"code {code}"


def _shown(filter_: Filter, word: Spectrum, name: str, block: int) -> dict[str, Any]:
    """A word as a picture and a sound."""
    mean, deviation = np.float32(filter_.config.sound_mean), np.float32(filter_.config.sound_std)
    log = np.maximum(word * deviation + mean, np.float32(0.0))
    picture = pictures.spectrogram(name, f"Spectrogram of block {block}", log, float(log.max()), log.shape[1])
    return {"block": block, "picture": picture, "sound": data_uri(_QUIET * to_sound(magnitude(log)))}
