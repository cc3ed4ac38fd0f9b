"""Training ADR (Noé et al. 2021): an autoencoder of x-vectors against an adversary that reads the declared attribute.

Two games are called ADR. The article's: the autoencoder minimises 1 - cosine + BCE(1 - p, y), p being the adversary's
posterior: it has the adversary take the attribute for another. The released code's: gradients are cleared once, before
the adversary's backward pass, and so the encoder also gets those of the adversary's own loss, BCE(p, y). The sum,
-log p - log(1 - p), does not depend on the label and is smallest where the adversary is undecided: a confusion loss.
(The release takes p from before the adversary's step and its gradient from after it; here both are from after it.)

With more than two classes p is a softmax, and both losses are means over classes, which for two classes they equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from sottovoce.methods.adr.xvector import PRESETS as XVECTORS
from sottovoce.methods.adr.xvector import XVectorSettings
from sottovoce.models.adr import CODE, Adr, AttributeReader, Embedder, EmbeddingRecogniser
from sottovoce.training.loop import Run, frozen, train, update
from sottovoce.training.settings import Positive, Rate

Game = Literal["released", "text"]
Voices = Literal["x-vector", "pretrained", "campplus"]

_FRESH_RATE = 3e-3
_AT_ONCE = 128  # steps


@dataclass(frozen=True)
class AdrSettings:
    """How ADR is trained, on which embeddings of `voices`; `game` is which of the two losses.

    `hide` are the declared attributes; without any, gender. `xvector` is how an x-vector network is trained, where that
    makes the embeddings.
    """

    hide: tuple[str, ...] = ()
    game: Game = "released"
    voices: Voices = "x-vector"
    steps: Positive = 12_000  # a hundredth of the release's, at a hundred times the rate
    batch: Positive = 64
    learning_rate: Rate = 1e-2
    momentum: Rate = 0.9
    hidden: Positive = CODE  # of the adversary
    classifier_steps: Positive = 2000
    adversary_weight: float = 1.0
    crops: int = 8  # random segments of each training clip, besides those it is cut into
    xvector: XVectorSettings = XVECTORS["compact"]


_COMPACT = AdrSettings()
PRESETS: Mapping[str, AdrSettings] = MappingProxyType(
    {
        "compact": _COMPACT,
        "text": replace(_COMPACT, game="text"),
        "pretrained": replace(_COMPACT, voices="pretrained"),
        "campplus": replace(_COMPACT, voices="campplus"),
        "quick": replace(_COMPACT, steps=2000, classifier_steps=500, crops=2, xvector=XVECTORS["quick"]),
        # 100 epochs of 786 k x-vectors, as the logs of the release count them
        "paper": AdrSettings(steps=1_228_000, learning_rate=1e-4, classifier_steps=184_000, xvector=XVECTORS["paper"]),
    }
)


def bce(log_posterior: Tensor, labels: Tensor) -> Tensor:
    """BCE(p, y): binary cross-entropy of posteriors, given as logarithms [B, K], to labels [B], mean over classes."""
    if log_posterior.shape[1] == 2:
        return functional.nll_loss(log_posterior, labels)
    of_label = functional.one_hot(labels, log_posterior.shape[1]).bool()
    return -torch.where(of_label, log_posterior, _log_others(log_posterior)).mean()


def deceived(log_posterior: Tensor, labels: Tensor) -> Tensor:
    """BCE(1 - p, y): what the article has the autoencoder minimise."""
    if log_posterior.shape[1] == 2:
        return functional.nll_loss(log_posterior, 1 - labels)
    of_label = functional.one_hot(labels, log_posterior.shape[1]).bool()
    return -torch.where(of_label, _log_others(log_posterior), log_posterior).mean()


def undecided(log_posterior: Tensor) -> Tensor:
    """BCE(p, y) + BCE(1 - p, y) for every y, as the label does not matter: smallest where all p are equal."""
    return -(log_posterior + _log_others(log_posterior)).mean()


def _log_others(log_posterior: Tensor) -> Tensor:
    """log(1 - p) [B, K], as the sum over the other classes, which also has a gradient where p is almost 1."""
    classes = log_posterior.shape[1]
    if classes == 2:
        return log_posterior.flip(1)
    itself = torch.eye(classes, dtype=torch.bool, device=log_posterior.device)
    others = log_posterior.unsqueeze(1).expand(-1, classes, -1)
    return others.masked_fill(itself, -torch.inf).logsumexp(dim=2)


class AttributeAdversary:
    """Learns to read the declared attribute [B] from codes [B, 128]; the encoder increases its `pressure`."""

    def __init__(self, network: AttributeReader, optimiser: Optimizer, game: Game) -> None:
        self.network = network
        self.optimiser = optimiser
        self.game = game

    def improve(self, code: Tensor, labels: Tensor) -> float:
        """One step on BCE(p, y); returns it. Never touches the encoder's gradients."""
        loss = bce(self.network(code.detach()), labels)
        return update(self.optimiser, loss)

    def pressure(self, code: Tensor, labels: Tensor) -> Tensor:
        """What the encoder increases, by the loss of the game. Never changes the adversary."""
        with frozen(self.network):
            read = self.network(code)
        return -(undecided(read) if self.game == "released" else deceived(read, labels))

    def replace(self, fresh: AttributeReader, pairs: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Continue with the weights of `fresh`, trained on (code, labels) `pairs` from nothing."""
        replacement = AttributeAdversary(fresh, torch.optim.Adam(fresh.parameters(), lr=_FRESH_RATE), self.game)
        for code, labels in pairs:
            replacement.improve(code, labels)
        self.network.load_state_dict(fresh.state_dict())


def train_adr(
    embedder: Embedder, vectors: Tensor, labels: Tensor, classes: int, settings: AdrSettings, run: Run
) -> Adr:
    """ADR against one declared attribute, from embeddings [M, D] and their classes [M]; in evaluation mode."""
    torch.manual_seed(run.seed)
    deviation = vectors.std(dim=0).clamp(min=1e-3 * vectors.std().item())  # some are always 0 behind a ReLU
    adr = Adr(embedder, vectors.mean(dim=0), deviation, classes)
    inputs = adr.normalised(vectors)
    classifier = _classifier(inputs, labels, classes, settings, run)
    with torch.no_grad():
        posteriors = classifier(inputs).exp()
    network = AttributeReader(CODE, classes, settings.hidden)
    autoencoder = nn.ModuleList([adr.encoder, adr.decoder])
    optimiser, other = (_sgd(each, settings.learning_rate, settings) for each in (autoencoder, network))
    adversary = AttributeAdversary(network, other, settings.game)

    def step(rows: Tensor) -> str:
        given, truth = inputs[rows], labels[rows]
        code = adr.encoder(given)
        decoded = adr.decoder(code, posteriors[rows])
        read = adversary.improve(code, truth)
        reconstruction = 1.0 - (decoded * given).sum() / len(rows)  # of vectors of length 1: the mean of 1 - cosine
        pressure = adversary.pressure(code, truth)
        update(optimiser, reconstruction - settings.adversary_weight * pressure)
        return f"ADR: 1 - cosine {reconstruction.item():.3f}  adversary {read:.3f}  pressure {pressure.item():.3f}"

    autoencoder.train()
    parts: dict[str, nn.Module | Optimizer] = {
        "autoencoder": autoencoder,
        "adversary": network,
        "optimiser": optimiser,
        "other": other,
    }
    _train_small(step, parts, len(inputs), settings.batch, run._replace(steps=settings.steps))
    return adr.eval()


def _train_small(
    step: Callable[[Tensor], str], parts: Mapping[str, nn.Module | Optimizer], vectors: int, batch: int, run: Run
) -> None:
    """Call `step(rows)` for each of the steps of `run`, with random positions [B] of so many vectors.

    A step takes about a millisecond: `_AT_ONCE` of them are one step of the loop, which seeds, reports and saves.
    """

    def some(number: int, rng: np.random.Generator) -> str:
        count = min(_AT_ONCE, run.steps - number * _AT_ONCE)
        notes = [step(rows) for rows in torch.from_numpy(rng.integers(vectors, size=(count, batch)))]
        return notes[-1]

    def report(done: int, total: int, note: str) -> None:
        run.report(min(done * _AT_ONCE, run.steps), run.steps, note)

    train(some, parts, run._replace(steps=-(-run.steps // _AT_ONCE), report=report))


def _sgd(network: nn.Module, rate: float, settings: AdrSettings) -> Optimizer:
    return torch.optim.SGD(network.parameters(), lr=rate, momentum=settings.momentum, fused=True)


def _classifier(inputs: Tensor, labels: Tensor, classes: int, settings: AdrSettings, run: Run) -> AttributeReader:
    """The reader whose posterior the decoder gets: logistic regression, trained beforehand."""
    reader = AttributeReader(inputs.shape[1], classes)
    optimiser = _sgd(reader, 10.0 * settings.learning_rate, settings)  # as in the release
    _fit(reader, bce, optimiser, inputs, labels, settings, run.part("attribute", settings.classifier_steps))
    return reader


def train_recogniser(
    embeddings: Tensor, labels: Tensor, classes: int, settings: AdrSettings, run: Run
) -> EmbeddingRecogniser:
    """The target of ADR: a recogniser of a permitted task [M] on embeddings [M, D], in evaluation mode."""
    torch.manual_seed(run.seed)
    recogniser = EmbeddingRecogniser(embeddings.shape[1], classes)
    optimiser = torch.optim.AdamW(recogniser.parameters(), lr=1e-3, weight_decay=0.05)
    _fit(recogniser, functional.cross_entropy, optimiser, embeddings, labels, settings, run)
    return recogniser.eval()


def _fit(
    network: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    optimiser: Optimizer,
    vectors: Tensor,
    labels: Tensor,
    settings: AdrSettings,
    run: Run,
) -> None:
    def step(rows: Tensor) -> str:
        return f"reader of embeddings: loss {update(optimiser, loss(network(vectors[rows]), labels[rows])):.3f}"

    network.train()
    _train_small(step, {"network": network, "optimiser": optimiser}, len(vectors), settings.batch, run)
