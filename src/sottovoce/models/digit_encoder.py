"""The encoder of a filter for digit strings: causal, one code for each block of 40 ms.

    frames [B, 161, 4 n] -- two strided causal convolutions, a GRU --> logits [B, n, 11] -- onsets --> codes [B, n]

A block is four frames of 10 ms, and a frame reaches 10 ms past its middle: the code of a block needs no sample after
its end. All memory is the state, a flat mapping of named tensors that is passed in and out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from sottovoce.audio.spectrum import BINS
from sottovoce.models.digit_codes import BLANK, BLOCK_FRAMES, CODES

LOOKAHEAD_FRAMES = 0  # past the end of the block that a code is for

State = dict[str, Tensor]


class DigitEncoder(nn.Module):
    """Log spectra [B, 161, N] of sound at a fixed gain to logits [B, ceil(N / 4), 11], in parts or at once."""

    def __init__(self, width: int = 128, hidden: int = 160, dropout: float = 0.2) -> None:
        super().__init__()
        self.hidden = hidden
        self.width = width
        self.norm = nn.BatchNorm1d(BINS)  # in use a fixed scale for each bin
        self.first = nn.Conv1d(BINS, width, 5, stride=2)
        self.second = nn.Conv1d(width, width, 4, stride=2)
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(2))
        self.recurrent = nn.GRU(width, hidden, num_layers=2, batch_first=True, dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden, CODES)

    def initial_state(self, batch: int) -> State:
        """The state of `batch` streams before any sound."""
        return {
            "frames": torch.zeros(batch, BINS, 3),
            "inner": torch.zeros(batch, self.width, 2),
            "hidden": torch.zeros(2, batch, self.hidden),
            "label": torch.full((batch,), BLANK),
        }

    def step(self, frames: Tensor, state: State) -> tuple[Tensor, State]:
        """Codes [B, n] of the next n blocks, [B, 161, 4 n], and the state after them."""
        logits, after = self.advance(frames, state)
        best = logits.argmax(dim=2)
        before = torch.cat([state["label"][:, None], best], dim=1)
        codes = torch.where(best == before[:, :-1], BLANK, best)
        return codes, {**after, "label": before[:, -1]}

    def advance(self, frames: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits [B, n, 11] of the next n blocks, [B, 161, 4 n], and the state after them, but for the label."""
        joined = torch.cat([state["frames"], self.norm(frames)], dim=2)
        inner = torch.cat([state["inner"], functional.relu(self.norms[0](self.first(joined)))], dim=2)
        blocks = functional.relu(self.norms[1](self.second(inner))).transpose(1, 2)
        outputs, hidden = self.recurrent(self.dropout(blocks), state["hidden"])
        after = {"frames": joined[:, :, -3:], "inner": inner[:, :, -2:], "hidden": hidden, "label": state["label"]}
        return self.output(self.dropout(outputs)), after

    def forward(self, spectrum: Tensor) -> Tensor:
        """Logits [B, ceil(N / 4), 11] of whole sounds [B, 161, N], silence after their end."""
        padded = functional.pad(spectrum, (0, -spectrum.shape[2] % BLOCK_FRAMES))
        state = {name: tensor.to(spectrum.device) for name, tensor in self.initial_state(len(spectrum)).items()}
        return self.advance(padded, state)[0]

    def read(self, spectrum: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [B, M, 11] of padded spectra [B, 161, N] of so many `frames` [B]; how many of M are each one's [B]."""
        return self(spectrum), -(-frames // BLOCK_FRAMES)
