"""The one runner of experiments: checks corpora, does what is not done yet, writes the record, draws and tabulates."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from statistics import median
from typing import Any

import torch

from sottovoce import __version__, terminal
from sottovoce.cluster import Killed
from sottovoce.corpora.catalogue import CORPORA, open_corpus
from sottovoce.corpora.download import releases
from sottovoce.errors import ConfigError, CorpusError, ModelError
from sottovoce.experiments.experiment import Corpus, Experiment, Place, RunSettings, SharedJob, digest, grouped, parts
from sottovoce.files import write_file
from sottovoce.parallel import Shard, check_shared, ordered, unordered
from sottovoce.progress import duration
from sottovoce.training.device import about


def run(
    experiment: Experiment,
    corpora: Path,
    out: Path,
    workers: int,
    preset: str = "compact",
    shard: Shard | None = None,
) -> str:
    """Do all runs that are not kept from before, write the record and figures to `out`, and return the table.

    The record is written after each seed. With a `shard` only its runs are done, and a sentence is returned.
    ConfigError for a preset that the experiment does not have, CorpusError for corpora that are missing, ModelError
    where a run killed its process.
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
    own = [each for each in runs if shard is None or shard.has(digest(each))]
    missing = [each for each in own if digest(each) not in known]
    _check_corpora(experiment.name, missing, place)
    if missing and experiment.side_by_side:
        place = _on_every_disk(place)
    terminal.note(
        f"{experiment.name}: {experiment.question} {len(missing)} of {len(own)} runs are to be done. "
        f"Cost of all: {experiment.cost}.\n"
    )
    _prepare(missing, place, side_by_side)
    labels, killed = dict(zip(map(digest, runs), _labels(runs), strict=True)), list[str]()
    done = len(own) - len(missing)
    text = "" if shard else _recorded(experiment, preset, runs, known, root)
    for i, result in _results(experiment, missing, place, side_by_side):
        name = digest(missing[i])
        if isinstance(result, Killed):
            killed.append(labels[name])
            continue
        known[name], done = result, done + 1
        write_file(place.kept / f"{name}.json", json.dumps(result).encode())
        left = (len(own) - done) * median(known[digest(one)]["run_seconds"] for one in own if digest(one) in known)
        terminal.note(
            terminal.printable(
                f"{experiment.name}: {done} of {len(own)} runs done, {duration(left / side_by_side)} left; "
                f"{duration(result['run_seconds'])} for {labels[name]}"
            )
            + "\n"
        )
        text = text if shard else _recorded(experiment, preset, runs, known, root) or text
    if killed:
        raise ModelError(
            f"{experiment.name}: {Killed.REASON}: {'; '.join(killed)}; all other runs are kept: use a machine with "
            "more memory, and repeat the command."
        )
    if shard:
        return (
            f"{experiment.name}: shard {shard} is complete, {len(own)} of {len(runs)} runs, which are in {place.kept}; "
            "run the same command without --shard once all shards are complete."
        )
    return text


def _results(
    experiment: Experiment, runs: Sequence[RunSettings], place: Place, workers: int
) -> Iterator[tuple[int, Any]]:
    """The results of runs by their positions, as they end; one after the other here if they use all workers."""
    if experiment.side_by_side:
        return unordered(_performed, lambda i: (experiment.perform, runs[i], place), range(len(runs)), workers)
    return ((i, _performed(experiment.perform, each, place)) for i, each in enumerate(runs))


def _recorded(
    experiment: Experiment, preset: str, runs: Sequence[RunSettings], known: dict[str, dict[str, Any]], root: Path
) -> str:
    """Write the record of the first seeds of which all runs are done, and return the table; "" where no seed is."""
    complete = list(takewhile(lambda each: digest(each) in known, runs))
    while complete and len(complete) < len(runs) and runs[len(complete)].seed == complete[-1].seed:
        complete.pop()
    return _written(experiment, preset, [known[digest(each)] for each in complete], root) if complete else ""


def _on_every_disk(place: Place) -> Place:
    """The same with full paths, where workers of a cluster do the runs; ConfigError where they do not see these."""
    full = replace(place, corpora=place.corpora.resolve(), out=place.out.resolve(), kept=place.kept.resolve())
    full.kept.mkdir(parents=True, exist_ok=True)
    return full if check_shared([full.corpora, full.kept]) else place


def _kept(settings: RunSettings, place: Place) -> dict[str, Any] | None:
    """The result of a run that was done before with the same settings; None also for a damaged one."""
    path = place.kept / f"{digest(settings)}.json"
    if not path.is_file():
        return None
    with suppress(OSError, ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found, dict) and {"seed", "settings", "run_seconds"} <= found.keys():
            return found
    terminal.note(f"{terminal.printable(str(path))} is damaged, so this run is done again.\n")
    return None


def _performed(perform: Callable[[Any, Place], dict[str, Any]], settings: RunSettings, place: Place) -> dict[str, Any]:
    """The result of a run, as it is when it is read from JSON."""
    torch.set_num_threads(place.workers)
    began = time.monotonic()
    made = {"seed": settings.seed, "commit": commit(), **about()}
    result = {**made, **perform(settings, place), "settings": asdict(settings)}
    return json.loads(json.dumps({**result, "run_seconds": round(time.monotonic() - began, 1)}))  # type: ignore[no-any-return]


def commit(source: Path = Path(__file__)) -> str | None:
    """The commit of a file of the program, with "-dirty" where files were changed since; None outside a checkout."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(source.parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", source.name)  # an installed copy may lie in somebody else's checkout
        return git("describe", "--always", "--dirty", "--exclude=*")
    except (OSError, subprocess.CalledProcessError):
        return None


def _prepare(runs: Sequence[RunSettings], place: Place, workers: int) -> None:
    """Do what more than one of the runs needs, one kind after the other, so that no two do it at once."""
    needed = Counter(job for each in runs for job in set(parts(each, SharedJob)))
    often = dict.fromkeys(job for each in runs for job in parts(each, SharedJob) if needed[job] > 1)
    for kind, jobs in grouped(often, type).items():
        terminal.note(f"first, what several runs share: {len(jobs)} x {kind.__name__}\n")
        if workers > 1:
            ordered(_make, lambda i, jobs=jobs: (jobs[i], place), len(jobs), workers)  # type: ignore[misc]
        else:
            for job in jobs:
                _make(job, place)


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
