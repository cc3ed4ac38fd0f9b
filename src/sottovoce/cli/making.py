"""The verbs that make things: the demo, corpora, targets, filters, and the results of the project."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from sottovoce import terminal
from sottovoce.cli import shared, targets
from sottovoce.cli.shared import Corpus, FilterName, Json, Out, Seed, Split, app
from sottovoce.errors import ConfigError

# Of each method; a test compares them with the methods themselves, which cannot be imported before a verb needs torch.
PRESETS = (
    "codebook: compact, quick, student, black-box; optin and raw: compact, quick, replaced, paper; words: compact; "
    "rdal: compact, masked, learnable, pool, codes, no-privacy, reversal, paper, paper-masked; "
    "adr: compact, quick, text, pretrained, paper"
)
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A setting in the place of the preset's; may be repeated."),
]

corpora = typer.Typer(no_args_is_help=True, help="List, check or download corpora.")
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
    """List the corpora that are known by name."""
    from sottovoce.corpora.catalogue import CORPORA

    rows = [
        {"name": name, "title": c.title, "labels": list(c.labels), "licence": c.licence, "layout": c.layout}
        for name, c in CORPORA.items()
    ]
    lines = [
        f"{r['name']:15} {r['title']}; labels: {', '.join(r['labels']) or 'its own'}; {r['licence']}" for r in rows
    ]
    shared.show(rows, json_, lambda _: "\n".join(lines))


@corpora.command("check")
def corpora_check(
    spec: Annotated[str, typer.Argument(help="NAME:PATH, such as folder:recordings or csv:clips.csv; or voices.")],
    all_: Annotated[bool, typer.Option("--all", help="Print every note; --json always does.")] = False,
    json_: Json = False,
) -> None:
    """Decode every file of a corpus and name its defects. Exit status 1 if a clip is unusable.

    Your own recordings: folder:PATH takes LABEL/*.wav, or a metadata.csv with the column file_name; csv:PATH takes a
    table with the column path. Both may have the columns speaker, gender and any other label; start_s with duration_s
    or end_s, in seconds, for a slice of a recording; and split (train, validation or test).
    """
    from sottovoce.corpora import corpus

    with shared.needs("voices"):
        found, usable = corpus.check(spec, shared.Progress())
    shared.show(found, json_, lambda found: corpus.text(found, every_note=all_))
    if not usable:
        raise typer.Exit(1)


@corpora.command("fetch")
def corpora_fetch(
    name: Annotated[str, typer.Argument(help="Such as ravdess, fsdd or librispeech; an unknown name lists all.")],
    out: Out,
    mirror: Annotated[str | None, typer.Option(help="Address to fetch from, in place of the official one.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Accept the licence without being asked.")] = False,
    json_: Json = False,
) -> None:
    """Download and unpack the official release, after showing its licence. An interrupted download resumes."""
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
    preset: Annotated[
        str, typer.Option(help="compact (minutes on two cores), quick, or paper (its sizes).")
    ] = "compact",
    settings: Set = None,
    split: Split = None,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Train a target: the recogniser whose task will be permitted."""
    with shared.needs("train"):
        from sottovoce.jobs.train import make_target
        from sottovoce.training.settings import assignments

        spec, rule, values = shared.cut(corpus, split), cast(Any, split), assignments(settings or ())
        card = make_target(spec, task, out, preset, rule, seed, shared.command(), shared.Progress(), values)
    score = card["accuracy"]
    text = (
        f"{task}: {score['test']:.1%} of {score['test_clips']} test recordings are right ({card['seconds']:.0f} s); "
        f"wrote {out}"
    )
    shared.show(card, json_, lambda _: text)


@app.command()
def train(
    corpus: Corpus,
    permit: Annotated[str, typer.Option(help="The permitted task; several with commas, for method codebook.")],
    target: Annotated[str, typer.Option(help=f"Target of each permitted task, in order: {targets.PLACES}.")],
    out: Out,
    task: targets.Task = None,
    classes: targets.Classes = None,
    sample_rate: targets.SampleRate = None,
    method: Annotated[
        str, typer.Option(help="codebook; optin; raw (optin with its rejected loss); words (digits); rdal; or adr.")
    ] = "codebook",
    preset: Annotated[str, typer.Option(help=f"Depends on the method. {PRESETS}.")] = "compact",
    settings: Set = None,
    codes: Annotated[
        int | None, typer.Option(help="Codes of each task, by default one for each class.", min=0, max=256)
    ] = None,
    block: Annotated[int | None, typer.Option(help="Segments of 1.28 s to a block: 1, 2, 4, 8 or 16.")] = None,
    hide: Annotated[
        str | None, typer.Option(help="The attributes that adr hides, with commas; by default gender.")
    ] = None,
    codewords: Annotated[
        str | None,
        typer.Option(help="synthetic, nobody's voice (default); or recordings, in which people can be recognised."),
    ] = None,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Train a filter that lets the permitted tasks through."""
    from sottovoce.models.codewords import describe

    with shared.needs("train"):
        from sottovoce.jobs.train import TrainConfig, make_filter
        from sottovoce.training.settings import assignments

        options = {"codes": codes, "block_segments": block, "codewords": codewords, "hide": hide}
        values = {name: value for name, value in options.items() if value is not None} | assignments(settings or ())
        config = TrainConfig(
            corpus,
            shared.names(permit),
            targets.targets(target, task, classes, sample_rate, shared.names(permit)),
            out,
            method,
            preset,
            values,
            seed,
            shared.command(),
        )
        card = make_filter(config, shared.Progress())
    shared.show(card, json_, lambda _: "\n".join([_trained(card, out), *_validation(card), describe(card)]).rstrip())


def _trained(card: dict[str, Any], out: Path) -> str:
    bits = card["bits_per_block"]
    rate = f", at most {bits:.3g} bits for each block of {card['block_s']:.3g} s" if bits is not None else ""
    return f"{card['method']}: {card['seconds']:.0f} s, {card['parameters']:,} parameters{rate}; wrote {out}"


def _validation(card: dict[str, Any]) -> list[str]:
    """Before and after, for each task whose accuracy could be measured."""
    return [
        f"{task}: its target is right on {score['original']:.1%} of {score['recordings']} validation recordings, "
        f"and on {score['filtered']:.1%} of them after the filter"
        for task, score in card["validation"].items()
        if score is not None
    ]


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
    task: targets.Task = None,
    classes: targets.Classes = None,
    sample_rate: targets.SampleRate = None,
    check: Annotated[bool, typer.Option("--check", help="Only make the golden vectors of an export again.")] = False,
    workers: Annotated[int, typer.Option(help="Attackers side by side, one thread each.", min=1)] = 1,
    json_: Json = False,
) -> None:
    """Write a filter as one folder to take elsewhere: its graphs and golden vectors. Exit status 1 where it is off."""
    from sottovoce.models.codewords import describe
    from sottovoce.runtime import bundled, golden

    if to != "onnx":
        raise ConfigError(f"--to is {to!r}; expected onnx, the only form there is.")
    folder = bundled.find(filter_)
    if check:
        shared.show(
            golden.check(folder), json_, lambda found: f"the same here: off by at most {max(found.values()):.2g}"
        )
        return
    if out is None:
        raise ConfigError("--out is missing; name the folder to write.")
    with shared.needs("audit"):
        from sottovoce.jobs import export as job

        judges = targets.targets(target, task, classes, sample_rate)
        wanted = job.ExportConfig(folder, out, int8, corpus, attackers, judges, workers, shared.command())
        card = job.export(wanted, shared.Progress())
    text = f"{len(card['files'])} files, off by at most {max(card['parity'].values()):.2g}; wrote {out}"
    shared.show(card, json_, lambda _: f"{text}\n{describe(card)}".rstrip())


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
