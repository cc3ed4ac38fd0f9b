"""Settings: frozen dataclasses, of which every field can be overridden by its name, as `--set name=value` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from sottovoce.errors import ConfigError

Settings = TypeVar("Settings")
Positive = Annotated[int, 1]  # the least value of a field, and the greatest where there is one
Share = Annotated[float, 0.0, 1.0]
Rate = Annotated[float, 0.0, 1.0]  # at which weights change, or decay


_MOST = 10**9  # of any number
LARGEST_SEED = 2**32 - 1


def check_seed(seed: object) -> None:
    """ConfigError for a seed that not every source of randomness takes."""
    if not isinstance(seed, int) or not 0 <= seed <= LARGEST_SEED:
        raise ConfigError(f"the seed is {seed!r:.40}; expected a whole number from 0 to {LARGEST_SEED}.")


def assignments(texts: Sequence[str]) -> dict[str, str]:
    """The values by name of texts NAME=VALUE; ConfigError for a text without "=" and for a name given twice."""
    values: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name or name in values:
            raise ConfigError(f"--set is {text!r}; expected NAME=VALUE, such as steps=500, and each name once.")
        values[name] = value
    return values


def choose(presets: Mapping[str, Settings], preset: str, values: Mapping[str, object], owner: str) -> Settings:
    """The settings of a preset with `values` in the place of what these name, a dot leading into nested settings.

    Text is converted to the type of its field. ConfigError, which names the `owner` of the settings, for an unknown
    preset or name, and for a value that does not fit.
    """
    if preset not in presets:
        raise ConfigError(f"{owner} has no preset '{preset}'; known: {', '.join(presets)}.")
    settings = presets[preset]
    for name, value in values.items():
        try:
            settings = _changed(settings, name.split("."), value)
        except KeyError:
            known = ", ".join(_names(settings))
            raise ConfigError(f"{owner} has no setting '{name}'; known: {known}.") from None
        except ValueError as error:
            raise ConfigError(f"the setting {name} is {value!r}; expected {error}.") from None
    return settings


def _names(settings: Any, prefix: str = "") -> list[str]:
    """The dotted names of all fields, nested ones included; sizes of a network have any name that it takes."""
    names: list[str] = []
    for field in fields(settings):
        value, name = getattr(settings, field.name), f"{prefix}{field.name}"
        if is_dataclass(value):
            names += _names(value, f"{name}.")
        else:
            names.append(f"{name}.SIZE" if isinstance(value, Mapping) else name)
    return names


def _changed(settings: Any, path: Sequence[str], value: object) -> Any:
    """A copy with another value at `path`; KeyError where nothing is there, ValueError says what was expected."""
    first, *rest = path
    kind, current = get_type_hints(type(settings), include_extras=True)[first], getattr(settings, first)
    if is_dataclass(current) and rest:
        return replace(settings, **{first: _changed(current, rest, value)})
    if isinstance(current, Mapping) and len(rest) == 1:
        return replace(settings, **{first: {**current, rest[0]: _converted(Positive, value)}})
    if rest or is_dataclass(current) or isinstance(current, Mapping):
        raise KeyError(first)
    return replace(settings, **{first: _converted(kind, value)})


def _converted(kind: Any, value: Any) -> Any:
    """`value` as a field of a kind holds it; ValueError says what was expected."""
    if get_origin(kind) is Annotated:
        base, least, *greatest = get_args(kind)
        if (number := _converted(base, value)) < least or any(number > most for most in greatest):
            raise ValueError(f"{least} to {greatest[0]}" if greatest else f"at least {least}")
        return number
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise ValueError(" or ".join(map(str, get_args(kind))))
        return value
    if get_origin(kind) is tuple:
        parts = value if isinstance(value, (tuple, list)) else tuple(filter(None, str(value).split(",")))
        kinds = get_args(kind)
        kinds = kinds[:1] * len(parts) if kinds[-1] is ... else kinds
        if len(parts) != len(kinds):
            raise ValueError(f"{len(kinds)} values with commas between them")
        return tuple(_converted(*pair) for pair in zip(kinds, parts, strict=True))
    if kind is bool:
        if str(value).lower() not in ("true", "false"):
            raise ValueError("true or false")
        return str(value).lower() == "true"
    return _number(kind, value) if kind in (int, float) else str(value).strip()


def _number(kind: type[int] | type[float], value: Any) -> float:
    expected = f"a {'whole ' if kind is int else ''}number from 0 to {_MOST:,}"
    try:
        number = kind(str(value))  # not of the value itself: 1.5 is no whole number
    except ValueError:
        raise ValueError(expected) from None
    if not 0 <= number <= _MOST:
        raise ValueError(expected)
    return number
