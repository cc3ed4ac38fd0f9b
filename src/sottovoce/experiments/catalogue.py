"""The experiments by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from sottovoce.errors import ConfigError
from sottovoce.experiments import (
    adr_games,
    codebook,
    digit_strings,
    figures,
    first_light,
    optin,
    paper_run,
    rdal,
    runner,
    shipped,
    speech,
    table1,
    transfer,
)
from sottovoce.experiments.experiment import Corpus, Experiment, parts
from sottovoce.parallel import Shard

EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType(
    {
        each.name: each
        for each in (
            adr_games.EXPERIMENT,
            codebook.EXPERIMENT,
            digit_strings.EXPERIMENT,
            figures.FIGURE3A,
            figures.FIGURE3B,
            figures.FIGURE4,
            first_light.EXPERIMENT,
            optin.OPTIN,
            optin.VARIANTS,
            paper_run.EXPERIMENT,
            rdal.RDAL,
            rdal.MIXING,
            shipped.EXPERIMENT,
            speech.EXPERIMENT,
            table1.EXPERIMENT,
            transfer.EXPERIMENT,
        )
    }
)


def run_experiment(name: str, corpora: Path, out: Path, workers: int, preset: str, shard: Shard | None = None) -> str:
    """Run an experiment and return its table; ConfigError for a name or a preset that it does not have.

    With a `shard` only its runs are done, and a sentence is returned.
    """
    if name not in EXPERIMENTS:
        raise ConfigError(f"unknown experiment '{name}'; expected list, or one of {', '.join(EXPERIMENTS)}.")
    return runner.run(EXPERIMENTS[name], corpora, out, workers, preset, shard)


def listed() -> str:
    """Every experiment with the question that it answers, the corpora that it needs, and what it costs."""
    lines = []
    for each in EXPERIMENTS.values():
        runs = [run for several in each.runs.values() for run in several]
        corpora = sorted({corpus.partition(":")[2] for run in runs for corpus in parts(run, Corpus)} - {""})
        lines += [each.name, f"  {each.question}", f"  Corpora: {', '.join(corpora) or 'none'}. Cost: {each.cost}."]
    return "\n".join(lines)
