"""The job behind `sottovoce train --method rdal`: a filter whose features are latents."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sottovoce.audio.mel import magnitudes
from sottovoce.audio.spectrum import SAMPLE_RATE, SEGMENT_S
from sottovoce.corpora.cache import Sounds
from sottovoce.corpora.manifest import Manifest
from sottovoce.corpora.readers import mixtures
from sottovoce.errors import ConfigError
from sottovoce.methods.rdal.game import PairedClips, RdalSettings, Trained, train_rdal
from sottovoce.methods.rdal.mask import train_mask
from sottovoce.models.layers import parameter_count
from sottovoce.models.target import Target
from sottovoce.training.loop import Run

SPEECH = "speech"  # the label, yes or no, that latents are to hide


def train_sender(
    manifest: Manifest,
    sounds: Sounds,
    train: NDArray[np.int64],
    validation: NDArray[np.int64],
    target: Target,
    settings: RdalSettings,
    run: Run,
) -> Trained:
    """A sender for the task of `target`, from the clips `train`, chosen on `validation`.

    ConfigError where the corpus has no clips with and without speech, or, for a mask, none that are pairs of one event.
    """
    if settings.sample_rate != SAMPLE_RATE:
        raise ConfigError(
            f"this preset hears {settings.sample_rate} Hz, recordings are kept at {SAMPLE_RATE} Hz; expected a preset "
            "of that rate."
        )
    pairs, held_out = (_half(manifest, sounds, clips, target, settings) for clips in (train, validation))
    mask = None if settings.mask == "none" else train_mask(pairs.magnitudes, settings.masking, run)
    return train_rdal(pairs, held_out, len(target.classes), settings, mask, run)


def described(trained: Trained, settings: RdalSettings) -> dict[str, Any]:
    """What a card says of a sender."""
    return {
        "settings": asdict(settings),
        "parameters": parameter_count(trained.sender),
        "epochs": len(trained.rows) + (settings.masking.epochs if settings.mask != "none" else 0),
        "block_s": SEGMENT_S,
        "bits_per_block": math.log2(trained.reader.out_features) if settings.codes else None,
    }


def _half(
    manifest: Manifest, sounds: Sounds, clips: NDArray[np.int64], target: Target, settings: RdalSettings
) -> PairedClips:
    """The pairs of a part: twins of one event where there are such, else a clip without and one with speech each."""
    pairs = pairs_of(manifest, clips, twins=settings.mask != "none")
    segments = sounds.segments(pairs.ravel(), np.zeros(pairs.size, np.int64), settings.samples)
    found = magnitudes(segments, settings.sample_rate)
    events = [target.classes.index(manifest.clips[i].labels[target.task]) for i in pairs.ravel()]
    return PairedClips(found.reshape(*pairs.shape, *found.shape[1:]), np.array(events).reshape(pairs.shape))


def pairs_of(manifest: Manifest, clips: NDArray[np.int64], twins: bool) -> NDArray[np.int64]:
    """Positions [P, 2] of clips without and with speech; with `twins` only those of one event, mixed and not."""
    if SPEECH not in manifest.tasks:
        raise ConfigError(
            f"{manifest.spec} has no label '{SPEECH}' (yes or no) that could be hidden; use mixtures:PATH."
        )
    quiet = [int(i) for i in clips if manifest.clips[i].labels[SPEECH] == "no"]
    spoken = {manifest.clips[i].id: int(i) for i in clips if manifest.clips[i].labels[SPEECH] == "yes"}
    found = [(i, spoken.get(mixtures.twin(manifest.clips[i].id))) for i in quiet]
    known = [(i, other) for i, other in found if other is not None]
    if not known and twins:
        raise ConfigError(
            f"{manifest.spec} has no pairs of one event with and without speech, which a mask is trained on; use "
            "mixtures:PATH, or a preset without a mask."
        )
    pairs = known or list(zip(quiet, spoken.values(), strict=False))
    if not pairs:
        raise ConfigError(
            f"{manifest.spec} has {len(quiet)} clips without speech and {len(spoken)} with; expected both."
        )
    return np.array(pairs)
