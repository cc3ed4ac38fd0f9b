"""The filters that are bundled with the installation, by name and by the tasks that they can permit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sottovoce.errors import ConfigError
from sottovoce.files import read_json
from sottovoce.models.checkpoint import CARD

PLACE = Path(__file__).parents[1] / "filters"
_BUNDLED = "bundled:"


def known(place: Path = PLACE) -> dict[str, tuple[str, ...]]:
    """Name of each filter, and the tasks that it can permit."""
    cards = {path.parent.name: read_json(path) for path in sorted(place.glob(f"*/{CARD}"))}
    return {name: tuple(card["permit"]) for name, card in cards.items()}


def find(name: str, place: Path = PLACE) -> Path:
    """The folder of a filter: that of the bundled filter of this name, or else `name` as a path.

    ConfigError where a filter folder in the working directory has the name of a bundled filter, since only the caller
    knows which is meant: ./NAME is the folder, bundled:NAME the bundled filter. Other files of that name do not matter.
    """
    short_name = name.removeprefix(_BUNDLED)
    if short_name not in known(place):
        return Path(name)
    if short_name == name and (Path(name) / CARD).is_file():
        raise ConfigError(
            f"{name!r} is a bundled filter and also a filter folder here; say ./{name} for the folder, or "
            f"{_BUNDLED}{name} for the bundled filter."
        )
    return place / short_name


def for_tasks(tasks: Sequence[str], place: Path = PLACE) -> Path:
    """The folder of the filter with the fewest tasks that can permit all of these; ConfigError where none can."""
    able = {name: permit for name, permit in known(place).items() if {*tasks} <= {*permit}}
    if not able or not tasks:
        each = "; ".join(f"{name}: {', '.join(permit)}" for name, permit in known(place).items()) or "none"
        raise ConfigError(
            f"no bundled filter permits {' and '.join(tasks) or 'nothing'}; there are {each}: name "
            "tasks of one of them with --permit, or a filter folder as the first argument."
        )
    return place / min(able, key=lambda name: len(able[name]))
