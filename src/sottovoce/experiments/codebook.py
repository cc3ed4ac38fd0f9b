"""The codebook beside the methods that it is meant to replace: same targets, same splits, same attackers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sottovoce.experiments.experiment import Experiment, Result, Table, percent
from sottovoce.experiments.figure_drawing import rate_curve
from sottovoce.experiments.filter_runs import FilterRun, Line, by_attribute, filter_run, train_and_audit
from sottovoce.models.codewords import RECORDINGS

SINGLE = (  # corpus, what is permitted, what is attacked
    ("ravdess:ravdess", ("emotion",), ("speaker", "gender")),
    ("ravdess:ravdess", ("gender",), ("speaker", "emotion")),
    ("ravdess:ravdess", ("speaker",), ("emotion", "gender")),
    ("emodb:emodb", ("emotion",), ("speaker", "gender", "sentence")),
    ("fsdd:fsdd", ("digit",), ("speaker",)),
)
BOTH = ("ravdess:ravdess", ("emotion", "gender"), ("speaker", "emotion", "gender"))
UNSEEN = ("ravdess:ravdess", ("emotion",), ("gender",))
CONSTANT_BLOCKS = 3
RATES = ((2, 1), (4, 1), (8, 1), (16, 1), (32, 1), (8, 2), (8, 4), (8, 16))  # codes, segments to a block


def _runs() -> Iterator[FilterRun]:
    """All of them, what matters most first."""
    for each in SINGLE:
        yield filter_run(*each, title="codebook", attackers="standard")
    for consent in ((), ("emotion",), ("gender",)):
        yield filter_run(*BOTH, title=f"codebook, {' and '.join(consent or BOTH[1])}", consent=consent)
    for codes, block in RATES:
        yield filter_run(*SINGLE[0], title=f"{codes} codes, {block} segments", codes=codes, block_segments=block)
    for each in SINGLE:
        yield filter_run(*each, title="opt-in, replaced", method="optin", preset="replaced")
    for each in SINGLE:
        yield filter_run(*each, title="codebook, constant", constant=CONSTANT_BLOCKS)
        yield filter_run(*each, title="codebook, black box", preset="black-box")
        yield filter_run(*each, title="codebook, black box, recordings", preset="black-box", codewords=RECORDINGS)
    yield filter_run(*UNSEEN, title="codebook, unseen people", split="speaker")
    for each in SINGLE:
        yield from (filter_run(*each, title="codebook", seed=seed) for seed in (1, 2))
        yield filter_run(*each, title="opt-in", method="optin")
        yield filter_run(*each, title="raw", method="raw")


def _lines(results: Sequence[Result]) -> Iterator[Line]:
    yield from (line for result in results for line in by_attribute(lambda _: 0, [result]))


def _bits(line: Line) -> str:
    bits = line.first["filter"]["bits_per_block"]
    return "none" if bits is None else f"{bits:.2f}"


def _strongest(line: Line) -> str:
    return ("" if line.strongest["converged"] else "at least ") + percent(line.strongest["score"])


def _leakage(line: Line) -> str:
    score = line.entries[0]["leakage"]
    return f"{100 * score['score']:+.1f} ({100 * score['low']:+.1f} to {100 * score['high']:+.1f})"


def _rates(results: Sequence[Result]) -> bytes:
    return rate_curve([result for result in results if "codes," in result["name"]])


TABLE = Table(
    (
        ("corpus, permitted", lambda line: f"{line.first['corpus']['name']}, {' and '.join(line.first['permit'])}"),
        ("method", lambda line: line.first["name"]),
        ("seed, attackers", lambda line: f"{line.first['seed']}, {line.first['attackers']}"),
        ("bits per block", _bits),
        ("target before", lambda line: percent(*line.targets("original"))),
        ("after", lambda line: percent(*line.targets("obfuscated"))),
        ("attacked", lambda line: line.attribute),
        ("chance", lambda line: percent(line.entries[0]["chance"])),
        ("floor", lambda line: percent(line.entries[0]["floor"]["score"])),
        ("ceiling", lambda line: percent(line.entries[0]["ceiling"]["score"])),
        ("strongest", _strongest),
        ("by", lambda line: "{attacker} ({knowledge}, {input})".format(**line.strongest)),
        ("leakage", _leakage),
        ("verdict", lambda line: line.entries[0]["verdict"]),
    ),
    _lines,
)

EXPERIMENT = Experiment(
    "codebook",
    "What do the application and attackers get from a codebook filter, beside the opt-in methods and over its rate?",
    "3.1 core-hours (x86) for 43 of its 59 runs",
    {"compact": tuple(_runs())},
    train_and_audit,
    TABLE,
    {"-rates": _rates},
)
