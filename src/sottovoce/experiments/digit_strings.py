"""Permit the digits, hide the speaker: a filter for a sequence task on strings of real recordings, three seeds.

Made by `sottovoce experiment digit-strings`. Whatever is done is kept, so that a killed experiment goes on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier
from torch import nn

from sottovoce.audio.spectrum import Wave
from sottovoce.audit import metrics, summary
from sottovoce.audit.case import PARTS, Case, Part
from sottovoce.audit.protocol import audit
from sottovoce.audit.system import of_function
from sottovoce.corpora import corpus
from sottovoce.corpora.manifest import split
from sottovoce.files import file_sha256, write_file
from sottovoce.methods.digits import method as digits
from sottovoce.models.digit_codes import BLANK, DIGITS, digits_of, labels
from sottovoce.models.digit_encoder import LOOKAHEAD_FRAMES, DigitEncoder
from sottovoce.models.word_table import Pace, WordTable, place
from sottovoce.runtime.word_filter import BITS_PER_BLOCK, BLOCK_S

SEEDS = (0, 1, 2)
PACES: tuple[Pace, ...] = ("even", "steady", "live")
SETTINGS = digits.PRESETS["compact"]
_TREES = 500

Streams = dict[Part, list[list[int]]]  # by part, what is said or coded in each string


def run(corpora: Path, out: Path, workers: int) -> str:
    """All filters, `workers` side by side with one thread each; writes `out`/digit-strings.json, returns the table."""
    listener = out / "runs" / "digit-strings" / "target.safetensors"
    case = _case(corpora)
    torch.set_num_threads(1)
    digits.target(listener, case.manifest, case.sounds, case.split.train, SETTINGS.target, _last)
    filters = Parallel(n_jobs=workers)(delayed(_filter)(seed, corpora, listener) for seed in SEEDS)
    found = {
        "command": "sottovoce experiment digit-strings --corpora PATH --out DIR",
        "corpus": {**corpus.describe(case.manifest, case.split), "spec": "strings:PATH"}
        | {part: len(case.clips(part)) for part in PARTS},
        "target": {
            "architecture": "deepspeech2-ctc",
            "sha256": file_sha256(listener),
            "steps": SETTINGS.target.steps,
            "seed": 0,
        },
        "block_s": BLOCK_S,
        "lookahead_frames": LOOKAHEAD_FRAMES,
        "bits_per_block": BITS_PER_BLOCK,
        "filters": filters,
    }
    write_file(out / "digit-strings.json", json.dumps(found, indent=1).encode())
    return table(found)


def _case(corpora: Path) -> Case:
    manifest, sounds = corpus.opened(f"strings:{corpora / 'fsdd'}", _last)
    return Case(manifest, sounds, split(manifest), (), ("digits",))


def _filter(seed: int, corpora: Path, listener: Path) -> dict[str, Any]:
    """Make, measure and attack the filter of one seed, unless that is done."""
    torch.set_num_threads(1)
    folder = listener.parent / str(seed)
    kept = folder / "found.json"
    if kept.is_file():
        known: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
        return known
    case = _case(corpora)
    clips = case.split.train
    ear = digits.target(listener, case.manifest, case.sounds, clips, SETTINGS.target, _last)
    encoder = digits.encoder(folder / "encoder.safetensors", ear, case.sounds, clips, SETTINGS.encoder, seed, _last)
    table = digits.table(
        folder / "words.safetensors", ear, digits.recordings(str(corpora / "fsdd"), _last), SETTINGS.candidates, seed
    )
    sha256 = {name: file_sha256(folder / f"{name}.safetensors") for name in ("encoder", "words")}
    found = {"seed": seed, "sha256": sha256, **_measured(case, ear, encoder, table, seed, folder / ".heard")}
    write_file(kept, json.dumps(found, indent=1).encode())
    return found


def _measured(
    case: Case, ear: nn.Module, encoder: DigitEncoder, table: WordTable, seed: int, heard_at: Path
) -> dict[str, Any]:
    """What is understood before and after, what the codes carry, and what attackers read, at each pace."""
    waves = {part: [case.sounds.wave(int(i)) for i in case.clips(part)] for part in PARTS}
    listen = digits.word_filter(encoder, table, "live").codes
    codes: Streams = {part: [list(listen([wav])) for wav in waves[part]] for part in PARTS}
    before: Streams = {part: digits.transcribe(ear, waves[part]) for part in PARTS}
    true = [labels(text) for text in case.values("digits", "test")]
    found: dict[str, Any] = {
        "entropy_bits_per_block": metrics.entropy(np.bincount(np.concatenate(codes["test"]))),
        "floor": _read(case, _outlines(before, table, "even")),
        "original": metrics.word_error_rate(before["test"], true).model_dump(),
        "codes": metrics.word_error_rate([digits_of(stream) for stream in codes["test"]], true).model_dump(),
    }
    for pace in PACES:
        function = digits.word_filter(encoder, table, pace).filter
        after = digits.transcribe(ear, [function(wav) for wav in waves["test"]])
        found[pace] = {
            "obfuscated": metrics.word_error_rate(after, true).model_dump(),
            "added": metrics.added_error_rate(before["test"], after, true).model_dump(),
            "through_codes": _read(case, _outlines(codes, table, pace)),
            "audit": _audit(case, function, f"words, {pace}, seed {seed}", _effort(seed, pace), seed, heard_at),
        }
    return found


def _effort(seed: int, pace: Pace) -> str:
    """Standard attackers where the speaker should be hidden best, for one filter; quick ones elsewhere."""
    return "standard" if (seed, pace) == (SEEDS[0], PACES[0]) else "quick"


def _audit(
    case: Case, function: Callable[[Wave], Wave], name: str, effort: str, seed: int, heard: Path
) -> dict[str, Any]:
    """The project's audit of what the speaker's voice leaves in the sound of a filter."""
    system = of_function(function, case.sounds, name)
    gathered, _ = audit(case, system, ["speaker"], effort, seed, heard, 1, _last)
    numbers = summary.findings(gathered.facts, gathered.scores).model_dump(mode="json")
    return {"attackers": effort, **{key: numbers[key] for key in ("valid", "controls", "private")}}


def _outlines(streams: Streams, table: WordTable, pace: Pace) -> dict[Part, list[NDArray[np.float64]]]:
    return {part: [_outline(stream, table.blocks, pace) for stream in streams[part]] for part in PARTS}


def _outline(codes: Sequence[int], word_blocks: int, pace: Pace) -> NDArray[np.float64]:
    """What an attacker who reads the codes back knows of a string: which digits, how many, and when each was begun."""
    placed = place(codes, word_blocks, pace)
    counts = np.bincount([digit for _, digit in placed], minlength=BLANK)
    starts = np.array([start for start, _ in placed], np.float64)
    gaps = np.diff(starts)
    after = [gaps[[digit == d for _, digit in placed[:-1]]] for d in DIGITS]  # a long digit delays the next
    shape = [gaps.min(), gaps.mean(), gaps.max(), gaps.std()] if len(gaps) else [0.0] * 4
    last = max((block for block, code in enumerate(codes) if code != BLANK), default=0)
    end = len(codes) - last if pace == "live" else 0  # how long it went on after the last digit
    return np.array([*counts, len(starts), *shape, end, *(gap.mean() if len(gap) else -1.0 for gap in after)])


def _read(case: Case, outlines: dict[Part, list[NDArray[np.float64]]]) -> dict[str, float]:
    """How often trees tell the speaker by such outlines, fitted on train, scored on test."""
    trees = ExtraTreesClassifier(_TREES, min_samples_leaf=3, random_state=0)
    trees.fit(np.stack(outlines["train"]), case.labels("speaker", "train"))
    right = trees.predict(np.stack(outlines["test"])) == case.labels("speaker", "test")
    return metrics.accuracy(right, np.arange(len(right))).model_dump()


def _last(done: int, total: int, note: str) -> None:
    """Print the last line of each job: with several side by side, more would be a tangle."""
    if done == total:
        print(note, flush=True)


def table(found: dict[str, Any]) -> str:
    """A Markdown table: word errors of the target and the best guesses at the speaker, one line per filter and pace."""
    lines = [
        f"at most {found['bits_per_block']:.2f} bits leave with each block of {1000 * found['block_s']:.0f} ms",
        "",
        "| seed, pace | entropy, bits per block | WER original | WER obfuscated | added | chance | floor | ceiling "
        "| strongest of the audit | by the codes | leakage | verdict |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for filter_ in found["filters"]:
        for pace in PACES:
            own, speaker = filter_[pace], filter_[pace]["audit"]["private"]["speaker"]
            cells = [
                f"{filter_['seed']}, {pace}",
                f"{filter_['entropy_bits_per_block']:.3f}",
                _interval(filter_["original"]),
                _interval(own["obfuscated"]),
                _interval(own["added"]),
                f"{100 * speaker['chance']:.1f}",
                _interval(filter_["floor"]),
                f"{100 * speaker['ceiling']['score']:.1f}",
                f"{_interval(speaker['strongest'])} {speaker['strongest']['attacker']} ({own['audit']['attackers']})",
                _interval(own["through_codes"]),
                _interval(speaker["leakage"]),
                speaker["verdict"] if own["audit"]["valid"] else "INVALID",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _interval(score: dict[str, float]) -> str:
    return f"{100 * score['score']:.1f} ({100 * score['low']:.1f} to {100 * score['high']:.1f})"
