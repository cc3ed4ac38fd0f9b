"""Sound files, folders of them, and raw streams, through a filter."""

from __future__ import annotations

import json
import os
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from sottovoce import __version__
from sottovoce.audio import io, writer
from sottovoce.audio.spectrum import Wave
from sottovoce.errors import AudioError, ConfigError, SottovoceError
from sottovoce.files import write_file
from sottovoce.runtime import labels
from sottovoce.runtime.filter import Filter
from sottovoce.runtime.folders import SOUND_ENDINGS, Contents, contents
from sottovoce.runtime.outputs import Receipts, digest, renamed
from sottovoce.runtime.pacing import paced
from sottovoce.runtime.pcm import decode, encode

FORMATS = {"sound": ("wav", "flac", "ogg"), "labels": labels.FORMATS}  # by what is written
_BLOCK_BYTES = 1 << 16
_LONGEST_BEGINNING = 8
_BEGINNINGS = (b"RIFF", b"RIFX", b"RF64", b"riff", b"fLaC", b"OggS", b"ID3", b"FORM", b".snd", b"\x1a\x45\xdf\xa3")


@dataclass
class Outcome:
    """What became of the files, and how much sound was protected.

    They were written, were finished before, or failed; `skipped` were left aside. Of these two, each has the reason.
    """

    done: list[Path] = field(default_factory=list)
    finished: list[Path] = field(default_factory=list)
    failed: dict[Path, str] = field(default_factory=dict)
    skipped: dict[Path, str] = field(default_factory=dict)
    seconds_of_audio: float = 0.0


def protect(
    permit: Filter,
    source: Path,
    out: Path,
    sample_rate: int | None = None,
    report: Callable[[int, int], None] | None = None,
    workers: int = 1,
    format_: str | None = None,
    rename: Path | None = None,
    output: str = "sound",
) -> Outcome:
    """Write the obfuscated sound of the file `source`, or of all sound files in that folder, to `out`.

    Output has the rate of its file, or `sample_rate` Hz, and its format, or `format_` ("wav", "flac", "ogg"); what is
    in another format becomes WAV. With the `output` "labels", it is the rows of `Filter.labels` instead, in the format
    "csv" or "jsonl", by default that of the ending of `out`, or CSV. With a `rename` table, outputs have random names,
    and the table has their originals.

    What is at an output's place is replaced, whole or not at all; but of a folder, outputs are left that were made of
    the same contents by the same filter and settings, so that a run that was stopped resumes. `workers` files are
    worked on at once; `report` gets how many of how many are done. A file that fails is named in the outcome, and
    the others are done. AudioError where there is nothing to do, or where an input would be replaced.
    """
    sample_rate = None if sample_rate is None else io.check_rate(sample_rate)
    if format_ not in (None, *FORMATS[output]):
        raise ConfigError(f"the format is {format_!r}; expected {', '.join(FORMATS[output])} for {output}.")
    if output == "labels":
        if sample_rate is not None:
            raise ConfigError("labels have no sample rate; leave out --rate.")
        permit.label_stream()  # refuses a filter without codes before anything is written
        format_ = format_ or ("jsonl" if out.suffix.lower() == ".jsonl" and not source.is_dir() else "csv")
    sources = _sources(source, out)
    jobs = _jobs(source, sources, out, format_, rename)
    outcome = Outcome(failed=dict(sources.failed), skipped=dict(sources.skipped))
    if source.is_dir():
        writer.remove_abandoned(out)
    first = _first_of_each(jobs, out)
    receipts = Receipts(out) if source.is_dir() and permit.digest else None
    settings = json.dumps(
        [__version__, permit.digest, *permit.permit, permit.engine.constant_blocks, sample_rate, output]
    )

    def one(sound: Path, target: Path) -> float | None:
        """Seconds of sound protected; None where that was done before."""
        if first[target] != sound:
            raise AudioError(
                f"{str(sound)!r}: its output is that of {str(first[target])!r} too; rename one, or all by --rename."
            )
        original = ""
        with suppress(OSError):  # what cannot be read, its reader will report
            original = digest(sound) if receipts and sound.is_file() else ""
        # Unlike that of Path, this is False for a name that is too long.
        if receipts and os.path.isfile(target) and receipts.has(original, target, settings):
            return None
        if output == "labels":
            seconds = _label_file(permit, sound, target)
        else:
            seconds = _protect_file(permit, sound, target, sample_rate)
        if receipts:
            receipts.add(original, target, settings)
        return seconds

    with ThreadPoolExecutor(workers) as pool:
        running = [pool.submit(one, *job) for job in jobs]
        try:
            for count, ((sound, target), work) in enumerate(zip(jobs, running, strict=True), start=1):
                try:
                    seconds = work.result()
                except SottovoceError as error:
                    outcome.failed[sound] = str(error)
                else:
                    (outcome.finished if seconds is None else outcome.done).append(target)
                    outcome.seconds_of_audio += seconds or 0.0
                if report is not None:
                    report(count, len(jobs))
        except BaseException:  # whoever stops it does not wait for the files that were not begun
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return outcome


