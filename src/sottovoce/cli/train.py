"""The verbs that train: `target` and `train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from sottovoce.cli import shared, targets
from sottovoce.cli.shared import Corpus, Json, Out, Seed, Split, app

# Of each method; a test compares them with the methods themselves, which cannot be imported before a verb needs torch.
PRESETS = (
    "codebook: compact, quick, student, black-box; optin and raw: compact, quick, replaced, paper; words: compact; "
    "rdal: compact, masked, learnable, pool, codes, no-privacy, reversal, paper, paper-masked; "
    "adr: compact, quick, text, pretrained, paper"
)


Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Override one setting of the preset, such as steps=500; may be repeated. An unknown name lists them all.",
    ),
]


@app.command()
def target(
    corpus: Corpus,
    task: Annotated[str, typer.Option(help="The label to recognise, such as emotion.")],
    out: Out,
    preset: Annotated[
        str,
        typer.Option(
            help="compact (minutes on two cores), quick, x-vector (another architecture), or paper (needs a GPU)."
        ),
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
    """The accuracy of the target of each task, before and after the filter."""
    return [
        f"{task}: its target is right on {score['original']:.1%} of {score['recordings']} validation recordings, "
        f"and on {score['filtered']:.1%} of them after the filter"
        if score is not None
        else f"{task}: not measured on validation recordings, whose labels the target does not all know"
        for task, score in card["validation"].items()
    ]
