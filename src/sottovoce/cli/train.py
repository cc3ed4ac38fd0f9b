"""The verbs that train: `target` and `train`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from sottovoce.cli import shared, targets
from sottovoce.cli.shared import CORPUS_HELP, Corpus, Device, Json, Out, Precision, Seed, Split, app
from sottovoce.errors import ConfigError

# Of each method; a test compares them with the methods themselves, which cannot be imported before a verb needs torch.
PRESETS = (
    "codebook: compact, quick, student, black-box; optin and raw: compact, quick, replaced, paper; words: compact; "
    "rdal: compact, masked, learnable, pool, codes, no-privacy, reversal, paper, paper-masked; "
    "adr: compact, quick, text, pretrained, campplus, paper"
)


_LOSS = 0.02  # of accuracy, above which it is told


Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Override one setting of the preset, such as steps=500; may be repeated. An unknown name lists them all.",
    ),
]


Replace = Annotated[
    bool, typer.Option("--replace", help="Replace the result of another training in the output folder.")
]


@app.command()
def target(
    out: Out,
    corpus: Annotated[str | None, typer.Option(help=f"{CORPUS_HELP} Not needed with --examples.")] = None,
    task: Annotated[
        str | None, typer.Option(help="The label to recognise, such as emotion; with --examples the name of the task.")
    ] = None,
    examples: Annotated[
        Path | None,
        typer.Option(
            help="Make a recogniser of your own keywords, without training, from a folder WORD/*.wav with a few "
            "recordings of each; a folder _other_ holds what is none of them."
        ),
    ] = None,
    negatives: Annotated[
        str | None,
        typer.Option(help="With --examples: corpora without the keywords, NAME:PATH with commas, to reject by."),
    ] = None,
    preset: Annotated[
        str,
        typer.Option(
            help="compact (minutes on two cores), quick, x-vector (another architecture), or paper (needs a GPU)."
        ),
    ] = "compact",
    settings: Set = None,
    split: Split = None,
    replace: Replace = False,
    seed: Seed = 0,
    device: Device = None,
    precision: Precision = None,
    json_: Json = False,
) -> None:
    """Make a target: the recogniser whose task will be permitted."""
    if examples is not None:
        if corpus or split or settings:
            raise ConfigError("--examples takes no --corpus, --split or --set: nothing is trained; leave them out.")
        _from_examples(examples, out, task, negatives, replace, json_)
        return
    if corpus is None or task is None:
        raise ConfigError("no recordings are named; give --corpus and --task, or --examples with a folder of words.")
    with shared.needs("train"):
        from sottovoce.jobs.progress_file import ProgressFile
        from sottovoce.jobs.train import make_target
        from sottovoce.training.device import choose
        from sottovoce.training.settings import assignments

        choose(device, precision)
        spec, rule, values = shared.cut(corpus, split), cast(Any, split), assignments(settings or ())
        command = shared.command()
        with ProgressFile("target", out, shared.Progress()) as report:
            card = make_target(spec, task, out, preset, rule, seed, command, report, values, replace=replace)
    if not card:  # the first of several processes has it
        return
    score = card["accuracy"]
    text = (
        f"{task}: {score['test']:.1%} of {score['test_clips']} test recordings are right ({card['seconds']:.0f} s); "
        f"wrote {out}"
    )
    shared.show(card, json_, lambda _: text)


def _from_examples(
    examples: Path, out: Path, task: str | None, negatives: str | None, replace: bool, json_: bool
) -> None:
    with shared.needs("train"):
        from sottovoce.jobs.word_examples import make_from_examples

        names, command = shared.names(negatives), shared.command()
        card = make_from_examples(examples, out, shared.Progress(), task or "keyword", names, command, replace)
    score = card["leave_one_out"]
    text = (
        f"{card['task']}: {score['accuracy']:.1%} of {score['recordings']} examples are right by the others, and "
        f"{score['miss_rate']:.1%} are missed; {card['false_alarms_per_hour']:.1f} false alarms per hour of "
        f"{', '.join(card['negatives'])}; wrote {out}"
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
        str,
        typer.Option(
            help="codebook; optin; raw (optin with a loss that the paper tried and rejected); words (strings of "
            "digits); rdal; or adr."
        ),
    ] = "codebook",
    preset: Annotated[
        str, typer.Option(help=f"Depends on the method; docs/methods.md explains them. {PRESETS}.")
    ] = "compact",
    settings: Set = None,
    codes: Annotated[
        int | None,
        typer.Option(help="Number of codes of each task; 0, the default, has one code for each class.", min=0, max=256),
    ] = None,
    block: Annotated[
        int | None, typer.Option(help="Length of a block, in segments of 1.28 s: 1, 2, 4, 8 or 16.")
    ] = None,
    hide: Annotated[
        str | None, typer.Option(help="The attributes that adr hides, with commas; by default gender.")
    ] = None,
    codewords: Annotated[
        str | None,
        typer.Option(
            help="synthetic, nobody's voice (default); or recordings, which other recognisers understand best, and in "
            "which people can be recognised."
        ),
    ] = None,
    negatives: Annotated[
        str | None,
        typer.Option(
            help="Corpora that hold none of the permitted classes, NAME:PATH with commas; the filter learns to be "
            "silent for them, as it is for noise, music and silence."
        ),
    ] = None,
    replace: Replace = False,
    seed: Seed = 0,
    device: Device = None,
    precision: Precision = None,
    json_: Json = False,
) -> None:
    """Train a filter that lets the permitted tasks through."""
    from sottovoce.models.codewords import describe

    with shared.needs("train"):
        from sottovoce.jobs.progress_file import ProgressFile
        from sottovoce.jobs.train import TrainConfig, make_filter
        from sottovoce.training.device import choose
        from sottovoce.training.settings import assignments

        choose(device, precision)
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
            replace=replace,
            negatives=shared.names(negatives or ""),
        )
        with ProgressFile("train", out, shared.Progress()) as report:
            card = make_filter(config, report)
    if not card:
        return
    shared.show(
        card,
        json_,
        lambda _: "\n".join([_trained(card, out), *_validation(card), *others(card), describe(card)]).rstrip(),
    )


def _trained(card: dict[str, Any], out: Path) -> str:
    bits = card["bits_per_block"]
    rate = f", at most {bits:.3g} bits for each block of {card['block_s']:.3g} s" if bits is not None else ""
    return f"{card['method']}: {card['seconds']:.0f} s, {card['parameters']:,} parameters{rate}; wrote {out}"


def _validation(card: dict[str, Any]) -> list[str]:
    """The accuracy of the target of each task, before and after the filter."""
    return [
        f"{task}: its target is right on {score['original']:.1%} of {score['recordings']} validation recordings, "
        f"and on {score['filtered']:.1%} of them after the filter"
        if score is not None
        else f"{task}: not measured on validation recordings, whose labels the target does not all know"
        for task, score in card["validation"].items()
    ]


def others(card: Mapping[str, Any]) -> list[str]:
    """What recognisers that training never asked make of the same recordings, for each task."""
    if card["method"] != "codebook":
        return []
    lines = []
    for task, judges in card.get("transfer", {}).items():
        for judge in judges:
            before, after = judge.get("original"), judge.get("filtered")
            if before is None or after is None:
                continue
            lines.append(
                f"{task}: a recogniser of {judge['judge']}, is right on {before:.1%} of {judge['recordings']} "
                f"validation recordings, and on {after:.1%} of them after the filter"
            )
            if before - after > _LOSS:
                lines[-1] += "; it does not understand this filter as the target does: try --codewords recordings"
        if not judges:
            lines.append(f"{task}: no other recogniser was asked, so nothing is known of what others understand")
    return lines
