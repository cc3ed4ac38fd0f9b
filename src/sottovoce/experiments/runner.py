"""The one runner of experiments: checks corpora, does what is not done yet, writes the record, draws and tabulates."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import torch
from joblib import Parallel, delayed

from sottovoce import __version__, terminal
from sottovoce.corpora.catalogue import CORPORA, open_corpus
from sottovoce.corpora.download import releases
from sottovoce.errors import ConfigError, CorpusError
from sottovoce.experiments.experiment import Corpus, Experiment, Place, RunSettings, SharedJob, digest, grouped, parts
from sottovoce.files import write_file
from sottovoce.progress import duration


def run(experiment: Experiment, corpora: Path, out: Path, workers: int, preset: str = "compact") -> str:
    """Do all runs that are not kept from before, write the record and figures to `out`, and return the table.

    The record is written after each seed. ConfigError for a preset that the experiment does not have, CorpusError for
    corpora that are missing.
    """
    if preset not in experiment.runs:
        raise ConfigError(
            f"--preset is '{preset}'; expected for the experiment '{experiment.name}': {', '.join(experiment.runs)}."
        )
    runs = experiment.runs[preset]
    root = out.with_name(f"{out.name}-unfinished") if experiment.beside else out
    side_by_side = workers if experiment.side_by_side else 1
    place = Place(corpora, out, root / "runs" / (experiment.shelf or experiment.name), workers // side_by_side)
    known = {digest(each): found for each in runs if (found := _kept(each, place)) is not None}
    missing = [each for each in runs if digest(each) not in known]
    _check_corpora(experiment.name, missing, place)
    terminal.note(
        f"{experiment.name}: {experiment.question} {len(missing)} of {len(runs)} runs are to be done. "
        f"Cost of all: {experiment.cost}.\n"
    )
    _prepare(missing, place, side_by_side)
    parallel = Parallel(n_jobs=side_by_side, batch_size=1, return_as="generator")
    performed = (
        parallel(delayed(_performed)(experiment.perform, each, place) for each in missing) if missing else iter(())
    )
    labels, text = _labels(runs), ""
    for number, each in enumerate(runs, start=1):
        if digest(each) not in known:
            known[digest(each)] = next(performed)
            left = (len(runs) - len(known)) * median(one["run_seconds"] for one in known.values()) / side_by_side
            took = duration(known[digest(each)]["run_seconds"])
            line = f"{experiment.name}: {len(known)} of {len(runs)} runs done, {duration(left)} left; {took} for {{}}"
            terminal.note(terminal.printable(line.format(labels[number - 1])) + "\n")
        if number == len(runs) or runs[number].seed != each.seed:
            text = _written(experiment, preset, [known[digest(done)] for done in runs[:number]], root)
    return text


def _kept(settings: RunSettings, place: Place) -> dict[str, Any] | None:
    """The result of a run that was done before with the same settings."""
    path = place.kept / f"{digest(settings)}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _performed(perform: Callable[[Any, Place], dict[str, Any]], settings: RunSettings, place: Place) -> dict[str, Any]:
    """Do a run and keep its result, atomically."""
    torch.set_num_threads(place.workers)
    began = time.monotonic()
    result = {"seed": settings.seed, **perform(settings, place), "settings": asdict(settings)}
    text = json.dumps({**result, "run_seconds": round(time.monotonic() - began, 1)})
    write_file(place.kept / f"{digest(settings)}.json", text.encode())
    return json.loads(text)  # type: ignore[no-any-return]  # as it is when it is read again


def _prepare(runs: Sequence[RunSettings], place: Place, workers: int) -> None:
    """Do what more than one of the runs needs, one kind after the other, so that no two do it at once."""
    needed = Counter(job for each in runs for job in set(parts(each, SharedJob)))
    often = dict.fromkeys(job for each in runs for job in parts(each, SharedJob) if needed[job] > 1)
    for kind, jobs in grouped(often, type).items():
        terminal.note(f"first, what several runs share: {len(jobs)} x {kind.__name__}\n")
        Parallel(n_jobs=workers, batch_size=1)(delayed(_make)(job, place) for job in jobs)


def _make(job: SharedJob, place: Place) -> None:
    torch.set_num_threads(place.workers)
    job.make(place)


def _check_corpora(name: str, runs: Sequence[RunSettings], place: Place) -> None:
    """CorpusError that names every corpus that is missing, and how to get it."""
    missing = []
    for corpus in dict.fromkeys(corpus for each in runs for corpus in parts(each, Corpus)):
        kind, _, folder = corpus.partition(":")
        if folder and not (place.corpora / folder).exists():
            missing.append(f"{place.corpora / folder} ({_source(kind)})")
        else:
            open_corpus(place.spec(corpus))
    if missing:
        raise CorpusError(f"the experiment '{name}' needs what does not exist: {'; '.join(missing)}.")


def _source(kind: str) -> str:
    """How a corpus can be had."""
    kind = {"strings": "fsdd"}.get(kind, kind)
    if kind in releases():
        return f"get it with `sottovoce corpora fetch {kind} --out DIR`, and move or link its folder there"
    return f"{CORPORA[kind].title}: {CORPORA[kind].homepage or CORPORA[kind].layout}"


def _labels(runs: Sequence[RunSettings]) -> list[str]:
    """For each run the settings in which it differs from others."""
    flat = [dict(_flat(asdict(each))) for each in runs]
    differ = [key for key in flat[0] if len({str(each.get(key)) for each in flat}) > 1]
    return [
        ", ".join(f"{key} {each[key]}" for key in differ if each.get(key)) or f"seed {each['seed']}" for each in flat
    ]


def _flat(settings: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value)
        elif not (isinstance(value, tuple) and any(isinstance(one, dict) for one in value)):  # too long for a line
            yield key, value


def _written(experiment: Experiment, preset: str, results: list[dict[str, Any]], root: Path) -> str:
    """Write the record of these results and the figures to `root`; returns the table."""
    name = experiment.name if preset == "compact" else f"{experiment.name}-{preset}"
    record = {
        "experiment": experiment.name,
        "question": experiment.question,
        "command": f"sottovoce experiment {experiment.name} --corpora PATH --out DIR --preset {preset}",
        "preset": preset,
        "sottovoce": __version__,
        "date": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "caption": experiment.table.caption(results),
        "runs": results,
    }
    write_file(root / f"{name}.json", json.dumps(record, indent=1).encode())
    for ending, draw in experiment.figures.items():
        write_file(root / f"{name}{ending}.svg", draw(results))
    return experiment.table.markdown(results)
