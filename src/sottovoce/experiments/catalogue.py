"""The experiments by name: each takes the folder of the corpora, a folder to write and how many run side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from sottovoce.errors import ConfigError
from sottovoce.experiments import (
    ablation,
    adr_games,
    codebook,
    digit_strings,
    figure3,
    figure4,
    first_light,
    paper_run,
    rdal,
    rdal_mixing,
    shipped,
    table1,
)

EXPERIMENTS: Mapping[str, Callable[[Path, Path, int], str]] = MappingProxyType(
    {
        "ablation": ablation.run,
        "adr-games": adr_games.run,
        "codebook": codebook.run,
        "digit-strings": digit_strings.run,
        "figure3a": figure3.run_a,
        "figure3b": figure3.run_b,
        "figure4": figure4.run,
        "first-light": first_light.run,
        "paper-run": paper_run.run,
        "rdal": rdal.run,
        "rdal-mixing": rdal_mixing.run,
        "shipped": shipped.run,
        "table1": table1.run,
    }
)
# Those of the opt-in paper's figures, which can also be made in its sizes.
SIZED: Mapping[str, Callable[[Path, Path, int, str], str]] = MappingProxyType(
    {"figure3a": figure3.run_a, "figure3b": figure3.run_b, "figure4": figure4.run}
)
PRESETS = ("compact", "paper")


def run_experiment(name: str, corpora: Path, out: Path, workers: int, preset: str) -> str:
    """Run an experiment, and return its table; ConfigError for a name or a preset that it does not have."""
    if name not in EXPERIMENTS:
        raise ConfigError(f"unknown experiment '{name}'; known: {', '.join(EXPERIMENTS)}.")
    if preset not in PRESETS:
        raise ConfigError(f"unknown preset '{preset}' of an experiment; known: {', '.join(PRESETS)}.")
    if preset == PRESETS[0]:
        return EXPERIMENTS[name](corpora, out, workers)
    if name not in SIZED:
        raise ConfigError(f"--preset {preset} is for {', '.join(SIZED)}; '{name}' says itself which sizes it has.")
    return SIZED[name](corpora, out, workers, preset)
