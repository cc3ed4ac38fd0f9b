"""Opt-in training (Wang et al. 2022): an obfuscator and a deobfuscator, trained jointly against a frozen target."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from sottovoce.audio.griffin_lim import to_sound
from sottovoce.audio.segment import front_end
from sottovoce.audio.spectrum import magnitude
from sottovoce.corpora.cache import Sounds
from sottovoce.errors import ConfigError
from sottovoce.methods.optin.deobfuscator import Deobfuscator, target_loss
from sottovoce.methods.optin.settings import OptinSettings
from sottovoce.models.architectures import build
from sottovoce.models.target import TYPICAL_SOUND, Target
from sottovoce.training.device import device
from sottovoce.training.distributed import mean, norm
from sottovoce.training.loop import Run, draw, one_cycle, set_learning_rate, train, update

_LEAST = 1e-12  # of the norm of a gradient


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
    clip_norm = settings.clip_norm or math.inf
    adversary = Deobfuscator(
        deobfuscator, _optimiser(deobfuscator, settings), settings.raw, settings.restores == "both", clip_norm
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
        answer = target.logits(original)
        task = torch.stack([target_loss(each.logits(seen), answer) for each in recognisers]).mean()
        privacy = adversary.pressure(seen, original)
        for_task, for_privacy = _gradient(task, seen), _gradient(privacy, seen)
        weight = privacy_weight(for_task, for_privacy, settings)
        slope = settings.target_weight * for_task - weight * for_privacy
        update(optimiser, (slope * obfuscated).sum(), clip_norm)  # whose gradient at the obfuscated spectrum is `slope`
        ratio = weight * norm(for_privacy) / (settings.target_weight * norm(for_task)).clamp(min=_LEAST)
        return last.add(mean(task.item()), mean(privacy.item()), restored_error, weight, ratio.item())

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
    strength = settings.gradient_ratio * settings.target_weight * norm(for_task)
    return float(strength / norm(for_privacy).clamp(min=_LEAST))


def _networks(recognisers: Sequence[Target]) -> list[nn.Module]:
    return [each.logits for each in recognisers if isinstance(each.logits, nn.Module)]


def _played(spectra: Tensor, loudness: tuple[float, float]) -> Tensor:
    """Spectra [B, F, N] that the front end makes of the sound they are decoded to."""
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
