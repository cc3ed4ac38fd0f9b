"""The detector of speech: trained on people, rooms and noises that may be used for anything, by one command.

Somebody talks: LibriSpeech (adults, CC BY 4.0), speechocean762 (children and adults, free for any use), and the
built-in voices. Nobody does: sound events of ESC-10 (CC BY 3.0), synthesised noise and music, and silence. A block in
which somebody talks has at least 0.3 s of speech, clean or in one of these backgrounds, dry or in a synthetic room, and
at times of a telephone's band.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional

from sottovoce.audio.level import LEVEL_RMS, normalise
from sottovoce.audio.segment import front_end
from sottovoce.audio.spectrum import SAMPLE_RATE, SEGMENT_SAMPLES, Wave
from sottovoce.corpora.cache import Sounds
from sottovoce.corpora.corpus import opened
from sottovoce.corpora.splits import Split, split
from sottovoce.experiments.experiment import Corpus, Experiment, Place, RunSettings, Table, digest, percent
from sottovoce.files import write_file
from sottovoce.methods.codebook.none import BUILT_IN
from sottovoce.models.layers import parameter_count
from sottovoce.models.speech import WEIGHTS, SpeechDetector
from sottovoce.progress import Progress, Report
from sottovoce.training.loop import Run, identity, one_cycle, set_learning_rate, train, update

Draw = Callable[[np.random.Generator, int], Wave]  # N segments [N, 20480]

_FRAME = SAMPLE_RATE // 50
_ACTIVE = 0.03  # of the mean power of a recording, which a frame of speech has at least
_LEAST_S = 0.3  # of speech in a block
_TRIES = 8


_KINDS: Mapping[str, float] = MappingProxyType({"events": 0.55, "noise": 0.2, "music": 0.2, "silence": 0.05})
_CORPORA = (
    Corpus("librispeech:librispeech/train-clean-100"),
    Corpus("kaldi:speechocean762"),
    Corpus("voices"),
    Corpus("esc10:esc10"),
)


@dataclass(frozen=True)
class Detector(RunSettings):
    """How long the detector is trained, and with batches of how many blocks; half of them have speech."""

    corpora: tuple[Corpus, Corpus, Corpus, Corpus] = _CORPORA  # read, of all ages, of synthetic voices, of events
    steps: int = 1200
    batch: int = 40
    learning_rate: float = 4e-3
    pool: int = 200  # blocks of each synthesised kind, which take longer to make than to use
    measured: int = 1500  # blocks of each side, of people and sources that nothing was trained on


def make(run: Detector, place: Place) -> dict[str, Any]:
    """Train the detector, and write its weights in half precision into the folder that is made."""
    report = Progress()
    books, ages, voices, sources = (_opened(place.spec(each), report) for each in run.corpora)
    quiet = nothing(events(sources[0], sources[1].train), run.pool)
    people = [(books[0], _all(books[1])), (ages[0], ages[1].train)]
    talk = speech([*people, *people, (voices[0], _all(voices[1]))], quiet)
    part = Run(run.steps, run.seed, report, place.kept / f"speech-detector-{digest(run)}", identity(run=str(run)))
    network = train_detector(talk, quiet, run, part)
    weights = {name: _halved(value) for name, value in network.state_dict().items()}
    write_file(place.out / WEIGHTS.name, save(weights))
    rng = np.random.default_rng(run.seed + 1)
    silent = nothing(events(sources[0], sources[1].validation), run.pool, run.seed + 1)
    odds = [_odds(network, draw(rng, run.measured)) for draw in (speech([(ages[0], ages[1].test)], silent), silent)]
    return {
        "parameters": parameter_count(network),
        "missed": float((odds[0] < 0).mean()),
        "false_alarms": float((odds[1] >= 0).mean()),
        "blocks": run.measured,
    }


def _opened(spec: str, report: Report) -> tuple[Sounds, Split]:
    manifest, sounds = opened(spec, report)
    return sounds, split(manifest)


def _all(parts: Split) -> NDArray[np.int64]:
    return np.concatenate([parts.train, parts.validation, parts.test])


def _halved(value: Tensor) -> Tensor:
    return (value.half() if value.is_floating_point() else value).contiguous()


def _odds(network: SpeechDetector, waves: Wave) -> NDArray[np.float32]:
    with torch.no_grad():
        parts = np.array_split(front_end(waves), -(-len(waves) // 64))
        return np.concatenate([network(torch.from_numpy(part)).squeeze(1).numpy() for part in parts])


def speech(sources: Sequence[tuple[Sounds, NDArray[np.int64]]], background: Draw) -> Draw:
    """What draws blocks in which somebody talks, of each source alike."""

    def draw(rng: np.random.Generator, count: int) -> Wave:
        waves = np.stack([_talking(*sources[int(rng.integers(len(sources)))], rng) for _ in range(count)])
        waves = _shortened(waves, rng)
        active = np.square(waves).sum(axis=1, keepdims=True) / np.maximum(1, (waves != 0).sum(axis=1, keepdims=True))
        below = 10.0 ** (-rng.uniform(0.0, 35.0, (count, 1)) / 20.0)
        noises = normalise(background(rng, count)) / LEVEL_RMS
        return coloured(roomy(waves, rng) + np.sqrt(active) * below * noises, rng)

    return draw


def _talking(sounds: Sounds, clips: NDArray[np.int64], rng: np.random.Generator) -> Wave:
    """A block of a recording with at least `_LEAST_S` of speech, as far as its level tells."""
    for _ in range(_TRIES):
        clip = rng.choice(clips)
        start = rng.integers(0, max(0, sounds.samples(int(clip)) - SEGMENT_SAMPLES) + 1)
        wave = sounds.segments([clip], [start], SEGMENT_SAMPLES)[0]
        power = np.square(wave).reshape(-1, _FRAME).mean(axis=1)
        if (power > _ACTIVE * LEVEL_RMS**2).sum() * _FRAME >= 2 * _LEAST_S * SAMPLE_RATE:
            break
    return np.asarray(wave)


def _shortened(waves: Wave, rng: np.random.Generator) -> Wave:
    """Every third block has its speech at the beginning or at the end alone, 0.4 s of it or more."""
    kept = np.where(rng.random(len(waves)) < 0.33, rng.uniform(0.4, 1.28, len(waves)), 1.28) * SAMPLE_RATE
    places = np.arange(SEGMENT_SAMPLES)
    first = rng.random((len(waves), 1)) < 0.5
    inside = np.where(first, places < kept[:, None], places >= SEGMENT_SAMPLES - kept[:, None])
    return (waves * inside).astype(np.float32)


def events(sounds: Sounds, clips: NDArray[np.int64]) -> Draw:
    """What draws sound events, one or two at once, slower or faster by up to 40 %."""

    def one(rng: np.random.Generator) -> Wave:
        speed = rng.uniform(0.7, 1.4)
        samples = int(SEGMENT_SAMPLES * speed)
        clip = rng.choice(clips)
        start = rng.integers(0, max(0, sounds.samples(int(clip)) - samples) + 1)
        wave = sounds.segments([clip], [start], samples)[0]
        places = np.linspace(0.0, samples - 1.0, SEGMENT_SAMPLES)
        return np.asarray(np.interp(places, np.arange(samples), wave), np.float32)

    def draw(rng: np.random.Generator, count: int) -> Wave:
        both = np.stack([[one(rng), one(rng) * (rng.random() < 0.3)] for _ in range(count)])
        return np.asarray((both * rng.uniform(0.1, 1.0, (count, 2, 1))).sum(axis=1), np.float32)

    return draw


def nothing(recorded: Draw, pool: int, seed: int = 0) -> Draw:
    """What draws blocks in which nobody talks: recorded ones, and `pool` of each synthesised kind."""
    made = {name: _pooled(draw(np.random.default_rng(seed), pool)) for name, draw in BUILT_IN.items()}
    kinds = {"events": recorded, **made}
    names = list(_KINDS)
    shares = np.array(list(_KINDS.values()))

    def draw(rng: np.random.Generator, count: int) -> Wave:
        chosen = rng.choice(len(names), count, p=shares / shares.sum())
        waves = np.zeros((count, SEGMENT_SAMPLES), np.float32)
        for number, name in enumerate(names):
            if (chosen == number).any():
                waves[chosen == number] = kinds[name](rng, int((chosen == number).sum()))
        return waves

    return draw


def _pooled(pool: Wave) -> Draw:
    """What draws from a pool of blocks, forwards or backwards."""

    def drawn(rng: np.random.Generator, count: int) -> Wave:
        chosen = pool[rng.integers(0, len(pool), count)]
        return np.where(rng.random((count, 1)) < 0.5, chosen, chosen[:, ::-1])

    return drawn


def roomy(waves: Wave, rng: np.random.Generator) -> Wave:
    """Every third block in a room: noise that decays within 0.1 to 0.8 s, at 0 to 15 dB below the direct sound."""
    decay = rng.uniform(0.1, 0.8, (len(waves), 1))
    time = np.arange(SEGMENT_SAMPLES) / SAMPLE_RATE
    tail = rng.standard_normal(waves.shape) * np.exp(-6.9 * time / decay)
    tail *= 10.0 ** (-rng.uniform(0.0, 15.0, (len(waves), 1)) / 20.0) / np.sqrt(
        np.square(tail).sum(axis=1, keepdims=True)
    )
    tail *= rng.random((len(waves), 1)) < 0.33
    tail[:, 0] += 1.0
    size = 2 * SEGMENT_SAMPLES
    both = np.fft.rfft(waves, size, axis=1) * np.fft.rfft(tail, size, axis=1)
    return np.fft.irfft(both, size, axis=1)[:, :SEGMENT_SAMPLES].astype(np.float32)


def coloured(waves: Wave, rng: np.random.Generator) -> Wave:
    """Every fifth block of a telephone's band, and all through a microphone of some colour."""
    hertz = np.fft.rfftfreq(SEGMENT_SAMPLES, 1.0 / SAMPLE_RATE)
    curve = sum(
        rng.uniform(-4.0, 4.0, (len(waves), 1)) * np.cos(np.pi * k * hertz / (SAMPLE_RATE / 2)) for k in range(1, 5)
    )
    low, high = rng.uniform(50.0, 350.0, (len(waves), 1)), rng.uniform(3000.0, 4200.0, (len(waves), 1))
    narrow = (rng.random((len(waves), 1)) < 0.2) & ((hertz < low) | (hertz > high))
    spectra = np.fft.rfft(waves, axis=1) * 10.0 ** (np.where(narrow, -50.0, curve) / 20.0)
    return np.fft.irfft(spectra, SEGMENT_SAMPLES, axis=1).astype(np.float32)


