"""The verbs that attack: `audit`, and `verify` and `compare` for whoever is given its records."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from sottovoce import terminal
from sottovoce.cli import shared, targets
from sottovoce.cli.shared import Corpus, Json, Seed, Split, app
from sottovoce.errors import ConfigError
from sottovoce.machine import usable_cores
from sottovoce.redaction import visible

_UNASKED = "it was not asked for"  # the end of a note on a label that the user left out


@app.command()
def audit(
    system: Annotated[
        str,
        typer.Argument(
            metavar="FILTER",
            help="What to audit: a filter folder, a bundled filter, a folder of protected recordings, "
            "'command:PROGRAM {in} {out}', or an ONNX file.",
        ),
    ],
    corpus: Corpus,
    out: Annotated[Path | None, typer.Option(help="Folder to write; needed unless --plan is set.")] = None,
    attackers: Annotated[
        str, typer.Option(help="How many attackers to try: quick, standard or thorough.")
    ] = "standard",
    attack: Annotated[
        str | None, typer.Option(help="Attributes to attack, with commas; default: every label that is not permitted.")
    ] = None,
    permit: Annotated[
        str | None, typer.Option(help="Permitted tasks, with commas; default for a filter: all that it can permit.")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help=f"Targets that measure the permitted tasks, with commas, each {targets.PLACES}; a filter folder may "
            "hold them."
        ),
    ] = None,
    judge: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Another recogniser of a permitted task, {targets.PLACES}, to measure whether it understands what "
            "leaves; repeat for several. --task, --classes and --sample-rate name those of judges after targets."
        ),
    ] = None,
    task: targets.Task = None,
    classes: targets.Classes = None,
    sample_rate: targets.SampleRate = None,
    split: Split = None,
    constant: Annotated[
        int,
        typer.Option(
            help="Number of blocks that a codebook filter sends for every sound; 0 sends as many as the sound has.",
            min=0,
        ),
    ] = 0,
    int8: Annotated[
        bool, typer.Option("--int8", help="Audit the filter with 8-bit weights, and keep that filter.")
    ] = False,
    attacker: Annotated[
        list[str] | None,
        typer.Option(
            help="Use only the attacker of this name; repeat for several. Names: target, outline, nearest, linear, "
            "svm, mlp, trees, encoder, fine-tuned, cnn, deepspeech2, and those of plug-ins."
        ),
    ] = None,
    max_leakage: Annotated[
        float | None,
        typer.Option(
            help="Exit with status 1 if a measured leakage (not the end of its interval) is above this; 0.05 is 5 "
            "percentage points."
        ),
    ] = None,
    max_loss: Annotated[
        float | None,
        typer.Option(
            help="Exit with status 1 if a permitted task loses more accuracy than this, with its target or with a "
            "judge; 0.02 is 2 percentage points."
        ),
    ] = None,
    sign: Annotated[
        Path | None,
        typer.Option(
            metavar="KEY",
            help="Sign the record with the Ed25519 key in this PEM file; whoever has its public key can check it with "
            "`sottovoce verify --key`.",
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the results of another audit in the output folder.")
    ] = False,
    workers: Annotated[
        int, typer.Option(help="Number of attackers that run in parallel, one thread each.", min=1)
    ] = usable_cores(),
    names_: Annotated[
        bool,
        typer.Option(
            "--names",
            help="Name people and files in all output. Without this option people, and classes of attributes that may "
            "be names, are numbered, files are hashed, and a file in the cache keeps the names for you alone.",
        ),
    ] = False,
    with_originals: Annotated[
        bool,
        typer.Option(
            "--with-originals",
            help="Put three test recordings into report.html, as spectrograms and sound: originals, what leaves the "
            "system, and what an attacker restores. Without this option the page holds neither.",
        ),
    ] = False,
    plan: Annotated[
        bool,
        typer.Option(
            "--plan",
            help="Attack nothing, and say which leakage this corpus, split and choice of attributes can rule out.",
        ),
    ] = False,
    shard: shared.ShardOption = None,
    cluster: shared.Cluster = None,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Attack a filter, or any other system, with fresh attackers; writes results.json, scores.npz and a report."""
    with shared.needs("audit"):
        from sottovoce.jobs.audit import AuditConfig, names_place, notes_with_names, run_audit
        from sottovoce.jobs.audit_shard import run_shard
        from sottovoce.jobs.progress_file import ProgressFile
        from sottovoce.parallel import shard as parse_shard
        from sottovoce.report.table import table

        for option, most in (("--max-leakage", max_leakage), ("--max-loss", max_loss)):
            if most is not None and not 0.0 <= most <= 1.0:
                raise ConfigError(f"{option} is {most}; expected a share from 0 to 1.")
        if out is None and not plan:
            raise ConfigError("--out is missing; expected the folder to write. With --plan, none is needed.")
        part = parse_shard(shard)
        recognisers = targets.targets(target, task, classes, sample_rate, judges=judge or ())
        count = len(shared.names(target))
        config = AuditConfig(
            system,
            shared.cut(corpus, split),
            out or Path(),
            attackers,
            shared.names(attack),
            shared.names(permit),
            recognisers[:count],
            cast(Any, split),
            seed,
            workers,
            shared.command(),
            constant,
            int8,
            names_,
            with_originals,
            tuple(attacker or ()),
            replace,
            recognisers[count:],
            sign,
        )
        if plan:
            from sottovoce.jobs.audit_plan import plan_audit
            from sottovoce.jobs.audit_plan import table as planned

            shared.show(plan_audit(config, shared.Progress()), json_, planned)
            return
        with shared.cluster(cluster):
            if part is not None:
                shared.show(run_shard(config, part, shared.Progress()), json_, lambda done: str(done["note"]))
                return
            with ProgressFile("audit", config.out, shared.Progress()) as report:
                results = run_audit(config, report)
        for note in notes_with_names(results):
            typer.echo(visible(note), err=True)
        if not names_:
            typer.echo(f"the names of people and files are kept in {names_place(results)}, for you alone", err=True)
    shared.show(results, json_, table)
    passed_over = [note for note in results["notes"] if note.startswith("the label ") and not note.endswith(_UNASKED)]
    if wrong := list(_bad(results, max_leakage, max_loss)):
        terminal.complain(f"sottovoce: {'; '.join([*wrong, *passed_over])}")
        raise typer.Exit(1)
    if passed_over:
        terminal.complain(f"sottovoce: {'; '.join(passed_over)}")


