"""The job behind `sottovoce export`: a filter as a folder that can be taken elsewhere, checked and audited as it is."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sottovoce.audio.segment import cut, front_end
from sottovoce.audio.spectrum import Spectrum
from sottovoce.audit.compare import headline
from sottovoce.corpora import corpus
from sottovoce.errors import ConfigError
from sottovoce.jobs.audit import AuditConfig, run_audit
from sottovoce.models.checkpoint import check_place, read_folder, write_folder
from sottovoce.models.onnx_graph import packed
from sottovoce.progress import Report
from sottovoce.runtime import golden
from sottovoce.runtime.engine import CodebookEngine, Graph
from sottovoce.runtime.export import target_place, whole
from sottovoce.runtime.filter import Filter
from sottovoce.runtime.quantise import dynamic, static

GRAPH = "filter.onnx"
_CALIBRATION, _MEASURED = 200, 400  # segments of the train and the validation part
_WRITTEN_ANEW = ("files", "schema", "kind", "sottovoce")  # of a card


@dataclass(frozen=True)
class ExportConfig:
    """What to export: the filter in `folder`, to `out`; with `int8` in 8 bits, calibrated and audited on `corpus`.

    Both the filter and its export are attacked by `attackers`, if there is a corpus; `targets` judge, if the
    filter's folder holds none.
    """

    folder: Path
    out: Path
    int8: bool = False
    corpus: str | None = None
    attackers: str = "quick"
    targets: tuple[Path | str, ...] = ()
    workers: int = 1
    command: str = ""


def export(config: ExportConfig, report: Report) -> dict[str, Any]:
    """Write the folder, check its golden vectors, audit it; returns its card. ParityError if it is off."""
    check_place(config.out, "filter")
    card = read_folder(config.folder, "filter")
    files = {name: (config.folder / name).read_bytes() for name in card["files"] if not name.startswith("targets/")}
    files.pop("weights.safetensors", None)  # of training; the graph has them
    own = {key: value for key, value in card.items() if key not in _WRITTEN_ANEW}
    if config.int8:
        if "quantised" in card or b"DequantizeLinear" in files[GRAPH]:
            raise ConfigError(f"{config.folder} is in 8 bits already; name the filter that it was made from.")
        files[GRAPH], facts = _in_8_bits(config, files[GRAPH], card, report)
        own |= {**facts, "audit_before": own.pop("audit", None)}
    files[golden.WHOLE] = whole(_loaded(files, own), files[GRAPH])
    files[golden.VECTORS] = golden.vectors(_loaded(files, own), files[golden.WHOLE])
    with tempfile.TemporaryDirectory() as scratch:  # what is off is never at its place
        write_folder(Path(scratch) / "filter", "filter", files, own)
        own["parity"] = golden.check(Path(scratch) / "filter")
    written = write_folder(config.out, "filter", files, own)
    if config.corpus:
        return write_folder(config.out, "filter", files, {**own, **_audits(config, card, report)})
    return written


def _loaded(files: dict[str, bytes], own: dict[str, Any]) -> Filter:
    """The filter that such files are."""
    with tempfile.TemporaryDirectory() as scratch:
        write_folder(Path(scratch) / "filter", "filter", files, own)
        return Filter.load(Path(scratch) / "filter")


def _in_8_bits(
    config: ExportConfig, graph: bytes, card: dict[str, Any], report: Report
) -> tuple[bytes, dict[str, Any]]:
    """The graph in 8 bits, and what it and its rivals measure.

    With real sounds to fix the scales by, all of it is in 8 bits; without, its weights alone.
    """
    rivals, spectra = {"float": graph, "weights": packed(graph), "dynamic": dynamic(graph)}, _noise()
    if config.corpus:
        calibration, spectra = spectra_of(config.corpus, card, report)
        rivals["static"] = static(graph, calibration)
    chosen = "static" if config.corpus else "weights"
    measured = compared(config.folder, rivals, spectra)
    measured_on = "validation clips" if config.corpus else "noise"
    return rivals[chosen], {"quantised": f"8 bits, {chosen}", "int8": {"measured_on": measured_on, **measured}}


def spectra_of(spec: str, card: dict[str, Any], report: Report) -> tuple[Spectrum, Spectrum]:
    """Spectra of segments of the train and of the validation part of a corpus."""
    manifest, sounds = corpus.opened(spec, report)
    parts, rng = corpus.split_of(card, manifest), np.random.default_rng(0)

    def some(clips: NDArray[np.int64], count: int) -> Spectrum:
        few = rng.permutation(clips)[:count]
        return front_end(np.concatenate([cut(sounds.wave(int(i))) for i in few])[:count])

    return some(parts.train, _CALIBRATION), some(parts.validation, _MEASURED)


def _noise() -> Spectrum:
    return front_end(np.random.default_rng(0).standard_normal((64, 20480), dtype=np.float32))


def compared(folder: Path, graphs: dict[str, bytes], spectra: Spectrum) -> dict[str, Any]:
    """Of each graph its bytes, milliseconds per second of sound, and how far its answers are from those of "float"."""
    engine, measured = Filter.load(folder).engine, {}
    own = engine.encoder if isinstance(engine, CodebookEngine) else engine
    assert isinstance(own, Graph), "`whole` has refused other engines"
    expected = None
    for name, content in graphs.items():
        graph = own.like(content)
        answers = graph.run(spectra)
        expected = answers if expected is None else expected
        measured[name] = {"bytes": len(content), "ms_per_s": _ms_per_s(graph, spectra)}
        if isinstance(engine, CodebookEngine):
            codes = [np.stack([_code(engine, row) for row in each]) for each in (answers, expected)]
            measured[name]["same_codes"] = float((codes[0] == codes[1]).all(axis=1).mean())
        else:
            measured[name]["deviation"] = float(np.sqrt(np.square(answers - expected).mean()))
    return measured


def _code(engine: CodebookEngine, log_posteriors: NDArray[np.float32]) -> NDArray[np.int64]:
    book = engine.codebook
    codes: NDArray[np.int64] = book.codes(log_posteriors[None], book.tasks, book.initial_state())[0][0]
    return codes


def _ms_per_s(graph: Graph, spectra: Spectrum) -> float:
    """Of the median of 100 segments of 1.28 s, one at a time as in a stream."""
    times = []
    for i in range(100):
        start = time.perf_counter()
        graph.run(spectra[i % len(spectra)][None])
        times.append(time.perf_counter() - start)
    return round(1000 * float(np.median(times)) / 1.28, 4)


def _audits(config: ExportConfig, card: dict[str, Any], report: Report) -> dict[str, Any]:
    """Headlines of the audits of the filter and of its export, side by side; their records are kept beside."""
    assert config.corpus is not None
    places = [config.folder / target_place(task) for task in card.get("permit", [])]
    targets = config.targets or tuple(
        place / "target.onnx" if (place / "target.onnx").is_file() else place for place in places if place.is_dir()
    )
    headlines = {}
    for name, folder in {"audit_before": config.folder, "audit": config.out}.items():
        place = config.out.with_name(f"{config.out.name}-{name}")
        audit = AuditConfig(
            str(folder), config.corpus, place, config.attackers, targets=targets, workers=config.workers
        )
        headlines[name] = headline(run_audit(replace(audit, command=config.command), report))
    return headlines
