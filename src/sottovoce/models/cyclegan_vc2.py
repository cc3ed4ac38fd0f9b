"""The CycleGAN-VC2 generator (2-1-2D convolutions), the paper's obfuscator and deobfuscator.

Kaneko et al. 2019, table and figure 2. Wang et al. 2022 use it with 3 residual blocks and channels divided by 8 as the
obfuscator and "not downsized" as the deobfuscator, on 161 bins; they give 0.759 M and 6.847 M parameters. This network
has 0.533 M and 37.120 M. No choice of details gives both of theirs: dividing all channels by 8 divides the weights of
nearly every convolution by 64, and their two counts differ by a factor of 9. The paper does not say what it changed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH = 128  # channels after the first convolution, undivided


class Gated(nn.Module):
    """Gated linear unit: a layer times the sigmoid of its twin, each with instance normalisation where there is one."""

    def __init__(self, layer: nn.Module, gate: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        gated: Tensor = self.layer(x) * torch.sigmoid(self.gate(x))
        return gated


class Residual(nn.Module):
    """One block of the 1-D body: gated convolution to twice the channels and back, added to its input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.widen = Gated(_conv1d(channels, 2 * channels, 3), _conv1d(channels, 2 * channels, 3))
        self.narrow = _conv1d(2 * channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        narrowed: Tensor = self.narrow(self.widen(x))
        return x + narrowed


class CycleGanVc2(nn.Module):
    """Log spectra [B, F, N] to log spectra of the same shape.

    `divisor` divides every channel count, `blocks` is the number of residual blocks (6 in the original). `encode` gives
    the latent of equation (3): the output of the first `latent_layers` layers (down-sampling, then body).
    """

    def __init__(self, bins: int, blocks: int = 6, divisor: int = 1, latent_layers: int = 3) -> None:
        super().__init__()
        narrow, wide = WIDTH // divisor, 2 * WIDTH // divisor
        self.height = -(-bins // 4)  # bins after two strides of 2
        self.latent_layers = latent_layers
        flat = wide * self.height
        self.down = nn.ModuleList(
            [
                Gated(_edge(1, narrow), _edge(1, narrow)),
                Gated(_conv2d(narrow, wide), _conv2d(narrow, wide)),
                Gated(_conv2d(wide, wide), _conv2d(wide, wide)),
            ]
        )
        self.flatten = _conv1d(flat, wide, 1)
        self.body = nn.ModuleList(Residual(wide) for _ in range(blocks))
        self.unflatten = _conv1d(wide, flat, 1)
        self.up = nn.ModuleList([_upsample(wide, wide), _upsample(wide, narrow)])
        self.output = _edge(narrow, 1)

    def encode(self, spectrum: Tensor) -> Tensor:
        """The latent of log spectra [B, F, N]: the output of the first `latent_layers` layers."""
        return self._run(spectrum, self.latent_layers)

    def forward(self, spectrum: Tensor) -> Tensor:
        hidden = self.unflatten(self._run(spectrum, len(self.down) + 1 + len(self.body)))
        hidden = hidden.unflatten(1, (-1, self.height))
        for layer in self.up:
            hidden = layer(hidden)
        output: Tensor = self.output(hidden)[:, 0, : spectrum.shape[1], : spectrum.shape[2]]
        return output

    def _run(self, spectrum: Tensor, layers: int) -> Tensor:
        """The first `layers` of down-sampling, flattening and body."""
        bins, frames = spectrum.shape[1:]
        hidden = functional.pad(spectrum, (0, -frames % 4, 0, -bins % 4)).unsqueeze(1)
        for layer in self.down[:layers]:
            hidden = layer(hidden)
        if layers > len(self.down):
            hidden = self.flatten(hidden.flatten(1, 2))
        for layer in self.body[: max(0, layers - len(self.down) - 1)]:
            hidden = layer(hidden)
        return hidden


def _edge(inputs: int, outputs: int) -> nn.Module:
    return nn.Conv2d(inputs, outputs, (5, 15), padding=(2, 7))


def _conv2d(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 5, stride=2, padding=2), nn.InstanceNorm2d(outputs, affine=True))


def _conv1d(inputs: int, outputs: int, kernel: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2), nn.InstanceNorm1d(outputs, affine=True)
    )


def _upsample(inputs: int, outputs: int) -> nn.Module:
    """Twice the bins and frames by pixel shuffle, gated."""

    def branch() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(inputs, 4 * outputs, 5, padding=2),
            nn.PixelShuffle(2),
            nn.InstanceNorm2d(outputs, affine=True),
        )

    return Gated(branch(), branch())
