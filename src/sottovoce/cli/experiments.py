"""The verb that reproduces the published figures and tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sottovoce import terminal
from sottovoce.cli import shared
from sottovoce.cli.shared import Out, app


@app.command()
def experiment(
    name: Annotated[
        str,
        typer.Argument(
            help="Name of the experiment, such as codebook or figure3a; `list` shows all, what they answer and cost."
        ),
    ],
    corpora_at: Annotated[
        Path, typer.Option("--corpora", help="Folder with ravdess, emodb, fsdd, esc10, librispeech.")
    ] = Path(),
    out: Out = Path("results"),
    workers: Annotated[int, typer.Option(help="Number of runs in parallel, one thread each.", min=1)] = 2,
    preset: Annotated[
        str,
        typer.Option(help="compact; or, for figures 3 and 4, paper (networks as large as the paper's; needs a GPU)."),
    ] = "compact",
    device: shared.Device = None,
    shard: shared.ShardOption = None,
    cluster: shared.Cluster = None,
) -> None:
    """Reproduce a published figure or table; prints the table, and resumes where it was stopped."""
    with shared.needs("audit"):
        from sottovoce.experiments.catalogue import listed, run_experiment
        from sottovoce.parallel import shard as parse_shard
        from sottovoce.training.device import choose

        choose(device, None)
        part = parse_shard(shard)
        if name == "list":
            terminal.say(listed())
            return
        with shared.cluster(cluster):
            terminal.say(run_experiment(name, corpora_at, out, workers, preset, part))