def protect_stream(permit: Filter, source: BinaryIO, out: BinaryIO, sample_rate: int, format_: str = "s16le") -> None:
    """Raw 16-bit little-endian mono PCM at `sample_rate` Hz from `source` to `out`, to its end.

    It comes out as it becomes ready, as much as came in `Stream.latency_samples` before; with the `format_` "csv" or
    "jsonl", labels do. AudioError where `out` takes no more, where `source` is a sound file and not raw, and, once all
    is out, where it ends within a sample.
    """
    rest = bytearray()
    blocks = paced(_pcm_blocks(source, rest), permit.block_s * max(1, permit.engine.constant_blocks), sample_rate)
    for content in _written(permit, blocks, sample_rate, format_):
        if not content:
            continue
        try:
            out.write(content)
            out.flush()
        except OSError as error:
            raise AudioError(f"the output takes no more ({error.strerror}); check what reads it.") from error
    if rest:
        raise AudioError("the input ended within a sample of 16 bits; see that it is raw s16le PCM of one channel.")


def _written(permit: Filter, blocks: Iterator[Wave], sample_rate: int, format_: str) -> Iterator[bytes]:
    """What leaves for `blocks` as it becomes ready: raw PCM, or the lines of labels."""
    if format_ == "s16le":
        for piece in permit.pieces(blocks, sample_rate):
            yield encode(piece, "s16le")
    else:
        yield labels.header(format_).encode()
        for row in permit.answers(blocks, sample_rate):
            yield labels.written([row], format_).encode()


def _sources(source: Path, out: Path) -> Contents:
    """The files to do; AudioError where there are none."""
    if not os.path.lexists(source):
        raise AudioError(f"{str(source)!r}: there is no such file or folder; check the name.")
    if not source.is_dir():
        return Contents([source])
    if f"{os.path.realpath(out)}/".startswith(f"{os.path.realpath(source)}/"):
        raise AudioError(f"{str(out)!r}: inside the folder of the originals; choose a place outside it.")
    listed = contents(source)
    if not listed.sounds and not listed.failed:
        others = f" among its {len(listed.skipped)} files and folders" if listed.skipped else ""
        raise AudioError(f"{str(source)!r}: no sound in this folder{others}; expected {', '.join(io.ENDINGS)} files.")
    return listed


def _jobs(
    source: Path, sources: Contents, out: Path, format_: str | None, rename: Path | None
) -> list[tuple[Path, Path]]:
    """Every file to do and the one to write; AudioError where that would lose an input."""
    is_folder = source.is_dir()
    names = {sound: sound.relative_to(source) if is_folder else Path(source.name) for sound in sources.sounds}
    if rename is not None:
        folder = source if is_folder else source.parent
        table = renamed(rename, folder, [(str(name), _ending(name, format_)) for name in names.values()], out)
        jobs = sorted(((sound, out / table[str(name)]) for sound, name in names.items()), key=lambda job: job[1])
    elif is_folder or out.is_dir():
        jobs = [(sound, out / _output_name(name, format_)) for sound, name in names.items()]
    else:
        jobs = [(source, out)]
        if format_ is not None and out.suffix.lower() != f".{format_}":
            raise ConfigError(f"the output {str(out)!r} is to be {format_}; give it the ending .{format_}.")
    inputs = {os.path.realpath(sound) for sound, _ in jobs}
    for _, target in jobs:
        if os.path.realpath(target) in inputs:
            raise AudioError(f"{str(target)!r}: an original that would be written over; choose another place.")
    return jobs


