"""An attacker on samples as they are: every channel at its own rate, with their phases and their exact levels."""

from __future__ import annotations

from torch import Tensor, nn

from sottovoce.attack.families import ATTACKERS
from sottovoce.attack.network import NetworkAttacker


@ATTACKERS.register("raw")
class RawWaveAttacker(NetworkAttacker):
    """Strided convolutions on the waveform, then attention over time."""

    name = "network on samples"
    cost = 9
    first_cycle = 60

    def network(self, classes: int, bins: int, frames: int) -> nn.Module:
        return _RawWave(classes, bins)


class _RawWave(nn.Module):
    """Samples of 16 bits, or any other signal, [B, C, T] to logits [B, K]."""

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.BatchNorm1d(channels),
            *_convolution(channels, 32, 64, 8),
            *_convolution(32, 64, 8, 4),
            *_convolution(64, 128, 8, 4),
            *_convolution(128, 128, 8, 2),
        )
        self.attention = nn.Conv1d(128, 1, 1)
        self.output = nn.Linear(128, classes)

    def forward(self, samples: Tensor) -> Tensor:
        hidden = self.convolutions(samples.float())
        weight = self.attention(hidden).softmax(dim=2)
        logits: Tensor = self.output((hidden * weight).sum(dim=2))
        return logits


def _convolution(inputs: int, outputs: int, width: int, stride: int) -> list[nn.Module]:
    return [nn.Conv1d(inputs, outputs, width, stride, width // 2, bias=False), nn.BatchNorm1d(outputs), nn.GELU()]
