"""Controls: an audit that misses a planted leak, or finds one where there is none, is invalid.

They use one attacker, linear on statistics, and the attribute with the most classes. The labels that are planted are
random, so that nothing but the tone can give them away.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.stats import binomtest

from sottovoce.attack.attacker import Labels
from sottovoce.audio.segment import full_band
from sottovoce.audio.spectrum import Spectrum, Wave
from sottovoce.audit import metrics
from sottovoce.audit.case import PARTS, Case, Part
from sottovoce.audit.file_views import Planted
from sottovoce.audit.observations import View
from sottovoce.audit.plan import AttackRun, Views, picks
from sottovoce.audit.planted_files import KINDS
from sottovoce.audit.results import Control
from sottovoce.audit.scores import Scores
from sottovoce.runtime.engine import State
from sottovoce.runtime.segments import SegmentEngine

PLANTED_DB = -15.0  # of the tone, against the sound
_FAMILY = "linear"
_DOUBT = 0.999  # confidence with which the shuffled control may miss chance, and a planted tone is told from it
_SAME = 0.01  # by how much the identity filter may differ from the originals
_MOST = 40  # random labels: each needs a few bins of its own for its tone


class Idle(SegmentEngine):
    """An engine that changes nothing."""

    def front_end(self, segments: Wave) -> Spectrum:
        """The spectra of the whole band."""
        return full_band(segments)

    def step(self, spectra: Spectrum, state: State) -> tuple[Spectrum, State]:
        """The same spectra [S, 161, 128]."""
        return spectra, state


def attribute(case: Case, attributes: Sequence[str]) -> str:
    """The attribute that the controls use."""
    return max(attributes, key=lambda name: len(case.classes(name)))


def shuffled(case: Case, task: str, seed: int) -> dict[Part, Labels]:
    """The labels of each part, dealt at random among its utterances; where there are many, several are one."""
    rng = np.random.default_rng(seed)
    return {part: rng.permutation(case.labels(task, part) % _MOST) for part in PARTS}


def attack_runs(
    case: Case, task: str, views: Views, idle: View, levels_db: Sequence[float], seed: int
) -> dict[str, AttackRun]:
    """The attacks of each control by its name, and those on tones of other levels."""
    leaving, mixed, classes = views.leaving, shuffled(case, task, seed), len(case.classes(task))
    true = {part: case.labels(task, part) for part in PARTS}
    picked = picks(case, task)
    planted = AttackRun(
        _FAMILY, task, mixed, min(classes, _MOST), leaving, (leaving,), planted_db=PLANTED_DB, picked=picked
    )
    return {
        "shuffled": replace(planted, planted_db=None),
        "original": AttackRun(_FAMILY, task, true, classes, views.original, (views.original, idle), picked=picked),
        "planted": planted,
        **{tone(level): replace(planted, planted_db=level) for level in levels_db},
    }


def reading(planted: Planted, seed: int) -> list[AttackRun]:
    """The attackers that have to find a planted leak."""
    view = planted.view
    return [
        AttackRun(family, "planted leak", planted.labels, planted.classes, view, (view,), seed=seed)
        for family in ("linear", "nearest")
    ]


def tone(level_db: float) -> str:
    """The name of a tone of that level."""
    return f"tone {level_db:g} dB"


def judged(task: str, scores: Scores) -> dict[str, Control]:
    """Each control, with whether it passed and what was seen."""
    mixed, true = scores["controls/shuffled labels"], scores.labels(task)
    chance = metrics.chance(mixed)

    def right(name: str, labels: Labels) -> float:
        guesses = scores.get(f"controls/{name}")  # none where the attacker broke down
        return float("nan") if guesses is None else float((guesses == labels).mean())

    planted, nothing = right("planted", mixed), right("shuffled", mixed)
    identity, ceiling = right("idle", true), right("original", true)
    return _leaks(scores) | {
        "planted leak": Control(
            passed=bool(planted > chance + 0.5 * (1.0 - chance)),
            detail=f"random labels as a tone {-PLANTED_DB:.0f} dB below what leaves: found in {planted:.1%}, "
            f"chance {chance:.1%}",
        ),
        "shuffled labels": Control(
            passed=not math.isnan(nothing) and not _above(nothing, len(mixed), chance),
            detail=f"{task} labels dealt at random: guessed in {nothing:.1%}, chance {chance:.1%}",
        ),
        "identity filter": Control(
            passed=abs(identity - ceiling) < _SAME,
            detail=f"{task} through a filter that does nothing: {identity:.1%}, on originals {ceiling:.1%}",
        ),
    }


def _leaks(scores: Scores) -> dict[str, Control]:
    """Each kind of leak that was planted in whole recordings."""
    found = {}
    for name, kind in KINDS.items():
        labels = scores.get(f"planted/{name}/labels")
        if labels is None:  # no sound leaves
            continue
        guesses = scores.get(f"planted/{name}/guesses")  # none where the attackers broke down
        right = 0.0 if guesses is None else float((guesses == labels).mean())
        chance = metrics.chance(labels)
        found[f"planted leak: {name}"] = Control(
            passed=right > chance + 0.5 * (1.0 - chance),
            detail=f"random labels as {kind.strength}: found in {right:.1%} of {len(labels)} recordings, "
            f"chance {chance:.1%}",
        )
    return found


def sensitivity_db(levels_db: Sequence[float], scores: Scores) -> float | None:
    """The faintest tone down to which every tone that was tried is found, in dB against the sound; None for none."""
    mixed = scores["controls/shuffled labels"]
    faintest = None
    for level in sorted(levels_db, reverse=True):
        guesses = scores.get(f"controls/{tone(level)}")
        right = 0.0 if guesses is None else float((guesses == mixed).mean())
        if not _above(right, len(mixed), metrics.chance(mixed)):
            break
        faintest = level
    return faintest


def _above(share: float, count: int, chance: float) -> bool:
    """Whether so many right guesses are more than chance, for sure."""
    return bool(binomtest(round(share * count), count).proportion_ci(_DOUBT).low > chance)
