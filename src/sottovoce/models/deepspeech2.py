"""DeepSpeech2 as a classifier: the paper's target, and the architecture of its attackers.

Amodei et al. 2016; sizes as Wang et al. 2022 set them (16 convolution maps, 64 recurrent units, the last layer sized to
the classes). Kernels, strides, clipped rectifier, summed directions and batch normalisation between recurrent layers
follow the widely used PyTorch implementation. The paper does not give the number of recurrent layers; here it is 3.
"""

from __future__ import annotations

from torch import Tensor, nn

from sottovoce.audio.spectrum import BINS


class DeepSpeech2(nn.Module):
    """Log spectra [B, 161, N] to logits [B, K]: two convolutions, recurrent layers, mean over time, linear."""

    def __init__(self, classes: int, maps: int = 16, hidden: int = 64, layers: int = 3) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(1, maps, (41, 11), stride=(2, 2), padding=(20, 5)),
            nn.BatchNorm2d(maps),
            nn.Hardtanh(0.0, 20.0),
            nn.Conv2d(maps, maps, (21, 11), stride=(2, 1), padding=(10, 5)),
            nn.BatchNorm2d(maps),
            nn.Hardtanh(0.0, 20.0),
        )
        bins = (BINS + 3) // 4  # two strides of 2, rounded up
        sizes = [maps * bins] + [hidden] * (layers - 1)
        self.recurrent = nn.ModuleList(nn.GRU(size, hidden, batch_first=True, bidirectional=True) for size in sizes)
        self.norms = nn.ModuleList(nn.BatchNorm1d(hidden) for _ in range(layers))
        self.output = nn.Linear(hidden, classes, bias=False)

    def forward(self, spectrum: Tensor) -> Tensor:
        """Logits [B, K] of standardised log spectra [B, 161, N]."""
        hidden = self.convolutions(spectrum.unsqueeze(1)).flatten(1, 2).transpose(1, 2)  # [B, N / 2, maps * bins]
        for recurrent, norm in zip(self.recurrent, self.norms, strict=True):
            forwards, backwards = recurrent(hidden)[0].chunk(2, dim=-1)
            hidden = norm((forwards + backwards).transpose(1, 2)).transpose(1, 2)
        logits: Tensor = self.output(hidden.mean(dim=1))
        return logits
