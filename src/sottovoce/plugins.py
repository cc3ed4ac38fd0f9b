"""Plug-ins: attackers, methods, corpora and targets by name, our own and those of other installed distributions.

A distribution offers one by an entry point, for example in its pyproject.toml

    [project.entry-points."sottovoce.attackers"]
    centroid = "my_package:Centroid"

and a script by `registry.register("centroid", Centroid)`, or by the same as a decorator. Only installed code and the
running program register; a file that is read, such as a filter folder, never chooses code.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar, overload

from sottovoce import __version__
from sottovoce.errors import ConfigError

T = TypeVar("T")
_OURS = "sottovoce"


@dataclass(frozen=True)
class Plugin(Generic[T]):
    """`value` under a name: where it comes from, and the version that enters digests and results."""

    value: T
    origin: str
    version: str


class Registry(Mapping[str, T]):
    """What a group knows by name: `built_in`, what was registered, and the entry points of `sottovoce.GROUP`.

    `kind` is what one of them is called in messages. An unknown name is a ConfigError that lists the known ones; a name
    that two distributions give is a ConfigError that names both. The module that defines `code(value)` is taken for the
    code of a plug-in, whose digest its version holds.
    """

    def __init__(
        self, group: str, kind: str, built_in: Mapping[str, T], code: Callable[[T], object] = lambda value: value
    ) -> None:
        self.group, self.kind, self.code = f"{_OURS}.{group}", kind, code
        self._known = {name: Plugin(value, _OURS, __version__) for name, value in built_in.items()}
        self._discovered = False

    @overload
    def register(self, name: str, value: T) -> T: ...

    @overload
    def register(self, name: str) -> Callable[[T], T]: ...

    def register(self, name: str, value: T | None = None) -> T | Callable[[T], T]:
        """Add `value` under `name`; without a value, a decorator that does. ConfigError for a name that is taken."""
        if value is None:
            return lambda decorated: self.register(name, decorated)
        self._discover()
        self._add(name, value, getattr(self.code(value), "__module__", "this program"), "")
        return value

    def plugin(self, name: str) -> Plugin[T]:
        """The plug-in `name`, with its origin and version."""
        self._discover()
        if name not in self._known:
            raise ConfigError(f"unknown {self.kind} {name!r}; known: {', '.join(self._known)}.")
        return self._known[name]

    def version(self, name: str) -> str:
        """What has to enter every digest of work that `name` does: it changes whenever its code does."""
        return self.plugin(name).version

    def __getitem__(self, name: str) -> T:
        return self.plugin(name).value

    def __contains__(self, name: object) -> bool:
        self._discover()
        return name in self._known

    def __iter__(self) -> Iterator[str]:
        self._discover()
        return iter(tuple(self._known))

    def __len__(self) -> int:
        self._discover()
        return len(self._known)

    def _discover(self) -> None:
        """Load the entry points of this group, once."""
        if self._discovered:
            return
        self._discovered = True
        for entry in importlib.metadata.entry_points(group=self.group):
            origin = f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value
            try:
                value = entry.load()
            except Exception as error:  # whatever a plug-in does when it is imported
                raise ConfigError(
                    f"the {self.kind} {entry.name!r} of {origin} cannot be loaded ({type(error).__name__}: {error}); "
                    "repair or uninstall that distribution."
                ) from error
            self._add(entry.name, value, origin, entry.dist.version if entry.dist else "")

    def _add(self, name: str, value: T, origin: str, version: str) -> None:
        if name in self._known:
            raise ConfigError(
                f"two {self.kind}s are called {name!r}, one from {self._known[name].origin} and one from {origin}; "
                "rename one of them."
            )
        stated = str(getattr(value, "version", "")) or version
        self._known[name] = Plugin(value, origin, f"{stated}+{_source_digest(self.code(value))}")


def _source_digest(value: object) -> str:
    """The start of the SHA-256 of the source of the module that defines `value`, or of its name where there is none."""
    definition = value if hasattr(value, "__module__") else type(value)
    module = sys.modules.get(definition.__module__)
    try:
        source = inspect.getsource(module) if module else ""
    except (OSError, TypeError):
        source = ""
    return hashlib.sha256((source or repr(definition)).encode()).hexdigest()[:12]
