"""The jobs behind `sottovoce target` and `sottovoce train`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sottovoce.audio.level import normalise
from sottovoce.audio.segment import FRONT_END, LEVEL_RMS, cut, front_end
from sottovoce.audio.spectrum import SAMPLE_RATE, log_spectrum
from sottovoce.corpora.cache import Sounds
from sottovoce.corpora.corpus import describe, opened, split_of
from sottovoce.corpora.manifest import Manifest, Split, SplitRule, check_task, split
from sottovoce.errors import ConfigError
from sottovoce.methods.adr import game as adr_training
from sottovoce.methods.adr import method as adr
from sottovoce.methods.codebook import training as codebook
from sottovoce.methods.codebook.similarity import described, speakers
from sottovoce.methods.digits.method import make_words
from sottovoce.methods.optin import game as optin
from sottovoce.methods.rdal import game as rdal_training
from sottovoce.methods.rdal import method as rdal
from sottovoce.models import codewords
from sottovoce.models.checkpoint import check_place
from sottovoce.models.layers import parameter_count
from sottovoce.models.rdal import LATENT
from sottovoce.models.target import Target, vote
from sottovoce.models.target_folder import load_target, save_target
from sottovoce.progress import Report
from sottovoce.runtime.engine import ADR, FilterConfig
from sottovoce.runtime.export import save_codebook, save_filter, save_latent
from sottovoce.training import target as target_training
from sottovoce.training.loop import Run, identity

METHODS = ("codebook", "optin", "raw", "words", "rdal", "adr")


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


@dataclass(frozen=True)
class TrainConfig:
    """A filter to train: the tasks that it permits, where the target of each is, and how.

    `codes` of each task, 0 for one per class, and segments to a block are for the method "codebook"; `hide`, the
    declared attributes, is for "adr"; `codewords`, which are "synthetic" or "recordings", for "codebook" and "words".
    """

    corpus: str
    permit: tuple[str, ...]
    targets: tuple[Path | str, ...]
    out: Path
    method: str = "codebook"
    preset: str = "compact"
    codes: int = 0
    block_segments: int = 1
    seed: int = 0
    command: str = ""
    hide: tuple[str, ...] = ()
    codewords: str = codewords.SYNTHETIC


def make_filter(wanted: TrainConfig, report: Report) -> dict[str, Any]:
    """Train a filter that permits the tasks of its targets, and write it; returns what its card says."""
    if wanted.method not in METHODS:
        raise ConfigError(f"unknown method '{wanted.method}'; known: {', '.join(METHODS)}.")
    if wanted.hide and wanted.method != "adr":
        raise ConfigError(f"--hide is for the method adr, got '{wanted.method}': what it does not permit is private.")
    _check_codewords(wanted)
    check_place(wanted.out, "filter")
    if wanted.method == "words":
        return make_words(wanted.corpus, wanted.permit, wanted.targets, wanted.out, wanted.seed, wanted.command, report)
    targets = _targets(wanted)
    manifest, sounds = opened(wanted.corpus, report)
    parts = split_of(targets[0].card, manifest)
    for target in targets[1:]:
        if target.card and target.card["corpus"] != (targets[0].card or {}).get("corpus"):
            raise ConfigError("the targets were trained on different corpora or splits; train them on one.")
    sound = loudness(sounds, parts.train)
    began = time.monotonic()
    make = {"codebook": _codebook, "rdal": _rdal, "adr": _adr}.get(wanted.method, _optin)
    card, save = make(wanted, _Material(targets, manifest, sounds, parts, sound), report)
    card |= {
        "method": wanted.method,
        "preset": wanted.preset,
        "permit": list(wanted.permit),
        "corpus": describe(manifest, parts),
        "targets": [{"task": target.task, "digest": target.digest} for target in targets],
        "seed": wanted.seed,
        "command": wanted.command,
        "seconds": round(time.monotonic() - began, 1),
    }
    written = save(card, {target.task: target.source for target in targets if target.source is not None})
    for partial in wanted.out.resolve().parent.glob(f"{_partial(wanted.out).name}*"):
        partial.unlink()
    return written


def _check_codewords(wanted: TrainConfig) -> None:
    """ConfigError where the method cannot have the codewords that were asked for."""
    if wanted.codewords not in codewords.SOURCES:
        raise ConfigError(f"--codewords is '{wanted.codewords}'; expected {' or '.join(codewords.SOURCES)}.")
    if wanted.codewords == codewords.RECORDINGS and wanted.method not in codewords.METHODS:
        raise ConfigError(
            f"--codewords {wanted.codewords} is for the methods {' and '.join(codewords.METHODS)}, got "
            f"'{wanted.method}', which has no codewords."
        )
    if wanted.codewords != codewords.RECORDINGS and wanted.method == "words":
        raise ConfigError(
            "the method 'words' has no synthetic codewords: its ten words are training recordings, in which people can "
            f"be recognised; add --codewords {codewords.RECORDINGS} if these people agree."
        )


def _targets(wanted: TrainConfig) -> list[Target]:
    """The target of each permitted task; ConfigError where they do not belong together."""
    if not wanted.permit or len(set(wanted.permit)) != len(wanted.permit):
        raise ConfigError(f"--permit is '{','.join(wanted.permit)}'; expected different tasks, one or more.")
    if len(wanted.targets) != len(wanted.permit):
        raise ConfigError(
            f"got {len(wanted.targets)} targets for {len(wanted.permit)} permitted tasks; expected one each, in order."
        )
    if len(wanted.permit) > 1 and wanted.method != "codebook":
        raise ConfigError(
            f"the method '{wanted.method}' permits one task, got '{','.join(wanted.permit)}'; "
            "train one filter for each, or use --method codebook."
        )
    targets = [load_target(place) for place in wanted.targets]
    for target, task, place in zip(targets, wanted.permit, wanted.targets, strict=True):
        if target.task != task:
            raise ConfigError(f"the target in {place} recognises '{target.task}'; expected '{task}'.")
    return targets


class _Material(NamedTuple):
    """What a filter is made of: targets, a corpus, how it is split, and the mean and deviation of its sound."""

    targets: Sequence[Target]
    manifest: Manifest
    sounds: Sounds
    parts: Split
    sound: tuple[float, float]


Save = Callable[[dict[str, Any], dict[str, Path]], dict[str, Any]]


def _codebook(wanted: TrainConfig, made_of: _Material, report: Report) -> tuple[dict[str, Any], Save]:
    """What the card says of a codebook filter, and how to write it."""
    targets, manifest, sounds, parts, sound = made_of
    settings = _preset(codebook.PRESETS, wanted.preset)
    settings = replace(settings, codes=wanted.codes, block_segments=wanted.block_segments, codewords=wanted.codewords)
    name = identity(
        settings=asdict(settings), corpus=manifest.digest, targets=[t.digest for t in targets], seed=wanted.seed
    )
    run = Run(settings.student.steps, wanted.seed, report, _partial(wanted.out), name)
    encoder, book, sources = codebook.train_codebook(
        sounds, parts.train, targets, settings, sound, run, speakers(manifest, parts.train)
    )
    card = {
        "codewords": described(book, sources, manifest, sounds, parts.train, sound, wanted.seed, report),
        "settings": asdict(settings),
        "parameters": parameter_count(encoder),
        "codes": dict(zip(book.tasks, book.sizes, strict=True)),
        "classes": {target.task: list(target.classes) for target in targets},
        "block_s": book.block_s,
        "bits_per_block": book.bits_per_block(book.tasks),
    }
    return card, lambda said, places: save_codebook(wanted.out, encoder, book, *sound, said, places)


def _optin(wanted: TrainConfig, made_of: _Material, report: Report) -> tuple[dict[str, Any], Save]:
    """What the card says of an opt-in filter, and how to write it."""
    (target, *_), manifest, sounds, parts, sound = made_of
    settings = _preset(optin.PRESETS, wanted.preset)
    name = identity(
        settings=asdict(settings), method=wanted.method, corpus=manifest.digest, target=target.digest, seed=wanted.seed
    )
    run = Run(settings.steps, wanted.seed, report, _partial(wanted.out), name)
    obfuscator, deobfuscator = optin.train_optin(sounds, parts.train, target, settings, wanted.method == "raw", run)
    card = {
        "settings": asdict(settings),
        "parameters": parameter_count(obfuscator),
        "deobfuscator_parameters": parameter_count(deobfuscator),
        "bits_per_block": None,  # nothing bounds what this method lets through
    }
    architecture, sizes = settings.architecture, settings.obfuscator
    return card, lambda said, places: save_filter(wanted.out, obfuscator, architecture, sizes, *sound, said, places)


def _rdal(wanted: TrainConfig, made_of: _Material, report: Report) -> tuple[dict[str, Any], Save]:
    """What the card says of a filter of latents, and how to write it."""
    (target, *_), manifest, sounds, parts, _ = made_of
    settings = _preset(rdal_training.PRESETS, wanted.preset)
    name = identity(settings=asdict(settings), corpus=manifest.digest, target=target.digest, seed=wanted.seed)
    run = Run(0, wanted.seed, report, _partial(wanted.out), name)
    trained = rdal.train_sender(manifest, sounds, parts.train, parts.validation, target, settings, run)
    classes = len(target.classes)
    sizes = {"latent": LATENT, "classes": classes, "sample_rate": settings.sample_rate}
    config = FilterConfig(FRONT_END, "rdal", {**sizes, "codes": classes if settings.codes else 0}, 0.0, 1.0)
    return rdal.described(trained, settings), lambda said, places: save_latent(
        wanted.out, trained.sender, config, {target.task: trained.reader}, said, places
    )


def _adr(wanted: TrainConfig, made_of: _Material, report: Report) -> tuple[dict[str, Any], Save]:
    """What the card says of a filter of embeddings, and how to write it."""
    (target, *_), manifest, sounds, parts, _ = made_of
    settings = _preset(adr_training.PRESETS, wanted.preset)
    hidden = adr.declared(manifest, target.task, wanted.hide)
    name = identity(
        settings=asdict(settings), hide=hidden, corpus=manifest.digest, target=target.digest, seed=wanted.seed
    )
    run = Run(settings.steps, wanted.seed, report, _partial(wanted.out), name)
    trained = adr.train_sender(manifest, sounds, parts.train, target, hidden, settings, run)
    sizes = {"latent": len(trained.sender.mean), "classes": len(target.classes), "codes": 0, "sample_rate": SAMPLE_RATE}
    config = FilterConfig(FRONT_END, ADR[settings.voices], sizes, 0.0, 1.0)
    return adr.described(trained, hidden, settings), lambda said, places: save_latent(
        wanted.out, trained.sender, config, {target.task: trained.reader}, said, places, trained.sender.unprotected()
    )


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


def loudness(sounds: Sounds, clips: NDArray[np.int64]) -> tuple[float, float]:
    """Average mean and deviation of the log spectra of training segments: the constants of the way back to sound."""
    some = clips[:: max(1, len(clips) // 200)]
    spectra = log_spectrum(normalise(np.concatenate([cut(sounds.wave(i)) for i in some]), LEVEL_RMS))
    return float(spectra.mean()), float(spectra.std(axis=(1, 2)).mean())
