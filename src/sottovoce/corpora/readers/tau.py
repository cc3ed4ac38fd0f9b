"""TAU Sound Events and Speech Privacy Preservation: the clips that RDAL was published with.

Sound at 44.1 kHz as numpy arrays, which are written as sound files to the cache once; clips of 1 s, half of them with
speech, but no pairs of one event. Parts of the release are CC BY-NC. Official split: train, val and eval.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sottovoce.arrays import read_array
from sottovoce.audio import writer
from sottovoce.corpora.catalogue import CORPORA
from sottovoce.corpora.generated import generated
from sottovoce.corpora.layout import Corpus, assemble
from sottovoce.corpora.manifest import Manifest
from sottovoce.corpora.walk import skip_notes, walk
from sottovoce.errors import CorpusError, ModelError
from sottovoce.files import file_sha256

RATE = 44100
ENDING = ".npy"

_PARTS = {"train": "train", "val": "validation", "eval": "test"}
_SPEECH = {"speech": "yes", "no_speech": "no"}
_LONGEST = 10 * RATE  # samples of a clip
_LARGEST_BYTES = 16 * _LONGEST


def read(root: Path, cache: Path | None = None) -> Manifest:
    """Manifest of the clips below `root`, written as sound to `cache` once; CorpusError for what is no sound."""
    below = walk(root, (ENDING,))
    found = [path for path in below.sounds if _place(path)]
    skipped = {f"it is not in {CORPUS.layout}": [p.relative_to(root).as_posix() for p in below.sounds if not _place(p)]}
    notes = [*below.notes(), *(skip_notes(skipped) if len(found) < len(below.sounds) else [])]
    if not found:
        reasons = "".join(f" ({note})" for note in notes)
        raise CorpusError(f"{root} holds no recording of {CORPUS.title}{reasons}; expected {CORPUS.layout}.")
    digest = hashlib.sha256()
    for path in found:
        digest.update(f"{path.relative_to(root)} {file_sha256(path)}\n".encode())
    key, columns = digest.hexdigest()[:32], ("file_name", "event", "speech", "split")
    _, clips = generated("tau", key, columns, lambda folder: _written(folder, found), notes, cache)
    return assemble(CORPUS, root, clips, notes)


def _place(path: Path) -> tuple[str, str, str] | None:
    """The folders of the part, the event and the half that an array is in; None if it is elsewhere."""
    half, event, speech = ("", "", "", *path.absolute().parts)[-4:-1]
    return (half, event, speech) if half in _PARTS and speech in _SPEECH else None


def _written(folder: Path, found: list[Path]) -> Iterator[tuple[str, ...]]:
    """The rows of the table, each once its sound is in `folder`."""
    for path in found:
        half, event, speech = _place(path) or ("", "", "")
        name = Path(half, event, speech, path.name).with_suffix(".flac")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        writer.write(folder / name, _sound(path), RATE)
        yield name.as_posix(), event, _SPEECH[speech], _PARTS[half]


def _sound(path: Path) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    try:
        wav = read_array(path, _LARGEST_BYTES)
    except ModelError as error:
        raise CorpusError(f"{path} is no array of numbers: {error}") from error
    if wav.ndim != 1 or wav.dtype.kind != "f" or not 0 < len(wav) <= _LONGEST or not np.isfinite(wav).all():
        raise CorpusError(f"{path} holds {wav.dtype} of shape {wav.shape}; expected finite sound [T], up to 10 s.")
    return np.asarray(wav, np.float32)


CORPUS: Corpus = Corpus(
    name="tau",
    title="TAU Sound Events and Speech Privacy Preservation",
    homepage="https://zenodo.org/records/10378145",
    layout="final_data_npy_split/{train,val,eval}/EVENT/{speech,no_speech}/NAME.npy",
    labels=("event", "speech"),
    licence="see the release",
    citation="Gharib, Tran, Luong, Drossos and Virtanen, TAU Sound Events and Speech Privacy Preservation, Zenodo, "
    "2023, doi:10.5281/zenodo.10378145",
    split_rule="official",
    expected={"clips": 5630, "event": 12, "speech": 2},
    signs=("final_data_npy_split",),
    reader=lambda root: read(root),
)
CORPORA.register(CORPUS.name, CORPUS)
