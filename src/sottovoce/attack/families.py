"""The attackers by name: those of the modules in this folder, and those of other distributions and programs."""

from __future__ import annotations

from sottovoce.attack.attacker import Attacker, Knowledge
from sottovoce.plugins import Registry

ATTACKERS: Registry[type[Attacker]] = Registry("attackers", "attacker", package="sottovoce.attack", base=Attacker)


def outside(knowledge: Knowledge) -> tuple[str, ...]:
    """The names of the attackers of others that ask to be tried with that knowledge."""
    return tuple(name for name in ATTACKERS.outside() if knowledge in ATTACKERS[name].knowledge)
