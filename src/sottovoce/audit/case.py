"""What is audited against: a corpus, its split, the targets whose answers are permitted, and what can be attacked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sottovoce.attack.attacker import Labels
from sottovoce.corpora.cache import Sounds
from sottovoce.corpora.manifest import Manifest, Split, check_task
from sottovoce.errors import ConfigError, CorpusError
from sottovoce.models.target import Target

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")
_FEWEST_SPEAKERS = 10  # to be resampled
_FEWEST_VALUES = 20  # of a label that is a number, to be estimated as one


@dataclass(frozen=True)
class Case:
    """What is audited against.

    `targets` answer permitted tasks, one target each; `permit` names all that is permitted, whether or not there is a
    target to answer it.
    """

    manifest: Manifest
    sounds: Sounds
    split: Split
    targets: tuple[Target, ...] = ()
    permit: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 in hex of the corpus and its split."""
        parts = [self.manifest.digest, self.split.rule, self.split.seed, [self.clips(part).tolist() for part in PARTS]]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def clips(self, part: Part) -> NDArray[np.int64]:
        """Positions of a part's clips in the manifest, [U]."""
        clips: NDArray[np.int64] = getattr(self.split, part)
        return clips

    def values(self, task: str, part: Part) -> list[str]:
        """What the clips of a part are labelled with, [U]."""
        return [self.manifest.clips[i].labels[task] for i in self.clips(part)]

    def speakers(self, part: Part) -> list[str]:
        """Who speaks in the clips of a part, [U]; empty names where the corpus does not say."""
        return [self.manifest.clips[i].labels.get("speaker", "") for i in self.clips(part)]

    def classes(self, task: str) -> tuple[str, ...]:
        """The classes of a label: those of its target, if there is one."""
        known = {target.task: target.classes for target in self.targets}
        return known[task] if task in known else self.manifest.classes(task)

    def labels(self, task: str, part: Part) -> Labels:
        """Class numbers [U] of the clips of a part."""
        classes, names = list(self.classes(task)), self.values(task, part)
        unknown = sorted(set(names) - set(classes))
        if unknown:
            raise CorpusError(
                f"the target knows {task} as {', '.join(classes)}; {self.manifest.spec} also has {', '.join(unknown)}."
            )
        return np.array([classes.index(name) for name in names])

    def cluster(self, task: str) -> tuple[Literal["speaker", "utterance"], NDArray[np.int64]]:
        """What intervals are resampled by, and each test clip's cluster [U]: its speaker, unless that is the label."""
        names = self.speakers("test")
        if task == "speaker" or len(set(names)) < _FEWEST_SPEAKERS:
            return "utterance", np.arange(len(names))
        return "speaker", np.unique(names, return_inverse=True)[1]

    def continuous(self) -> list[str]:
        """The private labels that are numbers, to be estimated and not classified."""
        return [task for task in self.manifest.tasks if task not in self.permit and self._is_number(task)]

    def attackable(self) -> list[str]:
        """The private labels that an attacker can learn here: every class that is tested was heard in training."""
        found = []
        for task in self.manifest.tasks:
            if task in self.permit or self._is_number(task):
                continue
            try:
                check_task(self.manifest, task)
            except CorpusError:
                continue
            heard, tested = set(self.values(task, "train")), set(self.values(task, "test"))
            if len(heard) > 1 and tested <= heard:
                found.append(task)
        return found

    def chosen(self, attributes: Sequence[str] | None) -> list[str]:
        """`attributes`, or all that can be attacked; ConfigError where one cannot, or none."""
        possible = self.attackable()
        for name in attributes or ():
            if name not in possible:
                can = ", ".join(possible) or "nothing"
                raise ConfigError(f"'{name}' cannot be attacked in {self.manifest.spec}; what can: {can}.")
        if not possible:
            raise ConfigError(
                f"{self.manifest.spec} has no label that an attacker could learn besides what is permitted; it needs "
                "one with two classes or more, each in training and test."
            )
        return list(attributes or possible)

    def _is_number(self, task: str) -> bool:
        try:
            values = {float(clip.labels[task]) for clip in self.manifest.clips}
        except (KeyError, ValueError):
            return False
        return len(values) >= _FEWEST_VALUES and task != "speaker" and bool(np.isfinite(list(values)).all())
