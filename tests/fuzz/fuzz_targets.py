"""What is fuzzed: bytes in, and only our own errors may come out."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from frame_targets import FRAME_TARGETS, first_seeds

from sottovoce.audio import io as audio
from sottovoce.errors import AudioError, ModelError
from sottovoce.models.checkpoint import CARD, write_folder
from sottovoce.runtime import bundled
from sottovoce.runtime.filter import Filter

MOST_SECONDS = 3600.0  # of sound that is decoded of a strange file
SEEDS = Path(__file__).parent / "corpus"


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        yield Path(folder)


def sound_file(content: bytes) -> None:
    """A file that says that it is sound: read to the end, or refused with an AudioError."""
    with _scratch() as folder:
        path = folder / "a.wav"
        path.write_bytes(content)
        try:
            if audio.info(path).duration_s > MOST_SECONDS:
                return
            wav = audio.read(path)
        except AudioError:
            return
        assert wav.ndim == 1 and len(wav) and np.isfinite(wav).all()


def filter_folder(content: bytes) -> None:
    """A filter folder one of whose files is `content`, by its first byte, with a card that fits: loads or ModelError.

    A folder whose files do not fit its card is refused before anything is read; so the card is made to fit.
    """
    names = ("config.json", "codebook.npz", "filter.onnx", CARD)
    name, content = names[content[0] % len(names)] if content else names[0], content[1:]
    place = bundled.PLACE / "digit"
    with _scratch() as folder:
        if name == CARD:
            shutil.copytree(place, folder / "f")
            (folder / "f" / CARD).write_bytes(content)
        else:
            files = {other: (place / other).read_bytes() for other in names if other != CARD}
            write_folder(folder / "f", "filter", {**files, name: content}, {"permit": ["digit"]})
        try:
            loaded = Filter.load(folder / "f")
            assert np.isfinite(loaded.filter(np.zeros(100, np.float32))).all()
        except ModelError:
            return


OWN: dict[str, Callable[[bytes], None]] = {"sound-file": sound_file, "filter-folder": filter_folder}
TARGETS = OWN | FRAME_TARGETS


def seeds(target: str) -> list[bytes]:
    """What a fuzzer starts from: small files that are kept, and those of the filter that comes along."""
    kept = [path.read_bytes() for path in sorted((SEEDS / target).glob("*"))]
    if target != "filter-folder":
        return kept + first_seeds().get(target, [])
    place = bundled.PLACE / "digit"
    names = ("config.json", "codebook.npz", "filter.onnx", CARD)
    return [*kept, *odd_cards(), *(bytes([number]) + (place / name).read_bytes() for number, name in enumerate(names))]


def odd_cards() -> list[bytes]:
    """Cards and settings that are JSON, and wrong."""
    card = json.loads((bundled.PLACE / "digit" / CARD).read_text(encoding="utf-8"))
    config = json.loads((bundled.PLACE / "digit" / "config.json").read_text(encoding="utf-8"))
    odd: list[object] = [None, [], "x", 1e999, {"a": []}, -1, True]
    found = [bytes([3]) + json.dumps({**card, key: value}).encode() for key in card for value in odd]
    return found + [bytes([0]) + json.dumps({**config, key: value}).encode() for key in config for value in odd]
