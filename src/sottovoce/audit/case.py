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
from sottovoce.audit.results import Kind
from sottovoce.corpora.cache import Sounds
from sottovoce.corpora.labels import is_number, may_be_names, names_speakers, why_not
from sottovoce.corpora.manifest import Manifest
from sottovoce.corpora.splits import Split
from sottovoce.corpora.table import named
from sottovoce.errors import ConfigError, CorpusError
from sottovoce.models.target import Target

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")
_FEWEST_SPEAKERS = 6  # to be a sample of people


@dataclass(frozen=True)
class Judge:
    """A recogniser besides the target that measures a permitted task; `text` says in words what it is."""

    text: str
    kind: Kind
    target: Target


@dataclass(frozen=True)
class Case:
    """What is audited against.

    `targets` answer permitted tasks, one target each; `permit` names all that is permitted, whether or not there is a
    target to answer it. `judges` measure tasks of targets as well, with the same classes.
    """

    manifest: Manifest
    sounds: Sounds
    split: Split
    targets: tuple[Target, ...] = ()
    permit: tuple[str, ...] = ()
    judges: tuple[Judge, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 in hex of the corpus and its split."""
        parts = [self.manifest.digest, self.split.rule, self.split.seed, [self.clips(part).tolist() for part in PARTS]]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def clips(self, part: Part) -> NDArray[np.int64]:
        """Positions of a part's clips in the manifest, [U]."""
        clips: NDArray[np.int64] = getattr(self.split, part)
        return clips

    def picked(self, task: str, part: Part) -> NDArray[np.int64]:
        """Which of the clips of a part are attacked, [U]: those that have the label, if training has their class.

        All, where a target answers the task.
        """
        clips = self.clips(part)
        if any(target.task == task for target in self.targets):
            return np.arange(len(clips))
        known = {self.manifest.clips[i].labels.get(task) for i in self.split.train} - {None}
        return np.flatnonzero([self.manifest.clips[i].labels.get(task) in known for i in clips])

    def is_whole(self, task: str) -> bool:
        """Whether every clip of every part is attacked."""
        return all(len(self.picked(task, part)) == len(self.clips(part)) for part in PARTS)

    def values(self, task: str, part: Part) -> list[str]:
        """What the clips of a part that are attacked are labelled with, [U]."""
        return [self.manifest.clips[i].labels[task] for i in self.clips(part)[self.picked(task, part)]]

    def numbers(self, task: str, part: Part) -> NDArray[np.float64]:
        """The values of a label that is a number, of all clips of a part [U]; NaN where there is none."""
        return np.array([float(self.manifest.clips[i].labels.get(task, "nan")) for i in self.clips(part)])

    def speakers(self, part: Part) -> list[str]:
        """Who speaks in the clips of a part, [U]; empty names where the corpus does not say."""
        return [self.manifest.clips[i].labels.get("speaker", "") for i in self.clips(part)]

    def classes(self, task: str) -> tuple[str, ...]:
        """The classes of a label: those of its target, if there is one."""
        known = {target.task: target.classes for target in self.targets}
        return known[task] if task in known else self.manifest.classes(task)

    def labels(self, task: str, part: Part) -> Labels:
        """Class numbers [U] of the clips of a part."""
        classes, names = self.classes(task), self.values(task, part)
        number = {name: i for i, name in enumerate(classes)}
        unknown = sorted(set(names) - set(classes))
        if unknown:
            raise CorpusError(
                f"the target knows {task} as {', '.join(classes)}; {self.manifest.spec} also has {', '.join(unknown)}."
            )
        return np.array([number[name] for name in names])

    def cluster(self, task: str) -> tuple[Literal["speaker", "utterance"], NDArray[np.int64]]:
        """What intervals are resampled by, and the cluster of each test clip that is attacked, [U].

        It is the speaker, unless that is the label, or there are few. Of a number all test clips have one.
        """
        names = np.array(self.speakers("test"))
        if task not in self.continuous():
            names = names[self.picked(task, "test")] if task in self.manifest.tasks else names
        if task == "speaker" or names_speakers(self.manifest, task) or len(set(names.tolist())) < _FEWEST_SPEAKERS:
            return "utterance", np.arange(len(names))
        return "speaker", np.unique(names, return_inverse=True)[1]

    def continuous(self) -> list[str]:
        """The private labels that are numbers, to be estimated; what may be names is classified where possible."""
        return [
            task
            for task in self.manifest.tasks
            if task not in self.permit and is_number(self.manifest, task) and self._why_not(task) is not None
        ]

    def attackable(self) -> list[str]:
        """The private labels that an attacker can learn here: every class that is tested is in training, too."""
        return [task for task in self.manifest.tasks if task not in self.permit and self._why_not(task) is None]

    def not_attacked(self, attributes: Sequence[str]) -> list[str]:
        """A sentence for each private label that is not among `attributes` and is no number: why it is not attacked."""
        left = [task for task in self.manifest.tasks if task not in (*self.permit, *attributes, *self.continuous())]
        return [f"the label {task} was not attacked: {self._why_not(task) or 'it was not asked for'}" for task in left]

    def left_out(self, attributes: Sequence[str]) -> list[str]:
        """A sentence for each of `attributes` of which some clips are not attacked, or some classes are not tested."""
        notes = []
        for task in attributes:
            missing = sum(task not in clip.labels for clip in self.manifest.clips)
            untold = f"{missing} of {len(self.manifest.clips)} clips, which have no such label" if missing else ""
            train, test = (
                {self.manifest.clips[i].labels.get(task) for i in self.clips(part)} for part in ("train", "test")
            )
            unknown, untested = (sorted(filter(None, one - other)) for one, other in ((test, train), (train, test)))
            new = f"{named(unknown)}, which no training clip has" if unknown else ""
            if left := " and ".join(filter(None, (untold, new))):
                notes.append(f"the label {task} was attacked without {left}")
            if untested:
                notes.append(f"the label {task} was not tested for {named(untested)}, which no test clip has")
        return notes

    def chosen(self, attributes: Sequence[str] | None) -> list[str]:
        """`attributes`, or all that can be attacked; ConfigError where one cannot, or none."""
        possible = self.attackable()
        for name in attributes or ():
            if name not in possible:
                can = ", ".join(possible) or "nothing"
                raise ConfigError(
                    f"'{name}' cannot be attacked in {self.manifest.spec}: {self._refusal(name)}; what can: {can}."
                )
        if not possible:
            raise ConfigError(
                f"{self.manifest.spec} has no label that an attacker could learn besides what is permitted; it needs "
                "one with two classes or more, each in training and test."
            )
        return list(attributes or possible)

    def _refusal(self, name: str) -> str:
        if name not in self.manifest.tasks:
            return "there is no such label"
        return "it is permitted" if name in self.permit else self._why_not(name) or "it can"

    def _why_not(self, task: str) -> str | None:
        """Why an attacker cannot classify a label; None if it can."""
        if is_number(self.manifest, task) and not may_be_names(self.manifest, task):
            return "it is a number, which is estimated and not classified"
        return why_not(self.manifest, self.split, task)
