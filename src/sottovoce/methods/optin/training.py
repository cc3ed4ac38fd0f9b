"""Opt-in training (Wang et al. 2022): an obfuscator and a deobfuscator, trained jointly against a frozen target."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from sottovoce.audio.spectrum import BINS
from sottovoce.corpora.cache import Sounds
from sottovoce.errors import ConfigError
from sottovoce.models.architectures import build
from sottovoce.models.target import Target
from sottovoce.training.loop import Run, device, draw, frozen, one_cycle, set_learning_rate, train, update
from sottovoce.training.settings import Positive, Rate

_FRESH_RATE = 3e-3


@dataclass(frozen=True)
class OptinSettings:
    """The two networks and the weights of their losses, which the paper does not publish.

    With `raw`, the obfuscator maximises L_a, which the paper rejects, in the place of L_p.
    """

    architecture: str
    obfuscator: Mapping[str, int]
    deobfuscator: Mapping[str, int]
    steps: Positive
    batch: Positive
    optimiser: Literal["sgd", "adam"] = "sgd"
    learning_rate: Rate = 1e-2  # of the paper; the peak of one cycle with adam
    momentum: Rate = 0.9
    target_weight: float = 1.0
    privacy_weight: float = 1.0
    replace_every: int = 0  # steps, after which a deobfuscator trained from nothing takes over; 0: never
    replace_steps: int = 60  # of its training
    raw: bool = False


_COMPACT = OptinSettings(
    "compact-autoencoder",
    {"width": 16, "blocks": 2},
    {"width": 24, "blocks": 2},
    steps=600,
    batch=16,
    optimiser="adam",
    learning_rate=3e-3,
    target_weight=3.0,  # 1 and 10 do no better beyond noise: see RESULTS.md
)
PRESETS: Mapping[str, OptinSettings] = MappingProxyType(
    {
        "compact": _COMPACT,
        "quick": replace(_COMPACT, steps=300),
        "paper": OptinSettings(
            "cyclegan-vc2",
            {"bins": BINS, "blocks": 3, "divisor": 8},
            {"bins": BINS, "blocks": 6},
            steps=100_000,
            batch=16,
        ),
        "replaced": replace(_COMPACT, replace_every=100),
    }
)


class Deobfuscator:
    """Learns to restore the original spectrum; its `pressure` is how far it is from doing so.

    `raw` takes the paper's rejected L_p = -L_a in place of the distance in the latent.
    """

    def __init__(self, network: nn.Module, optimiser: Optimizer, raw: bool) -> None:
        self.network = network
        self.optimiser = optimiser
        self.raw = raw

    def improve(self, obfuscated: Tensor, original: Tensor) -> float:
        """One step on L_a, equation (1); returns it. Never touches the obfuscator's gradients."""
        loss = adversarial_loss(self.network(obfuscated.detach()), original)
        return update(self.optimiser, loss)

    def replace(self, fresh: nn.Module, pairs: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Continue with the weights of `fresh`, trained on (obfuscated, original) `pairs` from nothing (RDAL's trick).

        What the obfuscator has learnt to deceive is then gone. The optimiser keeps its state.
        """
        replacement = Deobfuscator(fresh, torch.optim.Adam(fresh.parameters(), lr=_FRESH_RATE), self.raw)
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


def train_optin(
    sounds: Sounds, clips: NDArray[np.int64], target: Target, settings: OptinSettings, run: Run
) -> tuple[nn.Module, nn.Module]:
    """An obfuscator for `target` and the deobfuscator that was trained against it, from `clips`.

    The obfuscator minimises  w_t L_t - w_p L_p. Raises ConfigError for a target through which no gradient flows.
    """
    if not target.differentiable or target.takes != "spectrum":
        raise ConfigError(
            f"opt-in training needs a target of spectra that gives gradients; that of '{target.task}' is none."
        )
    torch.manual_seed(run.seed)
    obfuscator = build(settings.architecture, settings.obfuscator).to(device())
    deobfuscator = build(settings.architecture, settings.deobfuscator).to(device())
    if isinstance(target.logits, nn.Module):
        target.logits.to(device())
    optimiser = _optimiser(obfuscator, settings)
    adversary = Deobfuscator(deobfuscator, _optimiser(deobfuscator, settings), settings.raw)

    def pairs(count: int, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        for _ in range(count):
            original, _ = draw(sounds, clips, settings.batch, rng)
            with torch.no_grad():
                obfuscated = obfuscator(original)
            yield obfuscated, original  # outside: within, nothing could be learnt from it

    def step(number: int, rng: np.random.Generator) -> str:
        if settings.optimiser == "adam":
            for each in (optimiser, adversary.optimiser):
                set_learning_rate(each, one_cycle(number, run.steps, settings.learning_rate))
        if settings.replace_every and number and number % settings.replace_every == 0:
            fresh = build(settings.architecture, settings.deobfuscator).to(device())
            adversary.replace(fresh, pairs(settings.replace_steps, rng))
        original, _ = draw(sounds, clips, settings.batch, rng)
        obfuscated = obfuscator(original)
        restored_error = adversary.improve(obfuscated, original)
        task = target_loss(target.logits(obfuscated), target.logits(original))
        privacy = adversary.pressure(obfuscated, original)
        update(optimiser, settings.target_weight * task - settings.privacy_weight * privacy)
        return f"L_t {task.item():.3f}  L_p {privacy.item():.3f}  L_a {restored_error:.3f}"

    parts: dict[str, nn.Module | Optimizer] = {
        "obfuscator": obfuscator,
        "deobfuscator": deobfuscator,
        "optimiser": optimiser,
        "adversary": adversary.optimiser,
    }
    train(step, parts, run)
    if isinstance(target.logits, nn.Module):
        target.logits.cpu()
    return obfuscator.eval().cpu(), deobfuscator.eval().cpu()


def _optimiser(network: nn.Module, settings: OptinSettings) -> Optimizer:
    if settings.optimiser == "adam":
        return torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
    return torch.optim.SGD(network.parameters(), lr=settings.learning_rate, momentum=settings.momentum)
