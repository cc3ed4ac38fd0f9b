"""Sottovoce trains, attacks and runs filters that pass only the permitted tasks of a sound.

Its public names are imported when they are first used, so that `import sottovoce` is fast and a device needs no torch.
"""

import os
import sys

__version__ = "0.4.0"

# onnxruntime sends usage data unless this is set before it is imported: nothing of this package is imported earlier.
_OFF = "ORT_DISABLE_TELEMETRY"
if "onnxruntime" in sys.modules and os.environ.get(_OFF, "").lower() not in ("1", "true", "yes", "on", "y"):
    import warnings

    warnings.warn(
        "onnxruntime was imported before sottovoce, with its telemetry on, so this process may send usage data: import "
        f"sottovoce first, or set {_OFF}=1 before the program starts.",
        RuntimeWarning,
        stacklevel=2,
    )
os.environ[_OFF] = "1"

# The public API, each name with the module that has it. The stub beside this file tells type checkers the same.
_HOMES = {
    "Attacker": "attack.attacker",
    "Filter": "runtime.filter",
    "Target": "models.target",
    "audit": "api",
    "compare": "api",
    "load_target": "models.target_loading",
    "open_corpus": "corpora.catalogue",
    "train": "api",
    "train_target": "api",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> object:
    """A public name, imported now."""
    if name not in _HOMES:
        raise AttributeError(f"module 'sottovoce' has no attribute {name!r}; it has {', '.join(__all__)}.")
    if name == "audit":  # also a folder of the package, which has that name as soon as it is imported
        _imported("audit")
        return globals()[name]
    return globals().setdefault(name, getattr(_imported(_HOMES[name]), name))


def __dir__() -> list[str]:
    return sorted(__all__)


def _imported(module: str):  # the stub, not this file, is what type checkers read
    import importlib

    return importlib.import_module(f"sottovoce.{module}")


class _Package(type(sys)):
    """This package. Its folder `audit` can be called as the public function of that name, whichever comes first."""

    def __setattr__(self, name: str, value: object) -> None:
        if name == "audit" and isinstance(value, type(sys)):
            value.__class__ = _Audit
        super().__setattr__(name, value)


class _Audit(type(sys)):
    """The folder `audit`, which can be called."""

    def __call__(self, *positional: object, **named: object) -> object:
        return self.__wrapped__(*positional, **named)

    @property
    def __wrapped__(self) -> object:
        return _imported(_HOMES["audit"]).audit


sys.modules[__name__].__class__ = _Package