def train_detector(talk: Draw, quiet: Draw, settings: Detector, run: Run) -> SpeechDetector:
    """A detector, in evaluation mode, of what `talk` draws among what `quiet` draws."""
    torch.manual_seed(settings.seed)
    network = SpeechDetector()
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=0.02)
    half = settings.batch // 2
    truth = (torch.arange(2 * half) < half).to(torch.float32)

    def step(number: int, rng: np.random.Generator) -> str:
        set_learning_rate(optimiser, one_cycle(number, settings.steps, settings.learning_rate))
        waves = np.concatenate([talk(rng, half), coloured(roomy(quiet(rng, half), rng), rng)])
        odds = network(torch.from_numpy(front_end(waves))).squeeze(1)
        loss = functional.binary_cross_entropy_with_logits(odds, 0.98 * truth + 0.01)
        return f"speech: loss {update(optimiser, loss):.3f}"

    network.train()
    train(step, {"network": network, "optimiser": optimiser}, run)
    return network.eval()


EXPERIMENT = Experiment(
    "speech-detector",
    "Trains the network of the target speech: (with --out src/sottovoce/models): how often does it miss speech, and "
    "take something else for it?",
    "0.1 core-hours (x86)",
    {"compact": (Detector(),)},
    make,
    Table(
        (
            ("parameters", lambda result: str(result["parameters"])),
            ("missed, people of speechocean762 that were not trained on", lambda result: percent(result["missed"])),
            ("false alarms, ESC-10 fold 4 and other seeds", lambda result: percent(result["false_alarms"])),
            ("blocks of each", lambda result: str(result["blocks"])),
        )
    ),
    side_by_side=False,
    beside=True,
)
