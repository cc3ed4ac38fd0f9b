"""The verb between a network and an application: `serve`."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from sottovoce.cli.running import chosen_filter
from sottovoce.cli.shared import FilterName, Permit, app
from sottovoce.errors import ConfigError


@app.command()
def serve(
    filter_: FilterName,
    host: Annotated[str, typer.Option(help="Address to listen at; others than this machine's need TLS and token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="Port to listen at; 0: any that is free.", min=0, max=65535)] = 8765,
    protocol: Annotated[str, typer.Option(help="websocket or wyoming.")] = "websocket",
    forward: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="The Wyoming service behind.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key, PEM.")] = None,
    token_file: Annotated[Path | None, typer.Option(help="File with the token that clients must bear.")] = None,
    metrics_token_file: Annotated[
        Path | None, typer.Option(help="File with another token, which /metrics needs; without one it is off.")
    ] = None,
    origin: Annotated[list[str] | None, typer.Option(help="A web page's origin that may connect; repeatable.")] = None,
    permit: Permit = None,
    memory: Annotated[
        float, typer.Option(help="How much a block counts in the next; 1: a connection is one sound.")
    ] = 1.0,
    connections: Annotated[int, typer.Option(help="At once.", min=1)] = 50,
    message_bytes: Annotated[int, typer.Option(help="Of one message.", min=1)] = 1 << 18,
    queue_s: Annotated[float, typer.Option(help="Sound of a client that may wait.", min=0.1)] = 2.0,
    idle_s: Annotated[float, typer.Option(help="Without a message or a ping.", min=0.1)] = 30.0,
    answer_s: Annotated[float, typer.Option(help="Until the Wyoming service behind answers.", min=0.1)] = 300.0,
    total_s: Annotated[float, typer.Option(help="Of a connection.", min=0.1)] = 4 * 3600.0,
    drain_s: Annotated[float, typer.Option(help="For those who are there when it is to stop.", min=0.0)] = 10.0,
) -> None:
    """Obfuscate the sound of whoever connects; prints where it listens. SIGTERM or Ctrl-C: it drains and stops."""
    import asyncio
    import logging

    from sottovoce.machine import forbid_core_dumps
    from sottovoce.serve.access import Limits, read_token, tls_context
    from sottovoce.serve.websocket import Service
    from sottovoce.serve.wyoming import Station, address

    forbid_core_dumps()
    limits = Limits(connections, message_bytes, queue_s, idle_s, total_s, drain_s=drain_s, answer_s=answer_s)
    tls, token, metrics_token = tls_context(tls_cert, tls_key), read_token(token_file), read_token(metrics_token_file)
    loaded = chosen_filter(filter_, permit, 0).forgetting(memory)
    loaded.engine.make_codewords(for_any_consent=True)  # now, so that no client learns what others have made it draw
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # its tracebacks could quote what a client sent
    if protocol == "websocket":
        if forward is not None:
            raise ConfigError("--forward is for --protocol wyoming.")
        asyncio.run(_served(Service(loaded, limits, token, tuple(origin or ()), metrics_token), host, port, tls))
    elif protocol == "wyoming":
        if tls or token or metrics_token or origin:
            raise ConfigError(
                "the Wyoming protocol has no TLS, token, metrics or origin; leave them out, and use 127.0.0.1."
            )
        asyncio.run(_served(Station(loaded, limits, address(forward)), host, port, None))
    else:
        raise ConfigError(f"unknown protocol {protocol!r}; expected websocket or wyoming.")


async def _served(service: Any, host: str, port: int, tls: Any) -> None:
    """Listen until a signal, then drain."""
    import asyncio

    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    server = await (service.start(host, port, tls) if tls else service.start(host, port))
    typer.echo(json.dumps({"host": host, "port": server.sockets[0].getsockname()[1]}))
    sys.stdout.flush()
    await stopping.wait()
    await service.stop(server)
