"""Spoken keywords: what unlike recognisers make of unheard speakers, of a few examples, and of codewords.

    pip install --no-deps EfficientWord-Net==1.0.5
    python benchmarks/keywords.py --corpora PATH --out DIR     # half an hour on two cores; PATH holds arabic_commands

Ten of the thirty speakers of the Arabic Speech Commands are for testing, four for validation. Targets: the compact
network with two seeds, a small DeepSpeech2, and the word encoder by five examples of each word. `--part` names what is
measured: `originals`; `own`, five words by five examples each of training speakers, with false alarms on read speech of
LibriSpeech and speechocean762, which must lie in PATH; `codewords`, see benchmarks/keyword_codewords.py; or `filter`,
the accuracy of all of them through a filter whose codewords are recordings of validation speakers.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from keyword_codewords import compared
from numpy.typing import NDArray

from sottovoce.audio.segment import cut
from sottovoce.audio.spectrum import SEGMENT_S, Wave
from sottovoce.audit.bootstrap import ratio
from sottovoce.corpora.corpus import opened
from sottovoce.jobs.train import TrainConfig, make_filter, make_target
from sottovoce.jobs.word_examples import make_from_examples
from sottovoce.models import word_encoder
from sottovoce.models.target import Target
from sottovoce.models.target_loading import load_target
from sottovoce.models.word_examples import restored
from sottovoce.progress import Progress
from sottovoce.runtime.filter import Filter

TEST_SPEAKERS, VALIDATION_SPEAKERS = 10, 4
NETWORKS: Mapping[str, tuple[str, int, Mapping[str, object]]] = {  # preset, seed and settings
    "own-0": ("compact", 0, {"steps": 2000}),
    "own-1": ("compact", 1, {"steps": 2000}),
    "deepspeech2": ("paper", 0, {"steps": 600, "settings.maps": 8}),
}
EXAMPLES = 5  # of each word, by as many speakers
DRAWS, WORDS = 6, 5  # of own keywords
READ = {"librispeech": "librispeech:{}/librispeech", "speechocean762": "kaldi:{}/speechocean762"}
MOST_READ = 2000  # segments of each, 0.71 h
NEGATIVES = "librispeech:{}/librispeech/train-clean-100"  # what is none of the keywords, for a filter
FILTER = {"codewords": "recordings", "voters": 2, "judges": False}
PARTS = ("originals", "own", "codewords", "filter")

Ints = NDArray[np.int64]


class Clips(NamedTuple):
    """One segment of each recording [U, 20480], and its word, speaker and part [U]."""

    segments: Wave
    word: NDArray[np.str_]
    speaker: NDArray[np.str_]
    part: NDArray[np.str_]
    path: Sequence[Path]


def copied(corpora: Path, out: Path) -> Path:
    """The table of a copy of arabic_commands that gives each speaker a part."""
    source, folder = corpora / "arabic_commands", out / "arabic"
    table = folder / "clips.csv"
    if table.is_file():
        return table
    files = sorted(source.glob("*/*_NO_*"))
    dealt = np.random.default_rng(0).permutation(sorted({file.name.partition("_")[0] for file in files}))
    parts = ["test"] * TEST_SPEAKERS + ["validation"] * VALIDATION_SPEAKERS
    part = dict(zip(map(str, dealt), parts + ["train"] * (len(dealt) - len(parts)), strict=True))
    rows = [("path", "keyword", "speaker", "split")]
    for file in files:
        (folder / file.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(file, folder / file.parent.name / file.name)
        speaker = file.name.partition("_")[0]
        rows.append((f"{file.parent.name}/{file.name}", file.parent.name, speaker, part[speaker]))
    with table.open("w", newline="", encoding="utf-8") as opened_:
        csv.writer(opened_).writerows(rows)
    return table


def read(table: Path) -> Clips:
    manifest, sounds = opened(f"csv:{table}", Progress())
    columns = [
        np.array([clip.labels["keyword"] for clip in manifest.clips]),
        np.array([clip.labels["speaker"] for clip in manifest.clips]),
        np.array([clip.part for clip in manifest.clips]),
    ]
    segments = np.concatenate([cut(sounds.wave(i))[:1] for i in range(len(sounds))])
    return Clips(segments, *columns, [clip.path for clip in manifest.clips])


def write_examples(clips: Clips, words: Sequence[str], folder: Path, rng: np.random.Generator) -> None:
    """Copy one recording of each word by each of five training speakers."""
    speakers = rng.choice(np.unique(clips.speaker[clips.part == "train"]), EXAMPLES, replace=False)
    for word in words:
        (folder / word).mkdir(parents=True)
        for speaker in speakers:
            chosen = rng.choice(np.flatnonzero((clips.word == word) & (clips.speaker == speaker)))
            shutil.copy(clips.path[chosen], folder / word)


def judges(table: Path, clips: Clips, out: Path) -> dict[str, Target]:
    """The targets, made unless they are there."""
    for name, (preset, seed, settings) in NETWORKS.items():
        if not (out / name).is_dir():
            make_target(f"csv:{table}", "keyword", out / name, preset, "official", seed, "", Progress(), settings)
    if not (out / "encoder").is_dir():
        shutil.rmtree(out / "examples", ignore_errors=True)
        write_examples(clips, np.unique(clips.word).tolist(), out / "examples", np.random.default_rng(0))
        make_from_examples(out / "examples", out / "encoder", Progress())
    return {name: load_target(out / name) for name in (*NETWORKS, "encoder")}


def share(hits: NDArray[np.bool_], cluster: NDArray[np.str_], scale: float = 1.0) -> list[float]:
    """A rate times `scale`, and its interval by cluster."""
    _, clusters = np.unique(cluster, return_inverse=True)
    found = ratio(hits.astype(float), np.ones(len(hits)), clusters)
    return [round(scale * value, 4) for value in (found.score, found.low, found.high)]


def originals(clips: Clips, targets: Mapping[str, Target]) -> dict[str, Any]:
    """Accuracy of each target on the test speakers."""
    test = clips.part == "test"
    found = {}
    for name, target in targets.items():
        right = np.array(target.classes)[target.predict_sound(clips.segments[test]).argmax(axis=1)] == clips.word[test]
        found[name] = share(right, clips.speaker[test])
    return found


def own(clips: Clips, corpora: Path, out: Path) -> dict[str, Any]:
    """Five words by five examples each, drawn six times: the encoder alone, on test speakers and on read speech."""
    test = np.flatnonzero(clips.part == "test")
    known = word_encoder.embed(clips.segments[test])
    spoken = {name: _read_speech(spec.format(corpora)) for name, spec in READ.items()}
    rows: list[dict[str, Any]] = []
    pooled: dict[str, list[NDArray[Any]]] = {"right": [], "missed": [], "speaker": [], "cosine": []}
    alarms: dict[str, list[NDArray[Any]]] = {name: [] for name in (*spoken, "other words")}
    best: dict[str, list[NDArray[Any]]] = {name: [] for name in alarms}
    for draw in range(DRAWS):
        rng = np.random.default_rng(draw)
        words = np.sort(rng.choice(np.unique(clips.word), WORDS, replace=False)).tolist()
        place = out / f"own-keywords-{draw}"
        if not place.is_dir():
            shutil.rmtree(out / "own-examples", ignore_errors=True)
            write_examples(clips, words, out / "own-examples", rng)
            make_from_examples(out / "own-examples", place, Progress())
        config = json.loads((place / "config.json").read_text(encoding="utf-8"))
        model = restored(config["settings"], (place / "weights.safetensors").read_bytes())
        mine = np.isin(clips.word[test], words)
        cosines = known[mine] @ model.centres.T
        truth = np.searchsorted(words, clips.word[test][mine])
        answers = model.log_posteriors(cosines).argmax(axis=1)
        right, missed = cosines.argmax(axis=1) == truth, answers != truth
        for name, values in zip(pooled, (right, missed, clips.speaker[test][mine], cosines.max(axis=1)), strict=True):
            pooled[name].append(values)
        others = {name: embedded @ model.centres.T for name, (embedded, _) in spoken.items()}
        others["other words"] = known[~mine] @ model.centres.T
        for name, scores in others.items():
            alarms[name].append(model.log_posteriors(scores).argmax(axis=1) < WORDS)
            best[name].append(scores.max(axis=1))
        rows.append({"words": words, "accuracy": float(right.mean()), "miss_rate": float(missed.mean())})
    joined = {name: np.concatenate(values) for name, values in pooled.items()}
    people = {name: np.tile(speaker, DRAWS) for name, (_, speaker) in spoken.items()}
    return {
        "draws": rows,
        "accuracy": share(joined["right"], joined["speaker"]),
        "miss_rate": share(joined["missed"], joined["speaker"]),
        "false_alarms_per_hour": {
            name: share(np.concatenate(alarms[name]), people[name], 3600.0 / SEGMENT_S) for name in spoken
        },
        "taken_for_a_keyword_of_other_words": float(np.concatenate(alarms["other words"]).mean()),
        "curve": _curve(joined, {name: np.concatenate(best[name]) for name in spoken}),
    }


def filtered(clips: Clips, targets: Mapping[str, Target], corpora: Path, out: Path) -> dict[str, Any]:
    """Accuracy of each target on what a filter that was made with `own-0` lets through, beside the originals."""
    place, spec, negatives = out / "filter-recordings", f"csv:{out / 'arabic' / 'clips.csv'}", NEGATIVES.format(corpora)
    if not place.is_dir():
        targets_ = (out / "own-0",)
        make_filter(
            TrainConfig(spec, ("keyword",), targets_, place, settings=FILTER, negatives=(negatives,)), Progress()
        )
    filter_ = Filter.load(place)
    test = clips.part == "test"
    waves = np.stack([filter_.filter(segment) for segment in clips.segments[test]])
    judged = originals(clips._replace(segments=clips.segments[test], **_only(clips, test)), targets)
    after = originals(clips._replace(segments=waves, **_only(clips, test)), targets)
    silent = float(np.mean([not wave.any() for wave in waves]))
    card = {name: filter_.card[name] for name in ("none", "bits_per_block", "parameters", "seconds")}
    return {"originals": judged, "filtered": after, "silent": silent, "card": card}


def _only(clips: Clips, which: NDArray[np.bool_]) -> dict[str, Any]:
    return {name: getattr(clips, name)[which] for name in ("word", "speaker", "part")}


def _read_speech(spec: str) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    """Embeddings of segments of read speech, and who reads."""
    manifest, sounds = opened(spec, Progress())
    segments: list[Wave] = []
    speakers: list[str] = []
    for i in np.random.default_rng(0).permutation(len(sounds)):
        if len(segments) >= MOST_READ:
            break
        parts = cut(sounds.wave(int(i)))
        segments += list(parts)
        speakers += [manifest.clips[i].labels["speaker"]] * len(parts)
    return word_encoder.embed(np.stack(segments)), np.array(speakers)


def _curve(own_: Mapping[str, NDArray[Any]], best: Mapping[str, NDArray[Any]]) -> list[dict[str, float]]:
    """Miss rate, and false alarms per hour, by the threshold of the highest cosine."""
    return [
        {
            "threshold": round(float(threshold), 2),
            "miss_rate": round(float(1.0 - (own_["right"] & (own_["cosine"] > threshold)).mean()), 4),
            **{
                name: round(float((scores > threshold).mean() * 3600.0 / SEGMENT_S), 2) for name, scores in best.items()
            },
        }
        for threshold in np.arange(0.2, 0.501, 0.02)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--part", choices=PARTS, action="append")
    given = parser.parse_args()
    table = copied(given.corpora, given.out)
    clips = read(table)
    parts = given.part or PARTS
    targets = judges(table, clips, given.out) if {*parts} - {"own"} else {}
    for part in parts:
        found = {
            "originals": lambda: originals(clips, targets),
            "own": lambda: own(clips, given.corpora, given.out),
            "codewords": lambda: compared(clips, targets, given.out),
            "filter": lambda: filtered(clips, targets, given.corpora, given.out),
        }[part]()
        (given.out / f"keywords-{part}.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
        print(json.dumps({part: found}, indent=1))


if __name__ == "__main__":
    main()
