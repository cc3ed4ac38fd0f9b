"""Synthetic speech by the espeak-ng library (GPL-3, from the package espeakng-loader), in a process of its own.

The library keeps a state that none of its functions resets, so the same sentence sounds a little different each time it
is synthesised. A fresh process for a whole list of sentences makes them the same, bit for bit, at every run; it also
keeps a crash of the library, and its licence, at arm's length. This file is that process' program, and needs nothing of
ours.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import json
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

SAMPLE_RATE = 22050
_TIMEOUT_S = 120
_SYNCHRONOUS = 2  # espeak_AUDIO_OUTPUT
_UTF8 = 1
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4  # espeak_PARAMETER


class Utterance(NamedTuple):
    """What is said and how: `rate` in words per minute (80 to 450), the others 0 to 100."""

    voice: str  # language and variant, such as "en-us+f2"
    text: str
    rate: int
    pitch: int
    pitch_range: int
    volume: int


class SpeechError(Exception):
    """The library is not there, or refused what it was asked; the message is its reason."""


def installed() -> bool:
    """Whether the package that holds the library is installed."""
    return importlib.util.find_spec("espeakng_loader") is not None


def speak(utterances: Sequence[Utterance]) -> list[bytes]:
    """Each utterance as 16-bit samples, little-endian, mono, at 22050 Hz; SpeechError when the library refuses."""
    # -P: the folder of this file must not come before the standard library's in the search for modules.
    command = [sys.executable, "-P", __file__]
    try:
        done = subprocess.run(command, input=json.dumps(utterances).encode(), capture_output=True, timeout=_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SpeechError(str(error)) from error
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().splitlines()
        raise SpeechError(reason[-1] if reason else f"the synthesiser ended with status {done.returncode}")
    sounds = list(_unpacked(done.stdout))
    if len(sounds) != len(utterances):
        raise SpeechError(f"{len(sounds)} of {len(utterances)} utterances were synthesised")
    return sounds


def _unpacked(data: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(data):
        (size,) = struct.unpack_from("<I", data, position)
        yield data[position + 4 : position + 4 + size]
        position += 4 + size


class _Library:
    """The library, initialised once; only the child process makes one."""

    def __init__(self) -> None:
        loader: Any = importlib.import_module("espeakng_loader")
        self._library = ctypes.CDLL(loader.get_library_path())
        self._pieces: list[bytes] = []
        prototype = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
        self._callback = prototype(self._collect)  # kept, or it would be freed while the library holds it
        rate = self._library.espeak_Initialize(_SYNCHRONOUS, 0, loader.get_data_path().encode(), 0)
        if rate != SAMPLE_RATE:
            raise SpeechError(f"espeak-ng did not start ({rate})")
        self._library.espeak_SetSynthCallback(self._callback)
        # Breath is noise, and the library seeds it by the clock.
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(0))

    def say(self, utterance: Utterance) -> bytes:
        """The utterance as 16-bit samples."""
        voice, text, rate, pitch, pitch_range, volume = utterance
        self._check(self._library.espeak_SetVoiceByName(voice.encode()), f"the voice {voice!r}")
        for parameter, value in ((_RATE, rate), (_PITCH, pitch), (_RANGE, pitch_range), (_VOLUME, volume)):
            self._check(self._library.espeak_SetParameter(parameter, value, 0), f"parameter {parameter} = {value}")
        self._pieces.clear()
        data = text.encode() + b"\0"
        size = ctypes.c_size_t(len(data))
        self._check(self._library.espeak_Synth(data, size, 0, 0, 0, _UTF8, None, None), repr(text))
        self._check(self._library.espeak_Synchronize(), repr(text))
        if not self._pieces:
            raise SpeechError(f"espeak-ng gave no sound for {text!r}")
        return b"".join(self._pieces)

    def _collect(self, samples: int | None, count: int, _events: int | None) -> int:
        if samples and count > 0:
            self._pieces.append(ctypes.string_at(samples, 2 * count))
        return 0  # go on

    @staticmethod
    def _check(status: int, what: str) -> None:
        if status:
            raise SpeechError(f"espeak-ng refused {what} (status {status})")


def _main() -> None:
    library = _Library()
    for fields in json.load(sys.stdin):
        sound = library.say(Utterance(*fields))
        sys.stdout.buffer.write(struct.pack("<I", len(sound)) + sound)


if __name__ == "__main__":
    try:
        _main()
    except SpeechError as error:
        sys.exit(str(error))
