"""Where live sound comes from and where it goes: sound cards, files in real time, pipes."""

from __future__ import annotations

import os
import queue
import select
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from sottovoce.audio import io
from sottovoce.audio.spectrum import Wave
from sottovoce.audio.writer import Writer
from sottovoce.errors import AudioError, MissingExtraError
from sottovoce.live.pulse import ENVIRONMENT
from sottovoce.runtime.pcm import decode, encode

BLOCK_S = 0.01
_MUTE_S = 3.0  # a recording program that gives nothing for so long waits for a server that does not answer
_AGAIN_S = 1.0  # between attempts to start a program that ended
_READ_BYTES = 1 << 12
_HELD_BLOCKS = 50  # of a sound card that was not read: half a second, then it is dropped


class File:
    """A sound file that is read like a microphone: a block every 10 ms, no sooner."""

    def __init__(self, path: Path, sample_rate: int) -> None:
        self._blocks = io.blocks(path, sample_rate, block_s=BLOCK_S)
        self._due: float | None = None  # when the next block is; the first one when it is read

    def read(self, timeout_s: float) -> Wave | None:
        if self._due is None:
            self._due = time.monotonic()
        early = self._due - time.monotonic()
        if early > timeout_s:
            time.sleep(timeout_s)
            return None
        time.sleep(max(0.0, early))
        self._due += BLOCK_S
        block = next(self._blocks, None)
        if block is None:
            raise EOFError
        return block


class Program:
    """Raw 16-bit PCM of one channel that a program writes to its standard output.

    The program is started again, after a second or more, where it ends, and where it gives nothing for `mute_s`; until
    then nothing comes. AudioError where it cannot be started; `package` is what to install then.
    """

    def __init__(self, command: Sequence[str], package: str, mute_s: float) -> None:
        self._command, self._package, self._mute_s = command, package, mute_s
        self._left = b""
        self._last = 0.0  # when it was started, or gave something
        self.starts = 0
        self._start()

    @property
    def pid(self) -> int:
        """The process that listens."""
        return self._process.pid

    def read(self, timeout_s: float) -> Wave | None:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], timeout_s)
        content = os.read(self._process.stdout.fileno(), _READ_BYTES) if ready else b""
        now = time.monotonic()
        if not content:
            if ready:  # the program ended: a device is unplugged, a server is gone
                time.sleep(timeout_s)
            if now - self._last > (_AGAIN_S if ready else self._mute_s):
                self.close()
                self._start()
            return None
        self._last = now
        content = self._left + content
        whole = len(content) - len(content) % 2
        self._left = content[whole:]
        return decode(content[:whole], "s16le") if whole else None

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _start(self) -> None:
        self._last, self._left = time.monotonic(), b""
        self._process = _process(self._command, self._package, stdout=subprocess.PIPE)
        self.starts += 1


class Recorder(Program):
    """A microphone of PulseAudio or PipeWire, read by its own program `parec`; `source` None is the default one.

    Where it is unplugged, nothing comes until it is there again. `parec` gives nothing more where the sound server
    restarts at the wrong moment.
    """

    def __init__(self, source: str | None, sample_rate: int) -> None:
        command = ["parec", "--raw", "--format=s16le", "--channels=1", f"--rate={sample_rate}"]
        command += ["--latency-msec=10", "--client-name=sottovoce", *([f"--device={source}"] if source else [])]
        super().__init__(command, "pulseaudio-utils", _MUTE_S)


class SoundCard:
    """A microphone of any system; `device` is a number or part of a name, None the default one."""

    def __init__(self, device: str | None, sample_rate: int) -> None:
        self._blocks: queue.SimpleQueue[bytes] = queue.SimpleQueue()

        def record(content: Any, frames: int, when: Any, status: Any) -> None:
            if self._blocks.qsize() < _HELD_BLOCKS:
                self._blocks.put(bytes(content))

        self._stream = _opened(_sounddevice().RawInputStream, device, sample_rate, record)

    def read(self, timeout_s: float) -> Wave | None:
        try:
            return decode(self._blocks.get(timeout=timeout_s), "f32le")
        except queue.Empty:
            return None

    def close(self) -> None:
        self._stream.close()


