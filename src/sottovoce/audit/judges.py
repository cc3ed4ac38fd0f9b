"""Judges: recognisers besides the target that measure what is permitted: who else understands what leaves?

A filter folder holds those that its training kept back, under `judges/NAME`; an audit may name others. All of them, and
the target as well, are asked about the sound that leaves, which is what an application gets.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sottovoce.audio.level import normalise, trim_silence
from sottovoce.audio.segment import cut
from sottovoce.audio.spectrum import Wave
from sottovoce.audit.case import Case, Judge
from sottovoce.audit.results import Input, JudgeFacts, Kind, PermittedFacts
from sottovoce.audit.scores import Scores
from sottovoce.audit.system import System
from sottovoce.errors import ConfigError, ModelError
from sottovoce.files import read_json
from sottovoce.models.target import Array, Target
from sottovoce.models.target_loading import load_target
from sottovoce.models.vote import vote
from sottovoce.progress import Report
from sottovoce.redaction import prose, word
from sottovoce.runtime.export import JUDGES

_LONGEST_TEXT = 120


def trained_with(card: Mapping[str, Any]) -> frozenset[str]:
    """The digests of the recognisers that the card of a filter, or a system's description, names as its targets."""
    return frozenset(str(entry["digest"]) for entry in card.get("targets", ()) if entry.get("digest"))


def of_filter(folder: Path, card: Mapping[str, Any], targets: Sequence[Target]) -> tuple[list[Judge], list[str]]:
    """The judges that a filter folder holds for the tasks of `targets`, and a sentence for each that is not there.

    ModelError for a folder that is not the recogniser that the card speaks of.
    """
    judges, missing = [], []
    held = {place.name: place for place in (folder / JUDGES).glob("*")}  # so that no name leads to another place
    for target in targets:
        for entry in card.get("transfer", {}).get(target.task, ()):
            text = prose(str(entry.get("judge", "a recogniser")))[:_LONGEST_TEXT]
            place = held.get(str(entry.get("name")))
            if place is None:
                missing.append(f"the card names a recogniser of {target.task} that the filter does not hold: {text}")
                continue
            other = load_target(place)
            if other.digest != entry.get("digest"):
                raise ModelError(f"{place} is not the recogniser that the card of the filter names; train it again.")
            judges.append(_judge(place, text, other, targets, trained_with(card)))
    return judges, missing


def named(places: Sequence[Path | str], targets: Sequence[Target], digests: Collection[str] = ()) -> list[Judge]:
    """The judges in `places`; `digests` are those of recognisers that the filter was trained with.

    ConfigError for one whose task no target of the audit answers, or whose classes differ from the target's.
    """
    return [_judge(place, word(str(place)), load_target(place), targets, digests) for place in places]


def _judge(place: Path | str, text: str, other: Target, targets: Sequence[Target], digests: Collection[str]) -> Judge:
    own = {target.task: target for target in targets}
    if other.task not in own:
        raise ConfigError(
            f"the judge {place} recognises '{other.task}', which no target of this audit answers; expected "
            f"{' or '.join(own) or 'a permitted task with a target'}: name another judge, or permit the task."
        )
    target = own[other.task]
    if {*other.classes} != {*target.classes}:
        raise ConfigError(
            f"the judge {place} knows {other.task} as {', '.join(other.classes)}; expected the classes of the target, "
            f"{', '.join(target.classes)}, in any order."
        )
    return Judge(text, _kind(target, other, digests), other)


def _kind(target: Target, other: Target, digests: Collection[str]) -> Kind:
    if other.digest and other.digest in {target.digest, *digests}:
        return "trained-with"
    own, architecture = _architecture(target), _architecture(other)
    if architecture is None:
        return "third-party"
    return "seed" if own == architecture else "architecture"


def _architecture(target: Target) -> tuple[Any, Any] | None:
    """The architecture of a target that was trained here, with its settings; None for any other."""
    if target.source is None or not target.source.is_dir():
        return None
    config = read_json(target.source / "config.json")
    return config.get("architecture"), config.get("settings")


def gather(case: Case, system: System, report: Report) -> tuple[dict[str, PermittedFacts], Scores]:
    """Who is asked about each permitted task, and what each answers to every test recording.

    Sound is brought to one level, and the silence around it is cut off, as a corpus of what leaves would be read. Where
    no sound leaves, judges are asked about features. ConfigError where they can take neither.
    """
    if case.judges and system.sound is None and (system.features is None or system.read):
        raise ConfigError(
            "what leaves this filter is neither sound nor a spectrum, so that only its own reader can answer; leave "
            "--judge out."
        )
    facts: dict[str, list[JudgeFacts]] = {target.task: [] for target in case.targets}
    places = []
    for judge in case.judges:
        known = facts[judge.target.task]
        places.append(f"{judge.target.task}/judges/{len(known)}")
        given: Input = "sound" if system.sound else "features"
        known.append(JudgeFacts(judge=judge.text, kind=judge.kind, digest=judge.target.digest, input=given))
    answers: dict[str, list[int]] = defaultdict(list)
    clips = case.clips("test")
    for done, clip in enumerate(clips if places or (case.targets and system.sound) else (), 1):
        original = cut(case.sounds.wave(clip))
        leaves = _what_leaves(system, int(clip), original)
        for target in case.targets if system.sound else ():
            answers[f"{target.task}/answers/sound"].append(_answer(case, target, leaves(target)))
        for place, judge in zip(places, case.judges, strict=True):
            before = judge.target.predict_sound(original)
            answers[f"{place}/original"].append(_answer(case, judge.target, before))
            answers[f"{place}/obfuscated"].append(_answer(case, judge.target, leaves(judge.target)))
        report(done, len(clips), "recognisers asked about what leaves")
    scores = Scores({name: np.array(classes, np.int64) for name, classes in answers.items()})
    digests = trained_with(system.description)
    return {
        target.task: PermittedFacts(
            trained_with=target.digest in digests if digests and target.digest else None, judges=facts[target.task]
        )
        for target in case.targets
    }, scores


def _what_leaves(system: System, clip: int, segments: Wave) -> Callable[[Target], Array]:
    """What a target answers to what leaves for a clip of these segments: its logits [S, K]."""
    if system.sound is not None:
        sound = cut(normalise(trim_silence(system.sound(clip))))
        return lambda target: target.predict_sound(sound)
    assert system.features is not None, "something leaves every system"
    features = system.features(segments)
    return lambda target: target.predict(features)


def _answer(case: Case, target: Target, logits: Array) -> int:
    """The number, among the classes of the case, of the class that the logits [S, K] of one recording vote for."""
    answer = int(vote(logits, np.zeros(len(logits), np.int64)).argmax())
    return case.classes(target.task).index(target.classes[answer])
