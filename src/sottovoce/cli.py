"""The command line: one thin verb per capability. Exit status: 0 fine, 1 the finding is bad, 2 usage or bad input."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, cast

import typer

if TYPE_CHECKING:
    from sottovoce.runtime.filter import Filter

from sottovoce.errors import ConfigError, MissingExtraError, SottovoceError
from sottovoce.progress import Progress

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)
corpora = typer.Typer(no_args_is_help=True, help="What is known, and what a folder really holds.")
app.add_typer(corpora, name="corpora")
filters = typer.Typer(no_args_is_help=True, help="The filters that come along, and all that a filter can say.")
app.add_typer(filters, name="filters")

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Corpus = Annotated[str, typer.Option(help="NAME:PATH, such as ravdess:PATH, folder:PATH, csv:FILE; or voices.")]
Out = Annotated[Path, typer.Option(help="Folder to write.")]
Preset = Annotated[str, typer.Option(help="compact (minutes on two cores) or paper (sizes of the paper).")]
Seed = Annotated[int, typer.Option(help="Seed of all randomness but the split.", min=0)]
Split = Annotated[str | None, typer.Option(help="utterance, speaker or official; default: as the corpus suggests.")]


@app.command()
def demo(out: Out = Path("demo"), json_: Json = False) -> None:
    """The main job from nothing: built-in corpus, target, filter, audit, protected sound, report."""
    with _needs("audit"):
        from sottovoce import demo as main_job

        found = main_job.run(out, Progress())
    _print(found, json_, main_job.table)


@corpora.command("list")
def corpora_list(json_: Json = False) -> None:
    """The corpora that are known by name."""
    from sottovoce.corpora.catalogue import BUILT_IN, KNOWN

    known = [BUILT_IN, *(entry.corpus for entry in KNOWN.values())]
    found = [{"name": c.name, "title": c.title, "labels": list(c.labels), "licence": c.licence} for c in known]
    lines = [
        f"{c['name']:12} {c['title']}; labels: {', '.join(c['labels']) or 'its own'}; {c['licence']}" for c in found
    ]
    _print(found, json_, lambda _: "\n".join(lines))


@corpora.command("check")
def corpora_check(spec: Annotated[str, typer.Argument(help="NAME:PATH or voices.")], json_: Json = False) -> None:
    """What a folder really holds: every file is decoded, defects are named. Exit status 1 if a clip is unusable."""
    from sottovoce.jobs import corpus

    with _needs("voices"):
        found, usable = corpus.check(spec, Progress())
    _print(found, json_, lambda _: corpus.text(found))
    if not usable:
        raise typer.Exit(1)


@app.command()
def target(
    corpus: Corpus,
    task: Annotated[str, typer.Option(help="The label to recognise, such as emotion.")],
    out: Out,
    preset: Preset = "compact",
    split: Split = None,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Train a target: the recogniser whose task will be permitted."""
    with _needs("train"):
        from sottovoce.jobs.make import make_target

        card = make_target(corpus, task, out, preset, split, seed, _command(), Progress())  # type: ignore[arg-type]
    score = card["accuracy"]
    text = (
        f"{task}: {score['test']:.1%} of {score['test_clips']} test clips right ({card['seconds']:.0f} s); wrote {out}"
    )
    _print(card, json_, lambda _: text)


