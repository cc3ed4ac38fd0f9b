"""Adversaries that look for speech in latents.

`loss` is added to that of the extractor: its gradient improves the adversary, and reversed it presses on the extractor,
both from one forward pass. After the backward pass, `update` makes the adversary's own step.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from sottovoce.models.rdal import GradientReversal, SpeechClassifier
from sottovoce.training import distributed
from sottovoce.training.loop import update

_BATCH = 64
_BANDWIDTHS = (0.25, 1.0, 4.0)  # of the kernel, in median squared distances


class Latents(NamedTuple):
    """Latents [B, 64], and whether somebody speaks [B], 0 or 1."""

    latent: Tensor
    speech: Tensor


class Discriminator:
    """The paper's D: a network with its optimiser. `clip` limits each number of its gradient, unless it is 0."""

    def __init__(self, learning_rate: float = 1e-2, clip: float = 1.0) -> None:
        self.network = SpeechClassifier()
        self.optimiser = torch.optim.SGD(self.network.parameters(), lr=learning_rate, momentum=0.9, fused=True)
        self.clip = clip

    def loss(self, latents: Latents, strength: float) -> Tensor:
        """The cross-entropy, whose gradient into the latent is reversed and multiplied by `strength`."""
        self.optimiser.zero_grad()
        latent: Tensor = GradientReversal.apply(latents.latent, strength)  # type: ignore[no-untyped-call]
        return error(self.network, latents._replace(latent=latent))

    def update(self) -> None:
        """A step along the gradient of the last loss."""
        distributed.average(self.network.parameters())
        if self.clip:
            nn.utils.clip_grad_value_(self.network.parameters(), self.clip, foreach=True)
        self.optimiser.step()

    def replace(self, verifier: SpeechClassifier) -> None:
        """Continue with the weights of a verifier; the optimiser keeps its state, as in the paper's code."""
        self.network.load_state_dict(verifier.state_dict())


class Kernel:
    """The best function in the unit ball of a Gaussian kernel's space, solved anew for every batch: always fresh.

    Its value is the maximum mean discrepancy (Gretton et al. 2012), which is zero only where latents with and
    without speech have one distribution.
    """

    def __init__(self, weight: float) -> None:
        self.weight = weight

    def loss(self, latents: Latents, strength: float) -> Tensor:
        """The discrepancy, weighted."""
        return strength * self.weight * self.discrepancy(latents)

    def update(self) -> None:
        """Nothing to learn."""

    def replace(self, verifier: SpeechClassifier) -> None:
        """It is never older than a batch."""

    def discrepancy(self, latents: Latents) -> Tensor:
        """The squared discrepancy between latents with and without speech, without bias."""
        distance = torch.cdist(latents.latent, latents.latent).square()
        scale = distance.detach().median().clamp(min=1e-12)
        kernel = torch.stack([torch.exp(-distance / (width * scale)) for width in _BANDWIDTHS]).sum(dim=0)
        spoken, quiet = latents.speech > 0.5, latents.speech < 0.5
        within = _between_different(kernel[spoken][:, spoken]) + _between_different(kernel[quiet][:, quiet])
        return within - 2.0 * kernel[spoken][:, quiet].mean()


class Pool:
    """All adversaries of a run, of which one at a time, in turn, is replaced; an empty one has no loss."""

    def __init__(self, members: Sequence[Discriminator | Kernel]) -> None:
        self.members = members

    def loss(self, latents: Latents, strength: float) -> Tensor:
        """The loss of all together."""
        return torch.stack([torch.zeros(()), *(member.loss(latents, strength) for member in self.members)]).sum()

    def update(self) -> None:
        """All make their step."""
        for member in self.members:
            member.update()

    def replace(self, verifier: SpeechClassifier, turn: int) -> None:
        """The one whose turn it is continues with the weights of a verifier."""
        if self.members:
            self.members[turn % len(self.members)].replace(verifier)

    @property
    def last(self) -> SpeechClassifier | None:
        """The network of the last member."""
        member = self.members[-1] if self.members else None
        return member.network if isinstance(member, Discriminator) else None


def verify(train: Latents, validation: Latents, patience: int = 50, epochs: int = 5000) -> SpeechClassifier:
    """A fresh D^tau, trained until `patience` epochs in a row bring nothing on validation: the best of it."""
    network = SpeechClassifier()
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-2, momentum=0.9, fused=True)
    best, least, since = copy.deepcopy(network.state_dict()), math.inf, 0
    for _ in range(epochs):
        order = torch.randperm(len(train.latent))
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            update(optimiser, error(network, Latents(train.latent[rows], train.speech[rows])))
        loss_there, _ = verdict(network, validation)
        since += 1
        if loss_there < least:
            best, least, since = copy.deepcopy(network.state_dict()), loss_there, 0
        if since >= patience:
            break
    network.load_state_dict(best)
    return network.eval()


def error(network: nn.Module, latents: Latents) -> Tensor:
    """The cross-entropy of a network on latents."""
    return functional.binary_cross_entropy_with_logits(network(latents.latent), latents.speech)


def verdict(network: nn.Module, latents: Latents) -> tuple[float, float]:
    """The cross-entropy of a network in evaluation mode on latents, and how often it is right, 0..1."""
    was = network.training
    network.eval()
    with torch.no_grad():
        logit = network(latents.latent)
    network.train(was)
    right = (logit > 0.0) == (latents.speech > 0.5)
    return functional.binary_cross_entropy_with_logits(logit, latents.speech).item(), float(right.float().mean())


def _between_different(kernel: Tensor) -> Tensor:
    """The mean of a kernel [B, B] over pairs of two."""
    count = len(kernel)
    return (kernel.sum() - kernel.diagonal().sum()) / (count * (count - 1))
