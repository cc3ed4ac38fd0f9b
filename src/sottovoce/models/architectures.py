"""The networks that a folder may name: a closed table, so that a file can never choose what code runs."""

from __future__ import annotations

from collections.abc import Mapping
from reprlib import repr as short
from types import MappingProxyType

import torch
from safetensors.torch import load
from torch import nn

from sottovoce.errors import ModelError
from sottovoce.models.compact import CompactAutoencoder, CompactRecogniser
from sottovoce.models.cyclegan_vc2 import CycleGanVc2
from sottovoce.models.deepspeech2 import DeepSpeech2, DeepSpeech2Ctc
from sottovoce.models.digit_encoder import DigitEncoder
from sottovoce.models.rdal import CompactExtractor, Extractor, MaskUnet
from sottovoce.models.xvector import XVector

ARCHITECTURES: Mapping[str, type[nn.Module]] = MappingProxyType(
    {
        "compact-recogniser": CompactRecogniser,
        "compact-autoencoder": CompactAutoencoder,
        "cyclegan-vc2": CycleGanVc2,
        "deepspeech2": DeepSpeech2,
        "deepspeech2-ctc": DeepSpeech2Ctc,
        "digit-encoder": DigitEncoder,
        "rdal": Extractor,
        "rdal-compact": CompactExtractor,
        "rdal-mask": MaskUnet,
        "x-vector": XVector,
    }
)
_LARGEST = 100_000  # of any size in a settings file
_MOST_PARAMETERS = 100_000_000  # bounds what a strange file can make us allocate
MOST_BYTES = 8 * _MOST_PARAMETERS + (1 << 20)  # of their weights


def build(architecture: str, settings: Mapping[str, int]) -> nn.Module:
    """A fresh network; ModelError for an unknown architecture, an unknown setting or a size out of bounds."""
    if not isinstance(architecture, str) or architecture not in ARCHITECTURES:
        raise ModelError(f"unknown architecture {short(architecture)}; known: {', '.join(ARCHITECTURES)}.")
    if not isinstance(settings, Mapping):
        raise ModelError(f"{architecture}: the settings are {short(settings)}; expected a table.")
    for name, value in settings.items():
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _LARGEST:
            raise ModelError(f"{architecture}: {name} is {short(value)}; expected a whole number from 1 to {_LARGEST}.")
    try:
        with torch.device("meta"):  # its shape, before any memory is taken
            sizes = [parameter.numel() for parameter in ARCHITECTURES[architecture](**settings).parameters()]
        if not min(sizes) or sum(sizes) > _MOST_PARAMETERS:
            raise ValueError(f"{sum(sizes)} parameters, the smallest tensor {min(sizes)}")
        return ARCHITECTURES[architecture](**settings)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"no {architecture} can be built with the settings {dict(settings)}: {error}.") from error


def restore(architecture: str, settings: Mapping[str, int], weights: bytes) -> nn.Module:
    """A network with the weights of a safetensors file, in evaluation mode; ModelError where they do not fit."""
    network = build(architecture, settings)
    try:  # safetensors checks that the tensors of the header fill the file, each byte once
        network.load_state_dict(load(weights))
    except Exception as error:
        reason = str(error).strip().partition("\n")[0][:200]
        raise ModelError(
            f"the weights do not fit a {architecture} with {dict(settings)} ({reason}); train it again."
        ) from error
    return network.eval()
