"""People and files under other names, so that a report can be sent on.

Classes of an attribute that may identify people are numbered at random, and files are known by keyed hashes. An order
would give names away as well (a corpus lists its files by name, and so by person): recordings, classes, pairs and
blocks are put in random orders. All depends on a key of this audit, so that nobody who lacks it can try names, and the
reports of two audits number the same people differently.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sottovoce.audit.results import LinkageFacts, PermittedFacts, PrivateFacts
from sottovoce.audit.scores import Evidence, Scores
from sottovoce.corpora.manifest import Manifest
from sottovoce.redaction import prose, visible

# Attributes whose classes describe people or sounds and are nobody's name. Of any other, nobody knows what they say.
DESCRIBING = frozenset({
    "accent", "age", "age_group", "dialect", "digit", "digits", "emotion", "event", "fold", "gender", "intensity",
    "language", "mood", "scene", "sex", "speech", "statement", "style", "subset", "word",
})  # fmt: skip
WITHHELD = "[name]"
_SHORTEST = 3  # letters of a name that is looked for in a sentence
_QUOTED = r"(?<!\w)(?:'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\")(?!\w)"
_LISTED = re.compile(rf" \({_QUOTED}(?:, (?:{_QUOTED}|\d+ more))*\)|: {_QUOTED}(?:, {_QUOTED})*(?: and \d+ more)?")
_FILE = re.compile(
    r"[^\s'\"(),;]*\.(?:aac|aiff?|amr|caf|csv|flac|gsm|json|m4a|mp[34]|npy|oga|ogg|opus|txt|wave?|webm|wma)\b",
    re.IGNORECASE,
)
_LABELS_DIFFER = re.compile(r"(labels differ) \(.*\)")
_SCORED = re.compile(
    r"(?P<task>.+)/(?P<kind>labels|answers|judges/\d+|floor|values|attackers/\d+|originals/\d+|obfuscated/\d+)/"
    r"(?P<part>train|validation|test|original|obfuscated|sound)",
    re.DOTALL,
)
_LINKED = re.compile(r"(linkage/(?:linkers|originals)/\d+)/(similarity|same|first|second)")
_SEARCHED = re.compile(
    r"(?P<table>linkage/(?:linkers|originals)/\d+/(?:search|isolation))-(?P<column>value|people|utterances|speaker)"
)
_SAID = re.compile(
    r"transcripts/(?:(?:original|obfuscated)/(?:errors|recovered|other)|spoken|content|constant|cluster)"
)
_CODES = re.compile(r"codes/(train|test)(/owner)?")
_TRUE_LABELS = ("controls/idle", "controls/original")
Entry = TypeVar("Entry", PrivateFacts, LinkageFacts)


@dataclass(frozen=True, eq=False)
class Pseudonyms:
    """Other names for the people and files of a corpus, by a key of one audit; `left_out` are ids of further clips."""

    manifest: Manifest
    key: bytes
    left_out: Sequence[str] = ()

    @cached_property
    def people(self) -> dict[str, dict[str, str]]:
        """Of each attribute that may identify people, the pseudonym of each class."""
        return {task: self._numbered(task) for task in self.manifest.tasks if task.lower() not in DESCRIBING}

    def file(self, clip: str) -> str:
        """What stands for the file name of a clip."""
        return self._keyed("file", clip).hex()[:16]

    def shown(self, task: str, name: str) -> str:
        """A class as it may be shown."""
        return self.people.get(task, {}).get(name, name)

    def sentence(self, text: str) -> str:
        """A sentence without the names of files and people that are quoted or known."""
        return self.known(self._without_files(text))

    def known(self, text: str) -> str:
        """A text in which the names of people that the corpus tells of are exchanged for their pseudonyms."""
        for names in self.people.values():
            if 2 * len(names) > len(self.manifest.clips):  # these are no people, who would recur
                continue
            for name in sorted(names, key=len, reverse=True):
                if sum(map(str.isalpha, name)) >= _SHORTEST and name.lower() in text.lower():
                    whole = rf"(?<![^\W\d_]){re.escape(name)}(?![^\W\d_])"
                    text = re.sub(whole, names[name].replace("\\", r"\\"), text, flags=re.IGNORECASE)
        return text

    def sentences(self, notes: Sequence[str]) -> list[str]:
        """Notes without names; those that are then the same become one, with their number."""
        counts = Counter(map(self._without_files, notes))
        return [self.known(note if count == 1 else f"{count} times: {note}") for note, count in counts.items()]

    def order(self, what: str, count: int) -> NDArray[np.int64]:
        """A random order of `count` things, always the same of the same."""
        return self._random(what).permutation(count)

    def coins(self, what: str, count: int) -> NDArray[np.bool_]:
        """Heads or tails for each of `count` things."""
        return self._random(what).random(count) < 0.5

    def key_to_names(self) -> dict[str, Any]:
        """Everything that leads back to the names."""
        files = {clip.id: self.file(clip.id) for clip in self.manifest.clips}
        return {"key": self.key.hex(), "people": self.people, "files": files}

    @cached_property
    def _places(self) -> list[str]:
        """Ids of clips that are not in the manifest, after the folder that they lie in, and without it."""
        first = self.manifest.clips[0]
        folder = str(first.path).removesuffix(first.id.partition("#")[0])
        ids = [clip.partition("#")[0] for clip in self.left_out]
        return [f"{folder}{clip}" for clip in ids] + ids

    def _without_files(self, text: str) -> str:
        for place in self._places:
            if place in text:
                text = text.replace(place, WITHHELD)
        text = _LABELS_DIFFER.sub(r"\1", re.sub(_QUOTED, WITHHELD, _LISTED.sub("", text)))
        return _FILE.sub(WITHHELD, prose(text))

    def _numbered(self, task: str) -> dict[str, str]:
        names = self.manifest.classes(task)
        return {names[i]: f"{task} {number}" for number, i in enumerate(self.order(f"names of {task}", len(names)), 1)}

    def _random(self, what: str) -> np.random.Generator:
        return np.random.default_rng(int.from_bytes(self._keyed("order", what)))

    def _keyed(self, *what: str) -> bytes:
        return hmac.new(self.key, json.dumps(what).encode(), hashlib.sha256).digest()


def disguised(evidence: Evidence, names: Pseudonyms, classes: Mapping[str, Sequence[str]]) -> Evidence:
    """The same evidence under pseudonyms, in random orders; every number that is made of it stays as good.

    `classes` are those of every task that scores or answers are about, in the order of their numbers.
    """
    return _Disguise(names, classes, evidence).evidence()


def spelt_out(evidence: Evidence) -> Evidence:
    """The same evidence under the names that there are, with control characters in them written out."""
    texts = {name: array for name, array in evidence.scores.items() if array.dtype.kind == "U"}
    written = {name: np.array([visible(text) for text in array]) for name, array in texts.items()}
    return Evidence(evidence.facts, Scores(evidence.scores | written))


class _Disguise:
    def __init__(self, names: Pseudonyms, classes: Mapping[str, Sequence[str]], evidence: Evidence) -> None:
        self._names, self._facts, self._scores = names, evidence.facts, evidence.scores
        # Positions of the classes before, in their order afterwards.
        self._classes = {
            task: np.argsort([int(names.people[task].get(name, f"{task} 0").rpartition(" ")[2]) for name in known])
            for task, known in classes.items()
            if task in names.people
        }

    def evidence(self) -> Evidence:
        facts = self._facts.model_copy(
            update={
                "permitted": {task: self._permitted(entry) for task, entry in self._facts.permitted.items()},
                "private": {task: self._private(task, entry) for task, entry in self._facts.private.items()},
                "linkage": self._facts.linkage and self._without_reasons(self._facts.linkage),
            }
        )
        return Evidence(facts, Scores({name: self._array(name, array) for name, array in self._scores.items()}))

    def _permitted(self, entry: PermittedFacts) -> PermittedFacts:
        """The same without the names of people in what judges are called."""
        shown = [each.model_copy(update={"judge": self._names.known(each.judge)}) for each in entry.judges]
        return entry.model_copy(update={"judges": shown})

    def _private(self, task: str, entry: PrivateFacts) -> PrivateFacts:
        order = self._classes.get(task, np.arange(len(entry.class_names)))
        shown = [self._names.shown(task, entry.class_names[i]) for i in order]
        return self._without_reasons(entry).model_copy(update={"class_names": shown})

    def _without_reasons(self, entry: Entry) -> Entry:
        """The same without names in the reasons why attackers broke down."""
        failed = [each.model_copy(update={"reason": self._names.sentence(each.reason)}) for each in entry.failed]
        return entry.model_copy(update={"failed": failed})

    def _array(self, name: str, array: NDArray[Any]) -> NDArray[Any]:
        if name == "clips/test":
            return np.array([self._names.file(str(clip)) for clip in self._rows(array, "test")])
        if name == "speakers/test" or name.endswith("/speakers/test"):
            return np.array([self._names.shown("speaker", str(who)) for who in self._rows(array, "test")])
        if name.startswith("planted/"):
            return array  # of a random sample, and of random labels
        if name.startswith("resemblance/"):
            return np.sort(array)
        if name.endswith("/resemblance"):
            return self._rows(array, "test")
        if name.startswith("controls/"):
            return self._control(name, array)
        if name.endswith("/cluster"):
            return _renumbered(self._rows(array, "test"))
        if match := _LINKED.fullmatch(name):
            return self._linked(match[1], match[2], array)
        if _SAID.fullmatch(name):
            moved = array[self._names.order("recordings, transcripts", len(array))]
            return _renumbered(moved) if name.endswith("/cluster") else moved
        if match := _SEARCHED.fullmatch(name):
            moved = array[self._names.order(match["table"], len(array))]
            people = match["column"] == "speaker"
            return np.array([self._names.shown("speaker", str(who)) for who in moved]) if people else moved
        if match := _CODES.fullmatch(name):
            return self._codes(match[1], bool(match[2]))
        match = _SCORED.fullmatch(name)
        if match is None:
            raise AssertionError(f"{name}: it is not known how names are removed from this array")
        part = match["part"] if match["part"] in ("train", "validation") else "test"
        moved = self._rows(array, part, axis=1 if array.ndim == 3 else 0)
        task = match["task"]
        if match["kind"].partition("/")[0] in ("labels", "answers", "judges"):
            return self._labels(task, moved)
        # Estimates of numbers have no classes.
        return moved[..., self._classes[task]] if array.ndim > 1 and task in self._classes else moved

    def _rows(self, array: NDArray[Any], part: str, axis: int = 0) -> NDArray[Any]:
        return np.take(array, self._names.order(f"recordings, {part}", array.shape[axis]), axis)

    def _labels(self, task: str, labels: NDArray[Any]) -> NDArray[Any]:
        return np.argsort(self._classes[task])[labels] if task in self._classes else labels

    def _control(self, name: str, guesses: NDArray[Any]) -> NDArray[Any]:
        """Guesses of true labels are moved as these are; those of random labels apart, or they would lead back.

        The random labels follow from the seed, and their order from the recordings' that they were dealt to.
        """
        if name in _TRUE_LABELS:
            return self._labels(self._facts.control, self._rows(guesses, "test"))
        return self._rows(guesses, "test of random labels")

    def _linked(self, place: str, what: str, array: NDArray[Any]) -> NDArray[Any]:
        """Pairs in another order, each with its two recordings in a random order."""
        order = self._names.order(place, len(array))
        if what not in ("first", "second"):
            return array[order]
        other = self._scores[f"{place}/{'second' if what == 'first' else 'first'}"]
        people = np.where(self._names.coins(place, len(array)), array, other)[order]
        return np.array([self._names.shown("speaker", str(who)) for who in people])

    def _codes(self, part: str, owners: bool) -> NDArray[Any]:
        """The codes of blocks, or whose they are, recording by recording in the new order."""
        codes, owner = self._scores[f"codes/{part}"], self._scores[f"codes/{part}/owner"]
        recordings = int(owner.max()) + 1
        moved = np.argsort(self._names.order(f"recordings, {part}", recordings))[owner]
        order = np.argsort(moved, kind="stable")
        assert self._facts.bound is not None, "there are codes"
        sizes = self._facts.bound.codes
        if self._classes.keys() & sizes.keys():  # a code is a class, so that their numbers would tell names
            codes = self._names.order("codes", math.prod(sizes.values()))[codes]
        return moved[order] if owners else codes[order]


def _renumbered(cluster: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same clusters, numbered as they first appear."""
    _, first, member = np.unique(cluster, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[member]
