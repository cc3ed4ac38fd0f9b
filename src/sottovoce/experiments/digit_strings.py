"""Permit the digits, hide the speaker: a filter for a sequence task on strings of real recordings, three seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier
from torch import nn

from sottovoce.audio.spectrum import Wave
from sottovoce.audit import metrics, summary
from sottovoce.audit.case import PARTS, Case, Part
from sottovoce.audit.mutual_information import entropy
from sottovoce.audit.protocol import audit
from sottovoce.audit.system import of_function
from sottovoce.corpora import corpus
from sottovoce.corpora.splits import split
from sottovoce.experiments.experiment import (
    Corpus,
    Experiment,
    Place,
    Result,
    RunSettings,
    SharedJob,
    Table,
    digest,
    interval,
    percent,
)
from sottovoce.files import file_sha256
from sottovoce.methods.digits import method as digits
from sottovoce.methods.digits.ctc import CtcSettings
from sottovoce.models import word_table
from sottovoce.models.digit_codes import BLANK, DIGITS, digits_of, labels
from sottovoce.models.digit_encoder import LOOKAHEAD_FRAMES, DigitEncoder
from sottovoce.models.word_table import Pace, WordTable
from sottovoce.progress import silent
from sottovoce.runtime.word_filter import BITS_PER_BLOCK, BLOCK_S

PACES: tuple[Pace, ...] = ("even", "steady", "live")

Streams = dict[Part, list[list[int]]]  # by part, the digits or codes of each string


SETTINGS = digits.PRESETS["compact"]
RECORDINGS = Corpus("fsdd:fsdd")


@dataclass(frozen=True)
class StringTarget(SharedJob):
    """The recogniser of digit strings that all filters share."""

    corpus: Corpus = RECORDINGS
    settings: CtcSettings = SETTINGS.target

    def folder(self, place: Place) -> str:
        """Where the single recordings are."""
        return place.spec(self.corpus).partition(":")[2]

    def path(self, place: Place) -> Path:
        """The file of the recogniser."""
        return place.kept / f"target-{digest(self)}.safetensors"

    def case(self, place: Place) -> Case:
        """The strings, split, with what is permitted."""
        manifest, sounds = corpus.opened(f"strings:{self.folder(place)}", silent)
        return Case(manifest, sounds, split(manifest), (), ("digits",))

    def make(self, place: Place) -> nn.Module:
        """The recogniser, trained unless it is there."""
        case = self.case(place)
        return digits.target(self.path(place), case.manifest, case.sounds, case.split.train, self.settings, silent)


TARGET = StringTarget()


@dataclass(frozen=True)
class StringFilter(RunSettings):
    """A filter of words, measured and attacked at each of `paces`; `attackers` are those of each audit."""

    target: StringTarget = TARGET
    encoder: CtcSettings = SETTINGS.encoder
    candidates: int = SETTINGS.candidates  # for the word of each digit
    paces: tuple[Pace, ...] = PACES
    attackers: tuple[str, ...] = ("quick",) * len(PACES)
    trees: int = 500  # of the attacker who reads the codes


def measure(run: StringFilter, place: Place) -> dict[str, Any]:
    """Make the filter of one seed, and find what is understood before and after and what attackers read."""
    folder, case, target = place.kept / f"filter-{digest(run)}", run.target.case(place), run.target.make(place)
    clips = case.split.train
    encoder = digits.encoder(folder / "encoder.safetensors", target, case.sounds, clips, run.encoder, run.seed, silent)
    recordings = digits.recordings(run.target.folder(place), silent)
    words = digits.table(folder / "words.safetensors", target, recordings, run.candidates, run.seed)
    return {
        "corpus": {**corpus.describe(case.manifest, case.split), "spec": "strings:PATH"}
        | {part: len(case.clips(part)) for part in PARTS},
        "target": {"sha256": file_sha256(run.target.path(place)), "steps": run.target.settings.steps, "seed": 0},
        "block_s": BLOCK_S,
        "lookahead_frames": LOOKAHEAD_FRAMES,
        "bits_per_block": BITS_PER_BLOCK,
        "sha256": {name: file_sha256(folder / f"{name}.safetensors") for name in ("encoder", "words")},
        **_measured(run, case, target, encoder, words, folder / ".observed"),
    }


def _measured(
    run: StringFilter, case: Case, target: nn.Module, encoder: DigitEncoder, words: WordTable, scratch: Path
) -> dict[str, Any]:
    """What is understood before and after, what the codes carry, and what attackers read, at each pace."""
    waves = {part: [case.sounds.wave(int(i)) for i in case.clips(part)] for part in PARTS}
    encode = digits.word_filter(encoder, words, "live").codes
    codes: Streams = {part: [list(encode([wav])) for wav in waves[part]] for part in PARTS}
    before: Streams = {part: digits.transcribe(target, waves[part]) for part in PARTS}
    true = [labels(case.manifest.clips[i].labels["digits"]) for i in case.clips("test")]
    result: dict[str, Any] = {
        "entropy_bits_per_block": entropy(np.bincount(np.concatenate(codes["test"]))),
        "floor": _read(run, case, _outlines(before, words, "even")),
        "original": metrics.word_error_rate(before["test"], true).model_dump(),
        "codes": metrics.word_error_rate([digits_of(stream) for stream in codes["test"]], true).model_dump(),
    }
    for pace, attackers in zip(run.paces, run.attackers, strict=True):
        function = digits.word_filter(encoder, words, pace).filter
        after = digits.transcribe(target, [function(wav) for wav in waves["test"]])
        result[pace] = {
            "obfuscated": metrics.word_error_rate(after, true).model_dump(),
            "added": metrics.added_error_rate(before["test"], after, true).model_dump(),
            "through_codes": _read(run, case, _outlines(codes, words, pace)),
            "audit": _audit(case, function, f"words, {pace}, seed {run.seed}", attackers, run.seed, scratch),
        }
    return result


def _audit(
    case: Case, function: Callable[[Wave], Wave], name: str, attackers: str, seed: int, scratch: Path
) -> dict[str, Any]:
    """The project's audit of what the speaker's voice leaves in the sound of a filter."""
    system = of_function(function, case.sounds, name)
    gathered, _ = audit(case, system, ["speaker"], attackers, seed, scratch, 1, silent)
    numbers = summary.findings(gathered.facts, gathered.scores).model_dump(mode="json")
    return {"attackers": attackers, **{key: numbers[key] for key in ("valid", "controls", "private")}}


def _outlines(streams: Streams, words: WordTable, pace: Pace) -> dict[Part, list[NDArray[np.float64]]]:
    return {part: [outline(stream, words.blocks, pace) for stream in streams[part]] for part in PARTS}


def outline(codes: Sequence[int], word_blocks: int, pace: Pace) -> NDArray[np.float64]:
    """What an attacker who reads the codes back knows of a string: which digits, how many, and when each was begun."""
    placed = word_table.place(codes, word_blocks, pace)
    counts = np.bincount([digit for _, digit in placed], minlength=BLANK)
    starts = np.array([start for start, _ in placed], np.float64)
    gaps = np.diff(starts)
    after = [gaps[[digit == d for _, digit in placed[:-1]]] for d in DIGITS]  # a long digit delays the next
    shape = [gaps.min(), gaps.mean(), gaps.max(), gaps.std()] if len(gaps) else [0.0] * 4
    last = max((block for block, code in enumerate(codes) if code != BLANK), default=0)
    end = len(codes) - last if pace == "live" else 0  # blocks after the last digit
    return np.array([*counts, len(starts), *shape, end, *(gap.mean() if len(gap) else -1.0 for gap in after)])


def _read(run: StringFilter, case: Case, outlines: dict[Part, list[NDArray[np.float64]]]) -> dict[str, float]:
    """How often trees tell the speaker by such outlines, fitted on train, scored on test."""
    trees = ExtraTreesClassifier(run.trees, min_samples_leaf=3, random_state=0)
    trees.fit(np.stack(outlines["train"]), case.labels("speaker", "train"))
    right = trees.predict(np.stack(outlines["test"])) == case.labels("speaker", "test")
    return metrics.accuracy(right, np.arange(len(right))).model_dump()


def _lines(results: Iterable[Result]) -> Iterator[tuple[Result, str, Result, Result]]:
    """A filter, a pace, what was measured at it, and of that what the audit says of the speaker."""
    for result in results:
        for pace in PACES:
            if pace in result:
                yield result, pace, result[pace], result[pace]["audit"]["private"]["speaker"]


def _strongest(line: tuple[Result, str, Result, Result]) -> str:
    _, _, own, speaker = line
    row = speaker["strongest"]
    return f"{interval(row)} {row['attacker']} ({own['audit']['attackers']})"


TABLE = Table(
    (
        ("seed, pace", lambda line: f"{line[0]['seed']}, {line[1]}"),
        ("entropy, bits per block", lambda line: f"{line[0]['entropy_bits_per_block']:.3f}"),
        ("WER original", lambda line: interval(line[0]["original"])),
        ("WER obfuscated", lambda line: interval(line[2]["obfuscated"])),
        ("added", lambda line: interval(line[2]["added"])),
        ("chance", lambda line: percent(line[3]["chance"])),
        ("floor", lambda line: interval(line[0]["floor"])),
        ("ceiling", lambda line: percent(line[3]["ceiling"]["score"])),
        ("strongest of the audit", _strongest),
        ("by the codes", lambda line: interval(line[2]["through_codes"])),
        ("leakage", lambda line: interval(line[3]["leakage"])),
        ("verdict", lambda line: line[3]["verdict"] if line[2]["audit"]["valid"] else "INVALID"),
    ),
    _lines,
    lambda results: f"at most {BITS_PER_BLOCK:.2f} bits leave with each block of {1000 * BLOCK_S:.0f} ms",
)

EXPERIMENT = Experiment(
    "digit-strings",
    "How many digits of a string are still understood, and is the speaker hidden, behind a filter of ten fixed words?",
    "0.1 core-hours (x86) of attackers; the training of a target and 3 filters was not measured",
    # The standard attackers try where the speaker should be hidden best.
    {
        "compact": tuple(
            StringFilter(attackers=("quick" if s else "standard", "quick", "quick"), seed=s) for s in (0, 1, 2)
        )
    },
    measure,
    TABLE,
)
