"""Making what a filter for digit strings needs: a target that transcribes, an encoder taught by it, and ten words."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load, save
from torch import Tensor, nn

from sottovoce.audio.level import normalise, trim_silence
from sottovoce.audio.spectrum import HOP_SAMPLES, Spectrum, Wave, log_spectrum
from sottovoce.corpora import corpus
from sottovoce.corpora.cache import Sounds
from sottovoce.corpora.manifest import Manifest, split
from sottovoce.corpora.readers.strings import part_of
from sottovoce.errors import ConfigError, CorpusError, ModelError
from sottovoce.files import file_sha256, write_file
from sottovoce.methods.digits.ctc import CtcSettings, ctc_loss, train_ctc
from sottovoce.models import deepspeech2, digit_codes
from sottovoce.models.architectures import build, restore
from sottovoce.models.codewords import RECORDINGS
from sottovoce.models.digit_codes import BLANK, BLOCK_FRAMES, DIGITS
from sottovoce.models.digit_encoder import DigitEncoder
from sottovoce.models.layers import parameter_count
from sottovoce.models.word_table import Pace, WordTable
from sottovoce.progress import Report
from sottovoce.runtime.export import save_words
from sottovoce.runtime.word_filter import BITS_PER_BLOCK, BLOCK_S, TASK, State, WordFilter
from sottovoce.training.loop import Run, identity

TARGET = CtcSettings()
ENCODER = CtcSettings(batch=16, gain_db=10.0)  # a microphone's level is not known beforehand
TARGET_STEPS = 800
ENCODER_STEPS = 1500
TRIED = 16  # recordings of each digit, as its word

Clips = NDArray[np.int64]
Transcripts = Sequence[Sequence[int]]


def make_words(
    spec: str, permit: Sequence[str], targets: Sequence[Path | str], out: Path, seed: int, command: str, report: Report
) -> dict[str, Any]:
    """Train a filter of words on `strings:PATH` and write it; returns what its card says.

    The one target is the file of a recogniser of strings, which is trained if it is not there.
    """
    if list(permit) != [TASK] or not spec.startswith("strings:") or len(targets) != 1:
        raise ConfigError(
            f"the method 'words' got --corpus {spec} --permit {','.join(permit)}; expected strings:PATH, {TASK} and "
            "one --target, a file that is made if it is not there."
        )
    began = time.monotonic()
    manifest, sounds = corpus.opened(spec, report)
    parts = split(manifest)
    ear = target(Path(targets[0]), manifest, sounds, parts.train, TARGET_STEPS, report)
    unfinished = out.with_name(f"{out.name}-unfinished")
    network = encoder(unfinished / "encoder.safetensors", ear, sounds, parts.train, ENCODER_STEPS, seed, report)
    words = table(unfinished / "words.safetensors", ear, recordings(spec.removeprefix("strings:"), report), TRIED, seed)
    card = {
        "codewords": {
            "source": RECORDINGS,
            "recordings": len(words.spectra),
            "corpus": manifest.name,
            "licence": manifest.licence,
        },
        "method": "words",
        "permit": [TASK],
        "block_s": BLOCK_S,
        "bits_per_block": BITS_PER_BLOCK,
        "parameters": parameter_count(network),
        "corpus": corpus.describe(manifest, parts),
        "targets": [{"task": TASK, "digest": file_sha256(Path(targets[0]))}],
        "seed": seed,
        "command": command,
        "seconds": round(time.monotonic() - began, 1),
    }
    written = save_words(out, network, words, card)
    shutil.rmtree(unfinished)
    return written


def recordings(fsdd: str, report: Report) -> list[list[Wave]]:
    """The single recordings of each digit that the training strings are made of."""
    manifest, sounds = corpus.opened(f"fsdd:{fsdd}", report)
    found: list[list[Wave]] = [[] for _ in digit_codes.DIGITS]
    for i, clip in enumerate(manifest.clips):
        if part_of(clip) == "train":
            found[int(clip.labels["digit"])].append(sounds.wave(i))
    return found


def target(path: Path, manifest: Manifest, sounds: Sounds, clips: Clips, steps: int, report: Report) -> nn.Module:
    """The recogniser at `path`, trained on the strings `clips` unless it is there."""
    spoken = [digit_codes.labels(manifest.clips[i].labels["digits"]) for i in clips]
    known = identity(corpus=manifest.digest, settings=TARGET, steps=steps)
    return _trained(path, "deepspeech2-ctc", known, Run(steps, 0, report), sounds, clips, lambda: spoken, TARGET)


def encoder(
    path: Path, listener: nn.Module, sounds: Sounds, clips: Clips, steps: int, seed: int, report: Report
) -> DigitEncoder:
    """The encoder at `path`, taught by what the target `listener` hears in the strings `clips` unless it is there."""
    known = identity(settings=ENCODER, steps=steps, seed=seed, clips=clips.tolist())

    def answers() -> Transcripts:
        return transcribe(listener, [sounds.wave(int(i)) for i in clips])

    found = _trained(path, "digit-encoder", known, Run(steps, seed, report), sounds, clips, answers, ENCODER)
    return cast(DigitEncoder, found)


def table(path: Path, listener: nn.Module, recordings: Sequence[Sequence[Wave]], tried: int, seed: int) -> WordTable:
    """The words at `path`, chosen by `listener` among `recordings` of each digit unless they are there."""
    if not path.is_file():
        chosen = choose_words(lambda wav: logits(listener, wav), recordings, tried, seed)
        write_file(path, save({"spectra": torch.from_numpy(np.ascontiguousarray(chosen.spectra))}))
    return WordTable(_tensors(path)["spectra"].numpy())


def word_filter(network: DigitEncoder, words: WordTable, pace: Pace) -> WordFilter:
    """The filter that an encoder and its words make."""

    def step(frames: Spectrum, state: State) -> tuple[list[int], State]:
        with torch.no_grad():
            codes, after = network.step(torch.from_numpy(np.ascontiguousarray(frames))[None], dict(state))
        return codes[0].tolist(), after

    return WordFilter(step, network.initial_state(1), words, pace)


def logits(network: nn.Module, wav: Wave) -> Tensor:
    """What the target gives for each 20 ms of a sound [T] at 16 kHz, [M, 11]."""
    with torch.no_grad():
        found: Tensor = network(torch.from_numpy(deepspeech2.hear(wav))[None])[0]
    return found


def transcribe(network: nn.Module, waves: Sequence[Wave]) -> list[list[int]]:
    """The digits that the target hears in each sound, by its best labels."""
    return [digit_codes.digits_of(digit_codes.ctc_onsets(logits(network, wav).argmax(dim=1).tolist())) for wav in waves]


def _trained(
    path: Path,
    architecture: str,
    known: str,
    run: Run,
    sounds: Sounds,
    clips: Clips,
    transcripts: Callable[[], Transcripts],
    settings: CtcSettings,
) -> nn.Module:
    if not path.is_file():
        torch.manual_seed(run.seed)
        network, partial = build(architecture, {}), path.with_suffix(".partial")
        hear = digit_codes.encoder_input if architecture == "digit-encoder" else deepspeech2.hear
        going = run._replace(partial=partial, identity=known)
        train_ctc(network, sounds, clips, transcripts(), hear, settings, going)
        write_file(path, save({name: value.contiguous() for name, value in network.state_dict().items()}))
        partial.unlink(missing_ok=True)
    return restore(architecture, {}, path.read_bytes()).requires_grad_(False)


def _tensors(path: Path) -> Mapping[str, Any]:
    try:
        return load(path.read_bytes())
    except Exception as error:
        raise ModelError(f"{path} does not hold the words of a filter ({error}); delete it and try again.") from error


Ask = Callable[[Wave], Tensor]  # sound [T] to the target's logits [M, 11]

WORD_FRAMES = 40  # 0.4 s
_MARGIN_S = 0.02
_ROUNDS = 2
_STRINGS = 4  # that a candidate is heard in


def choose_words(ask: Ask, recordings: Sequence[Sequence[Wave]], candidates: int, seed: int) -> WordTable:
    """A table of words out of `recordings`, for each digit several sounds at 16 kHz, of which so many are tried.

    Raises CorpusError where a digit has no recording short enough for a word.
    """
    rng = np.random.default_rng(seed)
    tried = [_candidates(own, candidates, digit, rng) for digit, own in zip(DIGITS, recordings, strict=True)]
    chosen = np.stack([own[0] for own in tried])
    for _ in range(_ROUNDS):  # the first among words as they came, the next among those that were chosen
        best = [_best(ask, chosen, digit, tried[digit], rng) for digit in DIGITS]
        chosen = np.stack(best)
    return WordTable(chosen)


def _candidates(own: Sequence[Wave], count: int, digit: int, rng: np.random.Generator) -> list[Spectrum]:
    """Spectra [161, 40] of recordings that fit into a word, in the middle of it."""
    length = WORD_FRAMES * HOP_SAMPLES
    found: list[Spectrum] = []
    for i in rng.permutation(len(own)):
        wav = trim_silence(own[i], margin_s=_MARGIN_S)
        if len(wav) <= length and len(found) < count:
            before = (length - len(wav)) // 2
            found.append(log_spectrum(np.pad(normalise(wav, 1.0), (before, length - len(wav) - before))))
    if not found:
        raise CorpusError(f"no recording of the digit {digit} is shorter than {length} samples; expected one at least.")
    return found


def _best(ask: Ask, table: Spectrum, digit: int, tried: Sequence[Spectrum], rng: np.random.Generator) -> Spectrum:
    """The candidate with which the target is surest of strings that hold the digit twice."""
    neighbours = rng.integers(len(DIGITS), size=(_STRINGS, 3))
    losses = []
    for spectrum in tried:
        words = WordTable(np.concatenate([table[:digit], spectrum[None], table[digit + 1 :]]))
        loss = 0.0
        for a, b, c in neighbours.tolist():
            said = [a, digit, b, digit, c]
            logits = ask(words.draw(_spaced(said, words.blocks), "live"))
            with torch.no_grad():
                loss += float(ctc_loss(logits[None], torch.tensor([len(logits)]), [said]))
        losses.append(loss)
    return tried[int(np.argmin(losses))]


def _spaced(said: Sequence[int], word_blocks: int) -> list[int]:
    """Codes of digits that are said with pauses of 40 to 160 ms, some in a row and some apart."""
    codes: list[int] = [BLANK] * BLOCK_FRAMES
    for position, digit in enumerate(said):
        codes += [digit, *[BLANK] * (word_blocks + position % BLOCK_FRAMES)]
    return codes
