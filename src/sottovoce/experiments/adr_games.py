"""The two games called ADR, on RAVDESS: what they hide in embeddings, and what they cost the permitted task, speaker.

Embeddings are x-vectors of our own, whose network learned from 500 people of other corpora, and those of two pretrained
speaker encoders. A game against a declared gender is taught with these people as well, so that nobody who is scored was
ever trained on; the emotion, which is known for RAVDESS alone, with its training part. The networks and the attackers
are single ones, not an audit: the figures audit the released game.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast, get_args

import torch
from torch.nn import functional

from sottovoce.audit.case import Case
from sottovoce.corpora.corpus import opened
from sottovoce.corpora.manifest import check_task
from sottovoce.corpora.splits import split
from sottovoce.experiments.adr_scores import LABELS, Readers, equal_error_rate, read
from sottovoce.experiments.adr_table import TABLE
from sottovoce.experiments.adr_voices import Embedded, EmbeddingsJob, Voices, XVectorJob, embedder
from sottovoce.experiments.experiment import (
    Corpus,
    Experiment,
    Place,
    RunSettings,
    digest,
)
from sottovoce.methods.adr.embeddings import Vectors, joined
from sottovoce.methods.adr.training import PRESETS, AdrSettings, Game, train_adr
from sottovoce.models import campplus, speaker_encoder
from sottovoce.models.adr import Adr
from sottovoce.progress import silent
from sottovoce.training.loop import Run, identity

RAVDESS, EMODB = Corpus("ravdess:ravdess"), Corpus("emodb:emodb")
PEOPLE = (Corpus("kaldi:speechocean762"), Corpus("librispeech:librispeech"))
SEEDS = (0, 1, 2)
_CROPS = 2  # random segments of each clip of other people, of whom there are many clips


@dataclass(frozen=True)
class AdrRun(RunSettings):
    """One game against one declared attribute, on one kind of embeddings.

    It is taught with all clips of `taught`, or with the training part of what is scored. People of `unknown` are in no
    training part.
    """

    scored: EmbeddingsJob
    declared: str
    taught: tuple[EmbeddingsJob, ...] = ()
    unknown: tuple[EmbeddingsJob, ...] = ()
    settings: AdrSettings = PRESETS["paper"]
    recogniser_steps: int = 2500
    families: tuple[str, ...] = ("linear", "svm", "mlp")


def game_run(voices: Voices, declared: str, settings: AdrSettings, others: bool, seed: int) -> AdrRun:
    """A run on RAVDESS, taught with `others` or with its training part."""
    made = partial(EmbeddingsJob, voices)
    return AdrRun(
        made(RAVDESS, settings.crops, True),
        declared,
        tuple(made(corpus, _CROPS) for corpus in PEOPLE) if others else (),
        (made(EMODB),),
        settings,
        seed=seed,
    )


def play(run: AdrRun, place: Place) -> dict[str, Any]:
    """Train the autoencoder, and score what it makes of embeddings."""
    manifest, sounds = opened(place.spec(run.scored.corpus), silent)
    case = Case(manifest, sounds, split(manifest))
    original = run.scored.make(place)
    vectors, names = _lesson(run, case, original, place)
    classes = sorted({*names})
    labels = torch.tensor([classes.index(name) for name in names])
    training = Run(0, run.seed, silent, place.kept / f".{digest(run)}.partial", identity(run=str(run)))
    adr = train_adr(embedder(run.scored.voices, place), vectors, labels, len(classes), run.settings, training)
    before, after = (_mapped(original, change) for change in (adr.normalised, partial(_protected, adr)))
    readers = Readers(run.settings, run.recogniser_steps, run.families, run.seed)
    test = case.clips("test")
    people = [(case, original.of(test)), *(_all(job, place) for job in run.unknown)]
    return {
        "voices": _name(run.scored.voices),
        "declared": run.declared,
        "game": run.settings.game,
        "taught": ", ".join(job.corpus.short for job in run.taught) or run.scored.corpus.short,
        "corpus": manifest.digest,
        "split": case.split.rule,
        "taught_vectors": len(vectors),
        "test_clips": len(test),
        "cosine": {
            "unknown": _alike(before.of(test).vectors, after.of(test).vectors),
            "told": _alike(adr.normalised(vectors), _told(adr, vectors, labels)),
        },
        "equal_error_rate": {each.manifest.name: _verified(adr, each, given) for each, given in people},
        "scores": {label: read(case, label, before, after, readers) for label in LABELS},
    }


def _lesson(run: AdrRun, case: Case, original: Embedded, place: Place) -> tuple[torch.Tensor, list[str]]:
    """The embeddings [M, D] that the game is taught with, and the declared attribute of each [M]."""
    if not run.taught:
        known = joined([original.of(case.clips("train")), original.crops])
        return known.vectors, [case.manifest.clips[i].labels[run.declared] for i in known.owner]
    vectors, names = [], []
    for job in run.taught:
        manifest, _ = opened(place.spec(job.corpus), silent)
        check_task(manifest, run.declared)
        made = joined(job.make(place))
        vectors.append(made.vectors)
        names += [manifest.clips[i].labels[run.declared] for i in made.owner]
    return torch.cat(vectors), names


def _all(job: EmbeddingsJob, place: Place) -> tuple[Case, Vectors]:
    manifest, sounds = opened(place.spec(job.corpus), silent)
    return Case(manifest, sounds, split(manifest)), job.make(place).segments


def _mapped(embedded: Embedded, change: Callable[[torch.Tensor], torch.Tensor]) -> Embedded:
    with torch.no_grad():
        return Embedded(*(Vectors(change(part.vectors), part.owner) for part in embedded))


def _protected(adr: Adr, vectors: torch.Tensor) -> torch.Tensor:
    return adr.protect(adr.normalised(vectors))


def _told(adr: Adr, vectors: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Embeddings that are decoded with the true attribute, as in training with its posterior."""
    with torch.no_grad():
        truth = functional.one_hot(labels, adr.classes).to(vectors.dtype)
        decoded: torch.Tensor = adr.decoder(adr.encoder(adr.normalised(vectors)), truth)
    return decoded


