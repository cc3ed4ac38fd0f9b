"""The CycleGAN-VC2 generator (2-1-2D convolutions), the paper's obfuscator and deobfuscator.

Kaneko et al. 2019, figure 2. Wang et al. 2022 use it on 161 bins: "not downsized" as a deobfuscator of 6.847 M
parameters, and as an obfuscator of 0.759 M, with 3 residual blocks in the place of 6 and "channels reduced by a factor
of 8". They give no other size. With the widths that are the defaults here, up-sampling without gates, and a last
convolution of 8 x 15, which turns 164 bins into 161, this network has 6,847,105 parameters. No natural choice gives
0.759 M: `EIGHTH` has the channels of Kaneko et al. divided by 8, and 380,161 parameters; `NEAR` has 758,481.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

# The paper's obfuscator, by what it says of channels and by what it says of parameters.
EIGHTH = {"blocks": 3, "first": 16, "second": 32, "body": 32, "hidden": 64}
NEAR = {"blocks": 3, "first": 8, "second": 32, "body": 128, "hidden": 64}


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
    """One block of the 1-D body: gated convolution to `hidden` channels and back, added to its input."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.widen = Gated(conv1d(channels, hidden, 3), conv1d(channels, hidden, 3))
        self.narrow = conv1d(hidden, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        narrowed: Tensor = self.narrow(self.widen(x))
        return x + narrowed


class CycleGanVc2(nn.Module):
    """Log spectra [B, F, N] to log spectra of the same shape.

    `first` and `second` are channels of the 2-D layers, `body` and `hidden` of the 1-D `blocks`. `encode` gives the
    latent of equation (3): the output of the first `latent_layers` layers (3 of down-sampling, 1 to the body, blocks).
    """

    def __init__(
        self,
        bins: int,
        blocks: int = 6,
        first: int = 64,
        second: int = 128,
        body: int = 128,
        hidden: int = 256,
        latent_layers: int = 3,
    ) -> None:
        super().__init__()
        self.height = -(-bins // 4)  # bins after two strides of 2
        self.latent_layers = latent_layers
        flat = second * self.height
        self.down = nn.ModuleList(
            [
                Gated(_edge(1, first, 5), _edge(1, first, 5)),
                Gated(_conv2d(first, second), _conv2d(first, second)),
                Gated(_conv2d(second, second), _conv2d(second, second)),
            ]
        )
        self.flatten = conv1d(flat, body, 1)
        self.body = nn.ModuleList(Residual(body, hidden) for _ in range(blocks))
        self.unflatten = conv1d(body, flat, 1)
        self.up = nn.ModuleList([_upsample(second, second), _upsample(second, first)])
        self.output = _edge(first, 1, 4 * self.height - bins + 5)  # with 2 + 2 rows around them, 4 h rows become `bins`

    def encode(self, spectrum: Tensor) -> Tensor:
        """The latent of log spectra [B, F, N]: the output of the first `latent_layers` layers."""
        return self._run(spectrum, self.latent_layers)

    def forward(self, spectrum: Tensor) -> Tensor:
        hidden = self.unflatten(self._run(spectrum, len(self.down) + 1 + len(self.body)))
        hidden = hidden.unflatten(1, (-1, self.height))
        for layer in self.up:
            hidden = layer(hidden)
        output: Tensor = self.output(hidden)[:, 0, :, : spectrum.shape[2]]
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


def conv1d(inputs: int, outputs: int, kernel: int) -> nn.Module:
    """A convolution over time with instance normalisation."""
    convolution = nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2)
    return nn.Sequential(convolution, nn.InstanceNorm1d(outputs, affine=True))


def _edge(inputs: int, outputs: int, height: int) -> nn.Module:
    return nn.Conv2d(inputs, outputs, (height, 15), padding=(2, 7))


def _conv2d(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 5, stride=2, padding=2), nn.InstanceNorm2d(outputs, affine=True))


def _upsample(inputs: int, outputs: int) -> nn.Module:
    """Twice the bins and frames by pixel shuffle."""
    widened = nn.Conv2d(inputs, 4 * outputs, 5, padding=2)
    return nn.Sequential(widened, nn.PixelShuffle(2), nn.InstanceNorm2d(outputs, affine=True), nn.SiLU())
