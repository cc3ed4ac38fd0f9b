"""The jobs behind `sottovoce target` and `sottovoce train`: what the trainings of all targets and methods share."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sottovoce import __version__
from sottovoce.audio.segment import cut
from sottovoce.audio.spectrum import SAMPLE_RATE, Wave
from sottovoce.corpora.cache import Sounds
from sottovoce.corpora.corpus import describe, opened, split_of
from sottovoce.corpora.manifest import Manifest, SplitRule, check_task
from sottovoce.corpora.splits import split
from sottovoce.errors import ConfigError, ModelError
from sottovoce.files import read_json, write_file
from sottovoce.methods.method import Context, Estimate, Method, TrainConfig
from sottovoce.methods.registry import METHODS
from sottovoce.models.checkpoint import CARD, check_place, read_folder
from sottovoce.models.layers import parameter_count
from sottovoce.models.target import Target
from sottovoce.models.target_loading import load_target, save_target
from sottovoce.models.vote import vote
from sottovoce.progress import Report, duration, silent
from sottovoce.runtime.export import JUDGES
from sottovoce.runtime.filter import Filter
from sottovoce.training import distributed
from sottovoce.training import target as target_training
from sottovoce.training.device import about
from sottovoce.training.loop import Run, identity
from sottovoce.training.settings import check_seed, choose

__all__ = ["TrainConfig", "make_filter", "make_target"]

_TARGET_STEP_S = {"compact-recogniser": 0.08, "x-vector": 0.06, "deepspeech2": 1.0}  # on two cores, by architecture
_LONG_S = 300.0
_LONG_FOR_SOUND = 10.0  # seconds of training for one of sound
_SCORED = 100  # recordings for validation of a filter: few, since a target may be paid by the query


def make_target(
    spec: str,
    task: str,
    out: Path,
    preset: str,
    rule: SplitRule | None,
    seed: int,
    command: str,
    report: Report,
    settings: Mapping[str, object] | None = None,
    reuse: bool = False,
    replace: bool = True,
) -> dict[str, Any]:
    """Train a recogniser of `task` and write it to `out`; returns its card, or {} in all but the first of several
    processes.

    `settings` override those of the preset. With `reuse`, a target that the same training has written there is kept;
    without `replace`, one that another training has written there is refused.
    """
    report = _met(report)
    check_seed(seed)
    chosen = choose(target_training.PRESETS, preset, settings or {}, "the training of targets")
    if "classes" in chosen.settings:
        raise ConfigError("settings.classes cannot be chosen: the corpus says how many classes a target has.")
    check_place(out, "target")
    manifest, sounds = opened(spec, report)
    check_task(manifest, task)
    parts = split(manifest, rule, seed=0)
    trained = {"settings": asdict(chosen), "task": task, "version": __version__}
    name = identity(target=trained, corpus=manifest.digest, split=parts.rule, seed=seed)
    if reuse and (kept := _kept(out, "target", name)):
        return kept
    if not replace:
        check_same(out, "target", name)
    estimate = Estimate(chosen.steps, chosen.steps * _TARGET_STEP_S.get(chosen.architecture, 0.5))
    _announce(f"a target of {task}, preset {preset}", estimate, sounds, parts.train, report)
    began = time.monotonic()
    run = Run(chosen.steps, seed, report, _partial(out), name)
    network = target_training.train_target(manifest, sounds, parts.train, task, chosen, run)
    if distributed.rank() > 0:
        return {}
    classes = manifest.classes(task)
    target = Target(task, classes, True, network)
    card = {
        "preset": preset,
        "settings": asdict(chosen),
        **about(),
        "parameters": parameter_count(network),
        "corpus": describe(manifest, parts),
        "seed": seed,
        "command": command,
        "seconds": round(time.monotonic() - began, 1),
        "training": training_digest(name),
        "accuracy": {
            "validation": _accuracy(target, manifest, sounds, parts.validation),
            "test": _accuracy(target, manifest, sounds, parts.test),
            "test_clips": len(parts.test),
        },
    }
    sizes = {**chosen.settings, "classes": len(classes)}
    save_target(out, network, chosen.architecture, sizes, task, classes, card)
    _partial(out).unlink(missing_ok=True)
    return {"task": task, "classes": list(classes), **card}


def make_filter(config: TrainConfig, report: Report) -> dict[str, Any]:
    """Train a filter that permits the tasks of its targets, and write it; returns its card, or {} in all but the first
    of several processes.

    The card has, under "validation", the accuracy of each target on validation recordings, original and filtered.
    """
    report, method = _met(report), METHODS[config.method]
    check_seed(config.seed)
    settings = choose(method.presets, config.preset, config.settings, f"the method '{config.method}'")
    method.check(config, settings)
    check_place(config.out, "filter")
    context = _context(config, method, settings, report)
    if config.reuse and (kept := _kept(config.out, "filter", context.run.identity)):
        return kept
    if not config.replace:
        check_same(config.out, "filter", context.run.identity)
    estimate = method.estimate(context) if method.estimate else None
    what = f"a filter by the method {config.method}, preset {config.preset}"
    _announce(what, estimate, context.sounds, context.split.train, report)
    began = time.monotonic()
    trained = method.train(context)
    if distributed.rank() > 0:
        return {}
    card = {
        "method": config.method,
        "method_version": METHODS.version(config.method),
        "preset": config.preset,
        "settings": asdict(settings),
        **about(),
        "permit": list(config.permit),
        "corpus": describe(context.manifest, context.split),
        "targets": [{"task": target.task, "digest": target.digest} for target in context.targets],
        "seed": config.seed,
        "command": config.command,
        "seconds": round(time.monotonic() - began, 1),
        "training": training_digest(context.run.identity),
        **trained.card,
    }
    places = {target.task: target.source for target in context.targets if target.source is not None}
    written = trained.write(config.out, card, places)
    for partial in _partial(config.out).parent.glob(f"{_partial(config.out).name}*"):
        partial.unlink()
    written["validation"] = {target.task: _validation(context, target) for target in context.targets}
    written["transfer"] = {
        task: [{**judge, **_judged(context, config.out / JUDGES / judge["name"])} for judge in judges]
        for task, judges in written.pop("judges", {}).items()
    }
    write_file(config.out / CARD, json.dumps(written, indent=1).encode())  # of the folder's files no digest changes
    return written


def _met(report: Report) -> Report:
    """Meet the other processes of this training, if there are any, of which the first reports."""
    distributed.join()
    return report if distributed.rank() == 0 else silent


def _context(config: TrainConfig, method: Method[Any], settings: Any, report: Report) -> Context[Any]:
    """Targets and corpus of a filter, opened; ConfigError where they do not belong together."""
    targets = () if method.makes_target else _targets(config, method)
    manifest, sounds = opened(config.corpus, report)
    trained = [target.card for target in targets if target.card and target.card.get("corpus")]
    parts = split_of(trained[0] if trained else None, manifest)
    if any(card["corpus"] != trained[0]["corpus"] for card in trained):
        raise ConfigError("the targets were trained on different corpora or splits; train them on one.")
    name = identity(
        method=[config.method, METHODS.version(config.method)],
        settings=asdict(settings),
        corpus=manifest.digest,
        split=[parts.rule, parts.seed],
        targets=[target.digest for target in targets],
        seed=config.seed,
        negatives=list(config.negatives),
    )
    run = Run(0, config.seed, report, _partial(config.out), name)
    negatives = {}
    for spec in config.negatives:
        other, other_sounds = opened(spec, report)
        negatives[other.name] = other_sounds, split(other)
    return Context(config, settings, targets, manifest, sounds, parts, run, negatives)


def _targets(config: TrainConfig, method: Method[Any]) -> tuple[Target, ...]:
    """The target of each permitted task; ConfigError where they do not belong together."""
    if not config.permit or len(set(config.permit)) != len(config.permit):
        raise ConfigError(f"--permit is '{','.join(config.permit)}'; expected different tasks, one or more.")
    if len(config.targets) != len(config.permit):
        raise ConfigError(
            f"got {len(config.targets)} targets for {len(config.permit)} permitted tasks; expected one each, in order."
        )
    if len(config.permit) > 1 and not method.several_tasks:
        several = " or ".join(name for name, other in METHODS.items() if other.several_tasks)
        raise ConfigError(
            f"the method '{config.method}' permits one task, got '{','.join(config.permit)}'; "
            f"train one filter for each, or use --method {several}."
        )
    targets = tuple(load_target(place) for place in config.targets)
    for target, task, place in zip(targets, config.permit, config.targets, strict=True):
        if target.task != task:
            raise ConfigError(f"the target in {place} recognises '{target.task}'; expected '{task}'.")
    return targets


def _announce(what: str, estimate: Estimate | None, sounds: Sounds, clips: NDArray[np.int64], report: Report) -> None:
    """Report what will be trained, and roughly how long it takes; warn where that is long for so little sound."""
    seconds = sum(sounds.samples(int(i)) for i in clips) / SAMPLE_RATE
    line = f"training {what}, on {len(clips)} recordings, {seconds / 60:.1f} min of sound"
    if estimate is not None:
        steps = f"{estimate.steps:,} steps, " if estimate.steps else ""
        line += f": {steps}roughly {duration(estimate.seconds)} on two cores"
        if estimate.seconds > max(_LONG_S, _LONG_FOR_SOUND * seconds):
            line += "; this is long for so little sound: --preset quick, where the method has it, or fewer steps by "
            line += "--set, shorten it"
    report(0, 0, line)


def _partial(out: Path) -> Path:
    """Where the state of an unfinished training is kept."""
    place = out.resolve()
    return place.with_name(f".{place.name}.partial")


def training_digest(name: str) -> str:
    """The SHA-256 of the identity of a training."""
    return hashlib.sha256(name.encode()).hexdigest()


def _kept(folder: Path, kind: str, name: str) -> dict[str, Any] | None:
    """The card of what the training of this identity has written to `folder`; None where it has not."""
    try:
        card = read_folder(folder, kind)
    except ModelError:
        return None
    return card if card.get("training") == training_digest(name) else None


def _judged(context: Context[Any], place: Path) -> dict[str, Any]:
    """What a recogniser that training never asked makes of validation recordings, original and filtered."""
    judge = load_target(place)
    return {"digest": judge.digest, **(_validation(context, judge) or {})}


def check_same(folder: Path, kind: str, name: str) -> None:
    """ConfigError where `folder` holds what another training than that of this identity has written."""
    if not (folder / CARD).exists():
        return
    try:
        same = read_json(folder / CARD).get("training") == training_digest(name)
    except ModelError:
        same = False
    if not same:
        raise ConfigError(f"{folder} holds a {kind} of another training; choose another --out, or add --replace.")


def _validation(context: Context[Any], target: Target) -> dict[str, Any] | None:
    """Accuracy of a target on validation recordings, original and filtered; None where that cannot be measured.

    It gets the sound that an application gets. The recordings need labels that the target knows, and a target that is
    queried over a network enough queries left.
    """
    manifest, task = context.manifest, target.task
    clips = context.split.validation[:: -(-len(context.split.validation) // _SCORED) or 1]
    if not {manifest.clips[i].labels.get(task) for i in clips} <= {*target.classes} or not len(clips):
        return None
    filter_ = Filter.load(context.config.out)

    def filtered(wav: Wave) -> NDArray[np.float32]:
        if not filter_.engine.playable:
            return filter_.engine.read(filter_.obfuscate(cut(wav)))[task]
        return target.predict_sound(cut(filter_.filter(wav)))

    try:
        return {
            "recordings": len(clips),
            "original": _accuracy(target, manifest, context.sounds, clips),
            "filtered": _accuracy(target, manifest, context.sounds, clips, filtered),
        }
    except ModelError:
        return None


def _accuracy(
    target: Target,
    manifest: Manifest,
    sounds: Sounds,
    clips: NDArray[np.int64],
    logits: Callable[[Wave], NDArray[np.float32]] | None = None,
) -> float:
    """Share of clips whose class the target's vote gets right, or that of the `logits` of the segments of a clip."""
    if logits is None:
        segments = [cut(sounds.wave(i)) for i in clips]
        answers, counts = target.predict_sound(np.concatenate(segments)), [len(part) for part in segments]
    else:
        each = [logits(sounds.wave(i)) for i in clips]
        answers, counts = np.concatenate(each), [len(part) for part in each]
    classes = vote(answers, np.repeat(np.arange(len(clips)), counts)).argmax(axis=1)
    truth = [target.classes.index(manifest.clips[i].labels[target.task]) for i in clips]
    return float((classes == truth).mean())
