"""The verbs that make things: the demo, corpora, targets, filters, and the results of the project."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from sottovoce import terminal
from sottovoce.cli import shared
from sottovoce.cli.shared import Corpus, FilterName, Json, Out, Preset, Seed, Split, app
from sottovoce.errors import ConfigError

corpora = typer.Typer(no_args_is_help=True, help="What is known, and what a folder really holds.")
app.add_typer(corpora, name="corpora")


@app.command()
def demo(out: Out = Path("demo"), json_: Json = False) -> None:
    """The main job from nothing: built-in corpus, target, filter, audit, protected sound, report."""
    with shared.needs("audit"):
        from sottovoce import demo as main_job

        found = main_job.run(out, shared.Progress())
    shared.show(found, json_, main_job.table)


@corpora.command("list")
def corpora_list(json_: Json = False) -> None:
    """The corpora that are known by name."""
    from sottovoce.corpora.catalogue import BUILT_IN, KNOWN

    known = [BUILT_IN, *(entry.corpus for entry in KNOWN.values())]
    found = [{"name": c.name, "title": c.title, "labels": list(c.labels), "licence": c.licence} for c in known]
    lines = [
        f"{c['name']:12} {c['title']}; labels: {', '.join(c['labels']) or 'its own'}; {c['licence']}" for c in found
    ]
    shared.show(found, json_, lambda _: "\n".join(lines))


@corpora.command("check")
def corpora_check(spec: Annotated[str, typer.Argument(help="NAME:PATH or voices.")], json_: Json = False) -> None:
    """What a folder really holds: every file is decoded, defects are named. Exit status 1 if a clip is unusable."""
    from sottovoce.corpora import corpus

    with shared.needs("voices"):
        found, usable = corpus.check(spec, shared.Progress())
    shared.show(found, json_, corpus.text)
    if not usable:
        raise typer.Exit(1)


@corpora.command("fetch")
def corpora_fetch(
    name: Annotated[str, typer.Argument(help="ravdess, emodb, emovdb, librispeech, fsdd or voxceleb2.")],
    out: Out,
    mirror: Annotated[str | None, typer.Option(help="Address to fetch from, in place of the official one.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Accept the licence without being asked.")] = False,
    json_: Json = False,
) -> None:
    """Download the official release: resumed where it was cut off, checked, unpacked. Shows the licence and asks."""
    from sottovoce.corpora import download

    terminal.note(f"{terminal.printable(download.terms(name, mirror), keep=chr(10))}\n")
    if not yes:
        if not sys.stdin.isatty():
            raise ConfigError("the licence has to be accepted: run this in a terminal, or add --yes.")
        if not typer.confirm("Fetch it under this licence?", err=True):
            raise ConfigError("nothing was fetched, since the licence was not accepted.")
    found = download.fetch(name, out, mirror, shared.Progress())
    shared.show(found, json_, lambda _: f"{len(found['archives'])} archives unpacked; use it as {found['spec']}")


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
    with shared.needs("train"):
        from sottovoce.jobs.train import make_target

        spec, rule = shared.cut(corpus, split), cast(Any, split)
        card = make_target(spec, task, out, preset, rule, seed, shared.command(), shared.Progress())
    score = card["accuracy"]
    text = (
        f"{task}: {score['test']:.1%} of {score['test_clips']} test clips right ({card['seconds']:.0f} s); wrote {out}"
    )
    shared.show(card, json_, lambda _: text)


@app.command()
def train(
    corpus: Corpus,
    permit: Annotated[str, typer.Option(help="The permitted task; several with commas, for method codebook.")],
    target: Annotated[str, typer.Option(help="Target of each permitted task, in order: folder, ONNX or URL.")],
    out: Out,
    method: Annotated[
        str, typer.Option(help="codebook; optin; raw (its rejected loss); words (digits); rdal; or adr.")
    ] = "codebook",
    preset: Preset = "compact",
    codes: Annotated[int, typer.Option(help="Codes of each task; 0: one for each class.", min=0, max=256)] = 0,
    block: Annotated[int, typer.Option(help="Segments of 1.28 s to a block: 1, 2, 4, 8 or 16.")] = 1,
    hide: Annotated[str | None, typer.Option(help="What adr is told to hide, with commas; default: gender.")] = None,
    codewords: Annotated[
        str, typer.Option(help="synthetic, nobody's voice; or recordings, in which people can be recognised.")
    ] = "synthetic",
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Train a filter that lets the permitted tasks through."""
    from sottovoce.models.codewords import told

    with shared.needs("train"):
        from sottovoce.jobs.train import TrainConfig, make_filter

        wanted = TrainConfig(
            corpus,
            shared.names(permit),
            shared.places(target),
            out,
            method,
            preset,
            codes,
            block,
            seed,
            shared.command(),
            shared.names(hide),
            codewords,
        )
        card = make_filter(wanted, shared.Progress())
    bits = card["bits_per_block"]
    rate = f", at most {bits:.3g} bits for each block of {card['block_s']:.3g} s" if bits is not None else ""
    text = f"{method}: {card['seconds']:.0f} s, {card['parameters']:,} parameters{rate}; wrote {out}"
    shared.show(card, json_, lambda _: f"{text}\n{told(card)}".rstrip())


@app.command()
def export(
    filter_: FilterName,
    to: Annotated[str, typer.Option(help="onnx.")] = "onnx",
    out: Annotated[Path | None, typer.Option(help="Folder to write.")] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="In 8 bits; with a corpus, all of it, else its weights.")
    ] = False,
    corpus: Annotated[str | None, typer.Option(help="Audit the filter and what is made of it on NAME:PATH.")] = None,
    attackers: Annotated[str, typer.Option(help="quick, standard or thorough.")] = "quick",
    target: Annotated[str | None, typer.Option(help="Targets that judge, if the filter's folder holds none.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Only make the golden vectors of an export again.")] = False,
    workers: Annotated[int, typer.Option(help="Attackers side by side, one thread each.", min=1)] = 1,
    json_: Json = False,
) -> None:
    """Write a filter as one folder to take elsewhere: its graphs and golden vectors. Exit status 1 where it is off."""
    from sottovoce.models.codewords import told
    from sottovoce.runtime import golden, shipped

    if to != "onnx":
        raise ConfigError(f"--to is {to!r}; expected onnx, the only form there is.")
    folder = shipped.found(filter_)
    if check:
        shared.show(
            golden.check(folder), json_, lambda found: f"the same here: off by at most {max(found.values()):.2g}"
        )
        return
    if out is None:
        raise ConfigError("--out is missing; name the folder to write.")
    with shared.needs("audit"):
        from sottovoce.jobs import export as job

        wanted = job.ExportConfig(
            folder, out, int8, corpus, attackers, shared.places(target), workers, shared.command()
        )
        card = job.export(wanted, shared.Progress())
    text = f"{len(card['files'])} files, off by at most {max(card['parity'].values()):.2g}; wrote {out}"
    shared.show(card, json_, lambda _: f"{text}\n{told(card)}".rstrip())


@app.command()
def bench(json_: Json = False) -> None:
    """Speeds on this machine, as ratios to the paper's obfuscator in eager torch; a minute or two."""
    with shared.needs("audit"):
        from sottovoce.experiments import table1

        with tempfile.TemporaryDirectory() as scratch:
            found = table1.everything(Path(scratch))
    shared.show(found, json_, table1.ratios)


@app.command()
def doctor(json_: Json = False) -> None:
    """What is installed, and what to do about what is not."""
    from sottovoce import doctor as installation

    found = installation.examine()
    shared.show(found, json_, installation.text)
