"""What a filter that draws from codes can tell at most, to anybody: counted, not attacked. docs/bound.md has the proof.

bits of a sound = its blocks * log2 of the number of joint codes
bits of a window of s seconds of a stream = those of ceil(s / block) + 1 blocks, since it may begin within a block
right guesses <= 2^bits * those of the best constant guess               (counting, Smith 2009)
entropy of the label - bits <= h(wrong) + wrong * log2(classes - 1)      (Fano)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sottovoce.audio.segment import cut
from sottovoce.audit import metrics
from sottovoce.audit.case import Case
from sottovoce.audit.evidence import Evidence
from sottovoce.audit.system import System
from sottovoce.runtime.engine import Rate

RECORDING = "the longest recording"
WINDOWS_S = {"any 1 s of a stream": 1.0, "any 1 min of it": 60.0, "any 1 h of it": 3600.0}
_STEPS = 60  # of bisection: to the last bit

Arrays = Mapping[str, NDArray[Any]]


def evidence(case: Case, system: System) -> Evidence:
    """The joint code of every block of the training and test clips; nothing of a system without codes."""
    channel = system.channel
    if channel is None:
        return Evidence({"bound": None}, {})
    arrays: dict[str, NDArray[Any]] = {}
    for part in ("train", "test"):
        codes = [channel.codes(cut(case.sounds.wave(int(clip)))) for clip in case.clips(part)]
        arrays[f"codes/{part}"] = np.concatenate(codes)
        arrays[f"codes/{part}/owner"] = np.repeat(np.arange(len(codes)), [len(each) for each in codes])
    known = {"codes": dict(channel.sizes), "block_s": channel.block_s, "constant_blocks": channel.blocks}
    return Evidence({"bound": known}, arrays)


def summary(known: Mapping[str, Any], private: Mapping[str, Any], arrays: Arrays) -> dict[str, Any]:
    """The bound, what of it was used, and what it leaves to guess of each private attribute."""
    bits = sum(math.log2(size) for size in known["codes"].values())
    count = math.prod(known["codes"].values())
    used = entropy(np.bincount(arrays["codes/train"], minlength=count))
    return {
        **known,
        "bits_per_block": bits,
        "entropy_bits_per_block": used,
        "attributes": {task: _attribute(task, entry, bits, count, known, arrays) for task, entry in private.items()},
    }


def _attribute(
    task: str, entry: Mapping[str, Any], bits: float, count: int, known: Mapping[str, Any], arrays: Arrays
) -> dict[str, Any]:
    labels = {part: arrays[f"{task}/labels/{part}"] for part in ("train", "test")}
    classes = len(entry["class_names"])
    right = table_attacker(arrays, labels, count, classes)
    owner = arrays["codes/test/owner"]
    block = metrics.accuracy(right, arrays[f"{task}/cluster"][owner])
    shares = np.bincount(labels["test"], minlength=classes) / len(labels["test"])
    blocks = int(np.bincount(owner).max())
    every = Rate(bits, known["block_s"] * max(1, known["constant_blocks"]))  # constant blocks tell one code
    sent_bits = {RECORDING: bits * blocks} | {name: every.window_bits(s) for name, s in WINDOWS_S.items()}
    spans = []
    for name, sent in sent_bits.items():
        limits = {"counted": counted(sent, float(shares.max())), "fano": fano(sent, shares)}
        spans.append({"span": name, "bits": sent, **limits, "accuracy": min(limits.values())})
    return {"entropy_bits": entropy(shares), "block": block._asdict(), "spans": spans}


def table_attacker(
    arrays: Arrays, labels: Mapping[str, NDArray[np.int64]], count: int, classes: int
) -> NDArray[np.bool_]:
    """Whether the best guess from the code of a single block is right, for each test block [B].

    It is a table: of each code the label that it stood for most often in training. No attacker of one block does better
    than the true table, of which this is the estimate.
    """
    table = np.zeros((count, classes))
    np.add.at(table, (arrays["codes/train"], labels["train"][arrays["codes/train/owner"]]), 1.0)
    table += np.bincount(labels["train"], minlength=classes) / (len(labels["train"]) + 1.0)  # codes never seen
    guesses: NDArray[np.int64] = table.argmax(axis=1)[arrays["codes/test"]]
    return np.asarray(guesses == labels["test"][arrays["codes/test/owner"]])


def counted(bits: float, constant: float) -> float:
    """The largest share of right guesses from a message of `bits` bits, where the best constant guess has `constant`.

    Each of 2^bits messages is answered by one label, so right guesses are at most 2^bits times the commonest label's.
    """
    return float(min(1.0, constant * 2.0 ** min(bits, 64.0)))


def fano(bits: float, shares: NDArray[np.float64]) -> float:
    """The largest share of right guesses that Fano's inequality allows from `bits` bits about a label with `shares`."""
    classes = int((shares > 0).sum())
    unknown = entropy(shares) - bits
    if unknown <= 0.0 or classes < 2:
        return 1.0
    low, high = 0.0, 1.0 - 1.0 / classes  # of wrong guesses, over which the right side rises
    for _ in range(_STEPS):
        wrong = 0.5 * (low + high)
        allowed = entropy(np.array([wrong, 1.0 - wrong])) + wrong * math.log2(classes - 1)
        low, high = (wrong, high) if allowed < unknown else (low, wrong)
    return 1.0 - low


def entropy(weights: NDArray[Any]) -> float:
    """Entropy in bits of the distribution that is proportional to `weights`."""
    shares = weights[weights > 0] / weights.sum()
    return float(-(shares * np.log2(shares)).sum()) + 0.0