def _bad(results: dict[str, Any], max_leakage: float | None, max_loss: float | None) -> Iterator[str]:
    """Why the finding is bad, in words and figures."""
    from sottovoce.report.transfer import losses
    from sottovoce.report.wording import listed

    if failed := [name for name, control in results["controls"].items() if not control["passed"]]:
        yield f"the audit is invalid, since a control failed: {', '.join(failed)}"
    for name, entry in results["private"].items():
        leakage = entry["leakage"]["score"]
        if max_leakage is not None and leakage > max_leakage:
            yield f"{name} leaks {100 * leakage:.1f} points, more than the {100 * max_leakage:.1f} of --max-leakage"
    for task, target in results["permitted"].items():
        if max_loss is not None and (lost := listed(losses(target, max_loss))):
            yield f"{task} {lost}, more than the {100 * max_loss:.1f} of --max-loss"


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that `sottovoce audit` wrote.")],
    system: Annotated[
        str | None, typer.Argument(metavar="[FILTER]", help="With --rerun: what was audited, as `audit` takes it.")
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(metavar="PUB", help="Check the signature with this public key of the auditor, a PEM file."),
    ] = None,
    rerun: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Fit N of the attackers again, chosen at random, and compare their scores."
        ),
    ] = None,
    corpus: Annotated[
        str | None, typer.Option(help="With --rerun: the recordings that the audit used, as `audit` takes them.")
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="With --rerun: targets that the audit was given, as `audit` takes them.")
    ] = None,
    judge: Annotated[
        list[str] | None, typer.Option(help="With --rerun: a judge that the audit was given; repeat for several.")
    ] = None,
    task: targets.Task = None,
    classes: targets.Classes = None,
    sample_rate: targets.SampleRate = None,
    seed: Annotated[
        int | None, typer.Option(help="With --rerun: choose the attackers by this seed; default: a new one.", min=0)
    ] = None,
    workers: Annotated[
        int, typer.Option(help="With --rerun: number of attackers that run in parallel.", min=1)
    ] = usable_cores(),
    json_: Json = False,
) -> None:
    """Check the record of an audit: digests, numbers, pages, and on request its signature and some attackers.

    Exit with status 1 if anything differs.
    """
    with shared.needs("audit"):
        from sottovoce.jobs.rerun import RerunConfig
        from sottovoce.jobs.verify import VerifyConfig, run_verify

        again = None
        if rerun is not None:
            if corpus is None or system is None:
                raise ConfigError(
                    "--rerun needs what was audited, and on what: verify DIR FILTER --rerun N --corpus ..."
                )
            recognisers = targets.targets(target, task, classes, sample_rate, judges=judge or ())
            count = len(shared.names(target))
            chosen_by = secrets.randbelow(1 << 31) if seed is None else seed  # nobody may know it before
            again = RerunConfig(rerun, corpus, system, chosen_by, recognisers[:count], recognisers[count:], workers)
        elif any((system, corpus, target, judge, task, classes, sample_rate, seed is not None)):
            raise ConfigError("a system, --corpus and the like are for fitting attackers again; add --rerun N.")
        result = run_verify(VerifyConfig(folder, key, again), shared.Progress())
    shared.show(result, json_, lambda said: "\n".join([*said["notes"], *said["right"], *said["wrong"]]))
    if not result["verified"]:
        raise typer.Exit(1)


@app.command()
def compare(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR DIR...", help="Folders that `sottovoce audit` wrote.")],
    json_: Json = False,
) -> None:
    """Show two or more audits side by side, with a warning where their corpora, splits or attackers differ."""
    with shared.needs("audit"):
        from sottovoce.audit.compare import compared, table

        shared.show(compared(folders), json_, table)
