"""What the commands do, as functions: make a target, make a filter, audit a filter."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sottovoce.audio.level import normalise
from sottovoce.audio.segment import LEVEL_RMS, cut, front_end
from sottovoce.audio.spectrum import log_spectrum
from sottovoce.audit.case import Case
from sottovoce.audit.exhibits import exhibits
from sottovoce.audit.protocol import Audit
from sottovoce.audit.report import write_report
from sottovoce.corpora import cache, catalogue
from sottovoce.corpora.cache import Sounds
from sottovoce.corpora.manifest import Manifest, Split, SplitRule, check_task, split
from sottovoce.errors import ConfigError, ModelError
from sottovoce.models.checkpoint import check_place, write_file
from sottovoce.models.layers import parameter_count
from sottovoce.models.target import Target, load_target, save_target, vote
from sottovoce.progress import Report
from sottovoce.runtime.export import save_filter
from sottovoce.runtime.filter import Filter
from sottovoce.training import optin
from sottovoce.training import target as target_training
from sottovoce.training.loop import Run, identity

METHODS = ("optin", "raw")


def open_case(spec: str, report: Report) -> tuple[Manifest, Sounds]:
    """The clips of a corpus and their sound, decoded at the first use."""
    return cache.load(catalogue.open_corpus(spec), progress=lambda done, total: report(done, total, "decoding"))


def make_target(
    spec: str, task: str, out: Path, preset: str, rule: SplitRule | None, seed: int, command: str, report: Report
) -> dict[str, Any]:
    """Train a recogniser of `task` and write it to `out`; returns what its card says."""
    settings = _preset(target_training.PRESETS, preset)
    check_place(out, "target")
    manifest, sounds = open_case(spec, report)
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
        "corpus": _corpus(manifest, parts),
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
    manifest, sounds = open_case(spec, report)
    parts = _split_of(target.card, manifest)
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
        "corpus": _corpus(manifest, parts),
        "target": {"digest": target.digest},
        "seed": seed,
        "command": command,
        "seconds": round(time.monotonic() - began, 1),
    }
    mean, deviation = _loudness(sounds, parts.train)
    written = save_filter(
        out, obfuscator, settings.architecture, settings.obfuscator, mean, deviation, card, target.source
    )
    _partial(out).unlink(missing_ok=True)
    return written


def audit_filter(
    path: Path,
    spec: str,
    out: Path,
    effort: str,
    attributes: list[str] | None,
    seed: int,
    command: str,
    report: Report,
    earlier: Audit | None = None,
) -> tuple[dict[str, Any], Audit]:
    """Attack a filter; writes results.json and report.html to `out`.

    `earlier` is an audit of the same case whose attackers on originals are used again. Returns the results and the
    audit.
    """
    filter_ = Filter.load(path)
    if path.resolve() in (out.resolve(), *out.resolve().parents):
        raise ConfigError(f"{out} lies in the filter's folder, which nothing may be added to; choose another --out.")
    audit = earlier or Audit(*_case(filter_, spec, attributes, report), effort, seed, front_end)
    results = audit.run(filter_.obfuscate, report)
    case = audit.case
    results |= {
        "command": command,
        "corpus": {**_corpus(case.manifest, case.split), "test_clips": len(case.split.test)},
        "filter": {
            "digest": filter_.digest,
            **{key: filter_.card[key] for key in ("method", "preset", "permit", "rate_bits_per_s", "parameters")},
        },
        "target": {"digest": case.target.digest},
    }
    write_file(out / "results.json", json.dumps(results, indent=1).encode())
    write_report(out, results, exhibits(case, filter_, audit.restorer))
    return results, audit


def _case(filter_: Filter, spec: str, attributes: list[str] | None, report: Report) -> tuple[Case, list[str]]:
    """What a filter is audited against, and which attributes are attacked."""
    folder = filter_.path / "target" if filter_.path else None
    if folder is None or not folder.is_dir():
        raise ModelError(f"{filter_.path} holds no target to audit against; train the filter again.")
    target = load_target(folder / "target.onnx" if (folder / "target.onnx").is_file() else folder)
    manifest, sounds = open_case(spec, report)
    check_task(manifest, target.task)
    case = Case(manifest, sounds, _split_of(filter_.card, manifest), target)
    attackable = case.attackable()
    for name in attributes or ():
        if name not in attackable:
            raise ConfigError(f"'{name}' cannot be attacked in {spec}; what can: {', '.join(attackable) or 'nothing'}.")
    if not attackable:
        raise ConfigError(f"{spec} has no label besides '{target.task}' that an attacker could learn.")
    return case, attributes or attackable


def _split_of(card: Any, manifest: Manifest) -> Split:
    """The split that a target or filter was trained with, so that its test clips stay unheard."""
    corpus = card["corpus"] if card else None
    if corpus and corpus["digest"] == manifest.digest:
        return split(manifest, corpus["split"], corpus["split_seed"])
    return split(manifest)


def _corpus(manifest: Manifest, parts: Split) -> dict[str, Any]:
    return {
        "spec": manifest.spec,
        "name": manifest.name,
        "digest": manifest.digest,
        "split": parts.rule,
        "split_seed": parts.seed,
        "clips": len(manifest.clips),
        "speakers": len(manifest.speakers),
        "licence": manifest.licence,
        "citation": manifest.citation,
    }


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
