"""TAU Sound Events and Speech Privacy Preservation: the clips that RDAL was published with.

Layout     final_data_npy_split/{train,val,eval}/EVENT/{speech,no_speech}/NAME.npy, sound at 44.1 kHz as numpy arrays;
           "_female_" or "_male_" in the name of a clip with speech
Licence    see the release: parts are CC BY-NC
Citation   Gharib, Tran, Luong, Drossos and Virtanen, TAU Sound Events and Speech Privacy Preservation, Zenodo, 2023,
           doi:10.5281/zenodo.10378145
Release    5630 clips of 1 s, 12 events, half of them with speech
Defects    arrays, not sound files: they are written as such once, to the cache; clips are no pairs of one event
Split      official: train, val and eval
"""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np

from sottovoce.arrays import read_array
from sottovoce.audio import writer
from sottovoce.corpora.csv_file import listed
from sottovoce.corpora.layout import Corpus, assemble
from sottovoce.corpora.manifest import Manifest
from sottovoce.corpora.store import build_once, cache_folder
from sottovoce.corpora.walk import skip_notes, walk
from sottovoce.errors import CorpusError, ModelError
from sottovoce.files import file_sha256

CORPUS = Corpus(
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
)
RATE = 44100
ENDING = ".npy"

_PARTS = {"train": "train", "val": "validation", "eval": "test"}
_SPEECH = {"speech": "yes", "no_speech": "no"}
_LONGEST = 10 * RATE  # samples of a clip
_LARGEST_BYTES = 16 * _LONGEST
_COLUMNS = ("file_name", "event", "speech", "split")


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
    parent = (cache_folder() if cache is None else cache) / "tau"
    folder = build_once(parent / digest.hexdigest()[:32], lambda unfinished: _write(unfinished, found), notes)
    return assemble(CORPUS, root, listed(folder / "metadata.csv", "file_name").clips, notes)


def _place(path: Path) -> tuple[str, str, str] | None:
    """The folders of the part, the event and the half that an array is in; None if it is elsewhere."""
    half, event, speech = ("", "", "", *path.absolute().parts)[-4:-1]
    return (half, event, speech) if half in _PARTS and speech in _SPEECH else None


def _write(folder: Path, found: list[Path]) -> None:
    rows = []
    for path in found:
        half, event, speech = _place(path) or ("", "", "")
        name = Path(half, event, speech, path.name).with_suffix(".flac")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        writer.write(folder / name, _sound(path), RATE)
        rows.append((name.as_posix(), event, _SPEECH[speech], _PARTS[half]))
    with (folder / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([_COLUMNS, *rows])


def _sound(path: Path) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    try:
        wav = read_array(path, _LARGEST_BYTES)
    except ModelError as error:
        raise CorpusError(f"{path} is no array of numbers: {error}") from error
    if wav.ndim != 1 or wav.dtype.kind != "f" or not 0 < len(wav) <= _LONGEST or not np.isfinite(wav).all():
        raise CorpusError(f"{path} holds {wav.dtype} of shape {wav.shape}; expected finite sound [T], up to 10 s.")
    return np.asarray(wav, np.float32)
