"""The verb `live`: a filter between a microphone and an application."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sottovoce import terminal
from sottovoce.cli.filters import chosen_filter
from sottovoce.cli.shared import FilterName, Permit, app
from sottovoce.errors import AudioError, ConfigError

if TYPE_CHECKING:
    from sottovoce.live.live import Live, Sink, Source

_EVERY_S = 0.2  # between looks at the state on a terminal
_EVERY_HEADLESS_S = 60.0


@app.command()
def live(
    filter_: FilterName,
    virtual_mic: Annotated[
        str | None, typer.Option(metavar="NAME", help="Play to a virtual microphone of this name.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Microphone: pulse, pulse:SOURCE, or a number or name that `--devices` lists.")
    ] = None,
    out_device: Annotated[str | None, typer.Option(help="Play to this sound card, such as a loopback device.")] = None,
    out: Annotated[str | None, typer.Option(help="Write to this sound file, or - for raw s16le PCM.")] = None,
    simulate: Annotated[
        Path | None, typer.Option(help="Read this sound file, in real time, instead of a microphone.")
    ] = None,
    permit: Permit = None,
    seconds: Annotated[float | None, typer.Option(help="Stop after this many seconds.", min=0.0)] = None,
    sample_rate: Annotated[int, typer.Option(help="Sample rate of microphone and output, in Hz.")] = 16000,
    margin_ms: Annotated[
        float, typer.Option(help="Time for the computation, added to the latency of the filter.", min=10.0)
    ] = 80.0,
    memory: Annotated[
        float,
        typer.Option(
            help="Weight of the preceding blocks when a code is chosen: 0 uses the current block alone, 1 all blocks "
            "equally."
        ),
    ] = 0.5,
    headless: Annotated[bool, typer.Option("--headless", help="Read no keyboard and print one line a minute.")] = False,
    devices: Annotated[bool, typer.Option("--devices", help="List the sound cards and exit.")] = False,
    install_mic: Annotated[
        str | None, typer.Option(metavar="NAME", help="Configure the sound server to make this microphone, and exit.")
    ] = None,
    remove_mic: Annotated[
        str | None, typer.Option(metavar="NAME", help="Remove this virtual microphone and exit.")
    ] = None,
) -> None:
    """Filter a microphone in real time. If anything fails, the output is silence.

    Keys: 1-9 switch consent for a task, space stops and resumes, q ends.
    """
    from sottovoce.live import devices as cards
    from sottovoce.live.live import Live, run
    from sottovoce.live.worker import Link, Worker, open_filter
    from sottovoce.machine import forbid_core_dumps

    forbid_core_dumps()
    if devices:
        terminal.say("\n".join(cards.names()))
        return
    if install_mic is not None or remove_mic is not None:
        _configured(install_mic, remove_mic, sample_rate)
        return
    loaded = chosen_filter(filter_, permit, 0)
    assert loaded.path is not None
    latency = loaded.forgetting(memory).stream(sample_rate).latency_samples
    tasks, folder = loaded.permit, loaded.path
    switchable = loaded.rate is not None
    del loaded  # the worker has its own
    with ExitStack() as stack:
        microphone = _microphone(device, simulate, virtual_mic)
        sink = _sink(stack, virtual_mic, out_device, out, sample_rate)
        source, bypassed = _source(stack, microphone, device, simulate, sample_rate)
        link = Link(sample_rate, tasks if switchable else ())
        worker = Worker(partial(open_filter, folder, sample_rate, tasks, memory), [link])
        stack.callback(worker.close)
        while not worker.ready:
            worker.watch()
            time.sleep(0.02)
        playing = Live(worker, sink, latency, margin_ms / 1000, bypassed=bypassed)
        keys = stack.enter_context(_keyboard(not headless and sys.stdin.isatty()))
        shown = _Shown(playing, keys, headless, latency)
        run(playing, source, shown.each, seconds)
        typer.echo(json.dumps(playing.report()), err=True)


def _configured(install: str | None, remove: str | None, sample_rate: int) -> None:
    """Add a microphone to the sound server's own configuration, or remove one."""
    from sottovoce.live import installed_microphone

    if remove is not None:
        typer.echo(installed_microphone.remove(remove))
    if install is not None:
        path = installed_microphone.install(install, sample_rate)
        typer.echo(
            f"From its next start on, the sound server makes the microphone {install} before any program can choose "
            f"it ({path}). Until then, `live --virtual-mic {install}` does."
        )


def _microphone(device: str | None, simulate: Path | None, virtual_mic: str | None) -> str | None:
    """The source of PulseAudio that is the microphone, found before there is a virtual one; None: it is another."""
    from sottovoce.live import pulse

    if simulate is not None or not (device.startswith("pulse") if device else virtual_mic):
        return None
    name = (device or "").partition(":")[2] or pulse.default_source()
    if name == virtual_mic:
        raise ConfigError(f"the microphone would be {name!r}, the virtual one itself; name one: --device pulse:NAME.")
    known: list[str] = []
    with suppress(AudioError):  # then it is not known, and that is no reason to stop
        known = [one.name for one in pulse.sources()]
    if known and name not in known:  # PipeWire would record another one without a word
        raise ConfigError(f"there is no microphone {name!r}; expected one of {', '.join(known)}.")
    return name


