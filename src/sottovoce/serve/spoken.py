"""The sounds of one Wyoming connection, one after the other: events of sound to events of obfuscated sound."""

from __future__ import annotations

from typing import Any

import numpy as np

from sottovoce.audio.io import check_rate
from sottovoce.audio.spectrum import Wave
from sottovoce.errors import ConfigError
from sottovoce.runtime.filter import Filter
from sottovoce.serve.events import Event
from sottovoce.serve.wire import decode, encode

_WIDTH = 2  # bytes of a sample; the protocol's services use no other
_MOST_CHANNELS = 8
_SHOWN = 40  # letters of a wrong value


def sound_form(event: Event) -> tuple[int, int]:
    """Rate in Hz and channels of "audio-start" or "audio-chunk"; ConfigError for what is no sound of the protocol."""
    rate, width, channels = (event.data.get(name) for name in ("rate", "width", "channels"))
    if type(rate) is not int or type(width) is not int or width != _WIDTH:
        raise ConfigError(
            f"got sound of rate {str(rate)[:_SHOWN]} and width {str(width)[:_SHOWN]}; expected Hz, and {_WIDTH} bytes."
        )
    check_rate(rate)
    if type(channels) is not int or not 0 < channels <= _MOST_CHANNELS:
        raise ConfigError(f"got sound of {str(channels)[:_SHOWN]} channels; expected 1 to {_MOST_CHANNELS}.")
    return rate, channels


class Spoken:
    """A stream for each sound, at `output_rate` Hz (if None, the rate of the sound)."""

    def __init__(self, permit: Filter, output_rate: int | None = None) -> None:
        self._permit, self._output_rate = permit, output_rate
        self._stream: Any = None
        self._asked: dict[str, Event] = {}
        self._announced = False
        self.rate = 0

    @property
    def open(self) -> bool:
        """Whether a sound has begun and not ended."""
        return self._stream is not None

    def ask(self, request: Event) -> None:
        """Keep a request until the next sound begins for whoever hears it: at most one of each type for a sound."""
        self._asked[request.type] = request

    def begin(self, rate: int) -> None:
        """A new sound; nothing of the one before is remembered."""
        self.rate, self._announced = rate, False
        self._stream = self._permit.stream(rate, self._output_rate or rate)

    def samples(self, event: Event) -> tuple[Wave, int]:
        """The mean of the channels [T] of "audio-chunk", and their rate; ConfigError for damage."""
        rate, channels = sound_form(event)
        if len(event.payload) % (_WIDTH * channels):
            raise ConfigError(f"got {len(event.payload)} bytes; expected {_WIDTH * channels} for each sample.")
        mono: Wave = decode(event.payload, "s16le").reshape(-1, channels).mean(axis=1, dtype=np.float32)
        return mono, rate

    def feed(self, samples: Wave) -> list[Event]:
        """What is ready after these samples."""
        return self._chunks(self._stream.feed(samples))

    def end(self) -> list[Event]:
        """What is left of the sound, if one has begun."""
        if self._stream is None:
            return []
        stream, self._stream = self._stream, None
        rest = stream.flush()
        return [*self._begun(), *self._chunks(rest)]

    def _begun(self) -> list[Event]:
        """That a sound begins, told only when it is heard of: what tells nothing must not tell when."""
        if self._announced:
            return []
        self._announced = True
        asked, self._asked = [*self._asked.values()], {}
        return [*asked, Event("audio-start", self._form)]

    @property
    def _form(self) -> dict[str, int]:
        return {"rate": self._output_rate or self.rate, "width": _WIDTH, "channels": 1}

    def _chunks(self, wav: Wave) -> list[Event]:
        """The sound as events of at most 100 ms."""
        size = self._form["rate"] // 10
        parts = [wav[start : start + size] for start in range(0, len(wav), size)]
        chunks = [Event("audio-chunk", self._form, encode(part, "s16le")) for part in parts]
        return [*self._begun(), *chunks] if chunks else []
