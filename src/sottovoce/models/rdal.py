"""The networks of RDAL (Gharib et al., IEEE OJ Signal Processing 5, 2024, and Luong et al., WASPAA 2023).

    magnitudes [B, F, N] -- mask (optional) -- LogMel --> [B, 64, N] dB -- extractor F --> latent [B, 64]
    latent -- event classifier C: linear --> events;  latent -- speech classifier D --> whether somebody speaks

In `paper` sizes F has 1.6 M parameters, the mask 9.8 M; the compact ones have a hundredth of their cost.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sottovoce.audio.mel import filterbank, window_samples

LATENT = 64
BANDS = 64

_RANGE_DB = 80.0  # under the loudest point of a clip: what is fainter counts as that
_LEAST_POWER = 1e-10
_STRIDES = 6  # of the mask


class LogMel(nn.Module):
    """Magnitudes [B, F, N] to power in mel bands in dB [B, 64, N], no point more than 80 dB under the loudest."""

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        bands = torch.from_numpy(filterbank(BANDS, window_samples(sample_rate), sample_rate))
        self.register_buffer("bands", bands, persistent=False)

    def forward(self, magnitudes: Tensor) -> Tensor:
        power = torch.as_tensor(self.bands) @ magnitudes.square()
        level = 10.0 * power.clamp(min=_LEAST_POWER).log10()
        return torch.maximum(level, level.amax(dim=(1, 2), keepdim=True) - _RANGE_DB)


class Extractor(nn.Module):
    """The paper's F: [B, 64, N] dB to a latent [B, 64]; four convolutions 3 x 3, the maximum over all, linear."""

    def __init__(self, width: int = 64, latent: int = LATENT) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            *_block(1, width, nn.MaxPool2d(2)),
            *_block(width, 2 * width, nn.MaxPool2d(2)),
            *_block(2 * width, 4 * width, nn.MaxPool2d(2)),
            *_block(4 * width, 8 * width, nn.Identity()),
        )
        self.output = nn.Linear(8 * width, latent)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, level_db: Tensor) -> Tensor:
        latent: Tensor = self.output(self.convolutions(level_db.unsqueeze(1)).amax(dim=(2, 3)))
        return latent


class CompactExtractor(nn.Module):
    """[B, 64, N] dB to a latent [B, 64]; strided separable convolutions, the maximum over all, linear."""

    def __init__(self, width: int = 16, latent: int = LATENT) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(1, width, 5, stride=4, padding=2, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            _separable(width, 2 * width, 2),
            _separable(2 * width, 4 * width, 2),
            _separable(4 * width, 8 * width, 1),
        )
        self.dropout = nn.Dropout(0.25)
        self.output = nn.Linear(8 * width, latent)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, level_db: Tensor) -> Tensor:
        hidden = self.convolutions(level_db.unsqueeze(1)).amax(dim=(2, 3))
        latent: Tensor = self.output(self.dropout(hidden))
        return latent


class SpeechClassifier(nn.Module):
    """The paper's D and D^tau: a latent [B, 64] to one logit [B]: whether somebody speaks."""

    def __init__(self, latent: int = LATENT) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(latent, 48),
            nn.LeakyReLU(0.01),
            nn.Dropout(0.25),
            nn.Linear(48, 32),
            nn.LeakyReLU(0.01),
            nn.Linear(32, 16),
            nn.LeakyReLU(0.01),
            nn.Linear(16, 1),
        )

    def forward(self, latent: Tensor) -> Tensor:
        logit: Tensor = self.layers(latent).squeeze(1)
        return logit


