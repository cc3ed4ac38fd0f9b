"""The verb `cameras`: one filter for the sound of many cameras."""

from __future__ import annotations

import json
import signal
import time
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from sottovoce.cli.filters import chosen_filter
from sottovoce.cli.shared import FilterName, Permit, app

_EVERY_S = 60.0


@app.command()
def cameras(
    filter_: FilterName,
    table: Annotated[
        Path, typer.Argument(metavar="CAMERAS.toml", help="A table for each camera: its address, and the output.")
    ],
    permit: Permit = None,
    sample_rate: Annotated[int, typer.Option(help="Sample rate of all outputs, in Hz.")] = 16000,
    margin_ms: Annotated[
        float, typer.Option(help="Time for network and computation, added to the latency of the filter.", min=10.0)
    ] = 600.0,
    memory: Annotated[
        float,
        typer.Option(
            help="Weight of the preceding blocks when a code is chosen: 0 uses the current block alone, 1 all blocks "
            "equally."
        ),
    ] = 0.5,
    seconds: Annotated[float | None, typer.Option(help="Stop after this many seconds.", min=0.0)] = None,
) -> None:
    """Filter the sound of many cameras in one process, by ffmpeg. If anything fails, the output is silence.

    A report of every camera is printed as JSON once a minute. SIGTERM or Ctrl-C ends it.
    """
    from sottovoce.live.cameras import opened, read_cameras
    from sottovoce.live.worker import open_filter
    from sottovoce.machine import forbid_core_dumps

    forbid_core_dumps()
    listed = read_cameras(table)
    loaded = chosen_filter(filter_, permit, 0)
    assert loaded.path is not None
    opener = partial(open_filter, loaded.path, sample_rate, loaded.permit, memory)
    latency = loaded.forgetting(memory).stream(sample_rate).latency_samples
    del loaded  # the worker has its own
    ended = False

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal ended
        ended = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    with opened(listed, opener, latency, sample_rate, margin_ms / 1000) as running:
        began = shown = time.monotonic()

        def each() -> bool:
            nonlocal shown
            now = time.monotonic()
            if now - shown >= _EVERY_S:
                shown = now
                typer.echo(json.dumps(running.report()), err=True)
            return not ended and (seconds is None or now - began < seconds)

        running.run(each)
        typer.echo(json.dumps(running.report()), err=True)
