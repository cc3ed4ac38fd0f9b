"""A question that is asked again and again in a thread of its own, and whether its last answer still counts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_EVERY_S = 2.0


class Watcher:
    """Asks from its making on; `answer` never waits. A question that fails, or has no answer in time, has none."""

    def __init__(self, ask: Callable[[], bool], every_s: float = _EVERY_S) -> None:
        self._ask, self._every_s = ask, every_s
        self._last: tuple[float, bool | None] = (0.0, None)
        threading.Thread(target=self._keep_asking, daemon=True).start()

    def answer(self) -> bool | None:
        """The last answer; None where there is none, or it is older than three intervals."""
        when, answer = self._last
        return answer if time.monotonic() - when <= 3 * self._every_s else None

    def _keep_asking(self) -> None:
        while True:
            began = time.monotonic()
            try:
                answer: bool | None = self._ask()
            except Exception:  # whatever went wrong, nobody knows the answer now
                answer = None
            self._last = (began, answer)
            time.sleep(self._every_s)