def _source(
    stack: ExitStack, name: str | None, device: str | None, simulate: Path | None, sample_rate: int
) -> tuple[Source, Callable[[], bool | None]]:
    """The microphone, and whether a program listens to it past the filter, checked now and then."""
    from sottovoce.live import devices, pulse
    from sottovoce.live.live import Watcher

    if simulate is not None:
        return devices.File(simulate, sample_rate), lambda: False
    if name is None:
        return stack.enter_context(closing(devices.SoundCard(device, sample_rate))), lambda: None  # nobody knows
    recorder = stack.enter_context(closing(devices.Recorder(name, sample_rate)))

    def bypassed() -> bool:
        pulse.hold(name, recorder.pid)
        return bool(pulse.listeners(name, recorder.pid))

    return recorder, Watcher(bypassed).answer


def _sink(stack: ExitStack, virtual_mic: str | None, out_device: str | None, out: str | None, sample_rate: int) -> Sink:
    """Where the obfuscated sound goes; ConfigError unless exactly one place is given."""
    from sottovoce.audio import writer
    from sottovoce.live import devices

    if [virtual_mic, out_device, out].count(None) != 2:
        raise ConfigError("give one of --virtual-mic NAME, --out-device NAME and --out FILE: where the sound goes.")
    if virtual_mic is not None:
        from sottovoce.live.virtual_microphone import VirtualMicrophone

        microphone = VirtualMicrophone(virtual_mic, sample_rate)
        stack.callback(_stays, virtual_mic)
        stack.callback(microphone.close)
        return microphone
    if out_device is not None:
        return stack.enter_context(closing(devices.Loudspeaker(out_device, sample_rate)))
    if out == "-":
        return devices.Pipe(terminal.binary_output().fileno())
    return devices.Recording(stack.enter_context(writer.writing(Path(str(out)), sample_rate)))


def _stays(name: str) -> None:
    """Report what is left behind, and why."""
    terminal.complain(
        f"sottovoce: the microphone {name} stays there, silent, so that no program is given the real one in its place; "
        f"--remove-mic {name} removes it."
    )


@contextmanager
def _keyboard(used: bool) -> Iterator[Any]:
    """A function that gives the keys pressed meanwhile, none where there is no terminal."""
    if not used:
        yield lambda: ""
        return
    import select
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield (
            lambda: os.read(descriptor, 64).decode(errors="ignore") if select.select([descriptor], [], [], 0)[0] else ""
        )
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


class _Shown:
    """The state on a terminal or in a log, and what the keys do."""

    def __init__(self, playing: Live, keys: Any, headless: bool, latency: int) -> None:
        self._live, self._keys, self._headless = playing, keys, headless
        self._tasks = playing.permitted
        self._ended = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._end)
        self._algorithmic_ms = 1000 * latency / playing.sample_rate
        self._shown = 0.0

    def each(self) -> bool:
        """Handle keys and print the state when it is time; False when it is to end."""
        if self._ended:
            return False
        for key in self._keys():
            if key == " ":
                self._live.running = not self._live.running
            elif key in "qQ":
                return False
            elif key.isdigit() and 0 < int(key) <= len(self._tasks):
                changed = {*self._live.permitted} ^ {self._tasks[int(key) - 1]}
                self._live.permit([task for task in self._tasks if task in changed])
        now = time.monotonic()
        if now - self._shown >= (_EVERY_HEADLESS_S if self._headless else _EVERY_S):
            self._shown = now
            line = json.dumps(self._live.report()) if self._headless else f"\r\x1b[K{terminal.printable(self.line())}"
            typer.echo(line, err=True, nl=self._headless)
        return True

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._ended = True

    def line(self) -> str:
        """One line: state, meters, latency, losses in seconds, consent."""
        live, counters = self._live, self._live.counters
        rate = live.sample_rate
        lost = (counters.dropped_slow + counters.dropped_burst + counters.dropped_output) / rate
        consent = " ".join(
            f"{i}:{task}{'+' if task in live.permitted else '-'}" for i, task in enumerate(self._tasks, 1)
        )
        return (
            f"{live.state.upper():10} in {_meter(live.level_in)} out {_meter(live.level_out)} "
            f"{1000 * live.delay / rate:.0f} ms ({self._algorithmic_ms:.0f} of it the filter's) "
            f"silent {counters.silent / rate:.1f} s, lost {lost:.1f} s, restarts {counters.restarts}  {consent}"
        )


def _meter(level: float) -> str:
    """Ten characters for -60 to 0 dB."""
    from math import log10

    full = max(0, min(10, round(10 + log10(max(level, 1e-6)) * 20 / 6)))
    return "#" * full + "." * (10 - full)
