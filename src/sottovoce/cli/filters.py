"""The verbs of `sottovoce filters`: list and show."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sottovoce.cli import shared
from sottovoce.cli.shared import FilterName, Json, app
from sottovoce.cli.train import others

if TYPE_CHECKING:
    from sottovoce.runtime.filter import Filter

filters = typer.Typer(
    no_args_is_help=True, help="List the bundled filters, or show every sound that a filter can send."
)
app.add_typer(filters, name="filters")


@filters.command("list")
def filters_list(json_: Json = False) -> None:
    """List the bundled filters and the tasks that each can permit."""
    from sottovoce.runtime import bundled

    shared.show(
        {name: list(tasks) for name, tasks in bundled.known().items()},
        json_,
        lambda known: "\n".join(f"{name:20} permits {', '.join(tasks)}" for name, tasks in known.items()),
    )


@filters.command("show")
def filters_show(
    filter_: FilterName,
    out: Annotated[Path, typer.Option(help="Page to write.")] = Path("codewords.html"),
    json_: Json = False,
) -> None:
    """Write a page with every codeword that can ever leave a codebook filter, as a picture and as sound."""
    with shared.needs("audit"):
        from sottovoce.models.rejection import rejections
        from sottovoce.report.codewords_page import write_codewords_page

        loaded = chosen_filter(filter_, None, 0)
        count, none = write_codewords_page(loaded, out), rejections(loaded.card)
    lines = [
        f"{count} codewords; open {out}",
        *others(loaded.card),
        *(f"{task}: {known.sentence}" for task, known in none.items()),
    ]
    shown = {"none": {task: known._asdict() for task, known in none.items()}} if none else {}
    shared.show({"codewords": count, "page": str(out), **shown}, json_, lambda _: "\n".join(lines))


def chosen_filter(name: str | None, permit: str | None, constant: int) -> Filter:
    """The filter of that name or folder, or else the bundled one for these tasks, switched to them."""
    from sottovoce.runtime import bundled
    from sottovoce.runtime.filter import Filter

    tasks = shared.names(permit)
    loaded = Filter.load(bundled.for_tasks(tasks) if name is None else name)
    if permit is not None:
        loaded = loaded.permitting(tasks)
    return loaded.constant(constant) if constant else loaded
