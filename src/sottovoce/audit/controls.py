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
from sottovoce.audio.segment import front_end
from sottovoce.audit import metrics
from sottovoce.audit.case import Case, Sides, hear

_TONE = 0.5  # deviations added to one bin, another one for each class
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

    leaky = Sides(
        _planted(obfuscated.train, train), _planted(obfuscated.validation, validation), _planted(obfuscated.test, test)
    )
    planted = score(leaky, train, validation, test)
    rng = np.random.default_rng(seed)
    mixed = [rng.permutation(labels) for labels in (train, validation, test)]
    shuffled = score(obfuscated, *mixed)
    bound = binomtest(round(shuffled * len(test)), len(test)).proportion_ci(_DOUBT).low
    identity = score(hear(case, front_end, seed), train, validation, test)
    ceiling = score(originals, train, validation, test)
    return {
        "planted leak": {
            "passed": planted > chance + 0.5 * (1.0 - chance),
            "detail": f"{task} as a faint tone in the filtered sound: found in {planted:.1%}, chance {chance:.1%}",
        },
        "shuffled labels": {
            "passed": bool(bound <= chance),
            "detail": f"{task} dealt at random: guessed in {shuffled:.1%}, chance {chance:.1%}",
        },
        "identity filter": {
            "passed": abs(identity - ceiling) < 0.01,
            "detail": f"{task} through a filter that does nothing: {identity:.1%}, on originals {ceiling:.1%}",
        },
    }


def _planted(heard: Heard, labels: Labels) -> Heard:
    """What is heard, with one bin per class a little louder."""
    spectra = heard.spectra.copy()
    bins = 2 + labels[heard.owner] * 3 % (spectra.shape[1] - 4)
    spectra[np.arange(len(spectra)), bins] += _TONE
    return Heard(spectra, heard.owner)
