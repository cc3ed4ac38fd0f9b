"""Raw sound as bytes: 16-bit and floating-point PCM, and mu-law (ITU-T G.711)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sottovoce.audio.io import cleaned
from sottovoce.audio.spectrum import Wave
from sottovoce.errors import AudioError

Encoding = Literal["s16le", "f32le", "mulaw"]
BYTES: dict[Encoding, int] = {"s16le": 2, "f32le": 4, "mulaw": 1}  # of a sample

_BIAS, _CLIP = 0x84, 32635  # of mu-law


def decode(content: bytes, encoding: Encoding) -> Wave:
    """Samples [n] of raw sound; AudioError for half a sample. What is not finite, or damage, becomes 0."""
    if len(content) % BYTES[encoding]:
        raise AudioError(f"got {len(content)} bytes of {encoding}; expected {BYTES[encoding]} for each sample.")
    if encoding == "s16le":
        return np.frombuffer(content, "<i2").astype(np.float32) / np.float32(2.0**15)
    if encoding == "f32le":
        return cleaned(np.frombuffer(content, "<f4").astype(np.float32))
    return _MULAW[np.frombuffer(content, np.uint8)]


def encode(wav: Wave, encoding: Encoding) -> bytes:
    """Raw sound of samples [n], clipped to full scale where the encoding has one."""
    if encoding == "f32le":
        return wav.astype("<f4").tobytes()
    coded = np.clip(np.rint(wav * 2.0**15), -(2**15), 2**15 - 1).astype("<i2")
    return coded.tobytes() if encoding == "s16le" else _compressed(coded.astype(np.int32)).tobytes()


def _expanded() -> Wave:
    """The sample of each of the 256 codes of mu-law."""
    code = ~np.arange(256, dtype=np.uint8)
    magnitude = (((code & 0x0F).astype(np.int32) << 3) + _BIAS << (code >> 4 & 7)) - _BIAS
    return (np.where(code & 0x80, -magnitude, magnitude) / 2.0**15).astype(np.float32)


_MULAW = _expanded()


def _compressed(samples: NDArray[np.int32]) -> NDArray[np.uint8]:
    """The mu-law codes of 16-bit samples."""
    magnitude = np.minimum(np.abs(samples), _CLIP) + _BIAS
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    code = (samples < 0) * 0x80 | exponent << 4 | magnitude >> exponent + 3 & 0x0F
    inverted: NDArray[np.uint8] = ~code.astype(np.uint8)
    return inverted
