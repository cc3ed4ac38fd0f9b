"""What was said: a public recogniser writes down originals and what leaves, and its words are counted.

Content words are those that are not among the hundred commonest of English. One of the transcript is recovered if it
stands anywhere in what was recognised. The floor is the better of two guesses without sound: the words that were
recognised in another recording, and one constant list of as many content words as a transcript has, those that are the
most frequent in the training transcripts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sottovoce.audio.spectrum import Wave
from sottovoce.audit import metrics
from sottovoce.audit.bootstrap import ratio
from sottovoce.audit.cached_jobs import JobResult
from sottovoce.audit.case import Case, Part
from sottovoce.audit.observations import identity
from sottovoce.audit.plan import Views
from sottovoce.audit.results import Failure, Interval, fields
from sottovoce.audit.results_words import Recognised, Words, WordsFacts, WordsVerdict
from sottovoce.audit.scores import Scores
from sottovoce.audit.verdicts import TOLERANCE
from sottovoce.models import speech_recogniser
from sottovoce.models.speech_recogniser import words

LABELS = ("words", "text", "transcript")
_AT_ONCE = 25  # recordings of one job; each of them is also compared with the others' words
_FEWEST = 20  # recordings with a content word
_FEWEST_SPEAKERS = 10  # to be resampled
_PLACE = "transcripts"
_COMMON = frozenset({
    "the", "be", "to", "of", "and", "a", "in", "that", "have", "i", "it", "for", "not", "on", "with", "he", "as",
    "you", "do", "at", "this", "but", "his", "by", "from", "they", "we", "say", "her", "she", "or", "an", "will",
    "my", "one", "all", "would", "there", "their", "what", "so", "up", "out", "if", "about", "who", "get", "which",
    "go", "me", "when", "make", "can", "like", "time", "no", "just", "him", "know", "take", "people", "into",
    "year", "your", "good", "some", "could", "them", "see", "other", "than", "then", "now", "look", "only", "come",
    "its", "over", "think", "also", "back", "after", "use", "two", "how", "our", "work", "first", "well", "way",
    "even", "new", "want", "because", "any", "these", "give", "day", "most", "us", "is", "was", "are", "were",
    "had", "has", "been", "did", "am",
})  # fmt: skip


@dataclass(frozen=True, eq=False)
class Recognition:
    """Some recordings written down, and their words counted; `source` is what the sounds depend on.

    The result has for each recording its "errors", and of its content words how many were "recovered" from its own
    sound, and how many on average from the "other" sounds of this job, [n].
    """

    waves: tuple[Wave, ...]
    transcripts: tuple[tuple[str, ...], ...]
    source: str
    side: str

    @cached_property
    def digest(self) -> str:
        """What the outcome depends on."""
        return identity("recognition", self.source, self.side, self.transcripts, speech_recogniser.NAME)

    @property
    def title(self) -> str:
        """The recogniser."""
        return f"words: {speech_recogniser.NAME}"

    cost = 9
    inputs = ()  # its sounds are part of it

    def run(self) -> JobResult:
        """Write down each sound and count."""
        recogniser = speech_recogniser.Recogniser()
        recognised = [recogniser.words(np.asarray(wav)) for wav in self.waves]
        errors = [_errors(given, said) for given, said in zip(recognised, self.transcripts, strict=True)]
        hits = np.array([[_recovered(given, said) for given in recognised] for said in self.transcripts], np.float64)
        own = np.diag(hits)
        other = (hits.sum(axis=1) - own) / max(1, len(own) - 1)
        return JobResult({}, {"errors": np.array(errors), "recovered": own.astype(np.int64), "other": other})


@dataclass(frozen=True, eq=False)
class Plan:
    """The jobs of each side, and the counts of the recordings whose words are attacked; nothing where none are."""

    jobs: Mapping[str, Sequence[Recognition]] = field(default_factory=dict)
    counts: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)  # spoken, content, constant and cluster, [n]


def not_attacked(case: Case, views: Views, most: int) -> list[str]:
    """A sentence on why the words are not attacked, where at most so many recordings are to be."""
    reason = _why_not(case, views) if most else None
    return [f"what was said was not attacked: {reason}"] if reason else []


def _why_not(case: Case, views: Views) -> str | None:
    label = _label(case)
    if label is None:
        return f"no label {', '.join(LABELS[:-1])} or {LABELS[-1]} says what that is"
    if label in case.permit:
        return "it is permitted"
    able = sum(bool(_content(text)) for text in _said(case, label, "test"))
    if able < _FEWEST:
        return f"{able} test recordings have a transcript with a content word, and {_FEWEST} are needed"
    if views.sound is None:
        return "no sound leaves that a recogniser could read"
    return None if speech_recogniser.available() else f"the recogniser is not installed: {speech_recogniser.INSTALL}"


def _label(case: Case) -> str | None:
    there = {task for clip in case.manifest.clips for task in clip.labels}
    return next((name for name in LABELS if name in there), None)


def _said(case: Case, label: str, part: Part) -> list[tuple[str, ...]]:
    """The words of each recording of a part; none where it has no transcript."""
    return [tuple(words(case.manifest.clips[i].labels.get(label, ""))) for i in case.clips(part)]


def plan(case: Case, views: Views, most: int, seed: int) -> Plan:
    """At most so many test recordings, drawn at random among those that have a transcript with a content word."""
    label, sound = _label(case), views.sound
    if not most or label is None or sound is None or _why_not(case, views):
        return Plan()
    said = _said(case, label, "test")
    able = np.flatnonzero([bool(_content(text)) for text in said])
    chosen = np.random.default_rng(seed).permutation(able)[:most]
    leaving = sound.part("test").waves
    assert leaving is not None, "sound was observed"
    sides = {
        "original": ([case.sounds.wave(int(case.clips("test")[i])) for i in chosen], case.digest),
        "obfuscated": ([leaving[i] for i in chosen], sound.digest),
    }
    texts = [said[i] for i in chosen]
    jobs = {
        side: [
            Recognition(tuple(waves[start : start + _AT_ONCE]), tuple(texts[start : start + _AT_ONCE]), source, side)
            for start in range(0, len(texts), _AT_ONCE)
        ]
        for side, (waves, source) in sides.items()
    }
    constant = _constant(_said(case, label, "train"), float(np.mean([len(_content(text)) for text in texts])))
    who = np.array(case.speakers("test"))[chosen]
    people = np.unique(who, return_inverse=True)[1] if len({*who}) >= _FEWEST_SPEAKERS else np.arange(len(who))
    counts = {
        "spoken": np.array([len(text) for text in texts]),
        "content": np.array([len(_content(text)) for text in texts]),
        "constant": np.array([_recovered(constant, text) for text in texts]),
        "cluster": people,
    }
    return Plan(jobs, counts)


def gather(planned: Plan, outcomes: Mapping[str, JobResult], scores: Scores) -> WordsFacts | None:
    """Add the counts to `scores`; None where nothing was tried."""
    if not planned.jobs:
        return None
    tried = {side: [outcomes[job.digest] for job in jobs] for side, jobs in planned.jobs.items()}
    broken = next((outcome.error for each in tried.values() for outcome in each if outcome.error), "")
    if broken:
        failure = Failure(attacker=speech_recogniser.NAME, knowledge="uninformed", reason=broken)
        return WordsFacts(recogniser=speech_recogniser.NAME, recordings=0, failed=[failure])
    scores |= {f"{_PLACE}/{name}": counts for name, counts in planned.counts.items()}
    for side, each in tried.items():
        for name in ("errors", "recovered", "other"):
            scores[f"{_PLACE}/{side}/{name}"] = np.concatenate([outcome.arrays[name] for outcome in each])
    return WordsFacts(recogniser=speech_recogniser.NAME, recordings=len(planned.counts["spoken"]))


def summary(facts: WordsFacts, scores: Scores) -> Words:
    """The entry of results."""
    if not facts.recordings:
        return Words(**fields(facts, WordsFacts))
    spoken, content, constant, cluster = (
        scores[f"{_PLACE}/{name}"] for name in ("spoken", "content", "constant", "cluster")
    )
    original, obfuscated = (
        Recognised(
            error_rate=_share(scores[f"{_PLACE}/{side}/errors"], spoken, cluster),
            recovered=_share(scores[f"{_PLACE}/{side}/recovered"], content, cluster),
        )
        for side in ("original", "obfuscated")
    )
    guesses = {
        "the words of another recording": scores[f"{_PLACE}/obfuscated/other"],
        "the most frequent content words": constant,
    }
    guess = max(guesses, key=lambda name: guesses[name].sum())
    leakage = _share(scores[f"{_PLACE}/obfuscated/recovered"] - guesses[guess], content, cluster)
    return Words(
        **fields(facts, WordsFacts),
        original=original,
        obfuscated=obfuscated,
        floor=_share(guesses[guess], content, cluster),
        guess=guess,
        leakage=leakage,
        verdict=verdict(leakage),
    )


def verdict(leakage: Interval) -> WordsVerdict:
    """ "leaks" where the whole interval says so. Never "hidden": the recogniser learned nothing from what leaves."""
    return "leaks" if leakage.low > TOLERANCE else "not shown"


def _share(top: NDArray[np.number], bottom: NDArray[np.number], cluster: NDArray[np.int64]) -> Interval:
    """Sum of `top` over that of `bottom`, [n]; where no recording has anything, the exact interval over words."""
    if not top.any():
        return metrics.binomial(0, int(bottom.sum()))
    return ratio(top.astype(np.float64), bottom.astype(np.float64), cluster)


def _content(text: Sequence[str]) -> list[str]:
    return [word for word in text if word not in _COMMON]


def _recovered(given: Sequence[str], said: Sequence[str]) -> int:
    """How many content words of a transcript stand in what was recognised; each of these counts once."""
    return sum((Counter(_content(said)) & Counter(given)).values())


def _errors(given: Sequence[str], said: Sequence[str]) -> int:
    number = {word: i for i, word in enumerate(dict.fromkeys([*given, *said]))}
    return metrics.word_errors([number[word] for word in given], [number[word] for word in said])


def _constant(said: Sequence[Sequence[str]], length: float) -> list[str]:
    """The content words that the most training transcripts have, so many as one has on average, rounded up."""
    counts: Counter[str] = Counter()
    for text in said:
        counts.update({*_content(text)})
    return [word for word, _ in counts.most_common(int(np.ceil(length)))]
