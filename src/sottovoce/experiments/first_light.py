"""The opt-in game on real recordings: RAVDESS and EmoDB, latent and raw loss, three seeds each."""

from __future__ import annotations

from functools import partial

from sottovoce.experiments.experiment import Experiment, Result, Table, percent
from sottovoce.experiments.filter_runs import Line, by_attribute, filter_run, train_and_audit

SETTINGS = (
    ("ravdess:ravdess", ("emotion",), ("speaker", "gender")),
    ("ravdess:ravdess", ("gender",), ("speaker", "emotion")),
    ("emodb:emodb", ("emotion",), ("speaker", "gender")),
)
METHODS = ("optin", "raw")


def _key(result: Result) -> tuple[str, ...]:
    return result["corpus"]["name"], *result["permitted"], result["method"]


def _uninformed(entry: Result) -> float:
    return max(float(row["score"]) for row in entry["attackers"] if row["knowledge"] == "uninformed")


def _strongest(line: Line) -> str:
    row = line.strongest
    return f"{row['attacker']}: {percent(row['low'])} to {percent(row['high'])}"


TABLE = Table(
    (
        ("corpus, permitted", lambda line: f"{line.first['corpus']['name']}, {', '.join(line.first['permitted'])}"),
        ("method", lambda line: line.first["method"]),
        ("target before", lambda line: percent(line.targets("original")[0])),
        ("target after", lambda line: percent(*line.targets("obfuscated"))),
        ("attribute", lambda line: line.attribute),
        ("chance", lambda line: percent(line.entries[0]["chance"])),
        ("floor", lambda line: percent(line.entries[0]["floor"]["score"])),
        ("ceiling", lambda line: percent(line.entries[0]["ceiling"]["score"])),
        ("uninformed", lambda line: percent(*map(_uninformed, line.entries))),
        ("strongest, each seed", lambda line: percent(*(entry["strongest"]["score"] for entry in line.entries))),
        ("strongest attacker", _strongest),
        ("leakage over the floor", lambda line: percent(*(entry["leakage"]["score"] for entry in line.entries))),
        ("verdicts", lambda line: ", ".join(entry["verdict"] for entry in line.entries)),
    ),
    partial(by_attribute, _key),
)


def _attackers(method: str, seed: int) -> str:
    """The first filter of the paper's loss meets the standard attackers."""
    return "standard" if (method, seed) == ("optin", 0) else "quick"


EXPERIMENT = Experiment(
    "first-light",
    "What do attackers read from filters of the opt-in game, with the paper's loss and with the raw one?",
    "1.2 core-hours (x86) of audits, 2 to 4 min to train each of 18 filters",
    {
        "compact": tuple(
            filter_run(*each, method=method, seed=seed, audit_seed=seed, attackers=_attackers(method, seed))
            for seed in (0, 1, 2)
            for each in SETTINGS
            for method in METHODS
        )
    },
    train_and_audit,
    TABLE,
)
