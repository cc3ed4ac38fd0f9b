"""Where live sound comes from and where it goes: sound cards, files in real time, pipes."""

from __future__ import annotations

import os
import queue
import select
import subprocess
import time
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


class Recorder:
    """A microphone of PulseAudio or PipeWire, read by its own program `parec`; `source` None is the default one.

    Where it is unplugged, nothing comes until it is there again. The program is started again where it ends, and where
    it gives nothing for a while, as it does when the sound server restarts at the wrong moment.
    """

    def __init__(self, source: str | None, sample_rate: int) -> None:
        self._command = ["parec", "--raw", "--format=s16le", "--channels=1", f"--rate={sample_rate}"]
        self._command += ["--latency-msec=10", "--client-name=sottovoce", *([f"--device={source}"] if source else [])]
        self._left = b""
        self._last = 0.0  # when it was started, or gave something
        self._start()

    @property
    def pid(self) -> int:
        """The process that listens."""
        return self._process.pid

    def read(self, timeout_s: float) -> Wave | None:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], timeout_s)
        content = os.read(self._process.stdout.fileno(), 1 << 16) if ready else b""
        now = time.monotonic()
        if not content:
            if ready:  # the program ended: unplugged, or the sound server is gone
                time.sleep(timeout_s)
            if now - self._last > (1.0 if ready else _MUTE_S):
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

    def _start(self) -> None:
        self._last, self._left = time.monotonic(), b""
        try:
            self._process = subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, **ENVIRONMENT}
            )
        except OSError as error:
            raise AudioError(
                "there is no program `parec`, which records from PulseAudio and PipeWire; install pulseaudio-utils."
            ) from error


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
