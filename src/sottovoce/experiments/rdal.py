"""RDAL made again, beside what it is compared with and our own two methods: `sottovoce experiment rdal`.

Five seeds; each has another fold of ESC-10 as its test part and other speakers. Every run is kept as it ends, so that
a killed experiment goes on.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed

from sottovoce.audio.mel import magnitudes
from sottovoce.corpora import cache
from sottovoce.corpora.readers import mixtures
from sottovoce.experiments import latents
from sottovoce.experiments.latents import Clips
from sottovoce.experiments.rdal_report import plane, table, verification_curve
from sottovoce.files import write_file
from sottovoce.methods.rdal.adversary import verdict
from sottovoce.methods.rdal.game import PRESETS, PairedClips, RdalSettings, train_rdal
from sottovoce.methods.rdal.mask import train_mask
from sottovoce.models.layers import parameter_count
from sottovoce.progress import counted, silent
from sottovoce.training.loop import Run, identity

METHODS = {  # its preset: what it is called in the table
    "no-privacy": "no privacy",
    "reversal": "plain reversal",
    "compact": "RDAL",
    "masked": "RDAL+M",
    "pool": "ours (a): pool",
    "codes": "ours (b): codes",
}
SEEDS = range(5)


def run(corpora: Path, out: Path, workers: int) -> str:
    """All methods for all seeds, `workers` side by side; writes rdal.json and two figures to `out`, returns a table."""
    planned = [(preset, seed) for seed in SEEDS for preset in METHODS]
    parallel = Parallel(n_jobs=workers, batch_size=1)
    parallel(delayed(_mask)(corpora, out, seed) for seed in SEEDS)
    runs = Parallel(n_jobs=workers, batch_size=1, return_as="generator")(
        delayed(_made)(preset, seed, corpora, out) for preset, seed in planned
    )
    found = list(counted(runs, len(planned), "runs of RDAL and its relatives"))
    write_file(out / "rdal.json", json.dumps(found, indent=1).encode())
    write_file(out / "rdal-verification.svg", verification_curve(found))
    write_file(out / "rdal-plane.svg", plane(found, METHODS))
    return table(found, METHODS)


def heard(
    corpora: Path, mixing: mixtures.Mixing, settings: RdalSettings
) -> tuple[dict[str, Clips], tuple[str, ...], dict[str, Any]]:
    """The clips of each part, the events, and what a result says of the corpus."""
    manifest, sounds = cache.load(mixtures.mixed(corpora, mixing))
    events = manifest.classes("event")
    sources = {name: i for i, name in enumerate(manifest.classes("source"))}
    places = {clip.id: i for i, clip in enumerate(manifest.clips)}
    parts = {}
    for part in ("train", "validation", "test"):
        quiet = sorted(name for name in places if name.startswith(f"{part}/") and name.endswith(mixtures.QUIET))
        rows = np.array([[places[name], places[mixtures.twin(name)]] for name in quiet])
        spoken = [manifest.clips[i].labels for i in rows[:, 1]]
        wav = sounds.segments(rows.ravel(), np.zeros(rows.size, np.int64), settings.samples)
        found = magnitudes(wav, settings.sample_rate)
        pairs = PairedClips(
            found.reshape(len(rows), 2, *found.shape[1:]),
            np.array([[events.index(each["event"])] * 2 for each in spoken]),
        )
        parts[part] = Clips(
            pairs,
            np.array([each["speaker"] for each in spoken]),
            np.array([int(each["gender"] == "male") for each in spoken]),
            np.array([sources[each["source"]] for each in spoken]),
        )
    about = {"name": manifest.name, "digest": manifest.digest, "split": "official", "turn": mixing.turn}
    about |= {"pairs": {name: len(part.male) for name, part in parts.items()}, "snr_db": list(mixing.snr_db)}
    return parts, events, about


def _mask(corpora: Path, out: Path, seed: int) -> None:
    """The mask of a seed, which several methods share."""
    torch.set_num_threads(1)
    settings = PRESETS["masked"]
    place = out / "runs" / "rdal" / f"mask-{seed}.json"
    if place.is_file():
        return
    parts, _, about = heard(corpora, mixtures.Mixing(turn=seed, seed=seed), settings)
    began = time.monotonic()
    train_mask(parts["train"].pairs.magnitudes, settings.masking, _run(out, seed, f"mask-{seed}", about))
    write_file(place, json.dumps({"seconds": round(time.monotonic() - began, 1)}).encode())


def _made(preset: str, seed: int, corpora: Path, out: Path) -> dict[str, Any]:
    """Train and attack one sender, unless that was done."""
    torch.set_num_threads(1)
    place = out / "runs" / "rdal" / f"{preset}-{seed}.json"
    if place.is_file():
        kept: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
        return kept
    settings = PRESETS[preset]
    parts, events, about = heard(corpora, mixtures.Mixing(turn=seed, seed=seed), settings)
    mask, seconds, epochs = None, 0.0, 0
    if settings.mask != "none":
        mask = train_mask(parts["train"].pairs.magnitudes, settings.masking, _run(out, seed, f"mask-{seed}", about))
        seconds = json.loads((place.parent / f"mask-{seed}.json").read_text(encoding="utf-8"))["seconds"]
        epochs = settings.masking.epochs
    began = time.monotonic()
    trained = train_rdal(
        parts["train"].pairs,
        parts["validation"].pairs,
        len(events),
        settings,
        mask,
        _run(out, seed, f"{preset}-{seed}", about),
    )
    seconds += time.monotonic() - began
    sent = {name: latents.sent(trained.sender, part) for name, part in parts.items()}
    found = {
        "method": preset,
        "seed": seed,
        "command": "sottovoce experiment rdal --corpora PATH",
        "corpus": about,
        "epochs": epochs + len(trained.rows),
        "seconds": round(seconds, 1),
        "parameters": parameter_count(trained.sender),
        "event": latents.event_accuracy(trained.reader, sent["test"]),
        "in_loop": None if trained.in_loop is None else verdict(trained.in_loop, latents.as_latents(sent["test"]))[1],
        **latents.attacked(sent, seed),
        "rows": [[None if np.isnan(x) else round(float(x), 4) for x in row] for row in trained.rows],
    }
    write_file(place, json.dumps(found).encode())
    print(f"{preset} {seed}: {found['epochs']} epochs, {seconds:.0f} s", flush=True)
    return found


def _run(out: Path, seed: int, name: str, about: dict[str, Any]) -> Run:
    return Run(0, seed, silent, out / "runs" / "rdal" / f".{name}.partial", identity(corpus=about["digest"], name=name))