class Loudspeaker:
    """An output of any system, such as the input side of a loopback device; where nothing is there, silence."""

    def __init__(self, device: str | None, sample_rate: int) -> None:
        self._blocks: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._left = b""

        def fill(content: Any, frames: int, when: Any, status: Any) -> None:
            while len(self._left) < len(content) and not self._blocks.empty():
                self._left += self._blocks.get()
            content[:] = self._left[: len(content)].ljust(len(content), b"\0")
            self._left = self._left[len(content) :]

        self._stream = _opened(_sounddevice().RawOutputStream, device, sample_rate, fill)

    def write(self, samples: Wave) -> int:
        # All, or none where 0.5 s wait already.
        if self._blocks.qsize() >= _HELD_BLOCKS:
            return 0
        self._blocks.put(encode(samples, "f32le"))
        return len(samples)

    def close(self) -> None:
        self._stream.close()


class Pipe:
    """Raw 16-bit PCM into a pipe that is not waited for."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor

    def write(self, samples: Wave) -> int:
        """As many as the pipe has room for; AudioError where nobody reads it any more."""
        content = encode(samples, "s16le")
        for start in range(0, len(content), select.PIPE_BUF):  # as much as is taken whole or not at all
            try:
                os.write(self._descriptor, content[start : start + select.PIPE_BUF])
            except BlockingIOError:
                return start // 2
            except OSError as error:
                raise AudioError(f"the output takes no more ({error.strerror}); check what reads it.") from error
        return len(samples)


class Player:
    """Raw 16-bit PCM to the standard input of a program, which is not waited for.

    The program is started again, after a second or more, where it ends, and where it takes nothing for `mute_s`; until
    then sound is lost. AudioError where it cannot be started; `package` is what to install then.
    """

    def __init__(self, command: Sequence[str], package: str, mute_s: float) -> None:
        self._command, self._package, self._mute_s = command, package, mute_s
        self.starts = 0
        self._process: subprocess.Popen[bytes]
        self._pipe: Pipe
        self._last = 0.0  # when it was started, or took something
        self._start()

    def write(self, samples: Wave) -> int:
        """As many as the program has room for."""
        ended = self._process.poll() is not None
        if time.monotonic() - self._last > (_AGAIN_S if ended else self._mute_s):
            self.close(0.0)
            self._start()
        try:
            taken = self._pipe.write(samples)
        except AudioError:  # it ended just now
            return 0
        if taken:
            self._last = time.monotonic()
        return taken

    def close(self, patience_s: float = 5.0) -> None:
        """Let the program write what it has, and end it after `patience_s`."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(patience_s)
        self._process.kill()
        self._process.wait()

    def _start(self) -> None:
        self._last = time.monotonic()
        self._process = _process(self._command, self._package, stdin=subprocess.PIPE)
        assert self._process.stdin is not None
        self._pipe = Pipe(self._process.stdin.fileno())
        self.starts += 1


class Recording:
    """A sound file."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def write(self, samples: Wave) -> int:
        self._writer.write(samples)
        return len(samples)


def names() -> list[str]:
    """The sound cards that there are, one line each."""
    return str(_sounddevice().query_devices()).splitlines()


def _process(
    command: Sequence[str], package: str, stdin: int = subprocess.DEVNULL, stdout: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """A program whose messages are not shown, as they may name an address with its password."""
    environment = {**os.environ, **ENVIRONMENT}
    try:
        return subprocess.Popen(
            command, bufsize=0, stdin=stdin, stdout=stdout, stderr=subprocess.DEVNULL, env=environment
        )
    except OSError as error:
        raise AudioError(
            f"the program `{command[0]}` cannot be started ({error.strerror}); install {package}."
        ) from error


def _opened(kind: Any, device: str | None, sample_rate: int, callback: Any) -> Any:
    """A started stream of sounddevice; AudioError where there is no such device."""
    chosen = int(device) if device is not None and device.isdigit() else device
    block = round(BLOCK_S * sample_rate)
    try:
        stream = kind(
            samplerate=sample_rate, blocksize=block, device=chosen, channels=1, dtype="float32", callback=callback
        )
        stream.start()
    except Exception as error:  # PortAudioError, or ValueError for a name
        raise AudioError(
            f"the sound device {device or 'by default'} cannot be used ({error}); name another."
        ) from error
    return stream


def _sounddevice() -> ModuleType:
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: the system's library PortAudio is missing
        raise MissingExtraError(
            f"sound cards need sounddevice and PortAudio ({error}): pip install 'sottovoce[live]', and on Debian "
            "apt-get install libportaudio2."
        ) from error
    return sounddevice  # type: ignore[no-any-return]
