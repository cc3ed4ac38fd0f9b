"""Which codewords are understood by recognisers that had no part in choosing them: sources of codewords x recognisers.

    python benchmarks/codeword_transfer.py --corpora PATH --out DIR --corpus ravdess        # or fsdd

PATH holds ravdess and fsdd. Recognisers are trained once, to DIR/targets, and used again by later runs. RAVDESS is
split by speaker, so that nothing was trained on the four people of its test part; FSDD as its authors did. The voters
choose codewords on training recordings (codeword_sources.py), the other recognisers only judge, and all is scored as
sound: the mean of the voters gives a class for each block of a test recording, the codewords are joined as a filter
joins them, and a recogniser votes. With `--third-party` others judge, too. DIR/runs has the results of
each run and source.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from codeword_sources import SOURCES, Goal, Material, posteriors
from numpy.typing import NDArray

from sottovoce.audio.griffin_lim import MARGIN_SAMPLES, Crossfade
from sottovoce.audio.segment import cut
from sottovoce.audio.spectrum import SAMPLE_RATE, SEGMENT_SAMPLES, Wave
from sottovoce.audit.bootstrap import ratio
from sottovoce.corpora.corpus import opened
from sottovoce.corpora.manifest import SplitRule
from sottovoce.corpora.splits import split
from sottovoce.jobs.train import make_target
from sottovoce.models.target import Target
from sottovoce.models.target_loading import load_target
from sottovoce.models.target_metadata import TargetMetadata, TargetName
from sottovoce.models.vote import vote
from sottovoce.progress import Progress

TASKS = {"ravdess": ("emotion", "gender"), "fsdd": ("digit",)}
RULES: Mapping[str, SplitRule] = {"ravdess": "speaker", "fsdd": "official"}
PRESETS = {"compact": "compact", "x-vector": "x-vector", "deepspeech2": "paper"}
STEPS = {"emotion": 1300, "gender": 400, "digit": 600}  # half as many, of half the batch, for DeepSpeech2


def phone(waves: Wave) -> Wave:
    """Sound [..., T] within 300 to 3400 Hz."""
    hz = np.fft.rfftfreq(waves.shape[-1], 1.0 / SAMPLE_RATE)
    within = np.where((hz >= 300.0) & (hz <= 3400.0), np.fft.rfft(waves), 0.0)
    return np.fft.irfft(within, waves.shape[-1]).astype(np.float32)


def rounded(waves: Wave, bits: int) -> Wave:
    """Sound whose samples have so many bits."""
    steps = np.float32(2 ** (bits - 1) - 1)
    return np.rint(waves * steps) / steps


CHANGES: Mapping[str, Callable[[Wave], Wave]] = {
    "as it is": lambda waves: waves,
    "0.3 s later": lambda waves: np.roll(waves, -4800, axis=-1),
    "0.6 s later": lambda waves: np.roll(waves, -9600, axis=-1),
    "10 dB quieter": lambda waves: np.float32(10.0**-0.5) * waves,
    "telephone": phone,
    "10 bits": lambda waves: rounded(waves, 10),
    "8 bits": lambda waves: rounded(waves, 8),
}


def recogniser(corpus: str, spec: str, task: str, name: str, out: Path, classes: tuple[str, ...]) -> Target:
    """A recogniser by its name: ARCHITECTURE-SEED, trained where it is not there yet, or what `load_target` takes."""
    architecture, _, seed = name.rpartition("-")
    if architecture not in PRESETS:
        return load_target(TargetName.of(name, TargetMetadata(task, classes)))
    place = out / "targets" / f"{corpus}-{task}-{name}"
    if not place.is_dir():
        deep = architecture == "deepspeech2"
        settings = {"steps": STEPS[task] // 2, "batch": 16} if deep else {"steps": STEPS[task]}
        preset, rule = PRESETS[architecture], RULES[corpus]
        make_target(spec, task, place, preset, rule, int(seed), "codeword_transfer.py", Progress(), settings)
    return load_target(place)


def joined(codewords: Wave, codes: Sequence[int]) -> Wave:
    """The sound of the codes of a sound's blocks as a filter joins them, [20480 S], from codewords [P, W, 20480]."""
    crossfade = Crossfade()
    margins = ((0, 0), (MARGIN_SAMPLES, MARGIN_SAMPLES))
    padded = np.pad(alone(codewords, codes), margins, mode="reflect")
    return np.concatenate([*map(crossfade.feed, padded), crossfade.flush()])


