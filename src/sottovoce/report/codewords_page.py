"""One page with every codeword of a codebook filter: all the sounds that an application can get from it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, combinations, product
from pathlib import Path
from typing import Any

import numpy as np

from sottovoce.audio.griffin_lim import MARGIN_SAMPLES
from sottovoce.audio.level import LEVEL_RMS
from sottovoce.audio.spectrum import SEGMENT_S, log_spectrum
from sottovoce.files import write_file
from sottovoce.models import codewords
from sottovoce.models.codebook import Codebook
from sottovoce.models.rejection import rejections
from sottovoce.report import pictures
from sottovoce.report.pages import data_uri, html
from sottovoce.report.wording import listed
from sottovoce.runtime.engine import CODEBOOK
from sottovoce.runtime.filter import Filter

_RECOGNISED = {"emotion": "you say something {}", "digit": "you say the digit {}", "word": "you say the word “{}”"}


def write_codewords_page(filter_: Filter, out: Path) -> int:
    """Write the page `out` with every codeword of a codebook filter to see and to play; returns how many there are.

    ConfigError for a filter that has no codewords.
    """
    book = filter_.engine.vocabulary()
    count = book.count
    sections = list(_sections(filter_, book))
    example = sections[0]["tiles"][0].pop(0)  # the first class of the first task, while only that task is permitted
    spectrum, name = example["spectrum"], example["title"]
    example["picture"] = pictures.spectrogram(
        "example", f"Spectrogram of {name}", spectrum, float(spectrum.max()), spectrum.shape[1]
    )
    example["event"] = _RECOGNISED.get(book.tasks[0], f"the filter recognises {book.tasks[0]} “{{}}”").format(name)
    facts = {"count": count, "codeword_s": SEGMENT_S, "tasks": book.tasks, "rate": filter_.rate}
    facts |= {"rejections": rejections(filter_.card)}
    facts |= {"digest": filter_.digest, "codewords": codewords.describe({"method": CODEBOOK, **filter_.card})}
    write_file(out, html("codewords.html.j2", True, sections=sections, example=example, **facts).encode())
    return count


def _sections(filter_: Filter, book: Codebook) -> Iterator[dict[str, Any]]:
    """For each set of tasks that may be permitted its codewords: of the first block, the second, and so on."""
    tasks = range(len(book.tasks))
    for permit in chain.from_iterable(combinations(tasks, size) for size in (*tasks[1:], len(tasks), 0)):
        choices = [range(1, book.sizes[task] + 1) if task in permit else (0,) for task in tasks]
        names = [book.tasks[task] for task in permit]
        only = "only " if 0 < len(permit) < len(tasks) else ""
        yield {
            "title": f"While {only}{listed(names) or 'nothing'} {'are' if len(permit) > 1 else 'is'} permitted",
            "tiles": [
                [_tile(filter_, book, codes, position) for codes in product(*choices)]
                for position in range(book.positions)
            ],
        }


def _tile(filter_: Filter, book: Codebook, codes: tuple[int, ...], position: int) -> dict[str, Any]:
    """One codeword: what it stands for, its log spectrum, a picture of it, and its sound."""
    classes = filter_.card.get("classes", {})
    meanings = []
    for task, size, code in zip(book.tasks, book.sizes, codes, strict=True):
        names = classes.get(task, ())
        if code:
            meanings.append(names[code - 1] if len(names) == size else f"code {code}")
    wave = book.waves()[np.ravel_multi_index((position, *codes), book.sounds.shape[:-1])][
        MARGIN_SAMPLES:-MARGIN_SAMPLES
    ]
    spectrum = log_spectrum(wave / np.float32(LEVEL_RMS))
    return {
        "title": ", ".join(meanings) or "nothing",
        "spectrum": spectrum,
        "picture": pictures.thumbnail(spectrum),
        "sound": data_uri(wave),
    }