@app.command()
def train(
    corpus: Corpus,
    permit: Annotated[str, typer.Option(help="The permitted task; several with commas, for method codebook.")],
    target: Annotated[str, typer.Option(help="Target of each permitted task, in order: folder, ONNX or URL.")],
    out: Out,
    method: Annotated[str, typer.Option(help="codebook; optin; or raw (the paper's rejected loss).")] = "codebook",
    preset: Preset = "compact",
    codes: Annotated[int, typer.Option(help="Codes of each task; 0: one for each class.", min=0, max=256)] = 0,
    block: Annotated[int, typer.Option(help="Segments of 1.28 s to a block: 1, 2, 4, 8 or 16.")] = 1,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Train a filter that lets the permitted tasks through."""
    with _needs("train"):
        from sottovoce.jobs.make import Wanted, make_filter

        wanted = Wanted(corpus, _names(permit), _places(target), out, method, preset, codes, block, seed, _command())
        card = make_filter(wanted, Progress())
    rate = f", at most {card['rate_bits_per_s']:.3g} bits/s" if card["rate_bits_per_s"] is not None else ""
    text = f"{method}: {card['seconds']:.0f} s, {card['parameters']:,} parameters{rate}; wrote {out}"
    _print(card, json_, lambda _: text)


@app.command()
def audit(
    system: Annotated[
        str,
        typer.Argument(
            metavar="FILTER",
            help="A filter's folder, a folder of protected sound, a file *.onnx, or 'command:PROGRAM {in} {out}'.",
        ),
    ],
    corpus: Corpus,
    out: Out,
    attackers: Annotated[str, typer.Option(help="quick, standard or thorough.")] = "standard",
    attack: Annotated[str | None, typer.Option(help="Attributes to attack, with commas; default: all others.")] = None,
    permit: Annotated[
        str | None, typer.Option(help="What is permitted, with commas; default for a filter: all that it can.")
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="Targets that judge, PATH[,PATH]; a filter brings its own.")
    ] = None,
    split: Split = None,
    constant: Annotated[int, typer.Option(help="Blocks that a codebook filter sends for every sound.", min=0)] = 0,
    int8: Annotated[bool, typer.Option("--int8", help="Audit the filter with 8-bit weights, and keep that.")] = False,
    max_leakage: Annotated[float | None, typer.Option(help="Exit with status 1 when a leakage is above this.")] = None,
    workers: Annotated[int, typer.Option(help="Attackers side by side, one thread each.", min=1)] = os.cpu_count() or 1,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Attack a filter, or any other system, with fresh attackers; writes results.json, scores.npz and a report."""
    with _needs("audit"):
        from sottovoce.jobs.attack import Ask, run_audit
        from sottovoce.report.table import table

        if max_leakage is not None and not 0.0 <= max_leakage <= 1.0:
            raise ConfigError(f"--max-leakage is {max_leakage}; expected a share from 0 to 1.")
        ask = Ask(
            system,
            corpus,
            out,
            attackers,
            _names(attack),
            _names(permit),
            _places(target),
            cast(Any, split),
            seed,
            workers,
            _command(),
            constant,
            int8,
        )
        results = run_audit(ask, Progress())
    _print(results, json_, table)
    leakages = [entry["leakage"]["score"] for entry in results["private"].values()]
    if not results["valid"] or (max_leakage is not None and max(leakages) > max_leakage):
        raise typer.Exit(1)


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that `sottovoce audit` wrote.")],
    json_: Json = False,
) -> None:
    """Recompute the digests and every number of an audit from its scores. Exit status 1 if anything is different."""
    with _needs("audit"):
        from sottovoce.audit.record import verify as check

        wrong = check(folder)
    text = "every digest and every number is right" if not wrong else "\n".join(wrong)
    _print({"verified": not wrong, "wrong": wrong}, json_, lambda _: text)
    if wrong:
        raise typer.Exit(1)


@app.command()
def protect(
    places: Annotated[
        list[str],
        typer.Argument(
            metavar="[FILTER] IN OUT",
            help="Filter folder (may be left out with --permit), and a sound file, a folder, or - for raw s16le PCM.",
        ),
    ],
    permit: Annotated[str | None, typer.Option(help="What may be heard, with commas; default: all it can.")] = None,
    constant: Annotated[int, typer.Option(help="Blocks for every sound, so that its length is hidden.", min=0)] = 0,
    sample_rate: Annotated[int | None, typer.Option(help="Hz of the output (and of - as input).")] = None,
    json_: Json = False,
) -> None:
    """Pass sound through a filter; needs no training parts. Exit status 1 if a file of a folder was unusable."""
    from sottovoce.runtime import files

    if len(places) not in (2, 3):
        raise ConfigError(f"got {len(places)} places; expected FILTER IN OUT, or IN OUT with --permit.")
    source, out = map(Path, places[-2:])
    loaded = _filter(places[0] if len(places) == 3 else None, permit, constant)
    if str(source) == "-":
        if str(out) != "-":
            raise ConfigError(f"- as input needs - as output, got {str(out)!r}.")
        files.protect_stream(loaded, sys.stdin.buffer, sys.stdout.buffer, sample_rate or 16000)
        return
    progress, began = Progress(), time.monotonic()
    outcome = files.protect(loaded, source, out, sample_rate, lambda done, total: progress(done, total, "protecting"))
    seconds = time.monotonic() - began
    if source.is_file() and outcome.failed:
        raise SottovoceError(*outcome.failed.values())
    found = {
        "files": len(outcome.done),
        "seconds_of_audio": round(outcome.seconds_of_audio, 2),
        "times_real_time": round(outcome.seconds_of_audio / seconds, 1),
        "failed": {str(path): reason for path, reason in outcome.failed.items()},
    }
    text = f"{found['files']} files, {found['seconds_of_audio']} s of sound, {found['times_real_time']} times real time"
    _print(found, json_, lambda _: text)
    for reason in outcome.failed.values():
        typer.echo(f"sottovoce: {reason}", err=True)
    if outcome.failed:
        raise typer.Exit(1)


