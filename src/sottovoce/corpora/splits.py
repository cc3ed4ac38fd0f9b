"""How a corpus is split into training, validation and test clips: by utterance, by speaker or as its authors did."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from sottovoce.corpora.manifest import Manifest, SplitRule
from sottovoce.errors import CorpusError

_TEST_SHARE = 0.2
_VALIDATION_SHARE_OF_REST = 0.125  # 10 % of the whole


@dataclass(frozen=True, eq=False)
class Split:
    """Positions in `Manifest.clips` of the three parts, int64, ascending."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    rule: SplitRule
    seed: int


def split(manifest: Manifest, rule: SplitRule | None = None, seed: int = 0) -> Split:
    """Deal the clips into train, validation and test, about 70, 10 and 20 %.

    "utterance": each speaker with three clips or more is in every part. "speaker": no speaker is in two parts, and each
    gender is in every part where there are three speakers of each or more; official parts are kept, and must agree.
    "official": the corpus' own parts; where it has no validation, an eighth of train becomes it, by utterance.
    "fragment": for a corpus that was cut into fragments, which are dealt without regard to the utterance they are of.

    Raises CorpusError when the corpus cannot be split so, saying why.
    """
    chosen: SplitRule = manifest.split_rule if rule is None else rule
    if chosen not in get_args(SplitRule):
        raise CorpusError(f"unknown split '{chosen}'; known: {', '.join(get_args(SplitRule))}.")
    units = _UNITS[chosen](manifest)
    official = chosen == "official" or (chosen == "speaker" and any(clip.part for clip in manifest.clips))
    rng = np.random.default_rng(seed)
    train, validation, test = _official_parts(manifest, units) if official else (units, [], [])
    if not official:
        test, train = _draw(train, _TEST_SHARE, rng)
    if not validation:
        validation, train = _draw(train, _VALIDATION_SHARE_OF_REST, rng)
    if not (train and validation and test):
        raise CorpusError(
            f"{manifest.spec} is too small for the split '{chosen}': {len(manifest.clips)} clips of "
            f"{len(manifest.speakers)} speakers leave no clip for train, validation or test."
        )
    return Split(_positions(train), _positions(validation), _positions(test), chosen, seed)


@dataclass(frozen=True, slots=True)
class _Unit:
    """Clips that must stay in one part, and the stratum that is dealt evenly."""

    name: str
    stratum: str
    positions: list[int]


def _utterance_units(manifest: Manifest) -> list[_Unit]:
    clips = manifest.clips
    # The same content under two names is one recording; without a digest the path has to do.
    sources = [clip.sha256 or str(clip.path) for clip in clips]
    groups: list[list[int]] = []
    source, end_s = "", 0.0
    for i in sorted(range(len(clips)), key=lambda i: (sources[i], clips[i].start_s, clips[i].id)):
        clip, here = clips[i], sources[i]
        clip_end_s = math.inf if clip.duration_s is None else clip.start_s + clip.duration_s
        if groups and here == source and clip.start_s < end_s:
            groups[-1].append(i)
            end_s = max(end_s, clip_end_s)
        else:
            groups.append([i])
            source, end_s = here, clip_end_s
    units = [_Unit(clips[g[0]].id, clips[g[0]].labels.get("speaker", ""), g) for g in groups]
    return sorted(units, key=lambda unit: unit.name)


def _speaker_units(manifest: Manifest) -> list[_Unit]:
    positions: dict[str, list[int]] = defaultdict(list)
    genders: dict[str, set[str]] = defaultdict(set)
    for i, clip in enumerate(manifest.clips):
        if "speaker" not in clip.labels:
            raise CorpusError(f"the split 'speaker' needs a label 'speaker' on every clip; {clip.id!r} has none.")
        positions[clip.labels["speaker"]].append(i)
        genders[clip.labels["speaker"]].add(clip.labels.get("gender", ""))
    torn = sorted(speaker for speaker, found in genders.items() if len(found) > 1)
    if torn:
        raise CorpusError(f"speaker '{torn[0]}' has more than one gender: {sorted(genders[torn[0]])}; mend the labels.")
    if len(positions) < 3:
        raise CorpusError(
            f"the split 'speaker' needs at least three speakers, {manifest.spec} has {len(positions)}; "
            "ask for the split 'utterance'."
        )
    balanced = min(Counter(min(found) for found in genders.values()).values()) >= 3
    return [_Unit(name, min(genders[name]) if balanced else "", positions[name]) for name in sorted(positions)]


def _fragment_units(manifest: Manifest) -> list[_Unit]:
    if manifest.split_rule != "fragment":
        raise CorpusError(f"the split 'fragment' needs fragments: name the corpus as fragments:{manifest.spec}.")
    units = [_Unit(clip.id, clip.labels.get("speaker", ""), [i]) for i, clip in enumerate(manifest.clips)]
    return sorted(units, key=lambda unit: unit.name)


def _official_parts(manifest: Manifest, units: list[_Unit]) -> tuple[list[_Unit], list[_Unit], list[_Unit]]:
    parts: dict[str, list[_Unit]] = {"train": [], "validation": [], "test": []}
    for unit in units:
        found = {manifest.clips[i].part for i in unit.positions}
        if len(found) > 1:
            raise CorpusError(
                f"the official split of {manifest.spec} has '{unit.name}' in more than one part "
                f"({', '.join(sorted(str(part) for part in found))}); mend it or ask for the split 'utterance'."
            )
        part = found.pop()
        if part not in parts:
            raise CorpusError(
                f"{manifest.spec} has no complete official split: '{unit.name}' is in "
                f"{'no part' if part is None else repr(part)}, expected train, validation or test; "
                "give every clip its part, or ask for the split 'utterance'."
            )
        parts[part].append(unit)
    return parts["train"], parts["validation"], parts["test"]


def _draw(units: list[_Unit], share: float, rng: np.random.Generator) -> tuple[list[_Unit], list[_Unit]]:
    """Take about `share` of each stratum, at least one unit where there are two or more: (taken, left)."""
    strata: dict[str, list[_Unit]] = defaultdict(list)
    for unit in units:
        strata[unit.stratum].append(unit)
    taken: list[_Unit] = []
    left: list[_Unit] = []
    for stratum in sorted(strata):
        shuffled = [strata[stratum][i] for i in rng.permutation(len(strata[stratum]))]
        count = max(1, round(share * len(shuffled))) if len(shuffled) > 1 else 0
        taken += shuffled[:count]
        left += shuffled[count:]
    return taken, left


def _positions(units: list[_Unit]) -> NDArray[np.int64]:
    return np.array(sorted(i for unit in units for i in unit.positions), dtype=np.int64)


_UNITS: Mapping[SplitRule, Callable[[Manifest], list[_Unit]]] = MappingProxyType(
    {
        "utterance": _utterance_units,
        "speaker": _speaker_units,
        "official": _utterance_units,
        "fragment": _fragment_units,
    }
)
