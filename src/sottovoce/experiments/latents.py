"""What attackers read from the latents of a sender: the paper's own, a ladder of others, and sequences of a minute.

All are fitted on the training pairs, chosen on validation and scored on test. A sender was made from these very
training pairs and may hide speech better in them than in any others, so attackers are fitted on test recordings too:
on four fifths of the sources, to be scored on the last ("unseen by the sender").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.model_selection import GroupKFold

from sottovoce.attack.attacker import Array, Labels, Observations
from sottovoce.attack.families import ATTACKERS
from sottovoce.attack.linkage import Cosine, Discriminant
from sottovoce.audit import metrics
from sottovoce.audit.bootstrap import ends
from sottovoce.audit.results import Interval
from sottovoce.methods.rdal.adversary import Latents, verify
from sottovoce.methods.rdal.pairs import PairedClips
from sottovoce.models.rdal import Sender

_DRAWS = 500


@dataclass(frozen=True)
class LatentAttackers:
    """Families and the cycles of training that each has; of a minute, how many sequences of how many latents of 1 s."""

    ladder: tuple[tuple[str, int], ...] = (
        ("nearest", 0),
        ("linear", 0),
        ("svm", 0),
        ("mlp", 3),
        ("trees", 0),
        ("cnn", 2),
    )
    sequences: int = 200  # of each kind
    length: int = 60
    folds: int = 5  # of test recordings, for attackers that learn from those of the others


LATENT_ATTACKERS = LatentAttackers()


class Clips(NamedTuple):
    """Pairs of a part, and of each [P]: the speaker, whether it is a man, and the recording of the event."""

    pairs: PairedClips
    speaker: NDArray[np.str_]
    male: NDArray[np.int64]
    source: NDArray[np.int64]


@dataclass(frozen=True)
class Sent:
    """What a sender sends for pairs: latents [P, 2, 64]."""

    latents: Array
    clips: Clips

    def presence(self) -> tuple[Observations, Labels]:
        """All clips, and whether somebody speaks."""
        flat = self.latents.reshape(-1, self.latents.shape[-1])
        return observed(flat), np.tile([0, 1], len(self.latents))

    def voices(self) -> tuple[Observations, Labels]:
        """The clips with speech, and the gender."""
        return observed(self.latents[:, 1]), self.clips.male


def sent(sender: Sender, clips: Clips) -> Sent:
    """What is sent for the pairs of a part."""
    with torch.no_grad():
        latents = np.stack([sender(torch.from_numpy(pair)).numpy() for pair in clips.pairs.magnitudes])
    return Sent(latents, clips)


def observed(latents: Array) -> Observations:
    """Latents [U, 64] as attackers get them."""
    return Observations(latents[:, :, None], np.arange(len(latents)), np.ones((len(latents), 1), np.float32))


def attacked(parts: Mapping[str, Sent], seed: int, attackers: LatentAttackers) -> dict[str, Any]:
    """Everything that is measured of a sender's latents."""
    test = parts["test"]
    presence = {name: part.presence() for name, part in parts.items()}
    voices = {name: part.voices() for name, part in parts.items()}
    source = np.repeat(test.clips.source, 2)
    return {
        "paper": as_in_the_paper(parts, seed),
        "speech": _ladder(presence, source, seed, attackers) + _unseen(*presence["test"], source, seed, attackers),
        "gender": _ladder(voices, test.clips.source, seed, attackers),
        "speaker": linked(parts["train"], test, seed),
        "minute": _minutes(parts, seed, attackers),
    }


def as_in_the_paper(parts: Mapping[str, Sent], seed: int) -> dict[str, Any]:
    """What the paper's own attacker finds of speech, and of the gender of those who speak."""
    presence = {name: part.presence() for name, part in parts.items()}
    voices = {name: part.voices() for name, part in parts.items()}
    source = parts["test"].clips.source
    return {"speech": _paper(presence, np.repeat(source, 2), seed), "gender": _paper(voices, source, seed)}


def event_accuracy(reader: torch.nn.Module, test: Sent) -> dict[str, Any]:
    """How often the reader names the event, over all clips (with interval by recording) and over each half."""
    with torch.no_grad():
        called = reader(torch.from_numpy(test.latents)).argmax(dim=2).numpy()
    right = called == test.clips.pairs.events
    whole = metrics.accuracy(right.ravel(), np.repeat(test.clips.source, 2))
    return {"all": whole.model_dump(), "quiet": float(right[:, 0].mean()), "speech": float(right[:, 1].mean())}


def auc(scores: NDArray[Any], labels: Labels, cluster: NDArray[np.int64], seed: int = 0) -> Interval:
    """Area under the ROC curve of scores [U] for labels [U] in 0, 1, resampled by cluster [U]."""
    names, member = np.unique(cluster, return_inverse=True)
    rows = [np.flatnonzero(member == i) for i in range(len(names))]
    rng, drawn = np.random.default_rng(seed), []
    for _ in range(_DRAWS):
        chosen = np.concatenate([rows[i] for i in rng.integers(len(rows), size=len(rows))])
        if len(np.unique(labels[chosen])) == 2:
            drawn.append(roc_auc_score(labels[chosen], scores[chosen]))
    score = float(roc_auc_score(labels, scores))
    low, high = ends(np.array(drawn), len(rows))
    return Interval(score=score, low=min(low, score), high=max(high, score))


