"""The job behind `sottovoce train --method adr`: a filter whose features are x-vectors without a declared attribute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sottovoce.corpora.cache import Sounds
from sottovoce.corpora.manifest import Manifest, check_task
from sottovoce.errors import ConfigError
from sottovoce.methods.adr.embeddings import Embedder, embeddings
from sottovoce.methods.adr.game import AdrSettings, train_adr, train_recogniser
from sottovoce.methods.adr.xvector import Spoken, train_xvector
from sottovoce.models.adr import Adr, EmbeddingRecogniser
from sottovoce.models.layers import parameter_count
from sottovoce.models.speaker_encoder import pretrained
from sottovoce.models.target import Target
from sottovoce.training.loop import Run

_USUAL = "gender"  # what the article hides


class Trained(NamedTuple):
    """A sender of protected embeddings, and the reader of the permitted task on them."""

    sender: Adr
    reader: EmbeddingRecogniser


def declared(manifest: Manifest, permit: str, hide: Sequence[str]) -> tuple[str, ...]:
    """The attributes that ADR hides: those of `hide`, else gender; ConfigError where that cannot be."""
    if not hide and _USUAL in manifest.tasks and permit != _USUAL:
        return (_USUAL,)
    if not hide:
        others = ", ".join(task for task in manifest.tasks if task != permit) or "none"
        raise ConfigError(f"ADR has to be told what it hides: name it with --hide; {manifest.spec} has: {others}.")
    if permit in hide:
        raise ConfigError(f"--hide names '{permit}', which is permitted; expected other labels.")
    for attribute in hide:
        check_task(manifest, attribute)
    return tuple(dict.fromkeys(hide))


def train_sender(
    manifest: Manifest,
    sounds: Sounds,
    clips: NDArray[np.int64],
    target: Target,
    hidden: Sequence[str],
    settings: AdrSettings,
    run: Run,
) -> Trained:
    """ADR against the attributes `hidden`, which are one with joint classes, and a reader of the task of `target`.

    An x-vector network is trained on the speakers of the training `clips`, the reader on what leaves of them.
    """
    embedder = _embedder(Spoken(manifest, sounds, clips), settings, run)
    vectors, owner = embeddings(embedder, sounds, clips, settings.crops, np.random.default_rng(run.seed))
    names = [tuple(clip.labels[attribute] for attribute in hidden) for clip in manifest.clips]
    classes = sorted({names[i] for i in clips})
    labels = torch.tensor([classes.index(names[i]) for i in owner])
    sender = train_adr(embedder, vectors, labels, len(classes), settings, run)
    answers = torch.tensor([target.classes.index(manifest.clips[i].labels[target.task]) for i in owner])
    with torch.no_grad():
        protected = sender.protect(sender.normalised(vectors))
    read = run.part("reader", settings.classifier_steps)
    return Trained(sender, train_recogniser(protected, answers, len(target.classes), settings, read))


def _embedder(spoken: Spoken, settings: AdrSettings, run: Run) -> Embedder:
    """What makes embeddings of voices, in evaluation mode."""
    if settings.voices == "pretrained":
        return pretrained()
    network = train_xvector([spoken], settings.xvector, run.part("xvector", settings.xvector.steps))
    network.output = torch.nn.Sequential()  # names speakers, and does not ship
    return network


def described(trained: Trained, hidden: Sequence[str], settings: AdrSettings) -> dict[str, Any]:
    """What a card says of such a filter."""
    return {
        "settings": asdict(settings),
        "hide": list(hidden),
        "parameters": parameter_count(trained.sender),
        "bits_per_block": None,  # nothing bounds what an embedding tells
    }
