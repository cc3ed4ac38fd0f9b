"""One page with every codeword of a codebook filter: all the sounds that an application can get from it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, combinations, product
from pathlib import Path
from typing import Any

import numpy as np

from sottovoce.audio.griffin_lim import to_sound
from sottovoce.audio.spectrum import SEGMENT_S, Spectrum, magnitude
from sottovoce.errors import ConfigError
from sottovoce.models import codewords
from sottovoce.models.checkpoint import write_file
from sottovoce.models.codebook import Codebook
from sottovoce.report import pictures
from sottovoce.report.pages import data_uri, html
from sottovoce.report.wording import listed
from sottovoce.runtime.engine import CODEBOOK, CodebookEngine
from sottovoce.runtime.filter import Filter

_MOST_CODEWORDS = 512  # on a page
_VOLUME = np.float32(0.1)
_RECOGNISED = {"emotion": "you say something {}", "digit": "you say the digit {}", "word": "you say the word “{}”"}


def write_codewords_page(filter_: Filter, out: Path) -> int:
    """Write the page `out` with every codeword of a codebook filter to see and to play; returns how many there are.

    ConfigError for a filter that has no codewords, or more than a page can show.
    """
    if not isinstance(filter_.engine, CodebookEngine):
        raise ConfigError("this filter has no codewords: what it lets through is not limited to a list; see its audit.")
    book = filter_.engine.codebook
    count = int(np.prod(book.words.shape[:-2]))
    if count > _MOST_CODEWORDS:
        raise ConfigError(f"this filter has {count} codewords; expected at most {_MOST_CODEWORDS} to show on one page.")
    facts = {"count": count, "codeword_s": SEGMENT_S, "positions": len(book.words), "tasks": book.tasks}
    facts |= {"rate": filter_.rate, "digest": filter_.digest, "example": _example(filter_, book)}
    facts["codewords"] = codewords.told({"method": CODEBOOK, **filter_.card})
    page = html("codewords.html.j2", True, sections=list(_sections(filter_, book)), **facts)
    write_file(out, page.encode())
    return count


def _example(filter_: Filter, book: Codebook) -> dict[str, Any]:
    """The first class of the first task, while only that task is permitted: its codeword, large."""
    codes = (1, *(0 for _ in book.tasks[1:]))
    task, name = book.tasks[0], _class_name(filter_, book, 0, 1)
    log = _log_spectrum(filter_, book, codes, 0)
    return {
        "codes": codes,
        "event": _RECOGNISED.get(task, f"the filter recognises {task} “{{}}”").format(name),
        "picture": pictures.spectrogram("example", f"Spectrogram of {name}", log, float(log.max()), log.shape[1]),
        "sound": _sound(log),
    }


def _sections(filter_: Filter, book: Codebook) -> Iterator[dict[str, Any]]:
    """For each set of tasks that may be permitted its codewords: of the first block, and of later blocks."""
    tasks = range(len(book.tasks))
    for permit in chain.from_iterable(combinations(tasks, size) for size in (*tasks[1:], len(tasks), 0)):
        choices = [range(1, book.sizes[task] + 1) if task in permit else (0,) for task in tasks]
        names = [book.tasks[task] for task in permit]
        only = "only " if 0 < len(permit) < len(tasks) else ""
        yield {
            "title": f"While {only}{listed(names) or 'nothing'} {'are' if len(permit) > 1 else 'is'} permitted",
            "tiles": [
                [_tile(filter_, book, codes, position) for codes in product(*choices)]
                for position in range(len(book.words))
            ],
        }


def _tile(filter_: Filter, book: Codebook, codes: tuple[int, ...], position: int) -> dict[str, Any]:
    """One codeword: what it stands for, its spectrogram and its sound."""
    names = [_class_name(filter_, book, task, code) for task, code in enumerate(codes) if code]
    log = _log_spectrum(filter_, book, codes, position)
    title = ", ".join(names) or "any sound"
    return {"codes": codes, "title": title, "picture": pictures.thumbnail(log), "sound": _sound(log)}


def _class_name(filter_: Filter, book: Codebook, task: int, code: int) -> str:
    classes = filter_.card.get("classes", {}).get(book.tasks[task], ())
    return str(classes[code - 1]) if len(classes) == book.sizes[task] else f"code {code}"


def _log_spectrum(filter_: Filter, book: Codebook, codes: tuple[int, ...], position: int) -> Spectrum:
    mean, deviation = np.float32(filter_.config.sound_mean), np.float32(filter_.config.sound_std)
    standardised = book.draw(np.array([codes]), np.array([position]))[0]
    return np.maximum(standardised * deviation + mean, np.float32(0.0))


def _sound(log: Spectrum) -> str:
    return data_uri(_VOLUME * to_sound(magnitude(log)))
