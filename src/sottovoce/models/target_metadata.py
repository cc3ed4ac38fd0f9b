"""What a target recognises and the rate of its sound, as the command line states it where the target does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sottovoce.audio.io import HIGHEST_RATE, LOWEST_RATE
from sottovoce.errors import ConfigError, ModelError


@dataclass(frozen=True)
class TargetMetadata:
    """The task, the classes in the order of the scores, and the sample rate in Hz of a target; None is not stated."""

    task: str | None = None
    classes: tuple[str, ...] | None = None
    sample_rate: int | None = None

    def completed(self, given: TargetMetadata, place: object) -> TargetMetadata:
        """What the target in `place` states itself, and of `given` the rest; ConfigError where they contradict."""
        rows = {name: (getattr(self, name), getattr(given, name)) for name in ("task", "classes", "sample_rate")}
        for name, (own, other) in rows.items():
            if None not in (own, other) and own != other:
                raise ConfigError(
                    f"the target in {place} states the {name.replace('_', ' ')} {_text(own)}; got {_text(other)}: "
                    "name another target, or what it states."
                )
        return TargetMetadata(**{name: other if own is None else own for name, (own, other) in rows.items()})

    def names(self, place: object) -> tuple[str, tuple[str, ...]]:
        """The task and the classes; ModelError where one is missing."""
        if self.task is None or self.classes is None:
            raise ModelError(
                f"{place} does not state what it recognises: add --task and --classes, or, to an ONNX file, "
                "the metadata 'task' and 'classes' (JSON)."
            )
        return self.task, self.classes


class TargetName(str):
    """Text that names a target, as `load_target` takes it, with metadata that the target may not state itself."""

    metadata = TargetMetadata()

    @classmethod
    def of(cls, text: str, metadata: TargetMetadata) -> TargetName:
        """`text` with `metadata`."""
        name = cls(text)
        name.metadata = metadata
        return name


def checked_names(task: Any, classes: Any) -> tuple[str, tuple[str, ...]]:
    """Task and classes as a file states them; ValueError where these are not a name and a list of two names or more."""
    names = [task, *classes] if isinstance(classes, list | tuple) else []
    if len(names) < 3 or not all(isinstance(name, str) and name for name in names):
        raise ValueError("it names no task and classes")
    if len(set(classes)) < len(classes):
        raise ValueError("it names a class twice")
    return task, tuple(classes)


def checked_rate(rate: Any) -> int:
    """A sample rate in Hz as a file or service states it; ValueError where it is none that sound has."""
    if not isinstance(rate, int) or isinstance(rate, bool) or not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise ValueError(f"its sample rate is {rate!r:.40}; expected {LOWEST_RATE} to {HIGHEST_RATE} Hz")
    return rate


def _text(value: Any) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)
