"""Output for people: text that cannot command their terminal, on streams that may be closed, full or old.

Labels, file names and messages of other programs come from others: a control character in them could hide or rewrite
what stands there, so each is shown by its escape.
"""

from __future__ import annotations

import io
import os
import sys
import unicodedata
from contextlib import suppress
from typing import Any, BinaryIO

from sottovoce.errors import SottovoceError

_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # control, format (such as the direction of text), half characters, line ends
_JOINERS = "\u200c\u200d"  # of Persian and Indic letters, and of emoji
_LONGEST = 4000  # of a sentence
_closed: set[str] = set()  # standard streams that were closed when the process began


def printable(text: str, keep: str = "") -> str:
    r"""`text` with what would move or hide it on a terminal as escapes, such as \x1b; but not what is in `keep`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        letter.encode("unicode_escape").decode()
        if unicodedata.category(letter) in _HIDDEN and letter not in _JOINERS + keep
        else letter
        for letter in text
    )


def cleaned(result: Any) -> Any:
    """A result of text, numbers, lists and tables, with all of its text printable, line ends included."""
    if isinstance(result, str):
        return printable(result)
    if isinstance(result, dict):
        return {cleaned(key): cleaned(value) for key, value in result.items()}
    return [cleaned(value) for value in result] if isinstance(result, (list, tuple)) else result


def say(text: str, end: str = "\n") -> None:
    """Write lines to standard output, at once.

    Nothing is written to a reader that has left, as `head` does: the finding stands in the exit status.
    SottovoceError where the output takes no more for another reason, such as a full disk.
    """
    try:
        sys.stdout.write(printable(text, keep="\n\t") + end)
        sys.stdout.flush()
    except BrokenPipeError:
        _abandon(1)
    except OSError as error:
        _abandon(1)
        raise SottovoceError(f"the output could not be written ({error.strerror}); check where it goes.") from error


def complain(text: str) -> None:
    """Write one line to standard error, whatever it is made of; where it takes none, it is lost."""
    line = printable(text)
    note(f"{line if len(line) <= _LONGEST else line[:_LONGEST] + '...'}\n")


def note(line: str) -> None:
    """Write `line` to standard error as it is."""
    try:
        sys.stderr.write(line)
        sys.stderr.flush()
    except (OSError, ValueError):  # full, or closed
        _abandon(2)


def prepare() -> None:
    """Give the process standard streams that can be written to whatever the text, also where some were closed."""
    for number in range(3):  # or the next file that is opened would be the standard output of all libraries
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            _closed.add(name)
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  # for as long as the process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def binary_input() -> BinaryIO:
    """Standard input as bytes; SottovoceError where it is closed."""
    if "stdin" in _closed:
        raise SottovoceError("the standard input is closed; expected raw sound there.")
    return sys.stdin.buffer


def binary_output() -> BinaryIO:
    """Standard output as bytes; SottovoceError where it is closed."""
    if "stdout" in _closed:
        raise SottovoceError("the standard output is closed; expected a place there for raw sound.")
    return sys.stdout.buffer


def finish() -> None:
    """Write what is left in the standard output, so that no complaint comes when the process ends."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        _abandon(1)


def _abandon(number: int) -> None:
    """Let whatever is still written to a standard stream go nowhere, without a complaint when the process ends."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)
