"""The filters that come with the installation, by the tasks that they can permit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from sottovoce.errors import ConfigError
from sottovoce.models.checkpoint import CARD

PLACE = Path(__file__).parents[1] / "filters"


def known(place: Path = PLACE) -> dict[str, tuple[str, ...]]:
    """Name of each filter, and the tasks that it can permit."""
    cards = {path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(place.glob(f"*/{CARD}"))}
    return {name: tuple(card["permit"]) for name, card in cards.items()}


def found(name: str, place: Path = PLACE) -> Path:
    """The folder of a filter: `name` itself where there is one, or that of the filter that comes under this name."""
    return place / name if not Path(name).exists() and name in known(place) else Path(name)


def for_tasks(tasks: Sequence[str], place: Path = PLACE) -> Path:
    """The folder of the filter with the fewest tasks that can permit all of these; ConfigError where none can."""
    able = {name: permit for name, permit in known(place).items() if {*tasks} <= {*permit}}
    if not able or not tasks:
        each = "; ".join(f"{name}: {', '.join(permit)}" for name, permit in known(place).items()) or "none"
        raise ConfigError(
            f"no filter that comes with sottovoce permits {' and '.join(tasks) or 'nothing'}; there are {each}: name "
            "tasks of one of them with --permit, or a filter folder as the first argument."
        )
    return place / min(able, key=lambda name: len(able[name]))
