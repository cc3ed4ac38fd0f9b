"""Speech or not: whether somebody talks in a block of sound, whoever it is and whatever is said."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import torch
from safetensors.torch import load
from torch import Tensor, nn
from torch.nn import functional

from sottovoce.audio.spectrum import BINS
from sottovoce.errors import ConfigError, ModelError
from sottovoce.files import read_bytes
from sottovoce.models.compact import SpecAugment
from sottovoce.models.target import Target, from_module

TASK, CLASSES = "speech", ("speech",)
WEIGHTS = Path(__file__).with_suffix(".safetensors")  # which `sottovoce experiment speech-detector` makes
_LARGEST_BYTES = 1 << 20
_WIDTHS, _STRIDES = (1, 16, 32, 48, 64), ((4, 2), (2, 2), (2, 2), (2, 1))
_HIDDEN = 96


class SpeechDetector(nn.Module):
    """Standardised log spectra [B, 161, N] to the log odds of speech: strided convolutions, then statistics over time.

    A network of 54,000 parameters. The front end takes the level away, so that a faint voice counts like a loud one.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [SpecAugment()]
        for (inputs, outputs), stride in zip(pairwise(_WIDTHS), _STRIDES, strict=True):
            kernel = (9, 5) if inputs == 1 else (3, 3)
            padding = (kernel[0] // 2, kernel[1] // 2)
            layers.append(nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False))
            layers += [nn.BatchNorm2d(outputs), nn.ReLU()]
        self.convolutions = nn.Sequential(*layers)
        height = -(-(BINS + 3) // 4 // 8)  # 161 bins after strides of 4, 2, 2, 2
        self.collapse = nn.Sequential(  # one filter over all bins: where a frequency lies matters
            nn.Conv2d(_WIDTHS[-1], _WIDTHS[-1], (height, 1), groups=_WIDTHS[-1], bias=False),
            nn.Conv2d(_WIDTHS[-1], _HIDDEN, 1, bias=False),
            nn.BatchNorm2d(_HIDDEN),
            nn.ReLU(),
        )
        self.output = nn.Linear(3 * _HIDDEN, 1)

    def forward(self, spectra: Tensor) -> Tensor:
        """[B, 161, N] -> [B, 1]."""
        hidden = self.collapse(self.convolutions(spectra.unsqueeze(1))).squeeze(2)
        deviation = (hidden.var(dim=2) + 1e-5).sqrt()
        odds: Tensor = self.output(torch.cat([hidden.mean(dim=2), deviation, hidden.amax(dim=2)], dim=1))
        return odds

    def log_posteriors(self, spectra: Tensor) -> Tensor:
        """Those of speech and of none, [B, 2]."""
        odds = self(spectra)
        return torch.cat([functional.logsigmoid(odds), functional.logsigmoid(-odds)], dim=1)


def speech_target(place: str) -> Target:
    """The bundled detector of speech as a target.

    Its only class is speech. Whether there is any is what `SpeechDetector.log_posteriors` says. ConfigError where
    anything follows `speech:`, ModelError where its weights are not there.
    """
    if place:
        raise ConfigError(f"the target speech: takes nothing after the colon, got {place!r:.40}; leave it out.")
    if not WEIGHTS.is_file():
        command = f"sottovoce experiment speech-detector --corpora PATH --out {WEIGHTS.parent}"
        raise ModelError(f"{WEIGHTS.name} is not there; make it by `{command}`.")
    network = SpeechDetector()
    network.load_state_dict(load(read_bytes(WEIGHTS, _LARGEST_BYTES)))
    return from_module(network, TASK, CLASSES)
