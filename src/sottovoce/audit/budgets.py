"""How hard an audit tries: which attackers, with what budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sottovoce.attack.families import ATTACKERS, outside
from sottovoce.audit.leaving import FIRST, FORM, ORDER, SAMPLES
from sottovoce.errors import ConfigError


@dataclass(frozen=True)
class Effort:
    """Attackers by the keys of `attack.families.ATTACKERS`, and their budgets.

    `informed` are fitted on what leaves the system, `uninformed` on originals, `on_sound` on decoded sound where
    features leave as well; `on_properties` on each property of what leaves as a whole, by the name of that property,
    and those of "" on all others. `cycles` of training double in length each. Smaller `shares` of the recordings are
    tried with those of `curves`, and with whichever attacker is the strongest.
    """

    informed: tuple[str, ...]
    uninformed: tuple[str, ...]
    on_sound: tuple[str, ...]
    cycles: dict[str, int]
    seeds: int = 1
    curves: tuple[str, ...] = ("target", "outline", "nearest", "linear")
    shares: tuple[float, ...] = (0.25, 0.5)
    restorer_steps: int = 60  # of the first cycle; the second has twice as many
    inversion_steps: int = 0
    sensitivity_db: tuple[float, ...] = ()
    encodes: bool = False  # whether pretrained speaker encoders are used, where they are installed
    linkage: bool = False
    words: int = 0  # recordings that a speech recogniser writes down, at most
    continuous: bool = False
    on_properties: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


_QUICK_PROPERTIES = {"": ("linear",), FIRST: ("nearest",), ORDER: ("nearest", "linear"), FORM: ("nearest", "linear")}
_PROPERTIES = {
    "": ("linear", "nearest"),
    SAMPLES: ("raw",),
    FIRST: ("nearest",),
    ORDER: ("nearest", "linear", "gru"),
    FORM: ("nearest", "linear", "trees"),
}
_QUICK = ("target", "outline", "nearest", "linear", "cnn")
_ALL = ("target", "outline", "nearest", "linear", "svm", "mlp", "trees", "encoder", "fine-tuned", "cnn", "deepspeech2")
_STRONGER = ("campplus", "fusion")  # which read embeddings of another encoder
_LEVELS_DB = (-20.0, -30.0, -40.0, -50.0, -60.0, -70.0)

EFFORTS = {
    "quick": Effort(
        _QUICK,
        ("target", "linear", "cnn"),
        (),
        {"cnn": 2, "deepspeech2": 2, "fine-tuned": 1, "campplus-tuned": 1, "gru": 2, "raw": 1},  # those named alone too
        shares=(0.5,),
        on_properties=_QUICK_PROPERTIES,
    ),
    "standard": Effort(
        (*_ALL, *_STRONGER),
        ("target", "linear", "encoder", "fine-tuned", "cnn", *_STRONGER),
        ("outline", "linear", "encoder", "fine-tuned", *_STRONGER),
        {"cnn": 3, "deepspeech2": 2, "fine-tuned": 2, "campplus-tuned": 1, "gru": 3, "raw": 2},
        curves=("target", "outline", "nearest", "linear", "mlp", "encoder"),
        restorer_steps=100,
        sensitivity_db=_LEVELS_DB,
        encodes=True,
        linkage=True,
        words=100,
        continuous=True,
        on_properties=_PROPERTIES,
    ),
    "thorough": Effort(
        (*_ALL, *_STRONGER, "campplus-tuned"),
        (*(family for family in _ALL if family != "outline"), *_STRONGER, "campplus-tuned"),
        (*(family for family in _ALL if family not in ("target", "deepspeech2")), *_STRONGER, "campplus-tuned"),
        {"cnn": 4, "deepspeech2": 4, "fine-tuned": 4, "campplus-tuned": 2, "gru": 4, "raw": 4},
        seeds=5,
        curves=_ALL,
        restorer_steps=300,
        inversion_steps=100,
        sensitivity_db=_LEVELS_DB,
        encodes=True,
        linkage=True,
        words=600,
        continuous=True,
        on_properties=_PROPERTIES,
    ),
}


def effort(name: str, only: Sequence[str] = ()) -> Effort:
    """The effort of that name, with every attacker that others installed; with `only`, those attackers and no others.

    ConfigError for an unknown effort or attacker.
    """
    if name not in EFFORTS:
        raise ConfigError(f"unknown attackers '{name}'; known: {', '.join(EFFORTS)}.")
    for attacker in only:
        if attacker not in ATTACKERS:
            raise ConfigError(f"unknown attacker '{attacker}'; known: {', '.join(ATTACKERS)}.")
    tried = EFFORTS[name]
    if only:
        kept = {
            name: tuple(family for family in families if family in only)
            for name, families in tried.on_properties.items()
        }
        return replace(tried, informed=tuple(only), uninformed=tuple(only), on_sound=tuple(only), on_properties=kept)
    informed, uninformed = outside("informed"), outside("uninformed")
    on_sound = tried.on_sound and (*tried.on_sound, *informed)
    return replace(
        tried, informed=(*tried.informed, *informed), uninformed=(*tried.uninformed, *uninformed), on_sound=on_sound
    )
