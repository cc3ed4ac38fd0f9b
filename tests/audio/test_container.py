"""Bytes beside the sound of a file: all are returned, by where they are, and none that the sound accounts for."""

import struct
from pathlib import Path
from unittest.mock import ANY

import numpy as np
import pytest
import soundfile

from sottovoce.audio.container import beside_sound
from sottovoce.audio.io import native
from sottovoce.errors import AudioError

FORMAT = "chunk 'fmt '"
SECRET = b"who speaks here" * 3
RNG = np.random.default_rng(0)
WAV = np.sin(np.arange(8000) / 5.0) * 0.3


def written(place: Path, **how: str) -> Path:
    soundfile.write(place, WAV, 16000, **how)
    return place


def with_chunk(content: bytes, before: bool) -> bytes:
    chunk = b"note" + struct.pack("<I", len(SECRET)) + SECRET + b"\0" * (len(SECRET) % 2)
    place = content.index(b"data") if before else len(content)
    content = content[:place] + chunk + content[place:]
    return content[:4] + struct.pack("<I", len(content) - 8) + content[8:]


@pytest.mark.parametrize("before", [True, False])
def test_an_unknown_chunk_of_a_wav_file(tmp_path, before):
    place = written(tmp_path / "a.wav", subtype="PCM_16")
    assert [*beside_sound(place)] == [FORMAT]
    place.write_bytes(with_chunk(place.read_bytes(), before))
    assert beside_sound(place) == {FORMAT: ANY, "chunk 'note'": SECRET}


def test_what_follows_the_sound(tmp_path):
    place = written(tmp_path / "a.wav", subtype="PCM_16")
    place.write_bytes(place.read_bytes() + SECRET)
    assert beside_sound(place) == {FORMAT: ANY, "after the sound": SECRET}


def test_a_tag_of_a_flac_file(tmp_path):
    place = tmp_path / "a.flac"
    with soundfile.SoundFile(place, "w", 16000, 1) as sound:
        sound.title = SECRET.decode()
        sound.write(WAV)
    assert any(SECRET in content for content in beside_sound(place).values())


def test_the_comments_and_the_serial_number_of_an_ogg_file(tmp_path):
    place = tmp_path / "a.ogg"
    with soundfile.SoundFile(place, "w", 16000, 1) as sound:
        sound.title = SECRET.decode()
        sound.write(WAV)
    beside = beside_sound(place)
    assert SECRET in beside["header pages"] and len(beside["serial number"]) == 4


def test_every_byte_of_a_wav_file_is_sound_header_or_beside(tmp_path):
    place = written(tmp_path / "a.wav", subtype="FLOAT")  # with a chunk PEAK, which holds a time
    beside = beside_sound(place)
    heads = 12 + 8 + 8 * len(beside)  # of the file, of its sound, and of each other chunk
    assert place.stat().st_size == heads + 4 * len(WAV) + sum(map(len, beside.values()))


def test_what_is_no_sound_is_refused(tmp_path):
    place = tmp_path / "a.wav"
    place.write_bytes(SECRET)
    with pytest.raises(AudioError):
        beside_sound(place)


def test_a_file_that_is_joined_to_another_is_sound_of_its_own(tmp_path):
    first, second = written(tmp_path / "a.wav", subtype="PCM_16"), written(tmp_path / "b.wav", subtype="PCM_16")
    first.write_bytes(first.read_bytes() + second.read_bytes())
    assert [*beside_sound(first)] == [FORMAT]
    samples, rate, kind = native(first)
    assert (len(samples), rate, kind) == (2 * len(WAV), 16000, "WAV PCM_16")


def test_samples_are_exact_at_any_depth(tmp_path):
    for subtype, bits in (("PCM_16", 15), ("PCM_24", 23), ("PCM_32", 31)):
        whole = RNG.integers(-(2**bits), 2**bits, (100, 3)) / 2.0**bits
        place = tmp_path / f"{subtype}.wav"
        soundfile.write(place, whole, 22050, subtype=subtype)
        np.testing.assert_array_equal(native(place)[0], whole)
