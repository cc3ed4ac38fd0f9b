"""Controls: an audit that misses a planted leak, or finds one where there is none, is invalid.

They use one attacker, linear on statistics, and the attribute with the most classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import binomtest

from sottovoce.attack.attacker import Heard, Labels, accuracy
from sottovoce.attack.statistics import LinearOnStatistics
from sottovoce.audio.spectrum import Spectrum
from sottovoce.audit import metrics
from sottovoce.audit.case import Case, Sides, hear
from sottovoce.runtime.config import FRONT_END, FilterConfig
from sottovoce.runtime.filter import Filter

_TINT = 0.1  # deviations by which the bins of a segment are raised or lowered, by a pattern for each class
_DOUBT = 0.999  # confidence with which the shuffled control may miss chance


def run(case: Case, originals: Sides, obfuscated: Sides, attributes: Sequence[str], seed: int) -> dict[str, Any]:
    """The three controls, each with whether it passed and what was seen."""
    task = max(attributes, key=lambda name: len(case.manifest.classes(name)))
    train = case.labels(task, case.split.train)
    validation = case.labels(task, case.split.validation)
    test = case.labels(task, case.split.test)
    classes = len(case.manifest.classes(task))
    chance = metrics.chance(test)

    def score(sides: Sides, train: Labels, validation: Labels, test: Labels) -> float:
        attacker = LinearOnStatistics().fit(sides.train, train, sides.validation, validation, classes)
        return accuracy(attacker, sides.test, test)

    rng = np.random.default_rng(seed)
    mixed = [
        rng.permutation(labels) for labels in (train, validation, test)
    ]  # nothing but the tint can give these away
    heard = (obfuscated.train, obfuscated.validation, obfuscated.test)
    leaky = Sides(*(_planted(part, labels, classes) for part, labels in zip(heard, mixed, strict=True)))
    planted = score(leaky, *mixed)
    shuffled = score(obfuscated, *mixed)
    bound = binomtest(round(shuffled * len(test)), len(test)).proportion_ci(_DOUBT).low
    idle = Filter(_Idle(), FilterConfig(FRONT_END, "idle", {}, 0.0, 1.0))
    identity = score(hear(case, idle.obfuscate, seed), train, validation, test)
    ceiling = score(originals, train, validation, test)
    return {
        "planted leak": {
            "passed": planted > chance + 0.5 * (1.0 - chance),
            "detail": f"random labels as a faint tint after the filter: found in {planted:.1%}, chance {chance:.1%}",
        },
        "shuffled labels": {
            "passed": bool(bound <= chance),
            "detail": f"{task} labels dealt at random: guessed in {shuffled:.1%}, chance {chance:.1%}",
        },
        "identity filter": {
            "passed": abs(identity - ceiling) < 0.01,
            "detail": f"{task} through a filter that does nothing: {identity:.1%}, on originals {ceiling:.1%}",
        },
    }


def _planted(heard: Heard, labels: Labels, classes: int) -> Heard:
    """What is heard, its spectrum tinted by the label of the utterance."""
    patterns = np.random.default_rng(0).choice([-_TINT, _TINT], (classes, heard.spectra.shape[1]))
    tint = patterns[labels[heard.owner]].astype(np.float32)
    return Heard(heard.spectra + tint[:, :, None], heard.owner)


class _Idle:
    """An engine that changes nothing."""

    def run(self, spectra: Spectrum) -> Spectrum:
        return spectra
