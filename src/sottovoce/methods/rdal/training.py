"""RDAL and its relatives: an extractor whose latents tell the event, and not whether somebody speaks.

    min over F, C   cross-entropy(C(F(x)), event) + cross-entropy(D(reversed F(x)), speech)
    every P steps   D continues with the weights of D^tau, trained from nothing on F's latents

Gharib et al., IEEE OJ Signal Processing 5, 2024; with a mask in front of F: Luong et al., WASPAA 2023. Without an
adversary it is the case of no privacy, with one that is never replaced the prior adversarial method.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from sottovoce.methods.rdal.adversary import Discriminator, Kernel, Latents, Pool, verdict, verify
from sottovoce.methods.rdal.history import Best, BestWithin, Checks
from sottovoce.methods.rdal.pairs import PairedClips
from sottovoce.methods.rdal.presets import RdalSettings
from sottovoce.models.architectures import build
from sottovoce.models.compact import SpecAugment
from sottovoce.models.rdal import LATENT, Codes, LogMel, MaskUnet, Sender, SpeechClassifier
from sottovoce.training import distributed
from sottovoce.training.loop import Run, one_cycle, set_learning_rate, train

_FULL = 0.99  # the strength of the reversal from which on checkpoints count
_AT_ONCE = 128
_POOL = 3  # discriminators beside the kernel
_KERNEL_WEIGHT = 10.0
_masked = SpecAugment(12, 24)


class Chosen(NamedTuple):
    """A sender, the reader of its latents, and the adversary that it was trained against."""

    sender: Sender
    reader: nn.Linear
    in_loop: nn.Module | None


class TrainedSender(NamedTuple):
    """The checkpoint that hides speech best, the best of those that keep the events, and what all checks showed."""

    hidden: Chosen
    balanced: Chosen
    checks: list[dict[str, float]]


def reversal_strength(step: int, settings: RdalSettings) -> float:
    """How strongly gradients are reversed in a step, 0 to 1."""
    if settings.adversary == "none" or step < settings.warmup_steps:
        return 0.0
    return 2.0 / (1.0 + math.exp(-100.0 * (step - settings.warmup_steps) / max(1, settings.ramp_steps))) - 1.0


def train_rdal(
    pairs: PairedClips, validation: PairedClips, classes: int, settings: RdalSettings, mask: MaskUnet | None, run: Run
) -> TrainedSender:
    """A sender and the reader of its latents, from pairs of clips; `mask` is None, or trained by `train_mask`."""
    torch.manual_seed(run.seed)
    training = Training(copy.deepcopy(mask), pairs, validation, classes, settings, run.seed)
    train(training.advance, training.parts, run.part("game", settings.steps), training.finished)
    hidden, balanced = (training.chosen(best) for best in (training.hidden, training.balanced))
    return TrainedSender(hidden, balanced, training.checks.rows)


class Training:
    """The networks of a method in training, and their pairs of clips."""

    def __init__(
        self,
        mask: nn.Module | None,
        pairs: PairedClips,
        validation: PairedClips,
        classes: int,
        settings: RdalSettings,
        seed: int = 0,
    ) -> None:
        self.settings, self.seed = settings, seed
        extractor = build(settings.extractor, {"width": settings.width, "latent": LATENT})
        self.sender = Sender(mask, LogMel(settings.sample_rate), extractor, None)
        self.reader = nn.Linear(LATENT, classes)
        self.adversary = _pool(settings)
        learnt: list[nn.Module] = [extractor, self.reader]
        if settings.mask == "learnable" and mask is not None:
            learnt.append(mask.requires_grad_(True))
        self.optimiser = _optimiser(learnt, settings)
        self.networks = nn.ModuleList([*learnt, self.adversary.last or nn.Identity()])
        self.hidden, self.balanced = Best(self.networks), BestWithin(self.networks, settings.margin)
        self.checks = Checks(-(-settings.steps // settings.check_every))
        self.pairs, self.validation = (_Latents(self.sender, part, settings) for part in (pairs, validation))
        extractor.train()
        self.parts: dict[str, nn.Module | torch.optim.Optimizer] = {
            "networks": self.networks,
            "hidden": self.hidden,
            "balanced": self.balanced,
            "optimiser": self.optimiser,
            "checks": self.checks,
        }
        for number, member in enumerate(self.adversary.members):
            if isinstance(member, Discriminator):
                self.parts |= {f"adversary {number}": member.network, f"its optimiser {number}": member.optimiser}

    def advance(self, number: int, rng: np.random.Generator) -> str:
        """A step on the next batch of pairs, and a check where one is due."""
        settings, strength = self.settings, reversal_strength(number, self.settings)
        batches = max(1, len(self.pairs.events) // settings.batch)
        order = np.random.default_rng([self.seed, 11, number // batches]).permutation(len(self.pairs.events))
        if settings.optimiser == "one-cycle":
            set_learning_rate(self.optimiser, one_cycle(number, settings.steps, settings.learning_rate))
        rows = order[number % batches * settings.batch :][: settings.batch]
        event_loss, adversary_loss = self.step(distributed.share(rows), rng, strength)
        due = (number + 1) % settings.check_every == 0 or number + 1 == settings.steps
        checked = self.check(number, strength) if due else ""
        return f"events {event_loss:.3f}  adversary {adversary_loss:.3f}{checked}"

    def step(self, rows: NDArray[np.int64], rng: np.random.Generator, strength: float) -> tuple[float, float]:
        """One joint step: all learn from one pass of one batch. Returns the losses of events and adversary."""
        level, event, speech = self.pairs.batch(rows, rng)
        latent = self.sender.extractor(level)
        event_loss = functional.cross_entropy(self.reader(latent), event)
        adversary_loss = self.adversary.loss(Latents(latent, speech), strength)
        self.optimiser.zero_grad()
        (event_loss + adversary_loss).backward()  # type: ignore[no-untyped-call]
        self.adversary.update()
        distributed.average(each for group in self.optimiser.param_groups for each in group["params"])
        self.optimiser.step()
        return distributed.mean(event_loss.item()), distributed.mean(adversary_loss.item())

    def check(self, number: int, strength: float) -> str:
        """Look at the networks on validation, keep them if they are the best, and replace the adversary."""
        distributed.average_statistics(self.sender.extractor.eval())
        held_out, events = self.validation.latents(), self.validation.events
        event = _event_verdict(self.reader, held_out.latent, torch.from_numpy(events.reshape(-1)))
        unknown = (math.nan, math.nan)
        in_loop = unknown if self.adversary.last is None else verdict(self.adversary.last, held_out)
        verifier = self._verifier(held_out)
        fresh = unknown if verifier is None else verdict(verifier, held_out)
        row = number // self.settings.check_every
        self.checks.append(row, number + 1, *event, *in_loop, *fresh)
        hidden = in_loop[0] if verifier is None else fresh[0]
        self._offer(-event[0] if self.adversary.last is None else hidden, event[1], strength)
        if verifier is not None and strength > 0.0:
            self.adversary.replace(verifier, row)
        self.sender.extractor.train()
        return "" if verifier is None else f"  D^tau {fresh[1]:.1%}"

    def _verifier(self, held_out: Latents) -> SpeechClassifier | None:
        """A fresh D^tau, for a method that replaces its adversary."""
        if not self.settings.replaces:
            return None
        return verify(self.pairs.latents(), held_out, self.settings.verifier_patience)

    def _offer(self, score: float, accuracy: float, strength: float) -> None:
        """Keep what is best by either rule; before the adversary has its full strength, nothing is."""
        self.balanced.saw(accuracy)
        if self.settings.patience and (strength >= _FULL or self.adversary.last is None):
            self.hidden.offer(self.networks, score)
            self.balanced.offer(self.networks, score, accuracy)

    def finished(self) -> bool:
        """Whether patience is at its end."""
        return 0 < self.settings.patience < self.hidden.since

    def chosen(self, best: Best | BestWithin) -> Chosen:
        """A copy of the networks that a rule kept, or of the last where no check counted."""
        if math.isfinite(best.score):
            self.networks.load_state_dict(best.networks.state_dict())
        sender, reader, in_loop = copy.deepcopy((self.sender, self.reader, self.adversary.last))
        sender.eval().requires_grad_(False)
        if self.settings.codes:
            sender.codes = Codes(reader, self.centres())
        return Chosen(sender, reader, in_loop)

    def centres(self) -> Tensor:
        """For each event the latent that stands for it, [K, 64]: the one of which the reader is most certain."""
        self.sender.extractor.eval()
        latent = self.pairs.latents().latent
        with torch.no_grad():
            return latent[self.reader(latent).log_softmax(dim=1).argmax(dim=0)]


class _Latents:
    """Pairs as input of the extractor: their levels are computed once, unless the mask in front still learns."""

    def __init__(self, sender: Sender, pairs: PairedClips, settings: RdalSettings) -> None:
        self.sender, self.settings = sender, settings
        self.events = pairs.events
        self.magnitudes = torch.from_numpy(pairs.magnitudes)
        with torch.no_grad():
            learns = settings.mask == "learnable"
            sender.eval()
            self.levels = None if learns else torch.cat([sender.levels(pair)[None] for pair in self.magnitudes])

    def batch(self, rows: NDArray[np.int64], rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Levels [2 B, 64, N], events [2 B] and whether somebody speaks [2 B] of the pairs `rows` [B]."""
        level = self._levels(torch.from_numpy(rows))
        if self.settings.augment:
            level = level.roll(int(rng.integers(level.shape[2])), dims=2)
            level = _masked(level.unsqueeze(1) - level.mean()).squeeze(1) + level.mean()
        event = torch.from_numpy(self.events[rows].reshape(-1))
        return level, event, torch.tensor([0.0, 1.0]).repeat(len(rows))

    def latents(self) -> Latents:
        """What is sent for all pairs [2 P, 64], and whether somebody speaks."""
        with torch.no_grad():
            rows, starts = torch.arange(len(self.events)), range(0, len(self.events), _AT_ONCE)
            latent = torch.cat([self.sender.extractor(self._levels(rows[i : i + _AT_ONCE])) for i in starts])
        return Latents(latent, torch.tensor([0.0, 1.0]).repeat(len(self.events)))

    def _levels(self, rows: Tensor) -> Tensor:
        levels = self.sender.levels(self.magnitudes[rows].flatten(0, 1)) if self.levels is None else self.levels[rows]
        return levels.reshape(2 * len(rows), *levels.shape[-2:])


def _event_verdict(reader: nn.Module, latent: Tensor, event: Tensor) -> tuple[float, float]:
    """The cross-entropy of a reader on latents [B, 64], and how often it is right about events [B]."""
    with torch.no_grad():
        logits = reader(latent)
    right = logits.argmax(dim=1) == event
    return functional.cross_entropy(logits, event).item(), float(right.float().mean())


def _pool(settings: RdalSettings) -> Pool:
    """The adversaries of the extractor; none in the case of no privacy."""
    if settings.adversary == "none":
        return Pool(())
    if settings.adversary == "discriminator":
        return Pool((Discriminator(settings.learning_rate, settings.clip),))
    return Pool((Kernel(_KERNEL_WEIGHT), *(Discriminator() for _ in range(_POOL))))


def _optimiser(networks: Sequence[nn.Module], settings: RdalSettings) -> torch.optim.Optimizer:
    parameters = [each for network in networks for each in network.parameters()]
    if settings.optimiser == "one-cycle":
        return torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=0.05, foreach=True)
    if settings.optimiser == "adam":
        return torch.optim.Adam(parameters, lr=settings.learning_rate, foreach=True)
    return torch.optim.SGD(parameters, lr=settings.learning_rate, momentum=0.9, foreach=True)
