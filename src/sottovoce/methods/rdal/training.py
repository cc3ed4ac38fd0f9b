"""RDAL and its relatives: an extractor whose latents tell the event, and not whether somebody speaks.

    min over F, C   cross-entropy(C(F(x)), event) + cross-entropy(D(reversed F(x)), speech)
    every P epochs  D continues with the weights of D^tau, trained from nothing on F's latents

Gharib et al., IEEE OJ Signal Processing 5, 2024; with a mask in front of F: Luong et al., WASPAA 2023. Without an
adversary it is the case of no privacy, with one that is never replaced the prior adversarial method.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from sottovoce.methods.rdal.adversary import Discriminator, Kernel, Latents, Pool, verdict, verify
from sottovoce.methods.rdal.history import TrainingHistory
from sottovoce.methods.rdal.mask import MaskSettings
from sottovoce.models.architectures import build
from sottovoce.models.rdal import LATENT, Codes, LogMel, MaskUnet, Sender
from sottovoce.training.loop import Run, one_cycle, set_learning_rate, train
from sottovoce.training.settings import Positive, Rate

_FULL = 0.99  # the strength of the reversal from which on checkpoints count
_AT_ONCE = 128
_POOL = 3  # discriminators beside the kernel
_KERNEL_WEIGHT = 10.0


@dataclass(frozen=True)
class RdalSettings:
    """A method and its schedule.

    The strength of the reversal is 0 for `warmup_epochs`, then 2 / (1 + exp(-100 p)) - 1 with p from 0 to 1 over
    `ramp` more. With `replace_every` > 0 epochs, the checkpoint whose verification has the highest loss is kept, and
    `patience` verifications without a higher one end the run; without, `patience` epochs of the adversary's own loss.
    `patience` 0: all `epochs`, and the last is kept. `codes`: one code per event leaves in the place of the latent.
    """

    extractor: Literal["rdal-compact", "rdal"] = "rdal-compact"
    width: Positive = 16
    mask: Literal["none", "frozen", "learnable"] = "none"
    masking: MaskSettings = field(default_factory=MaskSettings)
    adversary: Literal["none", "discriminator", "pool"] = "discriminator"
    codes: bool = False
    sample_rate: Positive = 16000
    samples: Positive = 20480  # of a clip, padded with silence
    epochs: Positive = 1000
    optimiser: Literal["sgd", "adam"] = "sgd"
    learning_rate: Rate = 1e-2  # the peak of one cycle with adam
    batch: Positive = 32  # pairs
    warmup_epochs: int = 6
    ramp: int = 1058
    replace_every: int = 0
    verifier_patience: Positive = 20
    patience: int = 10
    rolls: bool = True  # each batch is turned by a random time


_ADAM = RdalSettings(optimiser="adam", learning_rate=3e-3, epochs=40, patience=0, warmup_epochs=4, ramp=800)
_RDAL = RdalSettings(replace_every=11)  # a tenth of the paper's schedule, counted in steps
_PAPER = RdalSettings(
    "rdal",
    64,
    sample_rate=44100,
    samples=44100,
    epochs=5000,
    warmup_epochs=30,
    ramp=4970,
    masking=MaskSettings(16, 60, learning_rate=1e-3),
    replace_every=50,
    verifier_patience=50,
    rolls=False,
)
PRESETS: Mapping[str, RdalSettings] = MappingProxyType(
    {
        "no-privacy": replace(_ADAM, adversary="none"),
        "reversal": RdalSettings(patience=40),
        "compact": _RDAL,
        "masked": replace(_RDAL, mask="frozen", replace_every=15),
        "learnable": replace(_RDAL, mask="learnable", replace_every=15),
        "pool": replace(_ADAM, mask="frozen", adversary="pool", replace_every=1, verifier_patience=10),
        "codes": replace(_ADAM, mask="frozen", adversary="none", codes=True),
        "paper": _PAPER,
        "paper-masked": replace(_PAPER, mask="frozen", replace_every=70),
    }
)


class PairedClips(NamedTuple):
    """Pairs without and with speech of one part: magnitudes [P, 2, F, N], and the number of each event [P, 2]."""

    magnitudes: NDArray[np.float32]
    events: NDArray[np.int64]


class TrainedSender(NamedTuple):
    """A sender, the reader of its latents, the adversary in the loop, and the rows of the `TrainingHistory`."""

    sender: Sender
    reader: nn.Linear
    in_loop: nn.Module | None
    rows: NDArray[np.float64]


def reversal_strength(epoch: int, settings: RdalSettings) -> float:
    """How strongly gradients are reversed in an epoch, 0 to 1."""
    if settings.adversary == "none" or epoch < settings.warmup_epochs:
        return 0.0
    return 2.0 / (1.0 + math.exp(-100.0 * (epoch - settings.warmup_epochs) / max(1, settings.ramp - 1))) - 1.0


def train_rdal(
    pairs: PairedClips, validation: PairedClips, classes: int, settings: RdalSettings, mask: MaskUnet | None, run: Run
) -> TrainedSender:
    """A sender and the reader of its latents, from pairs of clips; `mask` is None, or trained by `train_mask`."""
    torch.manual_seed(run.seed)
    training = Training(copy.deepcopy(mask), pairs, validation, classes, settings)
    train(training.epoch, training.parts, run.part("game", settings.epochs), training.finished)
    training.restore_best()
    sender = training.sender.eval().requires_grad_(False)
    if settings.codes:
        sender.codes = Codes(training.reader, training.centres())
    return TrainedSender(sender, training.reader, training.adversary.last, training.history.rows)


class Training:
    """The networks of a method in training, and their pairs of clips."""

    def __init__(
        self, mask: nn.Module | None, pairs: PairedClips, validation: PairedClips, classes: int, settings: RdalSettings
    ) -> None:
        sizes = {"width": settings.width, "latent": LATENT}
        self.settings = settings
        self.sender = Sender(mask, LogMel(settings.sample_rate), build(settings.extractor, sizes), None)
        self.reader = nn.Linear(LATENT, classes)
        if settings.mask == "learnable" and self.sender.mask is not None:
            self.sender.mask.requires_grad_(True)
        self.optimiser = _optimiser([self.sender, self.reader], settings)
        self.adversary = _pool(settings)
        self.networks = nn.ModuleList([self.sender, self.reader, self.adversary.last or nn.Identity()])
        self.best = copy.deepcopy(self.networks)
        self.history = TrainingHistory(settings.epochs)
        self.pairs, self.validation = (_Latents(self.sender, part, settings) for part in (pairs, validation))
        self.parts: dict[str, nn.Module | torch.optim.Optimizer] = {
            "networks": self.networks,
            "best": self.best,
            "optimiser": self.optimiser,
            "history": self.history,
        }
        for number, member in enumerate(self.adversary.members):
            if isinstance(member, Discriminator):
                self.parts |= {f"adversary {number}": member.network, f"its optimiser {number}": member.optimiser}

    def epoch(self, number: int, rng: np.random.Generator) -> str:
        """Once over all pairs, and then, when it is time to, verification and replacement."""
        batch, order = self.settings.batch, rng.permutation(len(self.pairs.events))
        batches = len(order) // batch
        strength = reversal_strength(number, self.settings)
        self.sender.extractor.train()
        losses = []
        for place, rows in enumerate(order[: batches * batch].reshape(batches, batch)):
            if self.settings.optimiser == "adam":
                done, total = number * batches + place, self.settings.epochs * batches
                set_learning_rate(self.optimiser, one_cycle(done, total, self.settings.learning_rate))
            losses.append(self.step(rows, rng, strength))
        self.sender.extractor.eval()
        event_loss, adversary_loss = np.mean(losses, axis=0)
        verification = self.verify(number, event_loss, adversary_loss, strength)
        return f"events {event_loss:.3f}  adversary {adversary_loss:.3f}{verification}"

    def step(self, rows: NDArray[np.int64], rng: np.random.Generator, strength: float) -> tuple[float, float]:
        """One batch: the extractor learns the events under the adversary's pressure, and the adversary improves."""
        level, event, speech = self.pairs.batch(rows, rng)
        latents = Latents(self.sender.extractor(level), speech)
        event_loss = functional.cross_entropy(self.reader(latents.latent), event)
        loss = event_loss + self.adversary.pressure(latents, strength)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adversary_loss = self.adversary.improve(latents)
        self.optimiser.step()
        return event_loss.item(), adversary_loss

    def verify(self, number: int, event_loss: float, adversary_loss: float, strength: float) -> str:
        """Add the epoch to the history; verify and replace when it is time to, and keep what hides speech best."""
        held_out, in_loop = self.validation.latents(), self.adversary.last
        verified, in_loop_there = (math.nan, math.nan), (math.nan, math.nan)  # loss and accuracy
        every = self.settings.replace_every
        if every and (number + 1) % every == 0:
            verifier = verify(self.pairs.latents(), held_out, self.settings.verifier_patience)
            verified = verdict(verifier, held_out)
            if strength > 0.0:
                self.adversary.replace(verifier, number // every)
        if in_loop is not None:
            in_loop_there = verdict(in_loop, held_out)
        self.history.append(number, event_loss, adversary_loss, in_loop_there[1], *verified)
        loss = verified[0] if every else in_loop_there[0]
        if self.settings.patience and strength >= _FULL and not math.isnan(loss) and self.history.is_best(loss):
            self.best.load_state_dict(self.networks.state_dict())
        return f"  D^tau {verified[1]:.1%}" if every and not math.isnan(loss) else ""

    def finished(self) -> bool:
        """Whether patience is at its end."""
        return 0 < self.settings.patience < self.history.since

    def restore_best(self) -> None:
        """Put the best networks in the place of the last, if any loss was compared."""
        if self.history.has_best:
            self.networks.load_state_dict(self.best.state_dict())

    def centres(self) -> Tensor:
        """For each event the latent that stands for it, [K, 64]: the one of which the reader is most certain."""
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
        if self.settings.rolls:
            level = level.roll(int(rng.integers(level.shape[2])), dims=2)
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


def _pool(settings: RdalSettings) -> Pool:
    """The adversaries of the extractor; none in the case of no privacy."""
    if settings.adversary == "none":
        return Pool(())
    if settings.adversary == "discriminator":
        return Pool((Discriminator(settings.learning_rate),))
    return Pool((Kernel(_KERNEL_WEIGHT), *(Discriminator() for _ in range(_POOL))))


def _optimiser(networks: Sequence[nn.Module], settings: RdalSettings) -> torch.optim.Optimizer:
    parameters = [each for network in networks for each in network.parameters() if each.requires_grad]
    if settings.optimiser == "adam":
        return torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=0.05)
    return torch.optim.SGD(parameters, lr=settings.learning_rate, momentum=0.9)