def alone(codewords: Wave, codes: Sequence[int]) -> Wave:
    """The codewords [S, 20480] of the codes of a sound's blocks."""
    return np.stack([codewords[min(block, len(codewords) - 1), code] for block, code in enumerate(codes)])


def flac_bytes(codewords: Wave, bits: int) -> int:
    """Bytes of one codeword as FLAC, on average."""
    files = [io.BytesIO() for _ in codewords.reshape(-1, SEGMENT_SAMPLES)]
    for file, wave in zip(files, rounded(codewords.reshape(-1, SEGMENT_SAMPLES), bits), strict=True):
        step = 2 ** (16 - bits)
        samples = (np.rint(wave * 32767.0 / step) * step).clip(-32768, 32767).astype(np.int16)
        soundfile.write(file, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return round(float(np.mean([len(file.getvalue()) for file in files])))


class Recordings:
    """Test recordings, their labels, and the class of each task that the encoder gives to each block."""

    def __init__(self, material: Material, block: int) -> None:
        clips = material.parts.test
        cuts = [cut(material.sounds.wave(int(i))) for i in clips]
        self.material, self.segments = material, np.concatenate(cuts)
        self.owner = np.repeat(np.arange(len(clips)), [len(each) for each in cuts])
        self.labels = {task: material.labels(clips, task) for task in material.tasks}
        speakers = [material.manifest.clips[i].labels["speaker"] for i in clips]
        self.speaker = np.unique(speakers, return_inverse=True)[1]
        means = [np.exp(answers).mean(axis=0) for answers in posteriors(material, self.segments)]
        self.classes = [  # of each recording [S, T]
            np.stack([_so_far(mean[self.owner == clip], block) for mean in means], axis=1) for clip in range(len(cuts))
        ]

    def original(self, judge: Target) -> NDArray[np.bool_]:
        """Which recordings a judge names rightly."""
        named = vote(judge.predict_sound(self.segments), self.owner).argmax(axis=1)
        return np.asarray(named == self.labels[judge.task])

    def filtered(self, judge: Target, permitted: tuple[str, ...], codewords: Wave, sound: bool) -> NDArray[np.bool_]:
        """Which recordings a judge names rightly behind a filter that permits some tasks, as sound or as features."""
        codes = [tuple(self._code(row, permitted) for row in rows) for rows in self.classes]
        different = {each: place for place, each in enumerate(sorted(set(codes)))}
        parts = [cut(joined(codewords, each)) if sound else alone(codewords, each) for each in different]
        owner = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        named = vote(judge.predict_sound(np.concatenate(parts)), owner).argmax(axis=1)
        return np.asarray(named[[different[each] for each in codes]] == self.labels[judge.task])

    def _code(self, classes: NDArray[np.int64], permitted: tuple[str, ...]) -> int:
        pairs = zip(self.material.tasks, classes, strict=True)
        return self.material.goals.index(tuple(int(c) if task in permitted else None for task, c in pairs))


def row(
    codewords: Wave, recordings: Recordings, judge: Target, before: NDArray[np.bool_], permitted: tuple[str, ...]
) -> dict[str, Any]:
    """How a judge understands codewords where some tasks are permitted: accuracies, and how many it names rightly.

    `before` says which of the original recordings it names rightly.
    """
    material = recordings.material
    after = recordings.filtered(judge, permitted, codewords, sound=True)
    change = ratio(after.astype(np.float64) - before, np.ones(len(before)), recordings.speaker)
    some = [w for w, goal in enumerate(material.goals) if _permits(material, goal) == permitted]
    truth = [goal[material.tasks.index(judge.task)] for goal in (material.goals[w] for w in some)]
    repeated = np.stack([joined(part[None], [w, w]) for part in codewords for w in some])
    answers = {name: judge.predict_sound(alter(repeated)[:, :SEGMENT_SAMPLES]) for name, alter in CHANGES.items()}
    right = {name: (answer.argmax(axis=1) == np.tile(truth, len(codewords))) for name, answer in answers.items()}
    return {
        "task": judge.task,
        "permitted": list(permitted),
        "original": round(float(before.mean()), 4),
        "sound": round(float(after.mean()), 4),
        "features": round(float(recordings.filtered(judge, permitted, codewords, sound=False).mean()), 4),
        "change": [round(value, 4) for value in (change.score, change.low, change.high)],
        "named": {name: f"{int(each.sum())}/{len(each)}" for name, each in right.items()},
    }


def _so_far(posterior: NDArray[np.float32], block: int) -> NDArray[np.int64]:
    """For segments with posteriors [S, C] the class of all posteriors up to the end of their block, [S]."""
    ends = np.minimum(np.arange(len(posterior)) // block * block + block, len(posterior)) - 1
    return np.asarray(posterior.cumsum(axis=0)[ends].argmax(axis=1))


def _permits(material: Material, goal: Goal) -> tuple[str, ...]:
    return tuple(task for task, c in zip(material.tasks, goal, strict=True) if c is not None)


def line(name: str, result: Mapping[str, Any]) -> str:
    """One row of the matrix as text: what is permitted, who judges, accuracies, and codewords named rightly."""
    low, high = (100.0 * value for value in result["change"][1:])
    return (
        f"  {result['task']:8}{'+'.join(result['permitted']):16}{name:20}{100 * result['original']:5.1f} -> "
        f"{100 * result['sound']:5.1f} ({low:+.1f} to {high:+.1f})  named {' '.join(result['named'].values())}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--corpus", choices=TASKS, required=True)
    parser.add_argument("--voters", default="compact-0,x-vector-0")
    parser.add_argument("--judges", default="compact-1,compact-2,deepspeech2-0")
    parser.add_argument("--third-party", action="append", default=[], help="TASK=FOLDER or TASK=MODULE:FUNCTION")
    parser.add_argument("--sources", default=",".join(SOURCES), help="beginnings of names of sources")
    parser.add_argument("--first", type=float, default=1.0, help="certainty of the codewords of a first block")
    parser.add_argument("--block", type=int, default=1, help="segments of one block")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    spec, tasks = f"{given.corpus}:{given.corpora / given.corpus}", TASKS[given.corpus]
    voters, judges = given.voters.split(","), [name for name in given.judges.split(",") if name]
    manifest, sounds = opened(spec, Progress())
    names = [(task, name) for name, task in product(voters + judges, tasks)]
    names += [(task, name) for task, _, name in (text.partition("=") for text in given.third_party)]
    known = {
        (task, name): recogniser(given.corpus, spec, task, name, given.out, manifest.classes(task))
        for task, name in names
    }
    every = product(*([*range(len(manifest.classes(task))), None] for task in tasks))
    goals = [goal for goal in every if goal != (None,) * len(tasks)]
    voting = {task: [known[task, name] for name in voters] for task in tasks}
    material = Material(manifest, sounds, split(manifest, RULES[given.corpus]), voting, goals, given.first, given.seed)
    recordings = Recordings(material, given.block)
    before = {key: recordings.original(judge) for key, judge in known.items()}
    place = (
        given.out / "runs" / f"{given.corpus}-{given.voters.replace(',', '+')}-{given.first}-{given.block}-{given.seed}"
    )
    place.mkdir(parents=True, exist_ok=True)
    for name in (name for name in SOURCES if name.startswith(tuple(given.sources.split(",")))):
        began, kept = time.monotonic(), place / f"{name}.npy"
        if not kept.is_file():
            np.save(kept, SOURCES[name](material))
        codewords: Wave = np.load(kept)
        found = {"source": name, "seed": given.seed, "voters": voters, "seconds": round(time.monotonic() - began, 1)}
        found["flac_bytes"] = {bits: flac_bytes(codewords, bits) for bits in (16, 11, 10, 8)}
        print(f"{name}: {found['seconds']} s, FLAC {found['flac_bytes']}", flush=True)
        found["rows"] = []
        for (task, who), judge in known.items():
            for permitted in sorted({tasks, (task,)}):
                result = row(codewords, recordings, judge, before[task, who], permitted)
                found["rows"].append({"judge": who, "voter": who in voters, **result})
                print(line(who + "*" * (who in voters), found["rows"][-1]), flush=True)
        (place / f"{name}.json").write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
