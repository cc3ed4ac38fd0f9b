"""Plug-ins: attackers, methods, corpora and targets by name, our own and those of other installed distributions.

A distribution offers one by an entry point, for example in its pyproject.toml

    [project.entry-points."sottovoce.attackers"]
    centroid = "my_package:Centroid"

and a program by `registry.register("centroid", Centroid)`, or by the same as a decorator. Only installed code and the
running program register; a file that is read, such as a filter folder, never chooses code.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import inspect
import pkgutil
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
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

    The modules of `package` register themselves when they are imported, which happens at the first look. `kind` is what
    one of the group is called in messages, `base` the class that it has to be or to be derived from, and `code(value)`
    the class or function that does its work. Every look raises ConfigError for a plug-in that cannot be loaded or is no
    such thing, and for a name that is given twice.
    """

    def __init__(
        self,
        group: str,
        kind: str,
        built_in: Mapping[str, T] | None = None,
        code: Callable[[T], object] = lambda value: value,
        package: str = "",
        base: type = object,
    ) -> None:
        self.group, self.kind, self.code, self.package, self.base = f"{_OURS}.{group}", kind, code, package, base
        self._known = {name: Plugin(value, _OURS, __version__) for name, value in (built_in or {}).items()}
        self._discovered = self._discovering = False

    @overload
    def register(self, name: str, value: T) -> T: ...

    @overload
    def register(self, name: str) -> Callable[[T], T]: ...

    def register(self, name: str, value: T | None = None) -> T | Callable[[T], T]:
        """Add `value` under `name`; without a value, a decorator that does. ConfigError for a name that is taken."""
        module = sys._getframe(1).f_globals.get("__name__", "__main__")

        def add(value: T) -> T:
            self._add(name, value, _OURS if module.startswith(f"{_OURS}.") else module, module, "")
            return value

        return add if value is None else add(value)

    @property
    def plugins(self) -> dict[str, Plugin[T]]:
        """Every plug-in by its name."""
        self._discover()
        return self._known

    def plugin(self, name: str) -> Plugin[T]:
        """The plug-in `name`, with its origin and version; ConfigError with the known names for an unknown one."""
        if name not in self.plugins:
            raise ConfigError(f"unknown {self.kind} {name!r}; known: {', '.join(self._known)}.")
        return self._known[name]

    def version(self, name: str) -> str:
        """What has to enter every digest of work that `name` does: it changes whenever its code does."""
        return self.plugin(name).version

    def outside(self) -> tuple[str, ...]:
        """The names of the plug-ins that are not our own."""
        return tuple(name for name, plugin in self.plugins.items() if plugin.origin != _OURS)

    def __getitem__(self, name: str) -> T:
        return self.plugin(name).value

    def __contains__(self, name: object) -> bool:
        return name in self.plugins

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self.plugins))

    def __len__(self) -> int:
        return len(self.plugins)

    def _discover(self) -> None:
        """Import our own modules and load the entry points, once; what fails is tried and reported again next time."""
        if self._discovered or self._discovering:
            return
        self._discovering = True
        try:
            if self.package:
                for module in pkgutil.iter_modules(importlib.import_module(self.package).__path__):
                    importlib.import_module(f"{self.package}.{module.name}")
            for entry in importlib.metadata.entry_points(group=self.group):
                self._load(entry)
            self._discovered = True
        finally:
            self._discovering = False

    def _load(self, entry: importlib.metadata.EntryPoint) -> None:
        origin = f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value
        try:
            value = entry.load()
        except Exception as error:  # whatever a plug-in does when it is imported
            raise ConfigError(
                f"the {self.kind} {entry.name!r} of {origin} cannot be loaded ({type(error).__name__}: {error}); "
                "repair or uninstall that distribution."
            ) from error
        self._add(entry.name, value, origin, entry.module, entry.dist.version if entry.dist else "")

    def _add(self, name: str, value: T, origin: str, module: str, distributed: str) -> None:
        kind = value if isinstance(value, type) else type(value)
        if not issubclass(kind, self.base):
            raise ConfigError(
                f"the {self.kind} {name!r} of {origin} is {value!r:.80}; expected a "
                f"{self.base.__module__}.{self.base.__qualname__}, or a class derived from it."
            )
        if name in self._known and self._known[name].value is not value:
            raise ConfigError(
                f"two {self.kind}s are called {name!r}, one from {self._known[name].origin} and one from {origin}; "
                "rename one of them."
            )
        version = __version__ if origin == _OURS else self._version(value, module, distributed)
        self._known.setdefault(name, Plugin(value, origin, version))

    def _version(self, value: T, module: str, distributed: str) -> str:
        """The stated version, or else that of the distribution, and a digest of the source.

        The source is that of the module that registers the value and of the one that defines its code, with all other
        modules of the packages that these are in. Where one has none, such as an interactive session, the version is
        new in every process, so that nothing outdated is reused.
        """
        stated = str(getattr(value, "version", "")) or distributed
        modules = {module, getattr(self.code(value), "__module__", module)}
        source = b"".join(map(_source, sorted(name.partition(".")[0] for name in modules)))
        return f"{stated}+{hashlib.sha256(source).hexdigest()[:12]}"


def _source(top: str) -> bytes:
    """The source of a module, or of all modules of a package; random bytes where there is none."""
    module = sys.modules.get(top)
    files = sorted(file for place in getattr(module, "__path__", ()) for file in Path(place).rglob("*.py"))
    try:
        if files:
            return b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)
        return inspect.getsource(module).encode()  # type: ignore[arg-type]  # None raises TypeError as well
    except (OSError, TypeError):
        return secrets.token_bytes()
