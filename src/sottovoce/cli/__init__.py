"""The command line: one file for each verb or group of verbs, with what they share in `shared` and `targets`.

Exit status: 0 success, 1 a check failed (a leak, an invalid audit, a difference), 2 wrong usage or input, 70 an
internal error; where a signal stopped it, 128 and the number of the signal. A traceback is shown only where
`SOTTOVOCE_DEBUG` is set.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn

from sottovoce import terminal
from sottovoce.errors import ParityError, SottovoceError

_DEBUG = "SOTTOVOCE_DEBUG"
_FAILED = 70  # EX_SOFTWARE of sysexits.h
_PATIENCE_S = 5.0  # after a signal, before the process is ended from outside the main thread
# What a command does when it is repeated after it was stopped.
_WHEN_REPEATED = {
    "audit": "; repeat the command and it resumes, without the attacks that are complete",
    "train": "; repeat the command and it resumes where training was last saved",
    "target": "; repeat the command and it resumes where training was last saved",
    "protect": "; repeat the command and it resumes, without the files that are complete",
    "experiment": "; repeat the command and it resumes, without the parts that are complete",
    "demo": "; repeat the command and it starts from the beginning",
}
_signals: list[int] = []  # that told this process to stop


def main() -> NoReturn:
    """Run the command line; a mistake of the caller is one sentence and exit status 2, a bad finding 1."""
    global _signals
    terminal.prepare()
    _signals = []
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, _stopped)
    if os.name == "posix":
        _watch_signals()
    threading.excepthook = lambda failed: _explain(failed.exc_value)
    sys.unraisablehook = lambda failed: None if _DEBUG not in os.environ else sys.__unraisablehook__(failed)
    status = _run()
    terminal.finish()
    sys.exit(status)


def _run() -> int:
    """Do what the arguments say; returns the exit status."""
    try:
        # Here, so that a signal meanwhile, and a broken installation, are answered like anything else.
        from sottovoce.cli import verbs  # noqa: F401
        from sottovoce.cli.shared import run
        from sottovoce.corpora.store import cache_folder

        with suppress(SottovoceError):  # without a home folder, matplotlib takes a temporary one
            os.environ.setdefault(
                "MPLCONFIGDIR", str(cache_folder() / "matplotlib")
            )  # not beside it, in the home folder
        return run()
    except Exception as error:
        return _explain(error)


def _explain(error: BaseException | None) -> int:
    """Say in one sentence what went wrong; returns the exit status."""
    if _DEBUG in os.environ:
        terminal.note(terminal.printable("".join(traceback.format_exception(error)), keep="\n"))
    if _signals:  # a library may make another error of the end of the program
        return 128 + _signals[0]
    if isinstance(error, SottovoceError):
        terminal.complain(f"sottovoce: {error}")
        return 1 if isinstance(error, ParityError) else 2
    if isinstance(error, MemoryError) or "allocate memory" in str(error):  # torch raises a RuntimeError
        terminal.complain(
            "sottovoce: there is not enough memory; end other programs, choose smaller settings, or fewer --workers."
        )
        return 2
    if isinstance(error, OSError):
        place = f" at {str(error.filename)!r}" if error.filename else ""
        reason = error.strerror or str(error) or type(error).__name__
        terminal.complain(f"sottovoce: the system answers{place}: {reason}; check the name, the rights and the space.")
        return 2
    terminal.complain(
        f"sottovoce: an error of the program itself ({type(error).__name__}: {_first_line(error)}); please report it, "
        f"with what `{_DEBUG}=1 sottovoce ...` prints."
    )
    return _FAILED


def _first_line(error: Any) -> str:
    return str(error).strip().partition("\n")[0][:300]


def _stopped(number: int, frame: FrameType | None) -> NoReturn:
    _say_stopped(number)
    sys.exit(128 + number)


def _say_stopped(number: int) -> None:
    _signals.append(number)
    terminal.complain(f"sottovoce: stopped{_WHEN_REPEATED.get(next(iter(sys.argv[1:]), ''), '')}.")


@functools.cache
def _watch_signals() -> None:
    """Let a thread learn of signals: Python calls no handler while the main thread computes in another language."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))  # its signals are not those of this process
    threading.Thread(target=_end_late, args=(reading,), name="signals", daemon=True).start()


def _end_late(reading: int) -> None:
    """End the process where it has not ended itself some seconds after a signal, unless a verb handles it."""
    while number := os.read(reading, 1)[0]:
        if signal.getsignal(number) is not _stopped:
            continue
        run = _signals
        time.sleep(_PATIENCE_S)
        if run is _signals and signal.getsignal(number) is _stopped:  # and not a later call of `main`
            if not run:
                _say_stopped(number)
            os._exit(128 + number)
