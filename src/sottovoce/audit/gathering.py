"""What all attackers observe in an audit: originals, what leaves the system, and that restored and inverted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sottovoce.attack.attacker import Array
from sottovoce.attack.reconstruction import Restorer, invert
from sottovoce.attack.speaker_encoder import installed, speaker_embeddings
from sottovoce.audio.segment import FRONT_END, front_end, full_band
from sottovoce.audio.spectrum import Wave
from sottovoce.audit.budgets import Effort
from sottovoce.audit.case import Case
from sottovoce.audit.controls import Idle
from sottovoce.audit.file_views import Planted, observe_planted, observe_samples, observe_whole
from sottovoce.audit.leaving import SAMPLES
from sottovoce.audit.observations import Encode, Encoders, View, observe_changed, observe_features, observe_sound
from sottovoce.audit.plan import Views
from sottovoce.audit.system import System
from sottovoce.models.architectures import restore
from sottovoce.parallel import ordered
from sottovoce.progress import Report
from sottovoce.runtime.engine import FilterConfig
from sottovoce.runtime.filter import Filter

_STEPS = 6
_ENCODED_AT_ONCE = 40  # sounds


def gather(case: Case, system: System, effort: Effort, seed: int, place: Path, workers: int, report: Report) -> Views:
    """Everything that attackers observe, kept in `place` until the audit is done."""
    source = system.source
    original = observe_original(case, effort, seed, place, workers)
    report(1, _STEPS, "originals observed")
    features = sound = restored = inverted = None
    if system.features is not None:
        features = observe_features(
            case,
            system.features,
            "features",
            source,
            seed,
            place,
            whole_segments=system.whole_segments,
            read=system.read,
            decode=system.decode,
        )
    report(2, _STEPS, "features that leave the system observed")
    if system.sound is not None and (features is None or effort.on_sound):
        sound = observe_sound(case, system.sound, source, seed, place, _encoders(effort, workers))
    report(3, _STEPS, "sound that leaves the system observed")
    if features is not None:
        restored = _restored(features, original, effort, seed, place)
        report(4, _STEPS, "features restored")
        inverted = _inverted(system.path, features, restored, effort, place)
    report(5, _STEPS, "features inverted")
    whole: dict[str, View] = {}
    if system.sound is not None and effort.on_properties:
        whole = observe_whole(case, system.leaving, source, place, workers)
        if effort.on_properties.get(SAMPLES):
            whole[SAMPLES] = observe_samples(case, system.leaving, source, place)
    report(_STEPS, _STEPS, "all observations are complete")
    return Views(original, features, sound, restored, inverted, whole)


def observe_original(case: Case, effort: Effort, seed: int, place: Path, workers: int) -> View:
    """What arrives where there is no system."""
    return observe_features(
        case, full_band, "original", "", seed, place, encoders=_encoders(effort, workers), for_targets=front_end
    )


def observe_leaks(case: Case, system: System, seed: int, place: Path, workers: int) -> dict[str, Planted]:
    """Leaks of every kind, planted in what leaves; none where no sound leaves."""
    return observe_planted(case, system.leaving, system.source, seed, place, workers) if system.sound else {}


def observe_idle(case: Case, seed: int, place: Path) -> View:
    """What arrives through a filter that does nothing."""
    idle = Filter(Idle(FilterConfig(FRONT_END, "idle", {}, 0.0, 1.0), ()))
    return observe_features(case, idle.obfuscate, "idle", "", seed, place, parts=("validation", "test"))


def _encoders(effort: Effort, workers: int) -> Encoders:
    """The speaker encoders that are installed, where they are to be used."""
    return {name: _encoder(name, workers) for name in installed()} if effort.encodes else {}


def _encoder(name: str, workers: int) -> Encode:
    """A speaker encoder in several processes, each of which gets the same sounds together whatever their number."""

    def encode(waves: Sequence[Wave]) -> tuple[Array, NDArray[np.int64]]:
        starts = range(0, len(waves), _ENCODED_AT_ONCE)
        some = [waves[start : start + _ENCODED_AT_ONCE] for start in starts]
        parts = ordered(speaker_embeddings, lambda i: (name, some[i]), len(some), workers)
        owners = [owner + start for (_, owner), start in zip(parts, starts, strict=True)]
        return np.concatenate([voices for voices, _ in parts]), np.concatenate(owners)

    return encode


def _restored(features: View, original: View, effort: Effort, seed: int, place: Path) -> View:
    """What a deobfuscator makes of it that was trained on pairs."""
    restorer = Restorer(effort.restorer_steps, seed)

    def change(spectra: Array) -> Array:
        if not hasattr(restorer, "converged_"):
            restorer.fit(features.part("train").spectra, original.part("train").spectra)
        return restorer.restore(spectra)

    return observe_changed(
        features,
        change,
        "restored",
        f"{effort.restorer_steps} steps, seed {seed}",
        place,
        lambda: {"converged": restorer.converged_},
    )


def _inverted(path: Path | None, features: View, restored: View, effort: Effort, place: Path) -> View | None:
    """What leads to it through the filter's own network; None where there is no network that gradients pass."""
    if not effort.inversion_steps or path is None or not (path / "weights.safetensors").is_file():
        return None
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    weights = (path / "weights.safetensors").read_bytes()
    obfuscator = restore(config["architecture"], config["settings"], weights).eval().requires_grad_(False)
    starts = iter([np.array(restored.part("validation").spectra), np.array(restored.part("test").spectra)])
    return observe_changed(
        features,
        lambda spectra: invert(obfuscator, spectra, next(starts), effort.inversion_steps),
        "inverted",
        f"{restored.digest}, {effort.inversion_steps} steps",
        place,
        lambda: {"converged": False},
    )