def _alike(first: torch.Tensor, second: torch.Tensor) -> float:
    return round(float(functional.cosine_similarity(first, second).mean()), 4)


def _verified(adr: Adr, case: Case, given: Vectors) -> dict[str, Any]:
    """Equal error rates of embeddings as they are, standardised, and protected."""
    speakers = [clip.labels["speaker"] for clip in case.manifest.clips]
    with torch.no_grad():
        forms = {
            "raw": given.vectors,
            "before": adr.normalised(given.vectors),
            "after": _protected(adr, given.vectors),
        }
    return {form: equal_error_rate(vectors, given.owner, speakers) for form, vectors in forms.items()}


def _name(voices: Voices) -> str:
    if isinstance(voices, XVectorJob):
        return f"x-vector ({', '.join(corpus.short for corpus in voices.corpora)})"
    return {"pretrained": "GE2E", "campplus": "CAM++"}[voices]


_ORDER = (  # declared attribute, game, and whether other people teach it; those that tell most first
    *(("gender", game, True) for game in get_args(Game)),
    *(("emotion", game, False) for game in get_args(Game)),
    ("gender", "released", False),
)
_MIDDLE = replace(PRESETS["compact"], steps=120_000, learning_rate=1e-3, classifier_steps=20_000)
_ENCODERS = {"campplus": campplus, "pretrained": speaker_encoder}


def games(settings: AdrSettings, seeds: Iterable[int]) -> Iterator[AdrRun]:
    """All runs, with x-vectors and with the speaker encoders that are installed."""
    for seed in seeds:
        installed = (name for name, encoder in _ENCODERS.items() if encoder.available())
        kinds: list[Voices] = [XVectorJob(PEOPLE, seed=seed), *installed]
        for declared, game, others in _ORDER:
            for voices in kinds:
                yield game_run(voices, declared, replace(settings, game=cast(Game, game)), others, seed)


def _declared_gender(settings: AdrSettings) -> Iterator[AdrRun]:
    return (run for run in games(settings, SEEDS[:1]) if run.declared == "gender")


EXPERIMENT = Experiment(
    "adr-games",
    "What do the article's and the released game of ADR hide in embeddings, and what is left of the speaker?",
    "2.5 core-hours (x86), 1 of them for embeddings; preset middle .5, short .5 for each of 3 seeds, whole 24",
    {
        "compact": tuple(
            run for run in _declared_gender(PRESETS["paper"]) if run.taught and run.scored.voices != "pretrained"
        ),
        "whole": tuple(games(PRESETS["paper"], SEEDS)),
        # A tenth and a hundredth of the release's steps, at ten and a hundred times its rate.
        "middle": tuple(run for run in _declared_gender(_MIDDLE) if run.settings.game == "released"),
        "short": tuple(games(PRESETS["compact"], SEEDS)),
    },
    play,
    TABLE,
)