def _ending(original: Path, format_: str | None) -> str:
    """The ending of the output of a file with this name."""
    if format_ is not None:
        return f".{format_}"
    return original.suffix if original.suffix.lower().removeprefix(".") in FORMATS["sound"] else ".wav"


def _output_name(original: Path, format_: str | None) -> Path:
    """The name of its output, where outputs keep their names."""
    stem = original.with_suffix("") if original.suffix.lower() in SOUND_ENDINGS else original
    return stem.with_name(stem.name + _ending(original, format_))


def _first_of_each(jobs: list[tuple[Path, Path]], out: Path) -> dict[Path, Path]:
    """The sound of those that have the same output that is to be protected, for each output.

    It is the first that can be opened, beginning with the one that has the output's name.
    """

    def alike(target: Path) -> str:
        return unicodedata.normalize("NFC", str(target)).casefold()

    key: Callable[[Path], str] = str
    if len({alike(target) for _, target in jobs}) < len(jobs) and not _tells_names_apart(out):
        key = alike
    same: dict[str, list[tuple[Path, Path]]] = {}
    for sound, target in jobs:
        same.setdefault(key(target), []).append((sound, target))
    chosen = {name: _first(rivals) for name, rivals in same.items()}
    return {target: chosen[key(target)] for _, target in jobs}


def _first(rivals: list[tuple[Path, Path]]) -> Path:
    sounds = [sound for sound, _ in sorted(rivals, key=lambda job: job[0].name != job[1].name)]
    for sound in sounds if len(sounds) > 1 else []:
        with suppress(AudioError):
            io.info(sound)
            return sound
    return sounds[0]


def _tells_names_apart(folder: Path) -> bool:
    """Whether two names that differ by their case alone are two files in `folder`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".case-") as probe:
            return not os.path.exists(os.path.join(folder, os.path.basename(probe.name).upper()))
    except OSError:
        return True  # nothing can be written there anyway


def _protect_file(permit: Filter, source: Path, target: Path, sample_rate: int | None) -> float:
    rate = io.info(source).sample_rate
    to_rate = sample_rate or rate
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AudioError(f"{str(target.parent)!r}: no folder can be made there ({error.strerror}).") from error
    with writer.writing(target, to_rate) as file:
        for piece in permit.pieces(io.blocks(source, rate), rate, to_rate):
            file.write(piece)
    return file.samples / to_rate


def _label_file(permit: Filter, source: Path, target: Path) -> float:
    about = io.info(source)
    blocks = io.blocks(source, about.sample_rate)
    write_file(target, b"".join(_written(permit, blocks, about.sample_rate, target.suffix.lower()[1:])))
    return about.duration_s


def _pcm_blocks(source: BinaryIO, rest: bytearray) -> Iterator[Wave]:
    """Samples of raw PCM as they come; half a sample at the end is left in `rest`."""
    read = getattr(source, "read1", source.read)  # what is there, without waiting for a whole block
    is_start = True
    while content := read(_BLOCK_BYTES):
        rest += content
        if is_start and len(rest) < _LONGEST_BEGINNING:
            continue
        if is_start and (rest.startswith(_BEGINNINGS) or rest[4:8] == b"ftyp"):
            raise AudioError(
                "the input is a sound file, but - stands for raw 16-bit PCM of one channel; give the file's name, or "
                "decode it first, as `ffmpeg -i - -f s16le -ac 1 -` does."
            )
        is_start = False
        yield _taken(rest)
    yield _taken(rest)


def _taken(rest: bytearray) -> Wave:
    """The whole samples of `rest`, which are removed from it."""
    whole = len(rest) - len(rest) % 2
    wav = decode(bytes(rest[:whole]), "s16le")
    del rest[:whole]
    return wav
