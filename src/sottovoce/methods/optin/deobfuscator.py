"""The adversary of the opt-in game, and the losses of Wang et al. 2022, equations (1) to (4)."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from sottovoce.training.loop import frozen, update

_FRESH_RATE = 3e-3


class Deobfuscator:
    """Learns to restore the original spectrum; its `pressure` is how far it is from doing so.

    `raw` takes the paper's rejected L_p = -L_a in place of the distance in the latent. With `both` it also learns to
    give back an original that it gets. The norm of its gradient is at most `clip_norm`.
    """

    def __init__(
        self, network: nn.Module, optimiser: Optimizer, raw: bool, both: bool = False, clip_norm: float = math.inf
    ) -> None:
        self.network = network
        self.optimiser = optimiser
        self.raw = raw
        self.both = both
        self.clip_norm = clip_norm

    def improve(self, obfuscated: Tensor, original: Tensor) -> float:
        """One step on L_a, equation (1); returns it. Never touches the obfuscator's gradients."""
        loss = adversarial_loss(self.network(obfuscated.detach()), original)
        if self.both:
            loss = loss + adversarial_loss(self.network(original), original)
        return update(self.optimiser, loss, self.clip_norm)

    def replace(self, fresh: nn.Module, pairs: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Continue with the weights of `fresh`, trained on (obfuscated, original) `pairs` from nothing (RDAL's trick).

        What the obfuscator has learnt to deceive is then gone. The optimiser keeps its state.
        """
        replacement = Deobfuscator(fresh, torch.optim.Adam(fresh.parameters(), lr=_FRESH_RATE), self.raw, self.both)
        for obfuscated, original in pairs:
            replacement.improve(obfuscated, original)
        self.network.load_state_dict(fresh.state_dict())

    def pressure(self, obfuscated: Tensor, original: Tensor) -> Tensor:
        """What the obfuscator has to increase: L_p, equation (3), or L_a where `raw`. Never changes the adversary."""
        with frozen(self.network):
            if self.raw:
                return adversarial_loss(self.network(obfuscated), original)
            return latent_distance(self.network.encode(obfuscated), self.network.encode(original))  # type: ignore[operator]


def adversarial_loss(restored: Tensor, original: Tensor) -> Tensor:
    """L_a = MSE(F_mu(X~), X), equation (1): mean squared error of the restored spectrum, both [B, F, N] -> scalar."""
    return functional.mse_loss(restored, original)


def target_loss(obfuscated_logits: Tensor, original_logits: Tensor) -> Tensor:
    """L_t = H(T(X~), T(X)), equation (2): cross-entropy to the target's own output, both logits [B, K] -> scalar."""
    return functional.cross_entropy(obfuscated_logits, original_logits.detach().softmax(dim=-1))


def latent_distance(obfuscated_latent: Tensor, original_latent: Tensor) -> Tensor:
    """L_p = mean over m of D(F_gamma(X~)_m, F_gamma(X)_m), equation (3), latents [B, ...] -> scalar in [0, 0.5)."""
    return distance(obfuscated_latent, original_latent).mean()


def distance(alpha: Tensor, beta: Tensor) -> Tensor:
    """D(alpha, beta) = |1 / (1 + exp(-(alpha - beta))) - 0.5|, equation (4), elementwise."""
    return (torch.sigmoid(alpha - beta) - 0.5).abs()
