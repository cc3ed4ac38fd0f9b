"""How often verdicts are wrong, on channels of which the true leakage is known:.

    python benchmarks/verdicts.py [--audits N]

writes results/verdicts.json and docs/verdicts.svg, in under three minutes on one core. People differ in how easily they
are guessed (standard deviation 0.12); without people, every recording is guessed with the same probability. The floor
is a constant guess, and attackers are always right about originals.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from sottovoce.audit.bootstrap import ratio
from sottovoce.audit.metrics import difference
from sottovoce.audit.results import Interval
from sottovoce.audit.verdicts import TOLERANCE, verdict

LEAKS = (0.0, 0.02, 0.05, 0.08, 0.12)
HERE = Path(__file__).resolve().parents[1]
Drawn = tuple[np.ndarray, np.ndarray, np.ndarray]  # right, labels and clusters [U]
Channel = Callable[[np.random.Generator, float], Drawn]


def of_people(people: int, each: int) -> Channel:
    """Two classes, such as gender; the recordings of a person are alike."""

    def draw(rng: np.random.Generator, leak: float) -> Drawn:
        person = np.repeat(np.arange(people), each)
        easy = np.clip(0.5 + leak + rng.normal(0.0, 0.12, people), 0.0, 1.0)
        return rng.random(len(person)) < easy[person], person % 2, person

    return draw


def of_recordings(count: int, classes: int, balanced: bool) -> Channel:
    """The label is who speaks; balanced, or at random."""

    def draw(rng: np.random.Generator, leak: float) -> Drawn:
        labels = np.arange(count) % classes if balanced else rng.integers(0, classes, count)
        return rng.random(count) < 1 / classes + leak, labels, np.arange(count)

    return draw


CHANNELS: dict[str, Channel] = {
    "gender: 6 people, 15 recordings each": of_people(6, 15),
    "gender: 24 people, 12 recordings each": of_people(24, 12),
    "gender: 125 people, 20 recordings each": of_people(125, 20),
    "speaker: one of 24, 288 recordings": of_recordings(288, 24, True),
    "speaker: one of 24, 60 recordings": of_recordings(60, 24, False),
    "speaker: one of 10, 60 recordings": of_recordings(60, 10, False),
}


def before(right: np.ndarray, labels: np.ndarray, cluster: np.ndarray, rng: np.random.Generator) -> tuple[Any, str]:
    """The former rule: the floor knows the commonest class of test, and "leaks" needs proof, or 10 points."""
    floor = labels == np.bincount(labels).argmax()
    found = ratio(right.astype(float) - floor, np.ones(len(right)), cluster, int(rng.integers(1 << 31)))
    return found, "leaks" if found.low > TOLERANCE or found.score > 0.1 else "hidden"


def after(right: np.ndarray, labels: np.ndarray, cluster: np.ndarray, rng: np.random.Generator) -> tuple[Any, str]:
    """The rule of this version."""
    chance = 1.0 / len(np.unique(labels))
    found = difference(right, labels == labels[0], labels, cluster)
    constant = Interval(score=chance, low=0.0, high=1.0)
    return found, verdict(found, constant, Interval(score=1.0, low=0.95, high=1.0), chance)


def measured(channel: Channel, leak: float, rule: Callable[..., tuple[Any, str]], audits: int) -> dict[str, float]:
    """Shares of audits with each verdict, and of those whose interval holds the true leakage."""
    rng = np.random.default_rng(0)
    found = [rule(*channel(rng, leak), rng) for _ in range(audits)]
    shares = {name: float(np.mean([one == name for _, one in found])) for name in ("hidden", "leaks", "not shown")}
    return shares | {
        "coverage": float(np.mean([one.low <= leak <= one.high for one, _ in found])),
        "width": float(np.mean([one.high - one.low for one, _ in found])),
    }


def drawn(results: dict[str, Any]) -> Figure:
    """The share of audits that say "hidden", and "leaks", over the true leakage."""
    figure = Figure(figsize=(9, 5.6), layout="constrained")
    places = figure.subplots(2, 3, sharex=True, sharey=True)
    for axes, (name, rules) in zip(places.flat, results["channels"].items(), strict=True):
        for rule, style in (("before", ":"), ("after", "-")):
            for kind, colour in (("hidden", "#00634a"), ("leaks", "#ad3b00")):
                shares = [100 * rules[rule][f"{leak:g}"][kind] for leak in LEAKS]
                axes.plot(
                    [100 * leak for leak in LEAKS],
                    shares,
                    style,
                    color=colour,
                    marker="o",
                    ms=3,
                    label=f"{kind}, {rule}",
                )
        axes.axvline(100 * TOLERANCE, color="#5d646e", lw=0.8, ls="--")
        axes.set_title(name, fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("true leakage, percentage points (dashed: the tolerance)", fontsize=9)
    figure.supylabel("share of audits with the verdict, %", fontsize=9)
    figure.legend(
        *places[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4, fontsize=9, frameon=False
    )
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audits", type=int, default=600)
    audits = parser.parse_args().audits
    rules = {"before": before, "after": after}
    channels = {
        name: {
            rule: {f"{leak:g}": measured(channel, leak, judge, audits) for leak in LEAKS}
            for rule, judge in rules.items()
        }
        for name, channel in CHANNELS.items()
    }
    eight = np.arange(8) % 2
    constant = difference(eight == 0, eight == 0, eight, np.arange(8))
    results = {"audits": audits, "channels": channels, "constant guess on eight recordings": constant.model_dump()}
    (HERE / "results" / "verdicts.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    figure = drawn(results)
    figure.savefig(HERE / "docs" / "verdicts.svg", metadata={"Date": None})
    print("| channel | 5 points called hidden | none called leaking | coverage, 0 and 5 points | none called hidden |")
    print("|---|---|---|---|---|")
    for name, found in channels.items():
        cells = []
        for five, none, key in (
            ("0.05", "0", "hidden"),
            ("0", "0", "leaks"),
            ("0", "0.05", "coverage"),
            ("0", "0", "hidden"),
        ):
            shares = [
                " and ".join(f"{100 * found[rule][leak][key]:.1f}" for leak in dict.fromkeys((five, none)))
                if key == "coverage"
                else f"{100 * found[rule][five][key]:.1f}"
                for rule in rules
            ]
            cells.append(" → ".join(shares))
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
