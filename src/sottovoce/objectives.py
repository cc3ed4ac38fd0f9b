"""What the players of the opt-in game want: the paper's losses, equation numbers beside them.

Wang et al., "An Opt-in Framework for Privacy Protection in Audio-based Applications", IEEE Pervasive Computing 2022.

The text calls L_p a loss, yet defines it as a distance between latents that protection has to *increase*. Here every
function returns the quantity as the equation defines it, and the sign is stated where it is used: the obfuscator
minimises  w_t L_t - w_p L_p,  which for L_p = -L_a (the ablation, where w_p L_p is minimised) is  w_t L_t - w_p L_a.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


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
