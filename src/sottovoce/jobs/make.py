"""The jobs behind `sottovoce target` and `sottovoce train`."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sottovoce.audio.level import normalise
from sottovoce.audio.segment import LEVEL_RMS, cut, front_end
from sottovoce.audio.spectrum import log_spectrum
from sottovoce.corpora.cache import Sounds
from sottovoce.corpora.manifest import Manifest, SplitRule, check_task, split
from sottovoce.errors import ConfigError
from sottovoce.jobs.corpus import describe, opened, split_of
from sottovoce.models.checkpoint import check_place
from sottovoce.models.layers import parameter_count
from sottovoce.models.target import Target, load_target, save_target, vote
from sottovoce.progress import Report
from sottovoce.runtime.export import save_filter
from sottovoce.training import optin
from sottovoce.training import target as target_training
from sottovoce.training.loop import Run, identity

METHODS = ("optin", "raw")


def make_target(
    spec: str, task: str, out: Path, preset: str, rule: SplitRule | None, seed: int, command: str, report: Report
) -> dict[str, Any]:
    """Train a recogniser of `task` and write it to `out`; returns what its card says."""
    settings = _preset(target_training.PRESETS, preset)
    check_place(out, "target")
    manifest, sounds = opened(spec, report)
    check_task(manifest, task)
    parts = split(manifest, rule, seed=0)
    began = time.monotonic()
    name = identity(target=asdict(settings), corpus=manifest.digest, split=parts.rule, task=task, seed=seed)
    run = Run(settings.steps, seed, report, _partial(out), name)
    network = target_training.train_target(manifest, sounds, parts.train, task, settings, run)
    classes = manifest.classes(task)
    target = Target(task, classes, True, network)
    card = {
        "preset": preset,
        "parameters": parameter_count(network),
        "corpus": describe(manifest, parts),
        "seed": seed,
        "command": command,
        "seconds": round(time.monotonic() - began, 1),
        "accuracy": {
            "validation": _accuracy(target, manifest, sounds, parts.validation),
            "test": _accuracy(target, manifest, sounds, parts.test),
            "test_clips": len(parts.test),
        },
    }
    sizes = {**settings.settings, "classes": len(classes)}
    save_target(out, network, settings.architecture, sizes, task, classes, card)
    _partial(out).unlink(missing_ok=True)
    return {"task": task, "classes": list(classes), **card}


def make_filter(
    spec: str,
    permit: str,
    target_path: Path,
    method: str,
    preset: str,
    out: Path,
    seed: int,
    command: str,
    report: Report,
) -> dict[str, Any]:
    """Train a filter that permits the task of the target, and write it to `out`; returns what its card says."""
    if method not in METHODS:
        raise ConfigError(f"unknown method '{method}'; known: {', '.join(METHODS)}.")
    settings = _preset(optin.PRESETS, preset)
    if "," in permit:
        raise ConfigError(f"the method '{method}' permits one task, got '{permit}'; train one filter for each.")
    check_place(out, "filter")
    target = load_target(target_path)
    if target.task != permit:
        raise ConfigError(f"the target in {target_path} recognises '{target.task}'; expected '{permit}'.")
    manifest, sounds = opened(spec, report)
    parts = split_of(target.card, manifest)
    began = time.monotonic()
    name = identity(settings=asdict(settings), method=method, corpus=manifest.digest, target=target.digest, seed=seed)
    run = Run(settings.steps, seed, report, _partial(out), name)
    obfuscator, deobfuscator = optin.train_optin(sounds, parts.train, target, settings, method == "raw", run)
    card = {
        "method": method,
        "preset": preset,
        "permit": [permit],
        "settings": asdict(settings),
        "parameters": parameter_count(obfuscator),
        "deobfuscator_parameters": parameter_count(deobfuscator),
        "rate_bits_per_s": None,  # nothing bounds what this method lets through
        "corpus": describe(manifest, parts),
        "target": {"digest": target.digest},
        "seed": seed,
        "command": command,
        "seconds": round(time.monotonic() - began, 1),
    }
    mean, deviation = _loudness(sounds, parts.train)
    written = save_filter(
        out, obfuscator, settings.architecture, settings.obfuscator, mean, deviation, card, {permit: target_path}
    )
    _partial(out).unlink(missing_ok=True)
    return written


def _preset(presets: Any, name: str) -> Any:
    if name not in presets:
        raise ConfigError(f"unknown preset '{name}'; known: {', '.join(presets)}.")
    return presets[name]


def _partial(out: Path) -> Path:
    """Where the state of an unfinished training is kept."""
    place = out.resolve()
    return place.with_name(f".{place.name}.partial")


def _accuracy(target: Target, manifest: Manifest, sounds: Sounds, clips: NDArray[np.int64]) -> float:
    """Share of clips whose class the target's vote gets right."""
    segments = [cut(sounds.wave(i)) for i in clips]
    owner = np.repeat(np.arange(len(clips)), [len(part) for part in segments])
    answers = vote(target.predict(front_end(np.concatenate(segments))), owner).argmax(axis=1)
    truth = [target.classes.index(manifest.clips[i].labels[target.task]) for i in clips]
    return float((answers == truth).mean())


def _loudness(sounds: Sounds, clips: NDArray[np.int64]) -> tuple[float, float]:
    """Average mean and deviation of the log spectra of training segments: the constants of the way back to sound."""
    some = clips[:: max(1, len(clips) // 200)]
    spectra = log_spectrum(normalise(np.concatenate([cut(sounds.wave(i)) for i in some]), LEVEL_RMS))
    return float(spectra.mean()), float(spectra.std(axis=(1, 2)).mean())
