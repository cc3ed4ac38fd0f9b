"""The method `words`: a target that transcribes digit strings, an encoder taught by it, and ten recorded words."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load, save
from torch import Tensor, nn

from sottovoce.audio.spectrum import Spectrum, Wave
from sottovoce.corpora import corpus
from sottovoce.corpora.cache import Sounds
from sottovoce.corpora.manifest import Manifest
from sottovoce.corpora.readers.strings import part_of
from sottovoce.errors import ConfigError, ModelError
from sottovoce.files import file_sha256, write_file
from sottovoce.methods.digits.ctc import CtcSettings, train_ctc
from sottovoce.methods.digits.words import choose_words
from sottovoce.methods.method import Context, Estimate, Method, TrainConfig, Trained
from sottovoce.models import deepspeech2, digit_codes
from sottovoce.models.architectures import build, restore
from sottovoce.models.codewords import RECORDINGS, SYNTHETIC
from sottovoce.models.digit_encoder import DigitEncoder
from sottovoce.models.layers import parameter_count
from sottovoce.models.word_table import Pace, WordTable
from sottovoce.progress import Report
from sottovoce.runtime.export import save_words
from sottovoce.runtime.word_filter import BITS_PER_BLOCK, BLOCK_S, TASK, State, WordFilter
from sottovoce.training.loop import Run, identity
from sottovoce.training.settings import Positive

Clips = NDArray[np.int64]
Transcripts = Sequence[Sequence[int]]

_SPEC = "strings:"
_STEP_S = 0.5
_TARGET = CtcSettings()
_ENCODER = CtcSettings(steps=1500, batch=16, gain_db=10.0)  # the level of a microphone is not known beforehand


@dataclass(frozen=True)
class DigitSettings:
    """How the target and the encoder are trained, and how many `candidates` are tried as the word of each digit.

    `codewords` has to be "recordings", in which people can be recognised: there are no synthetic words.
    """

    codewords: Literal["synthetic", "recordings"] = SYNTHETIC
    target: CtcSettings = _TARGET
    encoder: CtcSettings = _ENCODER
    candidates: Positive = 16


PRESETS: Mapping[str, DigitSettings] = MappingProxyType({"compact": DigitSettings()})


def check(config: TrainConfig, settings: DigitSettings) -> None:
    """ConfigError where recordings as words were not agreed to, and for anything but digit strings."""
    if settings.codewords != RECORDINGS:
        raise ConfigError(
            "the method 'words' has no synthetic codewords: its ten words are training recordings, in which people can "
            f"be recognised; add --codewords {RECORDINGS} if these people agree."
        )
    if config.permit != (TASK,) or not config.corpus.startswith(_SPEC) or len(config.targets) != 1:
        raise ConfigError(
            f"the method 'words' got --corpus {config.corpus} --permit {','.join(config.permit)}; expected "
            f"{_SPEC}PATH, {TASK} and one --target, a file that is made if it does not exist."
        )


def train(context: Context[DigitSettings]) -> Trained:
    """An encoder and its words, with a target that is trained if its file does not exist."""
    settings, sounds, clips, run = context.settings, context.sounds, context.split.train, context.run
    place = Path(context.config.targets[0])
    recogniser = target(place, context.manifest, sounds, clips, settings.target, run.report)
    known = hashlib.sha256(run.identity.encode()).hexdigest()[:8]  # an encoder of other settings is not used
    unfinished = cast(Path, run.part(f"encoder-{known}", 0).partial)
    network = encoder(unfinished, recogniser, sounds, clips, settings.encoder, run.seed, run.report)
    singles = recordings(context.config.corpus.removeprefix(_SPEC), run.report)
    words = choose_words(lambda wav: logits(recogniser, wav), singles, settings.candidates, run.seed)
    card = {
        "codewords": {
            "source": RECORDINGS,
            "recordings": len(words.spectra),
            "corpus": context.manifest.name,
            "licence": context.manifest.licence,
        },
        "block_s": BLOCK_S,
        "bits_per_block": BITS_PER_BLOCK,
        "parameters": parameter_count(network),
        "targets": [{"task": TASK, "digest": file_sha256(place)}],
    }
    return Trained(card, lambda folder, card, _: save_words(folder, network, words, card))


def estimate(context: Context[DigitSettings]) -> Estimate:
    """The steps of the encoder, and those of the target where it does not exist."""
    settings = context.settings
    steps = settings.encoder.steps
    steps += 0 if Path(context.config.targets[0]).is_file() else settings.target.steps
    return Estimate(steps, steps * _STEP_S)


def recordings(fsdd: str, report: Report) -> list[list[Wave]]:
    """The single recordings of each digit that the training strings are made of."""
    manifest, sounds = corpus.opened(f"fsdd:{fsdd}", report)
    waves: list[list[Wave]] = [[] for _ in digit_codes.DIGITS]
    for i, clip in enumerate(manifest.clips):
        if part_of(clip) == "train":
            waves[int(clip.labels["digit"])].append(sounds.wave(i))
    return waves


def target(
    path: Path, manifest: Manifest, sounds: Sounds, clips: Clips, settings: CtcSettings, report: Report
) -> nn.Module:
    """The recogniser at `path`, trained on the strings `clips` unless it exists."""
    spoken = [digit_codes.labels(manifest.clips[i].labels["digits"]) for i in clips]
    run = Run(settings.steps, 0, report, identity=identity(corpus=manifest.digest, settings=settings))
    return _trained(path, "deepspeech2-ctc", run, sounds, clips, lambda: spoken, settings)


def encoder(
    path: Path, recogniser: nn.Module, sounds: Sounds, clips: Clips, settings: CtcSettings, seed: int, report: Report
) -> DigitEncoder:
    """The encoder at `path`, taught by what the target `recogniser` transcribes of `clips` unless it exists."""
    known = identity(settings=settings, seed=seed, clips=clips.tolist())

    def answers() -> Transcripts:
        return transcribe(recogniser, [sounds.wave(int(i)) for i in clips])

    run = Run(settings.steps, seed, report, identity=known)
    return cast(DigitEncoder, _trained(path, "digit-encoder", run, sounds, clips, answers, settings))


def table(
    path: Path, recogniser: nn.Module, recordings: Sequence[Sequence[Wave]], candidates: int, seed: int
) -> WordTable:
    """The words at `path`, chosen by `recogniser` among `recordings` of each digit unless they exist."""
    if not path.is_file():
        chosen = choose_words(lambda wav: logits(recogniser, wav), recordings, candidates, seed)
        write_file(path, save({"spectra": torch.from_numpy(np.ascontiguousarray(chosen.spectra))}))
    try:
        return WordTable(load(path.read_bytes())["spectra"].numpy())
    except Exception as error:
        raise ModelError(f"{path} does not hold the words of a filter ({error}); delete it and try again.") from error


def word_filter(network: DigitEncoder, words: WordTable, pace: Pace) -> WordFilter:
    """The filter that an encoder and its words make."""

    def step(frames: Spectrum, state: State) -> tuple[list[int], State]:
        with torch.no_grad():
            codes, after = network.step(torch.from_numpy(np.ascontiguousarray(frames))[None], dict(state))
        return codes[0].tolist(), after

    return WordFilter(step, network.initial_state(1), words, pace)


def logits(network: nn.Module, wav: Wave) -> Tensor:
    """The target's logits [M, 11] for each 20 ms of a sound [T] at 16 kHz."""
    with torch.no_grad():
        scores: Tensor = network(torch.from_numpy(deepspeech2.hear(wav))[None])[0]
    return scores


def transcribe(network: nn.Module, waves: Sequence[Wave]) -> list[list[int]]:
    """The digits that the target recognises in each sound, by its best labels."""
    return [digit_codes.digits_of(digit_codes.ctc_onsets(logits(network, wav).argmax(dim=1).tolist())) for wav in waves]


def _trained(
    path: Path,
    architecture: str,
    run: Run,
    sounds: Sounds,
    clips: Clips,
    transcripts: Callable[[], Transcripts],
    settings: CtcSettings,
) -> nn.Module:
    """The network at `path`, trained unless it exists."""
    if not path.is_file():
        torch.manual_seed(run.seed)
        network, partial = build(architecture, {}), path.with_name(f"{path.name}.partial")
        front_end = digit_codes.encoder_input if architecture == "digit-encoder" else deepspeech2.hear
        train_ctc(network, sounds, clips, transcripts(), front_end, settings, run._replace(partial=partial))
        write_file(path, save({name: value.contiguous() for name, value in network.state_dict().items()}))
        partial.unlink(missing_ok=True)
    return restore(architecture, {}, path.read_bytes()).requires_grad_(False)


METHOD: Method[DigitSettings] = Method("words", DigitSettings, PRESETS, train, estimate, check, makes_target=True)
