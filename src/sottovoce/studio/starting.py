"""The start of an audit from the local page, and its estimate: each is a command of its own, in its own process."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from sottovoce.audit.budgets import EFFORTS
from sottovoce.errors import ConfigError
from sottovoce.files import read_json
from sottovoce.jobs import progress_file
from sottovoce.studio.machine import LOG, Machine

_AUDIT = (sys.executable, "-P", "-m", "sottovoce.cli", "audit")  # -P: no module of the working directory is taken
_PLAN_S = 600.0
_MOST_AUDITS = 1000  # of one system on one corpus
_LONGEST = 1 << 16  # letters of an estimate


class Starter:
    """Starts commands with what the machine offers, and nothing else that a page could name."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._one_plan = threading.Lock()  # at a time, as it may decode a whole corpus

    def plan(self, body: bytes) -> dict[str, str]:
        """What `audit --plan` says of a request in JSON; ConfigError says what is wrong with it."""
        system, corpus, _ = self._asked(body)
        with self._one_plan:
            command = [*_AUDIT, self._machine.systems()[system], f"--corpus={corpus}", "--plan"]
            try:
                done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PLAN_S)
            except subprocess.TimeoutExpired as error:
                raise ConfigError(f"the estimate took more than {_PLAN_S:.0f} s; run audit --plan yourself.") from error
        said = done.stdout.decode(errors="replace")[:_LONGEST]
        if done.returncode:
            lines = done.stderr.decode(errors="replace").strip().split("\n")
            raise ConfigError(lines[-1].removeprefix("sottovoce: ")[:_LONGEST])
        return {"plan": said}

    def start(self, body: bytes) -> dict[str, Any]:
        """Start an audit that is asked for in JSON; returns the folder that it writes, which is always a new one.

        The process outlives this one. ConfigError says what is wrong with the request, or with the folder.
        """
        system, corpus, attackers = self._asked(body)
        try:
            out = self._new_folder(f"{system}-{corpus}").resolve()
            log = os.open(out / LOG, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise ConfigError(
                f"{self._machine.out} cannot be written ({error.strerror}); choose another --out."
            ) from error
        words = [self._machine.systems()[system], f"--corpus={corpus}", f"--attackers={attackers}", f"--out={out}"]
        try:
            process = subprocess.Popen(
                [*_AUDIT, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        finally:
            os.close(log)
        progress_file.write("audit", out, process.pid, "is starting")
        threading.Thread(target=process.wait, daemon=True).start()  # or it would seem to run once it has ended
        return {"out": str(out)}

    def _asked(self, body: bytes) -> tuple[str, str, str]:
        """Name of a system, corpus and effort, each of them one that is offered."""
        wish = read_json(body)
        offered = {"system": self._machine.systems(), "corpus": self._machine.corpora, "attackers": EFFORTS}
        for key, values in offered.items():
            if wish.get(key) not in list(values):
                raise ConfigError(f"there is no such {key} here; load the page again.")
        return wish["system"], wish["corpus"], wish["attackers"]

    def _new_folder(self, name: str) -> Path:
        """A folder that nobody else has made, also where several ask at once; OSError where it cannot be made."""
        self._machine.out.mkdir(parents=True, exist_ok=True)
        short = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:60]
        for number in range(1, _MOST_AUDITS):
            with suppress(FileExistsError):
                folder = self._machine.out / f"{short}-{number}"
                folder.mkdir()
                return folder
        raise OSError(errno.EEXIST, f"it holds {_MOST_AUDITS} audits of this")
