"""Restoring: a fresh deobfuscator, trained on pairs of obfuscated and original sound; then reading what it restored."""

from __future__ import annotations

from typing import Self

import numpy as np
import torch
from torch.nn import functional

from sottovoce.attack.attacker import Array, Attacker, Heard, Labels
from sottovoce.models.compact import CompactAutoencoder

_BATCH = 16


class Restorer:
    """Learns to turn obfuscated spectra back into their originals, [S, 161, 128] each."""

    def __init__(self, steps: int, seed: int) -> None:
        self.steps = steps
        self.seed = seed

    def fit(self, obfuscated: Array, original: Array) -> Self:
        torch.manual_seed(self.seed)
        rng = np.random.default_rng(self.seed)
        self.network_ = CompactAutoencoder(width=24, blocks=2)
        optimiser = torch.optim.AdamW(self.network_.parameters())
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=self.steps)
        for _ in range(self.steps):
            chosen = rng.integers(0, len(obfuscated), _BATCH)
            restored = self.network_(torch.from_numpy(obfuscated[chosen]))
            loss = functional.mse_loss(restored, torch.from_numpy(original[chosen]))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
        self.network_.eval()
        return self

    def restore(self, obfuscated: Array) -> Array:
        """Restored spectra [S, 161, 128]."""
        with torch.no_grad():
            parts = torch.split(torch.from_numpy(obfuscated), 64)
            return torch.cat([self.network_(part) for part in parts]).numpy()


class RestoreThenRead:
    """An attacker that was fitted on originals, reading what the restorer made of the obfuscated sound."""

    needs = "pairs of recordings with and without the filter, and labelled originals"

    def __init__(self, restorer: Restorer, reader: Attacker) -> None:
        self.name = f"restore, then {reader.name}"
        self.restorer = restorer
        self.reader = reader

    def fit(self, train: Heard, labels: Labels, validation: Heard, validation_labels: Labels, classes: int) -> Self:
        """Nothing is left to learn: both parts are fitted already."""
        self.converged_ = self.reader.converged_
        return self

    def scores(self, heard: Heard) -> Array:
        return self.reader.scores(Heard(self.restorer.restore(heard.spectra), heard.owner))
