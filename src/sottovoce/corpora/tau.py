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
from sottovoce.corpora.cache import build_once, cache_folder
from sottovoce.corpora.csv_file import read_table
from sottovoce.corpora.layout import Corpus, assemble
from sottovoce.corpora.manifest import Manifest, file_sha256
from sottovoce.errors import CorpusError, ModelError

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

_PARTS = {"train": "train", "val": "validation", "eval": "test"}
_SPEECH = {"speech": "yes", "no_speech": "no"}
_LONGEST = 10 * RATE  # samples of a clip
_LARGEST_BYTES = 16 * _LONGEST
_COLUMNS = ("file_name", "event", "speech", "split")


def read(root: Path, cache: Path | None = None) -> Manifest:
    """Manifest of the clips below `root`, written as sound to `cache` once; CorpusError for what is no sound."""
    found = sorted(root.glob("final_data_npy_split/*/*/*/*.npy"))
    if not found:
        raise CorpusError(f"{root} holds no recording of {CORPUS.title}; expected {CORPUS.layout}.")
    digest = hashlib.sha256()
    for path in found:
        digest.update(f"{path.relative_to(root)} {file_sha256(path)}\n".encode())
    parent = (cache_folder() if cache is None else cache) / "tau"
    folder = build_once(parent / digest.hexdigest()[:32], lambda unfinished: _write(unfinished, root, found))
    return assemble(CORPUS, root, read_table(folder / "metadata.csv", "file_name"))


def _write(folder: Path, root: Path, found: list[Path]) -> None:
    rows = []
    for path in found:
        half, event, speech = path.parts[-4:-1]
        if half not in _PARTS or speech not in _SPEECH:
            raise CorpusError(f"{path} is in no part or half that is known; expected {CORPUS.layout}.")
        name = path.relative_to(root / "final_data_npy_split").with_suffix(".flac")
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