def _scored(name: str, scores: NDArray[Any], labels: Labels, cluster: NDArray[np.int64]) -> dict[str, Any]:
    """An attacker's scores [U], above zero where it says yes."""
    right = (scores > 0.0) == (labels == 1)
    return {
        "attacker": name,
        "accuracy": metrics.accuracy(right, cluster).model_dump(),
        "auc": auc(scores, labels, cluster).model_dump(),
    }


def _paper(parts: Mapping[str, tuple[Observations, Labels]], cluster: NDArray[np.int64], seed: int) -> dict[str, Any]:
    """A fresh D^tau, trained as the paper does."""
    torch.manual_seed(seed)
    verifier = verify(_latents(*parts["train"]), _latents(*parts["validation"]))
    with torch.no_grad():
        scores = verifier(_latents(*parts["test"]).latent).numpy()
    return _scored("the paper's MLP", scores, parts["test"][1], cluster)


def as_latents(part: Sent) -> Latents:
    """All that is sent of a part, and whether somebody speaks."""
    return _latents(*part.presence())


def _latents(given: Observations, labels: Labels) -> Latents:
    return Latents(torch.tensor(given.spectra[:, :, 0]), torch.tensor(labels, dtype=torch.float32))


def _ladder(
    parts: Mapping[str, tuple[Observations, Labels]], cluster: NDArray[np.int64], seed: int, attackers: LatentAttackers
) -> list[dict[str, Any]]:
    """Fresh attackers of other families."""
    rows = []
    for family, cycles in attackers.ladder:
        attacker = ATTACKERS[family](cycles, seed)
        attacker.fit(*parts["train"], *parts["validation"], 2)
        rows.append(_scored(attacker.name, _odds(attacker.scores(parts["test"][0])), parts["test"][1], cluster))
    return rows


def _unseen(
    test: Observations, labels: Labels, source: NDArray[np.int64], seed: int, attackers: LatentAttackers
) -> list[dict[str, Any]]:
    """Attackers who learn from recordings that the sender was not made from."""
    rows = []
    for family in ("linear", "svm"):
        scores = np.zeros(len(labels))
        for learn, guess in GroupKFold(attackers.folds).split(labels, groups=source):
            attacker = ATTACKERS[family](0, seed)
            choose = np.isin(source[learn], np.unique(source[learn])[:: attackers.folds])
            fitted, held = learn[~choose], learn[choose]
            attacker.fit(test.pick(fitted), labels[fitted], test.pick(held), labels[held], 2)
            scores[guess] = _odds(attacker.scores(test.pick(guess)))
        rows.append(_scored(f"{attacker.name}, unseen by the sender", scores, labels, source))
    return rows


def _odds(log_posterior: Array) -> NDArray[Any]:
    return log_posterior[:, 1] - log_posterior[:, 0]


def linked(train: Sent, test: Sent, seed: int) -> dict[str, Any]:
    """Whether two clips can be linked to one speaker, who is in no training part: equal error rate and AUC."""
    rng = np.random.default_rng(seed)
    names = test.clips.speaker
    first, second = np.triu_indices(len(names), 1)
    same = names[first] == names[second]
    others = rng.permutation(np.flatnonzero(~same))[: same.sum() * 4]
    chosen = np.concatenate([np.flatnonzero(same), others])
    rows = []
    for linker in (Cosine(), Discriminant()):
        linker.fit(train.latents[:, 1], train.clips.speaker)
        alike = linker.similarity(test.latents[first[chosen], 1], test.latents[second[chosen], 1])
        wrong, right, _ = roc_curve(same[chosen], alike)
        nearest = np.argmin(np.abs(wrong - (1.0 - right)))
        rate = float(wrong[nearest] + 1.0 - right[nearest]) / 2.0  # where all are alike, no threshold has them equal
        rows.append({"attacker": linker.name, "eer": rate, "auc": float(roc_auc_score(same[chosen], alike))})
    return min(rows, key=lambda entry: entry["eer"])


def _minutes(parts: Mapping[str, Sent], seed: int, attackers: LatentAttackers) -> dict[str, Any]:
    """Attackers who get a minute under one condition: mean and deviation of 60 latents, linear and kernel."""
    rng = np.random.default_rng(seed)
    rows: dict[str, Any] = {}
    for what in ("speech", "gender"):
        sequences = {name: _sequences(part, what, rng, attackers) for name, part in parts.items()}
        scores: list[dict[str, Any]] = []
        for family in ("linear", "svm", "nearest"):
            attacker = ATTACKERS[family](0, seed).fit(*sequences["train"], *sequences["validation"], 2)
            odds, labels = _odds(attacker.scores(sequences["test"][0])), sequences["test"][1]
            scores.append({"attacker": attacker.name, "auc": float(roc_auc_score(labels, odds))})
        rows[what] = max(scores, key=lambda entry: entry["auc"])
    return rows


def _sequences(
    part: Sent, what: str, rng: np.random.Generator, attackers: LatentAttackers
) -> tuple[Observations, Labels]:
    """Random minutes of one condition, clips drawn with replacement, so that minutes overlap."""
    pools = [part.latents[:, 0], part.latents[:, 1]]
    if what == "gender":
        pools = [part.latents[part.clips.male == gender, 1] for gender in (0, 1)]
    drawn = [pool[rng.integers(len(pool), size=(attackers.sequences, attackers.length))] for pool in pools]
    latents = np.concatenate(drawn).swapaxes(1, 2)
    given = Observations(latents, np.arange(len(latents)), np.ones((len(latents), 1), np.float32))
    return given, np.repeat([0, 1], attackers.sequences)
