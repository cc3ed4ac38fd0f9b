"""Protected recordings that others made, one file for each clip: in a folder, or written by any command.

A command runs without a shell, once for each clip, and what it wrote is kept, so that a run that was stopped resumes.
Files are kept as they were written, since 16 bits would hide what a faint sound still says.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np

from sottovoce.audio import io, writer
from sottovoce.audio.spectrum import SAMPLE_RATE, Wave
from sottovoce.corpora.layout import sound_files
from sottovoce.corpora.manifest import Clip, Manifest
from sottovoce.corpora.store import cache_folder
from sottovoce.errors import AudioError, ConfigError, CorpusError, ModelError
from sottovoce.files import file_sha256
from sottovoce.private import check_private, private_folder, unwritable
from sottovoce.progress import Report
from sottovoce.runtime.folders import SOUND_ENDINGS

LIMIT_S = 60.0  # for one clip, and ten times its duration on top
_POLL_S = 0.02
_NAMED = 5  # how many of many a message names
_LARGEST_BYTES = 1 << 28  # that a command may write for one clip, messages included


def read_protected(path: Path, clip_id: str) -> Wave:
    """The sound [T] at 16 kHz of a protected file; AudioError if it cannot be read, ModelError if it is not finite."""
    wav = io.read(path)
    # Once more, since the reader takes for silence what is not finite.
    if not np.isfinite(io.native(path)[0]).all():
        raise ModelError(f"{clip_id!r} has samples that are not finite once protected; correct what protects it.")
    return wav


def in_folder(folder: Path, manifest: Manifest) -> tuple[list[Path], list[str]]:
    """The file below `folder` of each clip, by its relative name whatever the ending, and what a reader has to know.

    Protected files of recordings that the corpus leaves out, such as duplicates, are left aside. CorpusError names what
    is missing, what has no original, what is there twice, and clips that are no whole file of the corpus' folder.
    """
    clips = _by_name(manifest)
    files: dict[str, list[Path]] = defaultdict(list)
    for path in sound_files(folder):
        files[_name(path.relative_to(folder).as_posix())].append(path)
    root = manifest.clips[0].path.parents[len(PurePosixPath(manifest.clips[0].id).parts) - 1]
    missing = [clip.id for name, clip in clips.items() if name not in files]
    others = [name for name in files if name not in clips]
    endings = [*SOUND_ENDINGS, *map(str.upper, SOUND_ENDINGS)]
    left_out = [name for name in others if any(Path(f"{root / name}{ending}").exists() for ending in endings)]
    extra = [path.relative_to(folder).as_posix() for name in sorted({*others} - {*left_out}) for path in files[name]]
    if missing or extra:
        raise CorpusError(
            f"{folder} does not fit {manifest.spec}: "
            f"{len(missing)} of its {len(clips)} recordings have no protected file{some(missing)} and "
            f"{len(extra)} protected files have no original{some(extra)}; expected one for each, with the same "
            f"relative name and any of the endings {', '.join(io.ENDINGS)}."
        )
    twice = [path.relative_to(folder).as_posix() for name in clips if len(files[name]) > 1 for path in files[name]]
    if twice:
        raise CorpusError(f"{folder} has more than one protected file of a recording{some(twice)}; keep one of each.")
    notes = [f"{len(left_out)} protected files belong to recordings that the corpus leaves out{some(left_out)}"]
    return [files[name][0] for name in clips], notes if left_out else []


def by_command(
    command: str, manifest: Manifest, cache: Path | None, workers: int, report: Report, limit_s: float = LIMIT_S
) -> list[Path]:
    """What `command`, with {in} and {out} for the names of WAV files, writes for each clip; `workers` run at once.

    It is given 16-bit mono at 16 kHz. What it wrote is used again by the same command for the same corpus, unless a
    file that is a word of it has changed; what else it reads is not looked at. ConfigError if it cannot be run,
    ModelError for the first clip that it fails for, gives no sound for, or takes more than `limit_s` and ten times the
    clip's duration for.
    """
    words = _words(command)
    parent = (cache_folder() if cache is None else cache) / "commands"
    folder = parent / _digest(words, manifest)
    files = [folder / f"{hashlib.sha256(clip.id.encode()).hexdigest()[:32]}.wav" for clip in manifest.clips]
    waiting = [(clip, file) for clip, file in zip(manifest.clips, files, strict=True) if not file.is_file()]
    stop = threading.Event()
    private_folder(parent)
    check_private(private_folder(folder))
    try:
        # Beside the results, so that a result can be moved there whole.
        with tempfile.TemporaryDirectory(dir=parent, prefix=".running-") as place, ThreadPoolExecutor(workers) as pool:
            runs = [pool.submit(_run, words, clip, file, Path(place), limit_s, stop) for clip, file in waiting]
            try:
                for count, run in enumerate(as_completed(runs), start=len(files) - len(waiting) + 1):
                    run.result()
                    report(count, len(files), "recordings protected by the command")
            finally:
                stop.set()
                pool.shutdown(cancel_futures=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    return files


def some(names: Sequence[str]) -> str:
    """The first five of `names`, quoted and escaped, in brackets; nothing where there are none."""
    more = [f"{len(names) - _NAMED} more"] if len(names) > _NAMED else []
    return f" ({', '.join([*map(repr, names[:_NAMED]), *more])})" if names else ""


def _name(path: str) -> str:
    """A relative path without the ending of a sound file."""
    pure = PurePosixPath(path)
    return (pure.with_suffix("") if pure.suffix.lower() in SOUND_ENDINGS else pure).as_posix()


def _by_name(manifest: Manifest) -> dict[str, Clip]:
    paths = {clip.id: PurePosixPath(clip.id) for clip in manifest.clips}
    others = [clip.id for clip in manifest.clips if clip.path.name != paths[clip.id].name]  # slices, by their "#"
    others += [name for name, path in paths.items() if path.parts[0] in ("/", "..")]
    if others:
        raise CorpusError(
            f"{manifest.spec} has clips that are no whole files of its folder{some(others)}, so that no file has their "
            "name; make them such files, or audit the command that protects them."
        )
    clips = {_name(clip.id): clip for clip in manifest.clips}
    twice = [clip.id for clip in manifest.clips if clips[_name(clip.id)] is not clip]
    if twice:
        raise CorpusError(f"{manifest.spec} has names that differ by their ending alone{some(twice)}; rename them.")
    return clips


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ConfigError(f"the command {command!r} cannot be split into words ({error}); mend its quotes.") from error
    for place in ("{in}", "{out}"):
        if not any(place in word for word in words):
            raise ConfigError(f"the command {command!r} lacks {place}; expected PROGRAM ... {{in}} ... {{out}}.")
    program = shutil.which(words[0])
    if program is None:
        raise ConfigError(f"the program {words[0]!r} is not found; install it, or give its whole path.")
    return [program, *words[1:]]


def _digest(words: Sequence[str], manifest: Manifest) -> str:
    contents = [file_sha256(Path(word)) for word in words if os.path.isfile(word)]
    return hashlib.sha256(json.dumps([words, contents, manifest.digest]).encode()).hexdigest()[:32]


def _run(words: Sequence[str], clip: Clip, file: Path, place: Path, limit_s: float, stop: threading.Event) -> None:
    """Put what the command makes of a clip at `file`, whole or not at all."""
    with tempfile.TemporaryDirectory(dir=place) as scratch:
        source, out, log = (Path(scratch) / name for name in ("in.wav", "out.wav", "stderr"))
        wav = io.read(clip.path, start_s=clip.start_s, duration_s=clip.duration_s)
        writer.write(source, wav)
        limit_s += 10 * len(wav) / SAMPLE_RATE
        filled = [word.replace("{in}", str(source)).replace("{out}", str(out)) for word in words]
        with log.open("wb") as stderr:
            status = _status(filled, stderr, limit_s, stop, lambda: _written(out, log))
        if _written(out, log) > _LARGEST_BYTES:
            raise ModelError(
                f"the command wrote more than {_LARGEST_BYTES >> 20} MiB for {clip.id!r}; see what it writes."
            )
        if status is None:
            raise ModelError(f"the command took more than {limit_s:.1f} s for {clip.id!r}; give shorter clips.")
        if status:
            raise ModelError(
                f"the command failed for {clip.id!r} with exit status {status} and {_last_line(log)}; "
                "run it by hand on that file."
            )
        if out.is_symlink() or not out.is_file():
            raise ModelError(f"the command wrote nothing to {{out}} for {clip.id!r}; see that it writes a WAV file.")
        try:
            read_protected(out, clip.id)
        except AudioError as error:
            raise ModelError(f"what the command wrote for {clip.id!r} is no usable sound: {error}") from error
        out.chmod(0o600)
        os.replace(out, file)


def _status(
    words: Sequence[str], stderr: IO[bytes], limit_s: float, stop: threading.Event, written: Callable[[], int]
) -> int | None:
    """Exit status of a command; None where it was ended: it took too long or wrote too much, or `stop` was set."""
    none = subprocess.DEVNULL
    try:
        process = subprocess.Popen(words, stdin=none, stdout=none, stderr=stderr, start_new_session=True)
    except OSError as error:
        raise ModelError(f"{words[0]!r} cannot be started ({error.strerror}); run it by hand.") from error
    end = time.monotonic() + limit_s
    with process:
        while process.poll() is None:
            if stop.wait(_POLL_S) or time.monotonic() > end or written() > _LARGEST_BYTES:
                with suppress(OSError):  # it may have ended just now
                    os.killpg(process.pid, signal.SIGKILL)  # and whatever it started
                return None
    return process.returncode


def _written(*paths: Path) -> int:
    """Bytes of files that a command may be changing."""
    return sum(path.lstat().st_size for path in paths if path.exists())


def _last_line(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        lines = file.read().decode(errors="replace").split("\n")
    texts = [line.strip() for line in lines if line.strip()]
    return f"{texts[-1][:300]!r} on stderr" if texts else "nothing on stderr"
