"""The experiments by name: each takes the folder of the corpora, a folder to write and how many run side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from sottovoce.experiments import (
    ablation,
    codebook,
    digit_strings,
    figure3,
    figure4,
    first_light,
    loss_weights,
    paper_run,
    rdal,
    rdal_mixing,
    shipped,
    table1,
)

EXPERIMENTS: Mapping[str, Callable[[Path, Path, int], str]] = MappingProxyType(
    {
        "ablation": ablation.run,
        "codebook": codebook.run,
        "digit-strings": digit_strings.run,
        "figure3a": figure3.run_a,
        "figure3b": figure3.run_b,
        "figure4": figure4.run,
        "first-light": first_light.run,
        "loss-weights": loss_weights.run,
        "paper-run": paper_run.run,
        "rdal": rdal.run,
        "rdal-mixing": rdal_mixing.run,
        "shipped": shipped.run,
        "table1": table1.run,
    }
)
