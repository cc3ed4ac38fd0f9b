"""The job behind `sottovoce target --examples`: keywords of the user's own from a few recordings, without training."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sottovoce import __version__
from sottovoce.audio.segment import cut
from sottovoce.audio.spectrum import HOP_SAMPLES, SEGMENT_S, SEGMENT_SAMPLES, Wave
from sottovoce.corpora import espeak
from sottovoce.corpora.cache import Sounds
from sottovoce.corpora.corpus import opened
from sottovoce.corpora.manifest import Manifest
from sottovoce.corpora.readers.voices import PHRASES
from sottovoce.errors import ConfigError, CorpusError, MissingExtraError
from sottovoce.jobs.train import check_same, training_digest
from sottovoce.models import word_encoder
from sottovoce.models.checkpoint import check_place, write_folder
from sottovoce.models.word_examples import ARCHITECTURE, FEWEST, Array, WordExamples, learnt, left_one_out
from sottovoce.progress import Report
from sottovoce.training.loop import identity

OTHER = "_other_"  # the folder of recordings that are none of the words
_NOISES = 60
_OF_A_CORPUS = 400  # segments at most


def make_from_examples(
    examples: Path,
    out: Path,
    report: Report,
    task: str = "keyword",
    negatives: Sequence[str] = (),
    command: str = "",
    replace: bool = True,
) -> dict[str, Any]:
    """Write a target that knows the words of the folders EXAMPLES/WORD by a few recordings each; returns its card.

    What is none of the words is learnt from noise, the built-in voices where they are installed, the folder
    EXAMPLES/_other_, and the corpora `negatives`, NAME:PATH. Without `replace`, a target that was made otherwise and is
    there already is refused. ConfigError for fewer than two words, or two recordings.
    """
    if not word_encoder.available():
        raise MissingExtraError(f"the word encoder is not installed; {word_encoder.INSTALL}.")
    check_place(out, "target")
    began = time.monotonic()
    manifest, sounds = opened(f"folder:{examples}", report)
    name = identity(examples=manifest.digest, task=task, negatives=list(negatives), version=__version__)
    if not replace:
        check_same(out, "target", name)
    words, clips = _words(manifest, examples)
    embedded = [word_encoder.embed(np.stack([_loudest(sounds.wave(i)) for i in of])) for of in clips.values()]
    segments = _negatives(manifest, sounds, words, negatives, report)
    other = np.concatenate([_embedded(waves, name, report) for name, waves in segments.items()])
    found = learnt(embedded, other)
    weights, settings = found.files()
    config = {"architecture": ARCHITECTURE, "settings": settings, "task": task, "classes": list(words)}
    card: dict[str, Any] = {
        "examples": {word: len(of) for word, of in clips.items()},
        "negatives": {name: len(waves) for name, waves in segments.items()},
        **_measured(found, embedded, other),
        "command": command,
        "training": training_digest(name),
        "seconds": round(time.monotonic() - began, 1),
        "notes": list(manifest.notes),
    }
    files = {"config.json": json.dumps(config, indent=1).encode(), "weights.safetensors": weights}
    return write_folder(out, "target", files, {"task": task, "classes": list(words), **card})


def _words(manifest: Manifest, examples: Path) -> tuple[tuple[str, ...], dict[str, list[int]]]:
    """The words, and the positions of the recordings of each."""
    if manifest.tasks != ("label",):
        raise CorpusError(f"{examples} has a table of labels; expected folders WORD/*.wav and no table beside them.")
    words = tuple(word for word in manifest.classes("label") if word != OTHER)
    clips = {word: [i for i, clip in enumerate(manifest.clips) if clip.labels["label"] == word] for word in words}
    few = [word for word, of in clips.items() if len(of) < FEWEST]
    if few or len(words) < 2:
        got = f"{len(clips[few[0]])} recording of {few[0]!r}" if few else f"{len(words)} word"
        raise ConfigError(
            f"{examples} has {got}; expected two words or more, each a folder of at least {FEWEST} recordings, "
            "better five by different people."
        )
    return words, clips


def _loudest(wav: Wave) -> Wave:
    """The segment [20480] of a recording [T] that has the most energy; a short one is filled up as `cut` does."""
    spare = len(wav) - SEGMENT_SAMPLES
    if spare <= 0:
        return np.asarray(cut(wav)[0])
    total = np.concatenate([[0.0], np.cumsum(np.square(wav, dtype=np.float64))])
    starts = np.arange(0, spare + 1, HOP_SAMPLES)
    start = int(starts[(total[starts + SEGMENT_SAMPLES] - total[starts]).argmax()])
    return np.asarray(wav[start : start + SEGMENT_SAMPLES])


def _negatives(
    manifest: Manifest, sounds: Sounds, words: Sequence[str], specs: Sequence[str], report: Report
) -> Mapping[str, Wave]:
    """Segments [M, 20480] without any of the words, by where they come from."""
    rng = np.random.default_rng(0)
    found = {"noise": _noise(rng)}
    if others := [i for i, clip in enumerate(manifest.clips) if clip.labels["label"] == OTHER]:
        found[OTHER] = np.concatenate([cut(sounds.wave(i)) for i in others])
    if espeak.installed():
        said = {word.casefold() for word in words}
        without = {name for name, phrase in PHRASES.items() if not said & set(phrase.split())}
        found["voices"] = _of_corpus("voices", rng, report, lambda labels: labels["word"] in without)
    for spec in specs:
        found[spec] = _of_corpus(spec, rng, report)
    return {name: waves for name, waves in found.items() if len(waves)}


def _noise(rng: np.random.Generator) -> Wave:
    """Silence, and noise of several colours and levels, [M, 20480]."""
    spectra = np.fft.rfft(rng.standard_normal((_NOISES, SEGMENT_SAMPLES)))
    slope = rng.uniform(0.0, 1.0, (_NOISES, 1))  # of the magnitude: from white to falling by 6 dB an octave
    waves = np.fft.irfft(spectra * np.arange(1, spectra.shape[1] + 1) ** -slope, SEGMENT_SAMPLES)
    level = 10.0 ** rng.uniform(-4.0, -1.0, (_NOISES, 1))
    level[0] = 0.0
    return np.asarray(level * waves / np.sqrt(np.square(waves).mean(axis=1, keepdims=True)), np.float32)


def _of_corpus(
    spec: str,
    rng: np.random.Generator,
    report: Report,
    fits: Callable[[Mapping[str, str]], bool] = lambda labels: True,
) -> Wave:
    """Segments of the recordings of a corpus that `fits` takes by their labels, drawn without order."""
    manifest, sounds = opened(spec, report)
    taken: list[Wave] = []
    for i in rng.permutation(len(manifest.clips)):
        if fits(manifest.clips[i].labels):
            taken += list(cut(sounds.wave(int(i))))
        if len(taken) >= _OF_A_CORPUS:
            break
    return np.stack(taken[:_OF_A_CORPUS]) if taken else np.zeros((0, SEGMENT_SAMPLES), np.float32)


def _embedded(waves: Wave, name: str, report: Report) -> Array:
    rows = []
    for i in range(len(waves)):
        rows.append(word_encoder.embed(waves[i : i + 1]))
        report(i + 1, len(waves), f"embedding {name}")
    return np.concatenate(rows)


def _measured(found: WordExamples, embedded: Sequence[Array], other: Array) -> dict[str, Any]:
    """How good the examples are, each by the mean of the others, and what negatives are taken for a word."""
    own, right = left_one_out(embedded, found.centres)
    answers = found.log_posteriors(own).argmax(axis=1)
    alarms = found.log_posteriors(other @ found.centres.T).argmax(axis=1) < len(embedded)
    return {
        "leave_one_out": {
            "accuracy": float((own.argmax(axis=1) == right).mean()),
            "miss_rate": float((answers != right).mean()),
            "recordings": len(own),
        },
        "false_alarms_per_hour": float(alarms.mean() * 3600.0 / SEGMENT_S),
    }