class GradientReversal(torch.autograd.Function):
    """Passes values on as they are, and gradients multiplied by -strength (Ganin and Lempitsky 2015)."""

    @staticmethod
    def forward(ctx: Any, latent: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return latent.view_as(latent)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradients[0], None


class MaskUnet(nn.Module):
    """A mask in 0..1 for magnitudes [B, F, N], of the same shape: six strided convolutions and six back, with skips.

    `width` 16 is the paper's; the form is that of Jansson et al. (ISMIR 2017). `relative`: it gets the logarithm of
    magnitudes over their mean, and not, as in the paper, magnitudes as they are.
    """

    def __init__(self, width: int = 16, relative: bool = False) -> None:
        super().__init__()
        self.relative = relative
        down = [1, *(width * 2**i for i in range(_STRIDES))]
        self.down = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 5, stride=2, padding=2), nn.BatchNorm2d(b), nn.LeakyReLU(0.2))
            for a, b in itertools.pairwise(down)
        )
        up = [1, *(width * 2**i for i in range(_STRIDES - 1))][::-1]
        inputs = [down[-1], *(2 * channels for channels in up[:-1])]
        self.up = nn.ModuleList(
            _up(a, b, drops=number < 3, last=number == _STRIDES - 1)
            for number, (a, b) in enumerate(zip(inputs, up, strict=True))
        )

    def forward(self, magnitudes: Tensor) -> Tensor:
        bins, frames = magnitudes.shape[1], magnitudes.shape[2]
        step = 2**_STRIDES
        given = magnitudes
        if self.relative:
            given = (magnitudes / magnitudes.mean(dim=(1, 2), keepdim=True).clamp(min=1e-6)).log1p()
        hidden = functional.pad(given, (0, -frames % step, 0, -bins % step)).unsqueeze(1)
        passed: list[Tensor] = []
        for layer in self.down:
            hidden = layer(hidden)
            passed.append(hidden)
        for layer, skip in zip(self.up, [None, *passed[-2::-1]], strict=True):
            hidden = layer(hidden if skip is None else torch.cat([hidden, skip], dim=1))
        return hidden[:, 0, :bins, :frames].sigmoid()


class Codes(nn.Module):
    """Latents [B, D] to the one of K centres [K, D] whose class the event classifier calls: log2 K bits, no more."""

    def __init__(self, classifier: nn.Linear, centres: Tensor) -> None:
        super().__init__()
        self.classifier = classifier
        self.register_buffer("centres", centres)

    def forward(self, latent: Tensor) -> Tensor:
        return torch.as_tensor(self.centres)[self.classifier(latent).argmax(dim=1)]


class Sender(nn.Module):
    """What runs on the device: magnitudes [B, F, N] to the latent [B, 64] that is sent on.

    `mask` and `codes` are None where a method has none.
    """

    def __init__(self, mask: nn.Module | None, level: LogMel, extractor: nn.Module, codes: nn.Module | None) -> None:
        super().__init__()
        self.mask = mask
        self.level = level
        self.extractor = extractor
        self.codes = codes

    def levels(self, magnitudes: Tensor) -> Tensor:
        """Levels [B, 64, N] in dB of what the mask leaves of magnitudes [B, F, N]."""
        kept = magnitudes if self.mask is None else self.mask(magnitudes) * magnitudes
        level: Tensor = self.level(kept)
        return level

    def forward(self, magnitudes: Tensor) -> Tensor:
        latent: Tensor = self.extractor(self.levels(magnitudes))
        return latent if self.codes is None else self.codes(latent)


def _block(inputs: int, outputs: int, pool: nn.Module) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3), nn.ReLU(), nn.BatchNorm2d(outputs), pool, nn.Dropout2d(0.25)]


def _separable(inputs: int, outputs: int, stride: int) -> nn.Module:
    depthwise = nn.Conv2d(inputs, inputs, 3, stride=stride, padding=1, groups=inputs, bias=False)
    return nn.Sequential(depthwise, nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


def _up(inputs: int, outputs: int, drops: bool, last: bool) -> nn.Module:
    layers: list[nn.Module] = [nn.ConvTranspose2d(inputs, outputs, 5, stride=2, padding=2, output_padding=1)]
    if not last:
        layers += [nn.BatchNorm2d(outputs), nn.ReLU()]
    if drops:
        layers.append(nn.Dropout2d(0.5))
    return nn.Sequential(*layers)
