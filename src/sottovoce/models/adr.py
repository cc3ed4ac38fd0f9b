"""ADR, the opt-out baseline: an embedding of a speaker without one declared attribute (Noé et al., Interspeech 2021).

    x-vector [B, 512] -- standardised, length 1 -- Encoder --> code [B, 128] -- Decoder, told the attribute --> [B, 512]

The decoder is told the posterior of the attribute in training, so that the code need not hold it; what leaves is
decoded as if the attribute were unknown. Everything that was not declared passes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from sottovoce.models.xvector import EMBEDDING, XVector

CODE = 128  # dimensions


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
    """Vectors [B, 512], brought to length 1, to codes [B, 128]."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(EMBEDDING, CODE), nn.ReLU(), nn.BatchNorm1d(CODE))

    def forward(self, vectors: Tensor) -> Tensor:
        code: Tensor = self.layers(functional.normalize(vectors, dim=1))
        return code


class Decoder(nn.Module):
    """Codes [B, 128] and posteriors [B, K] of the attribute, all but the first of them, to [B, 512] of length 1."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(CODE + classes - 1, EMBEDDING)

    def forward(self, code: Tensor, posterior: Tensor) -> Tensor:
        seen = torch.cat([code, posterior[:, 1:]], dim=1)
        return functional.normalize(self.layer(seen).tanh(), dim=1)


class Adr(nn.Module):
    """The whole filter: standardised log spectra [B, 161, 128] to embeddings [B, 512] of length 1, one graph.

    `mean` and `deviation` [512] are those of the x-vectors it was trained on.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, xvector: XVector, mean: Tensor, deviation: Tensor, classes: int) -> None:
        super().__init__()
        self.xvector = xvector
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        self.encoder = Encoder()
        self.decoder = Decoder(classes)
        self.classes = classes

    def original(self, spectra: Tensor) -> Tensor:
        """What goes in: x-vectors, standardised and of length 1, [B, 512] of spectra [B, 161, 128]."""
        return self.normalised(self.xvector.embed(spectra))

    def normalised(self, vectors: Tensor) -> Tensor:
        """X-vectors [B, 512] standardised and brought to length 1."""
        return functional.normalize((vectors - self.mean) / self.deviation, dim=1)

    def protect(self, vectors: Tensor) -> Tensor:
        """Protected embeddings [B, 512] of `normalised` vectors [B, 512]: decoded with the attribute unknown."""
        unknown = torch.full((1, self.classes), 1.0 / self.classes, dtype=vectors.dtype, device=vectors.device)
        decoded: Tensor = self.decoder(self.encoder(vectors), unknown.expand(vectors.shape[0], -1))
        return decoded

    def embed(self, spectra: Tensor) -> Tensor:
        """Protected embeddings [B, 512] of spectra [B, 161, 128]."""
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
    """The target of ADR: embeddings [B, 512] of length 1 to logits [B, K]."""

    def __init__(self, classes: int, hidden: int = 256) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm1d(EMBEDDING),
            nn.Linear(EMBEDDING, hidden),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(hidden, classes),
        )

    def forward(self, embeddings: Tensor) -> Tensor:
        logits: Tensor = self.layers(embeddings)
        return logits