def _filter(name: str | None, permit: str | None, constant: int) -> Filter:
    """The filter of that name or folder, or else the one that comes along for these tasks, switched to them."""
    from sottovoce.runtime import shipped
    from sottovoce.runtime.filter import Filter

    tasks = _names(permit)
    loaded = Filter.load(shipped.for_tasks(tasks) if name is None else shipped.found(name))
    if permit is not None:
        loaded = loaded.permitting(tasks)
    return loaded.constant(constant) if constant else loaded


@filters.command("list")
def filters_list(json_: Json = False) -> None:
    """The filters that come along, and what they can permit."""
    from sottovoce.runtime import shipped

    _print(
        {name: list(tasks) for name, tasks in shipped.known().items()},
        json_,
        lambda found: "\n".join(f"{name:20} permits {', '.join(tasks)}" for name, tasks in found.items()),
    )


@filters.command("show")
def filters_show(
    filter_: Annotated[str, typer.Argument(metavar="FILTER", help="Filter folder, or the name of one.")],
    out: Annotated[Path, typer.Option(help="Page to write.")] = Path("words.html"),
    json_: Json = False,
) -> None:
    """Every word that can ever leave a codebook filter, to see and to hear, on one page."""
    with _needs("audit"):
        from sottovoce.report.vocabulary import write_vocabulary

        count = write_vocabulary(_filter(filter_, None, 0), out)
    _print({"words": count, "page": str(out)}, json_, lambda _: f"{count} words; open {out}")


@app.command()
def experiment(
    name: Annotated[str, typer.Argument(help="codebook, digit-strings, first-light, loss-weights or shipped.")],
    corpora_at: Annotated[Path, typer.Option("--corpora", help="Folder that holds ravdess, emodb, fsdd.")],
    out: Out = Path("results"),
    workers: Annotated[int, typer.Option(help="Runs side by side, one thread each.", min=1)] = 2,
) -> None:
    """Make the measured results of the project again; prints a table."""
    with _needs("audit"):
        from sottovoce.experiments.catalogue import EXPERIMENTS

        if name not in EXPERIMENTS:
            raise ConfigError(f"unknown experiment '{name}'; known: {', '.join(EXPERIMENTS)}.")
        typer.echo(EXPERIMENTS[name](corpora_at, out, workers))


@app.command()
def doctor(json_: Json = False) -> None:
    """What is installed, and what to do about what is not."""
    from sottovoce import doctor as installation

    found = installation.examine()
    _print(found, json_, installation.text)


def main() -> NoReturn:
    """Run the command line; a mistake of the caller is one sentence and exit status 2."""
    signal.signal(signal.SIGINT, _stopped)
    try:
        app(standalone_mode=True)
    except SottovoceError as error:
        typer.echo(f"sottovoce: {error}", err=True)
        sys.exit(2)
    sys.exit(0)


def _stopped(number: int, frame: FrameType | None) -> NoReturn:
    typer.echo("sottovoce: stopped; repeat the command, and the work goes on where it was.", err=True)
    sys.exit(130)


@contextmanager
def _needs(extra: str) -> Iterator[None]:
    """Within, a missing package is answered with how to install it."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"this command needs {error.name}, which is not installed: pip install 'sottovoce[{extra}]'."
        ) from error


def _print(found: Any, as_json: bool, text: Any) -> None:
    typer.echo(json.dumps(found, indent=1) if as_json else text(found))


def _names(text: str | None) -> tuple[str, ...]:
    """What was given with commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip()) if text else ()


def _places(text: str | None) -> tuple[Path | str, ...]:
    """Paths that were given with commas; an address stays text."""
    return tuple(name if "://" in name else Path(name) for name in _names(text))


def _command() -> str:
    return shlex.join(["sottovoce", *sys.argv[1:]])


if __name__ == "__main__":
    main()
