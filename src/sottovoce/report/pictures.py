"""The pictures of a report, each with `name`: what the ids inside it begin with; on one page, give each its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sottovoce.report.canvas import INK, MARKS, mark, reference_lines, style, svg
from sottovoce.report.findings import label
from sottovoce.report.wording import short

LONGEST_LABEL = 38
_TICKS = 5
Row = Mapping[str, Any]


def trade(name: str, attribute: Row, task: str, target: Row) -> Markup:
    """The opt-in paper's Figure 3 for one private attribute: target accuracy over attackers' accuracy, both in %."""
    with style():
        figure = Figure(figsize=(2.9, 2.7), layout="constrained")
        axes = figure.subplots()
        reference_lines(axes, {name: attribute[name] for name in ("chance", "floor")})
        axes.axhline(100 * target["original"]["score"], color=INK, lw=0.8, ls="--")
        for kind, attacker, application in trade_points(attribute, target):
            x, y = 100 * attacker["score"], 100 * application["score"]
            axes.plot([100 * attacker["low"], 100 * attacker["high"]], [y, y], color=MARKS[kind][1], lw=1.2)
            axes.plot([x, x], [100 * application["low"], 100 * application["high"]], color=MARKS[kind][1], lw=1.2)
            mark(axes, x, y, kind, attacker["converged"])
        axes.set(xlim=(-3, 103), ylim=(-3, 103), xlabel="attacker's accuracy, %", box_aspect=1)
        axes.set_ylabel(f"target accuracy, {short(task, 18)}, %", parse_math=False)
        return svg(name, "The application's accuracy over the attackers' accuracy; the table has the values.", figure)


def trade_points(attribute: Row, target: Row) -> list[tuple[str, Row, Row]]:
    """What `trade` draws: (mark, attacker, the target's accuracy on the same sound).

    Of each knowledge the attacker that did best on validation, as the worst of all is chosen; none where nobody had it.
    """
    points = [("original", attribute["ceiling"], target["original"])]
    for knowledge in ("ignorant", "informed", "white-box"):
        rows = [row for row in attribute["attackers"] if row["knowledge"] == knowledge]
        if rows:
            best = max(rows, key=lambda row: (row["validation"], row["score"]))
            points.append((knowledge, best, target["obfuscated"]))
    return points


def ladder(name: str, attribute: Row) -> Markup:
    """Every attacker of one private attribute with its interval, best first; below them those on original sound."""
    filtered, originals = ranked(attribute["attackers"]), ranked(attribute["originals"])
    rungs = [(row["knowledge"], row) for row in filtered] + [("original", row) for row in originals]
    with style():
        figure = Figure(figsize=(4.4, 0.9 + 0.18 * len(rungs)), layout="constrained")
        axes = figure.subplots()
        reference_lines(axes, {name: attribute[name] for name in ("chance", "floor", "ceiling")})
        for height, (kind, row) in enumerate(rungs):
            axes.plot([100 * row["low"], 100 * row["high"]], [height, height], color=MARKS[kind][1], lw=1.2)
            mark(axes, 100 * row["score"], height, kind, row["converged"])
        if filtered and originals:
            axes.axhline(len(filtered) - 0.5, color=INK, lw=0.4)
        axes.set(xlim=(-2, 102), ylim=(len(rungs) - 0.4, -0.6), xlabel="accuracy, %")
        axes.set_yticks(range(len(rungs)), [short(label(row), LONGEST_LABEL) for _, row in rungs], parse_math=False)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        return svg(name, "Accuracy of every attacker with its interval; the table has the values.", figure)


def ranked(attackers: Sequence[Row]) -> list[Row]:
    """Attackers, the most accurate first."""
    return sorted(attackers, key=lambda attacker: -attacker["score"])


def budget(name: str, attribute: Row, axis: Literal["recordings", "steps"]) -> Markup | None:
    """Accuracy on validation over what an attacker was given, the worst one bold; None where nobody was given less."""
    drawn = sorted(budgets(attribute, axis), key=lambda row: row == attribute["worst"])
    if not drawn:
        return None
    with style():
        figure = Figure(figsize=(2.9, 2.2), layout="constrained")
        axes = figure.subplots()
        for row in drawn:
            colour, worst = MARKS[row["knowledge"]][1], row == attribute["worst"]
            x, y = zip(*row["curve"][axis], strict=True)
            axes.plot(x, [100 * share for share in y], color=colour, lw=2 if worst else 0.8, alpha=1 if worst else 0.7)
            if worst:
                mark(axes, x[-1], 100 * y[-1], row["knowledge"], row["converged"])
        axes.axhline(100 * attribute["chance"], color=INK, lw=0.8, ls="--")
        axes.set(ylim=(-3, 103), ylabel="on validation, %", xlabel=f"training {axis}")
        _doubling(axes, [amount for row in drawn for amount, _ in row["curve"][axis]])
        return svg(name, f"Accuracy on validation over training {axis}; the table has the values.", figure)


def budgets(attribute: Row, axis: Literal["recordings", "steps"]) -> list[Row]:
    """The attackers of which more than one budget is known."""
    return [row for row in attribute["attackers"] if len(row["curve"][axis]) > 1]


def pooled(name: str, attribute: Row) -> Markup:
    """Accuracy of the worst attacker when what it makes of several utterances of a person is added up."""
    amounts = [point["utterances"] for point in attribute["pooled"]]
    with style():
        figure = Figure(figsize=(2.9, 2.2), layout="constrained")
        axes = figure.subplots()
        colour = MARKS[attribute["worst"]["knowledge"]][1]
        axes.plot(amounts, [100 * point["score"] for point in attribute["pooled"]], color=colour, lw=1.2)
        for point in attribute["pooled"]:
            x = point["utterances"]
            axes.plot([x, x], [100 * point["low"], 100 * point["high"]], color=colour, lw=1.2)
            mark(axes, x, 100 * point["score"], attribute["worst"]["knowledge"])
        axes.set(ylim=(-3, 103), ylabel="accuracy, %", xlabel="recordings of one person")
        _doubling(axes, amounts)
        return svg(name, "Accuracy over recordings of one person put together; the table has the values.", figure)


def _doubling(axes: Axes, amounts: Sequence[int]) -> None:
    """A horizontal axis on which doubling is a step, with ticks at amounts that occur, far enough apart to be read."""
    axes.set_xscale("log", base=2)
    ticks: list[int] = []
    apart = max(1.5, (max(amounts) / min(amounts)) ** (1 / _TICKS))
    for amount in sorted(set(amounts), reverse=True):
        if not ticks or ticks[-1] >= apart * amount:
            ticks.append(amount)
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()
