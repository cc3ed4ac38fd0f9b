"""The settings of RDAL and its relatives, and their presets: schedules are the original's, counted in steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

from sottovoce.methods.rdal.mask import PAPER_MASK, MaskSettings
from sottovoce.training.settings import Positive, Rate, Share

_EPOCH = 66  # steps of the original
_CLIP = 16000  # samples of its clips, at our rate


@dataclass(frozen=True)
class RdalSettings:
    """A method and its schedule, in steps of one batch.

    The strength of the reversal is 0 for `warmup_steps`, then 2 / (1 + exp(-100 p)) - 1 with p from 0 to 1 over
    `ramp_steps` more. Each `check_every` steps the networks are checked on validation, where with `replaces` a fresh
    D^tau takes the place of the adversary. A check scores the loss of D^tau, without `replaces` that of the adversary,
    and without an adversary minus that of the events. Two checkpoints are kept: the one with the highest score, and the
    one with the highest score among those whose event accuracy is at most `margin` below the highest of all. `patience`
    checks without a higher score end the run. `patience` 0: all `steps`, and the last is kept.

    `keep` says which of both a filter gets. `clip` limits each number of the adversary's gradient, 0 for none. With
    `codes`, one code per event leaves in the place of the latent. With `augment`, each batch is turned by a random
    time, and spans of its bins and frames are masked.
    """

    extractor: Literal["rdal-compact", "rdal"] = "rdal-compact"
    width: Positive = 16
    mask: Literal["none", "frozen", "learnable"] = "none"
    masking: MaskSettings = field(default_factory=MaskSettings)
    adversary: Literal["none", "discriminator", "pool"] = "discriminator"
    codes: bool = False
    sample_rate: Positive = 16000
    samples: Positive = 20480  # of a clip, padded with silence
    steps: Positive = 5000 * _EPOCH
    optimiser: Literal["sgd", "adam", "one-cycle"] = "sgd"
    learning_rate: Rate = 1e-2  # with one-cycle the highest
    batch: Positive = 32  # pairs
    warmup_steps: int = 30 * _EPOCH
    ramp_steps: int = 4970 * _EPOCH
    check_every: Positive = 50 * _EPOCH
    replaces: bool = True
    clip: float = 1.0
    verifier_patience: Positive = 50
    patience: int = 10
    margin: Share = 0.03
    keep: Literal["hidden", "balanced"] = "balanced"
    augment: bool = False


_ALONE = RdalSettings(
    adversary="none", optimiser="adam", learning_rate=1e-3, check_every=_EPOCH, replaces=False, patience=50
)
_OURS = RdalSettings(
    mask="frozen",
    steps=1240,
    optimiser="one-cycle",
    learning_rate=3e-3,
    warmup_steps=124,
    ramp_steps=24800,
    check_every=31,
    verifier_patience=10,
    patience=0,
    augment=True,
)
_MASKED = RdalSettings(mask="frozen", check_every=70 * _EPOCH)
_PAPER = RdalSettings("rdal", 64, masking=PAPER_MASK, samples=_CLIP, keep="hidden")
PRESETS: Mapping[str, RdalSettings] = MappingProxyType(
    {
        "no-privacy": _ALONE,
        "reversal": RdalSettings(check_every=_EPOCH, replaces=False, clip=0.0, patience=50),
        "compact": RdalSettings(),
        "masked": _MASKED,
        "learnable": replace(  # a tenth of the schedule: each step costs one of the mask
            _MASKED, mask="learnable", steps=33000, warmup_steps=198, ramp_steps=32802, check_every=462
        ),
        "pool": replace(_OURS, adversary="pool"),
        "codes": replace(_OURS, adversary="none", replaces=False, codes=True),
        "paper": _PAPER,
        "paper-masked": replace(_PAPER, mask="frozen", check_every=70 * _EPOCH),
    }
)
