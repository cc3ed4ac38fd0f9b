"""The method `adr`: a filter whose features are embeddings of voices without a declared attribute."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from sottovoce.audio.segment import FRONT_END
from sottovoce.audio.spectrum import SAMPLE_RATE
from sottovoce.corpora.manifest import Manifest, check_task
from sottovoce.errors import ConfigError
from sottovoce.methods.adr.embeddings import PRETRAINED, embeddings
from sottovoce.methods.adr.training import PRESETS, AdrSettings, train_adr, train_recogniser
from sottovoce.methods.adr.xvector import Spoken, train_xvector
from sottovoce.methods.method import Context, Estimate, Method, Trained
from sottovoce.models.adr import Embedder
from sottovoce.models.layers import parameter_count
from sottovoce.runtime.engine import ADR, FilterConfig
from sottovoce.runtime.export import save_latent
from sottovoce.training.loop import Run

_USUAL = "gender"  # what the article hides
_STEP_S, _XVECTOR_STEP_S = 0.003, 0.15


def train(context: Context[AdrSettings]) -> Trained:
    """ADR against the declared attributes, which are one with joint classes, and a reader of the permitted task.

    An x-vector network is trained on the speakers of the training clips, the reader on the protected embeddings.
    """
    settings, run, clips, (target,) = context.settings, context.run, context.split.train, context.targets
    manifest, sounds = context.manifest, context.sounds
    hidden = declared(manifest, target.task, settings.hide)
    embedder = _embedder(Spoken(manifest, sounds, clips), settings, run)
    vectors, owner = embeddings(embedder, sounds, clips, settings.crops, np.random.default_rng(run.seed))
    names = [tuple(clip.labels[attribute] for attribute in hidden) for clip in manifest.clips]
    classes = sorted({names[i] for i in clips})
    labels = torch.tensor([classes.index(names[i]) for i in owner])
    sender = train_adr(embedder, vectors, labels, len(classes), settings, run)
    answers = torch.tensor([target.classes.index(manifest.clips[i].labels[target.task]) for i in owner])
    with torch.no_grad():
        protected = sender.protect(sender.normalised(vectors))
    reading = run.part("reader", settings.classifier_steps)
    reader = train_recogniser(protected, answers, len(target.classes), settings, reading)
    sizes = {"latent": len(sender.mean), "classes": len(target.classes), "codes": 0, "sample_rate": SAMPLE_RATE}
    config = FilterConfig(FRONT_END, ADR[settings.voices], sizes, 0.0, 1.0)
    card = {
        "hide": list(hidden),
        "parameters": parameter_count(sender),
        "bits_per_block": None,  # nothing bounds what an embedding holds
    }
    return Trained(
        card,
        lambda folder, card, targets: save_latent(
            folder, sender, config, {target.task: reader}, card, targets, sender.unprotected()
        ),
    )


def estimate(context: Context[AdrSettings]) -> Estimate:
    """The steps of all networks."""
    settings = context.settings
    xvector = settings.xvector.steps if settings.voices == "x-vector" else 0
    others = settings.steps + 2 * settings.classifier_steps
    return Estimate(xvector + others, xvector * _XVECTOR_STEP_S + others * _STEP_S)


def declared(manifest: Manifest, permit: str, hide: Sequence[str]) -> tuple[str, ...]:
    """The attributes that ADR hides: those of `hide`, else gender; ConfigError where that cannot be."""
    if not hide and _USUAL in manifest.tasks and permit != _USUAL:
        return (_USUAL,)
    if not hide:
        others = ", ".join(task for task in manifest.tasks if task != permit) or "none"
        raise ConfigError(f"ADR needs an attribute to hide: name it with --hide; {manifest.spec} has: {others}.")
    if permit in hide:
        raise ConfigError(f"--hide names '{permit}', which is permitted; expected other labels.")
    for attribute in hide:
        check_task(manifest, attribute)
    return tuple(dict.fromkeys(hide))


def _embedder(spoken: Spoken, settings: AdrSettings, run: Run) -> Embedder:
    """The network that makes embeddings of voices, in evaluation mode."""
    if settings.voices in PRETRAINED:
        return PRETRAINED[settings.voices]()
    network = train_xvector([spoken], settings.xvector, run.part("xvector", settings.xvector.steps))
    network.output = torch.nn.Sequential()  # names speakers, and does not ship
    return network


METHOD: Method[AdrSettings] = Method("adr", AdrSettings, PRESETS, train, estimate)
