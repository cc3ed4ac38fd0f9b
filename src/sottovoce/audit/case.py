"""What is audited against: a corpus, its split, the target whose answer is permitted, and who hears what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sottovoce.attack.attacker import Heard, Labels
from sottovoce.audio.segment import cut
from sottovoce.audio.spectrum import SEGMENT_SAMPLES, Wave
from sottovoce.corpora.cache import Sounds
from sottovoce.corpora.manifest import Manifest, Split, check_task
from sottovoce.errors import CorpusError
from sottovoce.models.target import Target

_EXTRA_CROPS = 2  # further random segments of each training clip: who holds the filter can obfuscate any number

Listen = Callable[[Wave], NDArray[np.float32]]  # sound segments [S, 20480] to spectra [S, 161, 128]


@dataclass(frozen=True)
class Case:
    """What is audited against: a corpus, its split, and the target whose answer is permitted."""

    manifest: Manifest
    sounds: Sounds
    split: Split
    target: Target

    def labels(self, task: str, part: NDArray[np.int64]) -> Labels:
        """Class numbers [U] of the clips of a part."""
        classes = list(self.target.classes) if task == self.target.task else list(self.manifest.classes(task))
        names = [self.manifest.clips[i].labels[task] for i in part]
        unknown = sorted(set(names) - set(classes))
        if unknown:
            raise CorpusError(
                f"the target knows {task} as {', '.join(classes)}; {self.manifest.spec} also has {', '.join(unknown)}."
            )
        return np.array([classes.index(name) for name in names])

    def cluster(self, task: str) -> tuple[str, NDArray[np.int64]]:
        """What intervals are resampled by, and each test clip's cluster [U]: its speaker, unless that is the label."""
        clips = [self.manifest.clips[i].labels for i in self.split.test]
        names = [labels.get("speaker", "") for labels in clips]
        if task == "speaker" or len(set(names)) < 10:
            return "utterance", np.arange(len(names))
        return "speaker", np.unique(names, return_inverse=True)[1]

    def attackable(self) -> list[str]:
        """The labels that an attacker can learn here: not the permitted one, and every class heard in training."""
        found = []
        for task in self.manifest.tasks:
            try:
                check_task(self.manifest, task)
            except CorpusError:
                continue
            heard = {self.manifest.clips[i].labels[task] for i in self.split.train}
            tested = {self.manifest.clips[i].labels[task] for i in self.split.test}
            if task != self.target.task and len(heard) > 1 and tested <= heard:
                found.append(task)
        return found


@dataclass(frozen=True)
class Sides:
    """The three parts of a split as somebody hears them."""

    train: Heard
    validation: Heard
    test: Heard


def hear(case: Case, listen: Listen, seed: int, extra: int = _EXTRA_CROPS) -> Sides:
    """What arrives when every clip passes `listen`; training clips also from `extra` random places."""
    rng = np.random.default_rng(seed)

    def part(clips: NDArray[np.int64], extra: int) -> Heard:
        spectra, owner = [], []
        for utterance, clip in enumerate(clips):
            spare = max(0, case.sounds.samples(clip) - SEGMENT_SAMPLES)
            crops = case.sounds.segments(np.full(extra, clip), rng.integers(0, spare + 1, extra), SEGMENT_SAMPLES)
            spectra.append(listen(np.concatenate([cut(case.sounds.wave(clip)), crops])))
            owner += [utterance] * len(spectra[-1])
        return Heard(np.concatenate(spectra), np.array(owner))

    return Sides(part(case.split.train, extra), part(case.split.validation, 0), part(case.split.test, 0))
