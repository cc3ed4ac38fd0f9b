"""The job behind `sottovoce export --to web`: filters as a folder of static files that run in a browser's tab.

The folder holds the page of `sottovoce/web`, the runtime of ONNX graphs for browsers, and for each filter its graph
from sound to log posteriors, its codewords, and golden vectors that the page reproduces before it starts. What is large
is compressed here, since many servers do not compress.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import io
import json
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sottovoce.audio.griffin_lim import MARGIN_SAMPLES
from sottovoce.audio.level import KNEE
from sottovoce.audio.segment import cut
from sottovoce.audio.spectrum import SAMPLE_RATE, SEGMENT_SAMPLES
from sottovoce.errors import ConfigError, ParityError
from sottovoce.files import read_bytes
from sottovoce.jobs.web_example import example
from sottovoce.models.checkpoint import check_place, path_part, write_folder
from sottovoce.models.codebook import SAMPLES, Codebook
from sottovoce.models.codewords import describe
from sottovoce.runtime import golden
from sottovoce.runtime.engine import CODEBOOK, SCORES, SOUND, Graph
from sottovoce.runtime.export import from_sound
from sottovoce.runtime.filter import Filter
from sottovoce.runtime.labels import code_names

PAGE = Path(__file__).parents[1] / "web"
RUNTIME = "onnxruntime-web-1.30.0.tgz"  # as `npm pack` writes it
RUNTIME_SHA256 = "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71"
_RUNTIME_FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
_LICENCES = ("LICENSE", "ThirdPartyNotices.txt")  # of the same project, as its Python package has them
_LARGEST_RUNTIME = 1 << 26  # bytes
_PLAYED = 4  # codewords in the golden vectors


def export_web(folders: Sequence[Path], out: Path, runtime: Path | None = None) -> dict[str, Any]:
    """Write the page with these filters, all or nothing; returns the card of its folder.

    `runtime` is the package of onnxruntime-web; None: one in the current folder, or that of `make install`.
    ConfigError for a filter that the page cannot run, and where the runtime is missing; ParityError if a graph for the
    browser answers otherwise than the filter.
    """
    check_place(out, "web")
    filters = {folder.name: Filter.load(folder) for folder in folders}
    files = {path.name: path.read_bytes() for path in sorted(PAGE.iterdir()) if path.is_file()}
    files |= {f"onnxruntime-web/{name}": content for name, content in _runtime(runtime).items()}
    listed = []
    for name, loaded in filters.items():
        place = f"filters/{path_part(name)}"
        files |= {f"{place}/{part}": content for part, content in _filter(name, loaded).items()}
        listed.append({"name": name, "folder": place, "tasks": list(loaded.permit)})
    files["filters.json"] = json.dumps({"filters": listed}, indent=1).encode()
    return write_folder(out, "web", files, {"filters": listed})


def _filter(name: str, loaded: Filter) -> dict[str, bytes]:
    """The files of one filter."""
    if loaded.config.architecture != CODEBOOK:
        raise ConfigError(
            f"the filter {name} draws no codewords from codes, and the page for browsers runs only filters that do; "
            "export it with --to onnx, or train one with --method codebook."
        )
    book = loaded.engine.vocabulary()
    graph = from_sound(loaded, (loaded.path / "filter.onnx").read_bytes() if loaded.path else b"")
    sound = _golden_sound(book)
    wav = sound.astype(np.float32) / np.float32(2.0**15)
    spoken, about = example(book)
    contents = {
        "filter.onnx": graph,
        "codewords.u8": book.sounds.tobytes(),
        "golden.i16": sound.tobytes(),
        "example.i16": spoken.tobytes(),
    }
    facts = {
        "schema": 1,
        "name": name,
        "sample_rate": SAMPLE_RATE,
        "segment_samples": SEGMENT_SAMPLES,
        "margin_samples": MARGIN_SAMPLES,
        "knee": float(KNEE),
        "samples": [round(float(sample) * 2**15) for sample in SAMPLES],
        "tasks": _tasks(book, loaded),
        "positions": book.positions,
        "memory": book.memory,
        "block_segments": book.block_segments,
        "codewords": describe(loaded.card),
        "example": about,
        "golden": _expected(name, loaded, book, graph, wav),
        "files": {part: hashlib.sha256(content).hexdigest() for part, content in contents.items()},
    }
    packed = {f"{part}.gz": _packed(content) for part, content in contents.items()}
    return {"filter.json": json.dumps(facts, indent=1).encode(), **packed}


def _tasks(book: Codebook, loaded: Filter) -> list[dict[str, Any]]:
    names = code_names(book, loaded.card)
    parts = zip(book.tasks, book.centres, book.none_above, strict=True)
    return [
        {"name": task, "codes": names[task], "none_above": above, "centres": centres.tolist()}
        for task, centres, above in parts
    ]


def _golden_sound(book: Codebook) -> NDArray[np.int16]:
    """What the page filters before it starts: a buzz in noise, and some codewords; it ends within a segment."""
    played = np.linspace(0, book.count - 1, min(_PLAYED, book.count)).round().astype(int)
    words = book.waves()[played, MARGIN_SAMPLES:-MARGIN_SAMPLES].ravel()
    wav = np.concatenate([golden.sample(SEGMENT_SAMPLES), words, golden.sample(SEGMENT_SAMPLES // 2)])
    return np.rint(wav * (2.0**15 - 1)).astype("<i2")


def _expected(name: str, loaded: Filter, book: Codebook, graph: bytes, wav: NDArray[np.float32]) -> dict[str, Any]:
    """What leaves for the golden sound; ParityError where the graph for browsers would let something else leave."""
    segments = cut(wav)
    codes = loaded.engine.codes(segments)
    scores = Graph(graph, SCORES, (book.classes,), 1, SOUND, (SEGMENT_SAMPLES,)).run(segments)
    again = book.codes(scores, loaded.permit, book.initial_state())[0][:: book.block_segments]
    if not np.array_equal(again, codes):
        raise ParityError(
            f"the graph of {name} for browsers chooses other codes than the filter; try another version of torch."
        )
    left = loaded.filter(wav)
    return {"codes": codes.tolist(), "sha256": hashlib.sha256(left.astype("<f4").tobytes()).hexdigest()}


def runtime_places() -> list[Path]:
    """Where the runtime for browsers is looked for: the current folder, and where `make install` puts it."""
    return [Path(RUNTIME), Path(sys.prefix) / "share" / "sottovoce" / RUNTIME]


def _runtime(chosen: Path | None) -> dict[str, bytes]:
    """The files of onnxruntime-web that the page needs, from the package with the digest above, and its licences."""
    places = [chosen] if chosen else runtime_places()
    package = next((place for place in places if place.is_file()), None)
    if package is None:
        version = RUNTIME.removesuffix(".tgz").rpartition("-")[2]
        raise ConfigError(
            f"the runtime for browsers, {RUNTIME}, is not at {' or '.join(map(str, places))}; fetch it with "
            f"`npm pack onnxruntime-web@{version}` and name the file with --runtime."
        )
    content = read_bytes(package, _LARGEST_RUNTIME)
    if hashlib.sha256(content).hexdigest() != RUNTIME_SHA256:
        raise ConfigError(f"{package} is not {RUNTIME} as it was published; fetch it again with `npm pack`.")
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(content), mode="r|gz") as archive:  # a stream, which is read only once
        for member in archive:
            name = member.name.removeprefix("package/dist/")
            if name in _RUNTIME_FILES and (file := archive.extractfile(member)):
                files[name] = file.read()
            if len(files) == len(_RUNTIME_FILES):
                break
    module, wasm = _RUNTIME_FILES
    script = module.replace(".mjs", ".js")  # a name that every server sends as JavaScript
    return {script: files[module], f"{wasm}.gz": _packed(files[wasm]), **_licences()}


def _packed(content: bytes) -> bytes:
    return gzip.compress(content, 6, mtime=0)


def _licences() -> dict[str, bytes]:
    found = importlib.util.find_spec("onnxruntime")
    folder = Path(found.origin).parent if found and found.origin else Path()
    missing = [name for name in _LICENCES if not (folder / name).is_file()]
    if missing:
        raise ConfigError(
            f"the installed onnxruntime has no {' and no '.join(missing)}, which have to lie beside its files; install "
            "it from the package index with pip."
        )
    return {name: (folder / name).read_bytes() for name in _LICENCES}
