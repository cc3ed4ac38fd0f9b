"""What a filter that draws from codes can tell at most, to anybody: counted, not attacked. docs/bound.md has the proof.

bits of a sound = its blocks * log2 of the number of joint codes
bits of a window of s seconds of a stream = those of ceil(s / block) + 1 blocks, since it may begin within a block
right guesses <= 2^bits * those of the best constant guess               (counting, Smith 2009)
entropy of the label - bits <= h(wrong) + wrong * log2(classes - 1)      (Fano)
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from sottovoce.attack.attacker import Labels
from sottovoce.audio.segment import cut
from sottovoce.audit import metrics
from sottovoce.audit.case import Case
from sottovoce.audit.mutual_information import entropy
from sottovoce.audit.results import Bound, BoundedAttribute, BoundFacts, PrivateFacts, Span, fields
from sottovoce.audit.scores import Scores
from sottovoce.audit.system import Channel
from sottovoce.runtime.engine import Rate

RECORDING = "the longest recording"
WINDOWS_S = {"any 1 s of a stream": 1.0, "any 1 min of it": 60.0, "any 1 h of it": 3600.0}
_STEPS = 60  # of bisection: to the last bit


def gather(case: Case, channel: Channel, scores: Scores) -> BoundFacts:
    """Add the joint code of every block of the training and test clips to `scores`."""
    for part in ("train", "test"):
        codes = [channel.codes(cut(case.sounds.wave(int(clip)))) for clip in case.clips(part)]
        scores[f"codes/{part}"] = np.concatenate(codes)
        scores[f"codes/{part}/owner"] = np.repeat(np.arange(len(codes)), [len(each) for each in codes])
    return BoundFacts(codes=dict(channel.sizes), block_s=channel.block_s, constant_blocks=channel.blocks)


def summary(facts: BoundFacts, private: Mapping[str, PrivateFacts], scores: Scores) -> Bound:
    """The bound, what of it was used, and what it leaves to guess of each private attribute."""
    bits = sum(math.log2(size) for size in facts.codes.values())
    count = math.prod(facts.codes.values())
    every = Rate(bits, facts.block_s * max(1, facts.constant_blocks))  # constant blocks tell one code
    blocks = int(np.bincount(scores["codes/test/owner"]).max())
    sent_bits = {RECORDING: bits * blocks} | {name: every.window_bits(s) for name, s in WINDOWS_S.items()}
    return Bound(
        **fields(facts, BoundFacts),
        bits_per_block=bits,
        entropy_bits_per_block=entropy(np.bincount(scores["codes/train"], minlength=count)),
        attributes={
            task: _attribute(task, len(known.class_names), count, sent_bits, scores)
            for task, known in private.items()
            if f"{task}/speakers/test" not in scores  # whose recordings are not those of the codes
        },
    )


def _attribute(task: str, classes: int, count: int, sent_bits: Mapping[str, float], scores: Scores) -> BoundedAttribute:
    train, test = scores.labels(task, "train"), scores.labels(task)
    right = table_attacker(scores, train, test, count, classes)
    shares = np.bincount(test, minlength=classes) / len(test)
    spans = []
    for name, sent in sent_bits.items():
        by_count, by_fano = counted(sent, float(shares.max())), fano(sent, shares)
        spans.append(Span(span=name, bits=sent, counted=by_count, fano=by_fano, accuracy=min(by_count, by_fano)))
    block = metrics.accuracy(right, scores.cluster(task)[scores["codes/test/owner"]])
    return BoundedAttribute(entropy_bits=entropy(shares), block=block, spans=spans)


def table_attacker(scores: Scores, train: Labels, test: Labels, count: int, classes: int) -> NDArray[np.bool_]:
    """Whether the best guess from the code of a single block is right, for each test block [B]; labels are [U].

    It is a table: of each code the label that it stood for most often in training. No attacker of one block does better
    than the true table, of which this is the estimate.
    """
    table = np.zeros((count, classes))
    np.add.at(table, (scores["codes/train"], train[scores["codes/train/owner"]]), 1.0)
    table += np.bincount(train, minlength=classes) / (len(train) + 1.0)  # codes never seen
    guesses: Labels = table.argmax(axis=1)[scores["codes/test"]]
    return np.asarray(guesses == test[scores["codes/test/owner"]])


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
