"""Archives that a stranger packed: only files and folders, only below one folder, no more than is to be expected."""

from __future__ import annotations

import gzip
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any, NamedTuple

from sottovoce.errors import CorpusError

MOST_FILES = 3_000_000
MOST_TIMES = 30  # the size of an archive that its content may have: sound is packed to a third at best
LEAST_ROOM = 64 << 20  # bytes that any archive may hold

_PIECE = 1 << 20
_MOST_AT_ONCE = 64 << 20
_DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    EOFError,
    zlib.error,
    NotImplementedError,
    ValueError,
)


class _Entry(NamedTuple):
    """What an archive holds under a name: a file, which `open` opens, or a folder."""

    name: str
    open: Callable[[], IO[bytes]] | None


def is_archive(path: Path) -> bool:
    """Whether a file is one, by its ending."""
    return path.name.endswith((".zip", ".tar.gz", ".tgz"))


def unpack(archive: Path, into: Path) -> int:
    """Unpack `archive`, a .zip or .tar.gz, into the new folder `into`; returns the number of files.

    CorpusError for a damaged archive, a name that leads out of the folder or recurs, a link or device, and for more
    content than an archive of sound of this size can have.
    """
    most = max(LEAST_ROOM, MOST_TIMES * archive.stat().st_size)
    entries = _zip(archive, most) if archive.name.endswith(".zip") else _tar(archive, most)
    into.mkdir(parents=True)
    files = written = 0
    try:
        for entry in entries:
            place = into.joinpath(*_inside(archive, entry.name))
            if entry.open is None:
                place.mkdir(parents=True, exist_ok=True)
                continue
            files += 1
            if files > MOST_FILES:
                raise _refused(archive, f"it holds more than {MOST_FILES} files")
            place.parent.mkdir(parents=True, exist_ok=True)
            with entry.open() as source, place.open("xb") as target:
                while piece := source.read(_PIECE):
                    written += len(piece)
                    if written > most:
                        raise _refused(archive, f"it holds more than {most} bytes")
                    target.write(piece)
    except _DAMAGED as error:
        raise CorpusError(f"{archive.name} is damaged ({type(error).__name__}: {error}); fetch it again.") from error
    except (FileExistsError, NotADirectoryError) as error:
        raise _refused(archive, "it holds two things of one name") from error
    except OSError as error:
        raise CorpusError(f"{archive.name} could not be unpacked ({error.strerror}); free some space.") from error
    return files


def _inside(archive: Path, name: str) -> tuple[str, ...]:
    parts = PurePosixPath(name).parts
    if (
        not parts
        or name.startswith("/")
        or ".." in parts
        or "\\" in name
        or "\0" in name
        or PureWindowsPath(name).drive
    ):
        raise _refused(archive, f"{name!r} leads out of its folder")
    return parts


def _refused(archive: Path, reason: str) -> CorpusError:
    return CorpusError(f"{archive.name} is refused, since {reason}; this is not the official release.")


def _zip(archive: Path, most: int) -> Iterator[_Entry]:
    with zipfile.ZipFile(archive) as file:
        claimed = sum(info.file_size for info in file.infolist())
        if claimed > most:
            raise _refused(archive, f"it holds more than {most} bytes")
        for info in file.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(archive, f"{info.filename!r} is a link or a device")
            if info.flag_bits & 1:
                raise _refused(archive, f"{info.filename!r} is encrypted")
            yield _Entry(info.filename, None if info.is_dir() else partial(file.open, info))


def _tar(archive: Path, most: int) -> Iterator[_Entry]:
    def opened(member: tarfile.TarInfo) -> IO[bytes]:
        content = file.extractfile(member)
        assert content is not None, "it is a file"
        return content

    with gzip.open(archive) as stream:
        bounded: Any = _Bounded(archive, stream, most)
        with tarfile.open(fileobj=bounded, mode="r:") as file:
            for member in file:
                if not (member.isreg() or member.isdir()) or member.issparse():
                    raise _refused(archive, f"{member.name!r} is a link or a device")
                yield _Entry(member.name, None if member.isdir() else partial(opened, member))


class _Bounded:
    """What a tar archive reads from: no further than `most` bytes of content, and never much at once."""

    def __init__(self, archive: Path, stream: gzip.GzipFile, most: int) -> None:
        self.archive = archive
        self.stream = stream
        self.most = most

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MOST_AT_ONCE:
            raise _refused(self.archive, "a header claims too much")
        content = self.stream.read(size)
        if self.tell() > self.most:
            raise _refused(self.archive, f"it holds more than {self.most} bytes")
        return content

    def seek(self, position: int) -> int:
        if position > self.most:
            raise _refused(self.archive, f"it holds more than {self.most} bytes")
        return self.stream.seek(position)

    def tell(self) -> int:
        return self.stream.tell()
