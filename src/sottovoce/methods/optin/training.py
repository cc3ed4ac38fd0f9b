"""Opt-in training (Wang et al. 2022): an obfuscator and a deobfuscator, trained jointly against a frozen target."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from sottovoce.audio.griffin_lim import to_sound
from sottovoce.audio.segment import front_end
from sottovoce.audio.spectrum import BINS, magnitude
from sottovoce.corpora.cache import Sounds
from sottovoce.errors import ConfigError
from sottovoce.models.architectures import build
from sottovoce.models.cyclegan_vc2 import EIGHTH
from sottovoce.models.target import TYPICAL_SOUND, Target
from sottovoce.training.loop import Run, device, draw, frozen, one_cycle, set_learning_rate, train, update
from sottovoce.training.settings import Positive, Rate

_FRESH_RATE = 3e-3
_LEAST = 1e-12  # of the norm of a gradient


@dataclass(frozen=True)
class OptinSettings:
    """The two networks and the weights of their losses, which the paper does not publish.

    With `raw`, the obfuscator maximises L_a, which the paper rejects, in the place of L_p. With a `gradient_ratio` r
    above 0, w_p is set anew in every step such that |w_p grad L_p| = r |w_t grad L_t| at the obfuscated spectrum. The
    deobfuscator `restores` what is obfuscated, or originals too, as equation (1) has it by the letter. `voters` other
    recognisers, trained for `voter_steps`, have to understand the obfuscated spectrum as the target does, and with
    `through_sound` both losses are, in every second step, those of what is left of it once it has been played.
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
    gradient_ratio: float = 0.0  # 0: the constant privacy_weight
    restores: Literal["obfuscated", "both"] = "obfuscated"
    replace_every: int = 0  # steps, after which a deobfuscator trained from nothing takes over; 0: never
    replace_steps: int = 60  # of its training
    raw: bool = False
    voters: Annotated[int, 0, 8] = 0
    voter_steps: Positive = 600
    through_sound: bool = False


_COMPACT = OptinSettings(
    "compact-autoencoder",
    {"width": 16, "blocks": 2, "body": 8},
    {"width": 24, "blocks": 2, "body": 64, "latent_layers": 4},
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
            {"bins": BINS, **EIGHTH},
            {"bins": BINS},
            steps=100_000,
            batch=16,
        ),
        "replaced": replace(_COMPACT, replace_every=100),
    }
)


class Deobfuscator:
    """Learns to restore the original spectrum; its `pressure` is how far it is from doing so.

    `raw` takes the paper's rejected L_p = -L_a in place of the distance in the latent. With `both` it also learns to
    give back an original that it gets.
    """

    def __init__(self, network: nn.Module, optimiser: Optimizer, raw: bool, both: bool = False) -> None:
        self.network = network
        self.optimiser = optimiser
        self.raw = raw
        self.both = both

    def improve(self, obfuscated: Tensor, original: Tensor) -> float:
        """One step on L_a, equation (1); returns it. Never touches the obfuscator's gradients."""
        loss = adversarial_loss(self.network(obfuscated.detach()), original)
        if self.both:
            loss = loss + adversarial_loss(self.network(original), original)
        return update(self.optimiser, loss)

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


class Game(NamedTuple):
    """A played game: both players, and means over its last steps of "L_t", "L_p", "L_a", "w_p" and "r".

    r = |w_p grad L_p| / |w_t grad L_t| at the obfuscated spectrum.
    """

    obfuscator: nn.Module
    deobfuscator: nn.Module
    last: dict[str, float]


