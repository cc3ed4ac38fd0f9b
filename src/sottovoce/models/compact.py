"""Networks that train in a minute on two cores: the recogniser, and both networks of opt-in training.

The obfuscator and deobfuscator keep the shape of the CycleGAN-VC2 generator (down, residual body, up by pixel shuffle,
instance normalisation) at a hundredth of its cost.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from sottovoce.audio.spectrum import BINS
from sottovoce.models.cyclegan_vc2 import Residual, conv1d


class SpecAugment(nn.Module):
    """Two bands of under 20 bins and two spans of under 24 frames set to zero, in training only (Park et al. 2019).

    Takes and gives [B, 1, F, N].
    """

    def __init__(self, bins: int = 20, frames: int = 24, masks: int = 2) -> None:
        super().__init__()
        self.widest = (bins, frames)
        self.masks = masks

    def forward(self, spectrum: Tensor) -> Tensor:
        if not self.training:
            return spectrum
        for axis, widest in zip((2, 3), self.widest, strict=True):
            for _ in range(self.masks):
                spectrum = spectrum.masked_fill(_span(spectrum, axis, widest), 0.0)
        return spectrum


class CompactRecogniser(nn.Module):
    """Log spectra [B, 161, N] to logits [B, K]: strided convolutions, mean and deviation over time, linear."""

    def __init__(self, classes: int, dropout: float = 0.3) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            SpecAugment(),
            _rectified(1, 24, (9, 5), (4, 2)),
            _rectified(24, 48, (3, 3), (2, 2)),
            _rectified(48, 96, (3, 3), (2, 2)),
            _rectified(96, 160, (3, 3), (2, 1)),
        )
        height = -(-(BINS + 3) // 4 // 8)  # 161 bins after strides of 4, 2, 2, 2
        self.collapse = nn.Sequential(  # one filter over all bins: where a frequency lies matters
            nn.Conv2d(160, 160, (height, 1), groups=160, bias=False),
            nn.Conv2d(160, 256, 1, bias=False),
            nn.BatchNorm2d(256),
            nn.ReLU(),
        )
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(2 * 256, classes)

    def forward(self, spectrum: Tensor) -> Tensor:
        """Logits [B, K] of standardised log spectra [B, 161, N]."""
        hidden = self.collapse(self.convolutions(spectrum.unsqueeze(1))).squeeze(2)
        deviation = (hidden.var(dim=2) + 1e-5).sqrt()
        logits: Tensor = self.output(self.dropout(torch.cat([hidden.mean(dim=2), deviation], dim=1)))
        return logits


class CompactAutoencoder(nn.Module):
    """Log spectra [B, F, N] to log spectra of the same shape, through strides of 8 in both axes.

    Serves as obfuscator and, wider, as deobfuscator. With `body` > 0, all bins are brought together to so many channels
    before the residual blocks, which then are 1-D as those of CycleGAN-VC2; F has to be `bins`. `encode` gives the
    latent of equation (3): the output of the first `latent_layers` layers (two of down-sampling, one to the 1-D body if
    there is one, then residual blocks).
    """

    def __init__(
        self, width: int = 32, blocks: int = 3, latent_layers: int = 2, body: int = 0, bins: int = BINS
    ) -> None:
        super().__init__()
        self.latent_layers = latent_layers
        channels, height = 2 * width, -(-bins // 8)
        layers: list[nn.Module] = [_normalised(1, width, 9, 4), _normalised(width, channels, 3, 2)]
        if body:
            layers += [nn.Sequential(nn.Flatten(1, 2), conv1d(channels * height, body, 1))]
            layers += [Residual(body, 2 * body) for _ in range(blocks)]
            back = [conv1d(body, channels * height, 1), nn.Unflatten(1, (channels, height))]
        else:
            layers += [_Residual2d(channels) for _ in range(blocks)]
            back = []
        self.layers = nn.ModuleList(layers)
        self.up = nn.Sequential(
            *back,
            nn.Conv2d(channels, 4 * width, 1),
            nn.PixelShuffle(2),
            nn.InstanceNorm2d(width, affine=True),
            nn.ReLU(),
            nn.Conv2d(width, 16, 3, padding=1),
            nn.PixelShuffle(4),
        )

    def encode(self, spectrum: Tensor) -> Tensor:
        """The latent of log spectra [B, F, N]: the output of the first `latent_layers` layers."""
        bins, frames = spectrum.shape[1:]
        hidden = functional.pad(spectrum, (0, -frames % 8, 0, -bins % 8)).unsqueeze(1)
        for layer in self.layers[: self.latent_layers]:
            hidden = layer(hidden)
        return hidden

    def forward(self, spectrum: Tensor) -> Tensor:
        hidden = self.encode(spectrum)
        for layer in self.layers[self.latent_layers :]:
            hidden = layer(hidden)
        output: Tensor = self.up(hidden)[:, 0, : spectrum.shape[1], : spectrum.shape[2]]
        return output


class _Residual2d(nn.Module):
    """Depthwise 5 x 5, to twice the channels and back, added to its input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inside = nn.Sequential(
            nn.Conv2d(channels, channels, 5, padding=2, groups=channels),
            nn.Conv2d(channels, 2 * channels, 1),
            nn.InstanceNorm2d(2 * channels, affine=True),
            nn.ReLU(),
            nn.Conv2d(2 * channels, channels, 1),
            nn.InstanceNorm2d(channels, affine=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        inside: Tensor = self.inside(x)
        return x + inside


def _normalised(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Module:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2)
    return nn.Sequential(convolution, nn.InstanceNorm2d(outputs, affine=True), nn.ReLU())


def _rectified(inputs: int, outputs: int, kernel: tuple[int, int], stride: tuple[int, int]) -> nn.Module:
    padding = (kernel[0] // 2, kernel[1] // 2)
    convolution = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


def _span(spectrum: Tensor, axis: int, widest: int) -> Tensor:
    """For each of [B, 1, F, N] a random span along `axis`: True inside, shaped to broadcast."""
    batch, length = spectrum.shape[0], spectrum.shape[axis]
    here = spectrum.device
    start = torch.randint(0, max(1, length - widest), (batch, 1), device=here)
    width = torch.randint(0, widest, (batch, 1), device=here)
    position = torch.arange(length, device=here).unsqueeze(0)
    inside = (position >= start) & (position < start + width)
    return inside[:, None, :, None] if axis == 2 else inside[:, None, None, :]
