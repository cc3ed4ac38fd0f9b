"""The settings of the opt-in game, and some of them by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Annotated, Literal

from sottovoce.audio.spectrum import BINS
from sottovoce.models.cyclegan_vc2 import EIGHTH
from sottovoce.training.settings import Positive, Rate


@dataclass(frozen=True)
class OptinSettings:
    """The two networks and the weights of their losses, which the paper does not publish.

    With `raw`, the obfuscator maximises L_a, which the paper rejects, in the place of L_p. With a `gradient_ratio` r
    above 0, w_p is set anew in every step such that |w_p grad L_p| = r |w_t grad L_t| at the obfuscated spectrum. The
    deobfuscator `restores` what is obfuscated, or originals too, as equation (1) has it by the letter. `voters` other
    recognisers, trained for `voter_steps`, have to understand the obfuscated spectrum as the target does, and with
    `through_sound` both losses are, in every second step, those of what is left of it once it has been played.

    `clip_norm` limits the norm of each player's gradient, 0 for none. The paper does not speak of it, but its networks
    diverge without it at its rate: by L_a the last layer of the deobfuscator, of 64 x 8 x 15 inputs x, has a curvature
    of 700, mostly 2 |E x|^2, and steps of 1e-2 with a momentum of .9 diverge from 2 (1 + .9) / 1e-2 = 380 on.
    """

    architecture: str
    obfuscator: Mapping[str, int]
    deobfuscator: Mapping[str, int]
    steps: Positive
    batch: Positive
    optimiser: Literal["sgd", "adam"] = "sgd"
    learning_rate: Rate = 1e-2  # of the paper; the peak of one cycle with adam
    momentum: Rate = 0.9
    clip_norm: float = 0.0
    target_weight: float = 1.0
    privacy_weight: float = 1.0
    gradient_ratio: float = 0.0  # 0: the constant privacy_weight
    restores: Literal["obfuscated", "both"] = "obfuscated"
    replace_every: int = 0  # steps, after which a deobfuscator trained from nothing takes over; 0: never
    replace_steps: int = 60  # of its training
    raw: bool = False
    voters: Annotated[int, 0, 8] = 0
    voter_steps: Positive = 600
    through_sound: bool = False


_COMPACT = OptinSettings(
    "compact-autoencoder",
    {"width": 16, "blocks": 2, "body": 8},
    {"width": 24, "blocks": 2, "body": 64, "latent_layers": 4},
    steps=600,
    batch=16,
    optimiser="adam",
    learning_rate=3e-3,
    target_weight=3.0,  # 1 and 10 do no better beyond noise: see RESULTS.md
)
PRESETS: Mapping[str, OptinSettings] = MappingProxyType(
    {
        "compact": _COMPACT,
        "quick": replace(_COMPACT, steps=300),
        "paper": OptinSettings(
            "cyclegan-vc2",
            {"bins": BINS, **EIGHTH},
            {"bins": BINS},
            steps=100_000,
            batch=16,
            clip_norm=1.0,
        ),
        "replaced": replace(_COMPACT, replace_every=100),
    }
)