def train_optin(
    sounds: Sounds,
    clips: NDArray[np.int64],
    target: Target,
    settings: OptinSettings,
    run: Run,
    others: Sequence[Target] = (),
    loudness: tuple[float, float] = TYPICAL_SOUND,
) -> Game:
    """An obfuscator for `target` and the deobfuscator that was trained against it, from `clips`.

    The obfuscator minimises  w_t L_t - w_p L_p, L_t being the mean over the target and `others`. `loudness` are mean
    and deviation of log spectra on the way to sound. Raises ConfigError for a target through which no gradient flows.
    """
    if not target.differentiable or target.takes != "spectrum":
        raise ConfigError(
            f"opt-in training needs a target of spectra that gives gradients; that of '{target.task}' is none."
        )
    torch.manual_seed(run.seed)
    obfuscator = build(settings.architecture, settings.obfuscator).to(device())
    deobfuscator = build(settings.architecture, settings.deobfuscator).to(device())
    recognisers = [target, *others]
    for network in _networks(recognisers):
        network.to(device())
    optimiser = _optimiser(obfuscator, settings)
    adversary = Deobfuscator(
        deobfuscator, _optimiser(deobfuscator, settings), settings.raw, settings.restores == "both"
    )
    last = _Recent("L_t", "L_p", "L_a", "w_p", "r")

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
        seen = obfuscated.detach()
        seen = (_played(seen, loudness) if settings.through_sound and number % 2 else seen).requires_grad_()
        wanted = target.logits(original)
        task = torch.stack([target_loss(each.logits(seen), wanted) for each in recognisers]).mean()
        privacy = adversary.pressure(seen, original)
        for_task, for_privacy = _gradient(task, seen), _gradient(privacy, seen)
        weight = privacy_weight(for_task, for_privacy, settings)
        slope = settings.target_weight * for_task - weight * for_privacy
        update(optimiser, (slope * obfuscated).sum())  # whose gradient at the obfuscated spectrum is `slope`
        ratio = weight * for_privacy.norm() / (settings.target_weight * for_task.norm()).clamp(min=_LEAST)
        return last.add(task.item(), privacy.item(), restored_error, weight, ratio.item())

    parts: dict[str, nn.Module | Optimizer] = {
        "obfuscator": obfuscator,
        "deobfuscator": deobfuscator,
        "optimiser": optimiser,
        "adversary": adversary.optimiser,
        "last": last,
    }
    train(step, parts, run)
    for network in _networks(recognisers):
        network.cpu()
    return Game(obfuscator.eval().cpu(), deobfuscator.eval().cpu(), last.means())


def privacy_weight(for_task: Tensor, for_privacy: Tensor, settings: OptinSettings) -> float:
    """w_p, from the gradients of L_t and L_p at the obfuscated spectrum [B, F, N]."""
    if not settings.gradient_ratio:
        return settings.privacy_weight
    wanted = settings.gradient_ratio * settings.target_weight * for_task.norm()
    return float(wanted / for_privacy.norm().clamp(min=_LEAST))


def _networks(recognisers: Sequence[Target]) -> list[nn.Module]:
    return [each.logits for each in recognisers if isinstance(each.logits, nn.Module)]


def _played(spectra: Tensor, loudness: tuple[float, float]) -> Tensor:
    """Spectra [B, F, N] as they are once they were decoded to sound and heard."""
    mean, deviation = map(np.float32, loudness)
    waves = np.stack([to_sound(magnitude(each * deviation + mean)) for each in spectra.cpu().numpy()])
    return torch.from_numpy(front_end(waves)).to(spectra.device)


def _gradient(loss: Tensor, seen: Tensor) -> Tensor:
    return torch.autograd.grad(loss, seen)[0]


class _Recent(nn.Module):
    """Means of named numbers over the last hundred steps or so, as state from which a training resumes."""

    values: Tensor
    count: Tensor

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.names = names
        self.register_buffer("values", torch.zeros(len(names), dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def add(self, *numbers: float) -> str:
        """Take the numbers of a step into the means, and say them."""
        self.count += 1
        share = max(0.01, 1.0 / float(self.count))
        self.values += share * (torch.tensor(numbers, dtype=torch.float64) - self.values)
        return "  ".join(f"{name} {number:.3g}" for name, number in zip(self.names, numbers, strict=True))

    def means(self) -> dict[str, float]:
        """Each mean by its name."""
        return {name: round(value, 5) for name, value in zip(self.names, self.values.tolist(), strict=True)}


def _optimiser(network: nn.Module, settings: OptinSettings) -> Optimizer:
    if settings.optimiser == "adam":
        return torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
    return torch.optim.SGD(network.parameters(), lr=settings.learning_rate, momentum=settings.momentum)
