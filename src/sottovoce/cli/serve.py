"""The verb `serve`: a filter for clients on the network."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from sottovoce.cli.filters import chosen_filter
from sottovoce.cli.shared import FilterName, Permit, app
from sottovoce.errors import ConfigError


@app.command()
def serve(
    filter_: FilterName,
    host: Annotated[str, typer.Option(help="Address to listen at; any but loopback needs TLS and a token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="Port to listen at; 0 takes any free port.", min=0, max=65535)] = 8765,
    protocol: Annotated[str, typer.Option(help="Protocol: websocket or wyoming.")] = "websocket",
    forward: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Wyoming service that gets the obfuscated sound.")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="TLS certificate (PEM).")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Key of the certificate (PEM).")] = None,
    token_file: Annotated[Path | None, typer.Option(help="File with the token that clients must send.")] = None,
    metrics_token_file: Annotated[
        Path | None, typer.Option(help="File with the token for /metrics, which is off without one.")
    ] = None,
    origin: Annotated[list[str] | None, typer.Option(help="Origin of a web page that may connect; repeatable.")] = None,
    permit: Permit = None,
    memory: Annotated[
        float,
        typer.Option(
            help="Weight of the preceding blocks when a code is chosen: 0 uses the current block alone, 1 all blocks "
            "equally."
        ),
    ] = 1.0,
    connections: Annotated[int, typer.Option(help="Highest number of simultaneous connections.", min=1)] = 50,
    message_bytes: Annotated[int, typer.Option(help="Largest message, in bytes.", min=1)] = 1 << 18,
    queue_s: Annotated[
        float, typer.Option(help="Most unprocessed sound to keep for each client, in seconds.", min=0.1)
    ] = 2.0,
    idle_s: Annotated[
        float, typer.Option(help="Close a connection after this long without a message or ping.", min=0.1)
    ] = 30.0,
    answer_s: Annotated[
        float, typer.Option(help="Longest wait for an answer of the forwarded service.", min=0.1)
    ] = 300.0,
    total_s: Annotated[float, typer.Option(help="Longest connection.", min=0.1)] = 4 * 3600.0,
    drain_s: Annotated[float, typer.Option(help="At the end, wait this long for open connections.", min=0.0)] = 10.0,
) -> None:
    """Serve a filter over the network, and print the address. SIGTERM or Ctrl-C ends it once connections are done."""
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
    loaded.engine.make_codewords()  # now, so that no client learns what others have made it draw
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
