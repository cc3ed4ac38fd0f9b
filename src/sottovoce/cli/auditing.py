"""The verbs that attack: `audit`, and `verify` for whoever is given its record."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from sottovoce.cli import shared, targets
from sottovoce.cli.shared import Corpus, Json, Out, Seed, Split, app
from sottovoce.errors import ConfigError
from sottovoce.machine import usable_cores
from sottovoce.redaction import visible


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
        str | None,
        typer.Option(help=f"Targets that judge, with commas, each {targets.PLACES}; a filter may hold its own."),
    ] = None,
    task: targets.Task = None,
    classes: targets.Classes = None,
    sample_rate: targets.SampleRate = None,
    split: Split = None,
    constant: Annotated[int, typer.Option(help="Blocks that a codebook filter sends for every sound.", min=0)] = 0,
    int8: Annotated[bool, typer.Option("--int8", help="Audit the filter with 8-bit weights, and keep that.")] = False,
    max_leakage: Annotated[float | None, typer.Option(help="Exit with status 1 when a leakage is above this.")] = None,
    workers: Annotated[int, typer.Option(help="Attackers side by side, one thread each.", min=1)] = usable_cores(),
    names_: Annotated[
        bool,
        typer.Option(
            "--names",
            help="Name people and files in everything that is written. Without it, people, and classes of attributes "
            "that may be names, are numbered, files are hashed, and a file in the cache keeps the names for you alone.",
        ),
    ] = False,
    with_originals: Annotated[
        bool,
        typer.Option(
            "--with-originals",
            help="Put three test recordings into report.html, to see and to play: the originals, what leaves the "
            "system, and what an attacker restores. Without it the page holds no sound and no spectrogram.",
        ),
    ] = False,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Attack a filter, or any other system, with fresh attackers; writes results.json, scores.npz and a report."""
    with shared.needs("audit"):
        from sottovoce.jobs.audit import AuditConfig, names_place, notes_with_names, run_audit
        from sottovoce.report.table import table

        if max_leakage is not None and not 0.0 <= max_leakage <= 1.0:
            raise ConfigError(f"--max-leakage is {max_leakage}; expected a share from 0 to 1.")
        ask = AuditConfig(
            system,
            shared.cut(corpus, split),
            out,
            attackers,
            shared.names(attack),
            shared.names(permit),
            targets.targets(target, task, classes, sample_rate),
            cast(Any, split),
            seed,
            workers,
            shared.command(),
            constant,
            int8,
            names_,
            with_originals,
        )
        results = run_audit(ask, shared.Progress())
        for note in notes_with_names(results):
            typer.echo(visible(note), err=True)
        if not names_:
            typer.echo(f"the names of people and files are kept in {names_place(results)}, for you alone", err=True)
    shared.show(results, json_, table)
    leakages = [entry["leakage"]["score"] for entry in results["private"].values()]
    if not results["valid"] or (max_leakage is not None and max(leakages) > max_leakage):
        raise typer.Exit(1)


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that `sottovoce audit` wrote.")],
    json_: Json = False,
) -> None:
    """Recompute the digests and every number of an audit from its scores. Exit status 1 if anything is different."""
    with shared.needs("audit"):
        from sottovoce.audit.record import verify as check

        wrong = check(folder)
    shared.show(
        {"verified": not wrong, "wrong": wrong},
        json_,
        lambda found: "\n".join(found["wrong"]) or "every digest and every number is right",
    )
    if wrong:
        raise typer.Exit(1)
