"""ADR, the opt-out baseline: an embedding of a speaker without one declared attribute (Noé et al., Interspeech 2021).

    x-vector [B, D] -- standardised, length 1 -- Encoder --> code [B, 128] -- Decoder, given the attribute --> [B, D]

The decoder gets the posterior of the attribute in training, so that the code need not hold it; what leaves is
decoded as if the attribute were unknown. Everything that was not declared passes. D is 512 for x-vectors, as in the
article, and 256 or 192 for those of the pretrained speaker encoders, GE2E and CAM++.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from sottovoce.models.campplus import CamPlusPlus
from sottovoce.models.speaker_encoder import SpeakerEncoder
from sottovoce.models.xvector import XVector

CODE = 128  # dimensions

Embedder = XVector | SpeakerEncoder | CamPlusPlus


class AttributeReader(nn.Module):
    """Vectors [B, D] to log posteriors [B, K] of an attribute: linear, or with one hidden layer.

    One class needs no output of its own: of two classes, this is the article's sigmoid.
    """

    def __init__(self, inputs: int, classes: int, hidden: int = 0) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Linear(inputs, hidden), nn.ReLU()] if hidden else []
        self.layers = nn.Sequential(*layers, nn.Linear(hidden or inputs, classes - 1))

    def forward(self, vectors: Tensor) -> Tensor:
        others = self.layers(vectors)
        return torch.cat([torch.zeros_like(others[:, :1]), others], dim=1).log_softmax(dim=1)


class Encoder(nn.Module):
    """Vectors [B, D], brought to length 1, to codes [B, 128]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, CODE), nn.ReLU(), nn.BatchNorm1d(CODE))

    def forward(self, vectors: Tensor) -> Tensor:
        code: Tensor = self.layers(functional.normalize(vectors, dim=1))
        return code


class Decoder(nn.Module):
    """Codes [B, 128] and posteriors [B, K] of the attribute, all but the first of them, to [B, D] of length 1."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(CODE + classes - 1, width)

    def forward(self, code: Tensor, posterior: Tensor) -> Tensor:
        seen = torch.cat([code, posterior[:, 1:]], dim=1)
        return functional.normalize(self.layer(seen).tanh(), dim=1)


class Adr(nn.Module):
    """The whole filter: spectra [B, F, N], as the input of `embedder`, to embeddings [B, D] of length 1, one graph.

    `mean` and `deviation` [D] are those of the embeddings it was trained on.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, embedder: Embedder, mean: Tensor, deviation: Tensor, classes: int) -> None:
        super().__init__()
        self.embedder = embedder
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        self.encoder = Encoder(len(mean))
        self.decoder = Decoder(len(mean), classes)
        self.classes = classes

    def original(self, spectra: Tensor) -> Tensor:
        """What goes in: embeddings, standardised and of length 1, [B, D] of spectra [B, F, N]."""
        return self.normalised(self.embedder.embed(spectra))

    def normalised(self, vectors: Tensor) -> Tensor:
        """Embeddings [B, D] standardised and brought to length 1."""
        return functional.normalize((vectors - self.mean) / self.deviation, dim=1)

    def protect(self, vectors: Tensor) -> Tensor:
        """Protected embeddings [B, D] of `normalised` vectors [B, D]: decoded with the attribute unknown."""
        unknown = torch.full((1, self.classes), 1.0 / self.classes, dtype=vectors.dtype, device=vectors.device)
        decoded: Tensor = self.decoder(self.encoder(vectors), unknown.expand(vectors.shape[0], -1))
        return decoded

    def embed(self, spectra: Tensor) -> Tensor:
        """Protected embeddings [B, D] of spectra [B, F, N]."""
        return self.protect(self.original(spectra))

    def forward(self, spectra: Tensor) -> Tensor:
        return self.embed(spectra)

    def unprotected(self) -> nn.Module:
        """`original` as a network."""
        return _Unprotected(self)


class _Unprotected(nn.Module):
    def __init__(self, adr: Adr) -> None:
        super().__init__()
        self.adr = adr

    def forward(self, spectra: Tensor) -> Tensor:
        return self.adr.original(spectra)


class EmbeddingRecogniser(nn.Module):
    """The target of ADR: embeddings [B, D] of length 1 to logits [B, K]."""

    def __init__(self, width: int, classes: int, hidden: int = 256) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm1d(width),
            nn.Linear(width, hidden),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(hidden, classes),
        )

    def forward(self, embeddings: Tensor) -> Tensor:
        logits: Tensor = self.layers(embeddings)
        return logits
