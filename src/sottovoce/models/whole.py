"""A filter without any code around it, as two networks: sound to spectra, and posteriors to the sound of codewords.

What `runtime` does in numpy, for export into one graph. All memory is in named tensors that go in and come out.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sottovoce.audio.griffin_lim import MARGIN_SAMPLES
from sottovoce.audio.highpass import CELLS, KNOT_SAMPLES, spline
from sottovoce.audio.level import KNEE, MAX_GAIN
from sottovoce.audio.segment import LEVEL_RMS, SILENT
from sottovoce.audio.spectrum import BINS, HOP_SAMPLES, SEGMENT_FRAMES, WINDOW_SAMPLES
from sottovoce.models.codebook import SAMPLES, SOUND_SAMPLES, Codebook

STATE = ("heard_so_far", "blocks", "tail")  # names of ports in exported graphs


class FrontEnd(nn.Module):
    """Sound [B, 20480] at 16 kHz to standardised log spectra [B, 161, 128]: `audio.segment.front_end` in real numbers.

    The transform is a convolution with windowed cosines and sines.
    """

    waves: Tensor
    pieces: Tensor
    inverse: Tensor

    def __init__(self) -> None:
        super().__init__()
        turns = np.outer(np.arange(BINS), np.arange(WINDOW_SAMPLES)) * (2.0 * np.pi / WINDOW_SAMPLES)
        window = np.hamming(WINDOW_SAMPLES + 1)[:-1]
        waves = np.concatenate([np.cos(turns), np.sin(turns)])[:, None] * window
        self.register_buffer("waves", torch.from_numpy(waves.astype(np.float32)))
        for name, table in zip(("pieces", "inverse"), spline(), strict=True):
            self.register_buffer(name, torch.from_numpy(table))

    def _high_pass(self, sound: Tensor) -> Tensor:
        """`audio.highpass.high_pass` of [B, 20480]."""
        cells = sound.reshape(-1, CELLS, KNOT_SAMPLES) @ self.pieces.T
        order = range(len(self.pieces))
        shifted = [functional.pad(cells[:, :, k], (k, len(order) - 1 - k)) for k in order]
        products = torch.stack(shifted).sum(dim=0)
        weights = products @ self.inverse
        under = torch.stack([weights[:, k : k + CELLS] for k in order], dim=2)
        return sound - (under @ self.pieces).reshape(sound.shape)

    def forward(self, sound: Tensor) -> Tensor:
        """Spectra [B, 161, 128] of segments [B, 20480]."""
        sound = self._high_pass(sound)
        rms = sound.square().mean(dim=1, keepdim=True).sqrt()
        level = sound * (LEVEL_RMS / rms.clamp(min=LEVEL_RMS / MAX_GAIN))
        padded = functional.pad(level[:, None], (WINDOW_SAMPLES // 2, 0))
        padded = functional.pad(padded, (0, WINDOW_SAMPLES // 2))
        parts = functional.conv1d(padded, self.waves, stride=HOP_SAMPLES)[:, :, :SEGMENT_FRAMES]
        magnitude = (parts[:, :BINS].square() + parts[:, BINS:].square()).sqrt()
        log = (1.0 + magnitude).log()
        centred = log - log.mean(dim=(1, 2), keepdim=True)
        deviation = (centred.square().sum(dim=(1, 2), keepdim=True) / (BINS * SEGMENT_FRAMES - 1)).sqrt()
        return torch.where(deviation > SILENT, centred / deviation.clamp(min=SILENT), torch.zeros(()))


class CodewordDecoder(nn.Module):
    """Log posteriors [B, C] of one block of segments to its sound [20480 B], `MARGIN_SAMPLES` late; state in and out.

    What `Codebook` does: the sounds of all codewords are kept in 8 bits. `permit` [T] is 1 for each task that is
    permitted, 0 for others.
    """

    sounds: Tensor
    samples: Tensor
    fade: Tensor

    def __init__(self, codebook: Codebook) -> None:
        super().__init__()
        self.book = codebook
        self.register_buffer("sounds", torch.from_numpy(codebook.sounds.reshape(-1, SOUND_SAMPLES)))
        self.register_buffer("samples", torch.from_numpy(SAMPLES))
        turn = (torch.arange(2 * MARGIN_SAMPLES) + 0.5) * (math.pi / 2 / (2 * MARGIN_SAMPLES))
        self.register_buffer("fade", torch.stack([turn.cos(), turn.sin()]))
        for number, centres in enumerate(codebook.centres):
            self.register_buffer(f"centres{number}", torch.from_numpy(centres))

    def initial_state(self) -> dict[str, Tensor]:
        """The state before a sound."""
        return {
            "heard_so_far": torch.zeros(self.book.classes),
            "blocks": torch.zeros(1, dtype=torch.int64),
            "tail": torch.zeros(2 * MARGIN_SAMPLES),
        }

    def forward(
        self, log_posteriors: Tensor, permit: Tensor, total: Tensor, blocks: Tensor, tail: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The sound [20480 B] and the state after it; what was kept of a task that is not permitted is forgotten."""
        book, nothing = self.book, torch.zeros(())
        on = permit >= 1.0  # whatever is less is revoked, everywhere
        posteriors = log_posteriors.exp()
        weights = book.memory ** torch.arange(book.block_segments - 1, -1, -1)[:, None]
        block = (weights * posteriors).sum(dim=0)
        index = blocks.clamp(max=book.positions - 1)
        totals: list[Tensor] = []
        for number, part in enumerate(book.columns()):
            centres: Tensor = getattr(self, f"centres{number}")
            some = posteriors[:, part.stop].mean() <= book.none_above[number]
            added = torch.where(on[number] & some, block[part], nothing)
            own = book.memory**book.block_segments * torch.where(on[number], total[part], nothing) + added
            known = own.sum()
            distance = (centres - own / known.clamp(min=1e-12)).square().sum(dim=1)
            code = 1 + distance.argmin(dim=0, keepdim=True)
            index = index * (len(centres) + 1) + code * (on[number] & some & (known > 0.0)).to(torch.int64)
            totals += [own, torch.zeros(1)]
        margin = 2 * MARGIN_SAMPLES
        parts: list[Tensor] = []
        for _ in range(book.block_segments):
            sound = self.samples[self.sounds.index_select(0, index)[0].to(torch.int64)]
            met = tail * self.fade[0] + sound[:margin] * self.fade[1]
            late = torch.cat([torch.zeros(MARGIN_SAMPLES), sound[MARGIN_SAMPLES:margin]])
            parts += [met if parts else torch.where(blocks > 0, met, late), sound[margin:-margin]]
            tail = sound[-margin:]
        wav = torch.cat(parts)
        over = (wav.abs() - float(KNEE)).clamp(min=0.0)
        bent = torch.where(over > 0, wav.sign() * float(KNEE) * (1.0 + (over / float(KNEE)).tanh()), wav)
        return bent, torch.cat(totals), blocks + 1, tail
