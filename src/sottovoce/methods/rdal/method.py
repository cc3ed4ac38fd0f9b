"""The method `rdal`: a filter whose features are latents."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sottovoce.audio.segment import FRONT_END
from sottovoce.audio.spectrum import SAMPLE_RATE, SEGMENT_S
from sottovoce.corpora.manifest import Manifest
from sottovoce.corpora.readers import mixtures
from sottovoce.errors import ConfigError
from sottovoce.methods.method import Context, Estimate, Method, TrainConfig, Trained
from sottovoce.methods.rdal.mask import train_mask
from sottovoce.methods.rdal.pairs import PairedClips, paired
from sottovoce.methods.rdal.presets import PRESETS, RdalSettings
from sottovoce.methods.rdal.training import train_rdal
from sottovoce.models.layers import parameter_count
from sottovoce.models.rdal import LATENT
from sottovoce.runtime.engine import FilterConfig
from sottovoce.runtime.export import save_latent

SPEECH = "speech"  # the label, yes or no, that latents are to hide
_STEP_S = {"rdal-compact": 0.008, "rdal": 0.11}  # of 32 pairs of clips, at width 16
_MASKED_PAIR_S = 0.03  # of an epoch of the mask, for each pair of clips, at width 4


def check(config: TrainConfig, settings: RdalSettings) -> None:
    """ConfigError for a sample rate at which no recordings are kept."""
    if settings.sample_rate != SAMPLE_RATE:
        raise ConfigError(
            f"the sample_rate is {settings.sample_rate} Hz, and recordings are kept at {SAMPLE_RATE} Hz; leave it "
            "out of --set."
        )


def train(context: Context[RdalSettings]) -> Trained:
    """A sender for the task of the one target, from training clips, chosen on validation.

    ConfigError where the corpus has no clips with and without speech, or, for a mask, none that are pairs of one event.
    """
    settings, (target,) = context.settings, context.targets
    pairs, held_out = (_pairs(context, clips) for clips in (context.split.train, context.split.validation))
    mask = None if settings.mask == "none" else train_mask(pairs, held_out, settings.masking, context.run)
    classes = len(target.classes)
    trained = train_rdal(pairs, held_out, classes, settings, mask, context.run)
    sender, reader, _ = trained.balanced if settings.keep == "balanced" else trained.hidden
    sizes = {"latent": LATENT, "classes": classes, "sample_rate": settings.sample_rate}
    config = FilterConfig(FRONT_END, "rdal", {**sizes, "codes": classes if settings.codes else 0}, 0.0, 1.0)
    card = {
        "parameters": parameter_count(sender),
        "steps": int(trained.checks[-1]["step"]),
        "block_s": SEGMENT_S,
        "bits_per_block": math.log2(classes) if settings.codes else None,
    }
    return Trained(
        card,
        lambda folder, card, targets: save_latent(folder, sender, config, {target.task: reader}, card, targets),
    )


def estimate(context: Context[RdalSettings]) -> Estimate:
    """Steps at most, which patience may end earlier, and the epochs of the mask in seconds."""
    settings, pairs = context.settings, len(context.split.train) // 2
    masked = settings.masking.epochs * pairs * _MASKED_PAIR_S if settings.mask != "none" else 0.0
    wider = (settings.width / 16) ** 1.6 * settings.batch / 32
    return Estimate(settings.steps, settings.steps * _STEP_S[settings.extractor] * wider + masked)


def _pairs(context: Context[RdalSettings], clips: NDArray[np.int64]) -> PairedClips:
    """The pairs of a part: of one event where there are such, else a clip without and one with speech each."""
    manifest, settings, (target,) = context.manifest, context.settings, context.targets
    pairs = pairs_of(manifest, clips, twins=settings.mask != "none")
    segments = context.sounds.segments(pairs.ravel(), np.zeros(pairs.size, np.int64), settings.samples)
    events = [target.classes.index(manifest.clips[i].labels[target.task]) for i in pairs.ravel()]
    return paired(segments, np.array(events).reshape(pairs.shape), settings.sample_rate)


def pairs_of(manifest: Manifest, clips: NDArray[np.int64], twins: bool) -> NDArray[np.int64]:
    """Positions [P, 2] of clips without and with speech; with `twins` only those of one event, mixed and not."""
    if SPEECH not in manifest.tasks:
        raise ConfigError(
            f"{manifest.spec} has no label '{SPEECH}' (yes or no) that could be hidden; use mixtures:PATH."
        )
    quiet = [int(i) for i in clips if manifest.clips[i].labels[SPEECH] == "no"]
    spoken = {manifest.clips[i].id: int(i) for i in clips if manifest.clips[i].labels[SPEECH] == "yes"}
    mixed = [(i, spoken.get(mixtures.twin(manifest.clips[i].id))) for i in quiet]
    known = [(i, other) for i, other in mixed if other is not None]
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


METHOD: Method[RdalSettings] = Method("rdal", RdalSettings, PRESETS, train, estimate, check)
