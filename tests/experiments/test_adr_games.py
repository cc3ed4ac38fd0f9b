"""The games of ADR: whom they are taught with, what is scored, and that what several runs need is made once."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sottovoce.corpora.corpus import opened
from sottovoce.corpora.splits import split
from sottovoce.errors import CorpusError
from sottovoce.experiments import adr_games, adr_scores
from sottovoce.experiments.adr_voices import EmbeddingsJob, XVectorJob
from sottovoce.experiments.experiment import Corpus, Place, parts
from sottovoce.progress import silent

FORMS = {"original", "uninformed", "informed", "ceiling", "strongest"}


@pytest.fixture
def place(corpora: Path, tmp_path: Path) -> Place:
    return Place(corpora, tmp_path, tmp_path / "runs" / "adr-games")


def test_every_label_and_both_kinds_of_people_are_scored(miniature, place: Place) -> None:
    results = [adr_games.play(run, place) for run in miniature("adr-games").runs["compact"]]
    assert [(each["declared"], each["taught"]) for each in results] == [("gender", "csv"), ("emotion", "csv")]
    for each in results:
        assert {*each["scores"]} == {"speaker", "gender", "emotion"}
        for scores in each["scores"].values():
            assert {*scores} == FORMS
            assert all(0.0 <= one["low"] <= one["score"] <= one["high"] <= 1.0 for one in scores.values())
        assert {*each["cosine"]} == {"unknown", "told"} and all(-1.0 <= one <= 1.0 for one in each["cosine"].values())
        for rates in each["equal_error_rate"].values():
            assert {*rates} == {"raw", "before", "after"}
    text = adr_games.TABLE.markdown([*[results[0]] * 3, results[1]])
    assert text.count("| x-vector (csv) |") == 2 and "±" in text and " to " in text


def test_a_corpus_without_the_declared_label_is_one_sentence(miniature, place: Place) -> None:
    run = miniature("adr-games").runs["compact"][0]
    with pytest.raises(CorpusError, match="has no label 'mood'"):
        adr_games.play(replace(run, declared="mood"), place)


def test_the_network_of_x_vectors_never_learns_from_who_is_scored() -> None:
    for runs in adr_games.EXPERIMENT.runs.values():
        for run in runs:
            tested = {run.scored.corpus, *(job.corpus for job in run.unknown)}
            for network in parts(run, XVectorJob):
                assert not tested & {*network.corpora}
            assert not {job.corpus for job in run.unknown} & {job.corpus for job in (run.scored, *run.taught)}


def test_the_most_telling_runs_come_first_and_have_the_schedule_of_the_release() -> None:
    first = adr_games.EXPERIMENT.runs["compact"][0]
    assert (first.declared, first.settings.game) == ("gender", "released") and first.taught
    assert isinstance(first.scored.voices, XVectorJob)
    assert (first.settings.steps, first.settings.learning_rate) == (1_228_000, 1e-4)
    assert {run.seed for run in adr_games.EXPERIMENT.runs["compact"]} == {0}


def test_embeddings_are_made_once_and_crops_are_of_training_clips(place: Place, monkeypatch) -> None:
    corpus = Corpus("csv:clips.csv")
    job = EmbeddingsJob(XVectorJob((Corpus("csv:others.csv"),), 4, 6, 2, 6), corpus, 2, True)
    made = job.make(place)
    manifest, _ = opened(place.spec(corpus), silent)
    train = split(manifest).train
    assert sorted({*made.segments.owner}) == list(range(len(manifest.clips)))
    assert sorted(made.crops.owner) == sorted(np.repeat(train, 2))
    monkeypatch.setattr(XVectorJob, "make", lambda *_: pytest.fail("it was there"))
    again = job.make(place)
    assert torch.equal(made.segments.vectors, again.segments.vectors)
    assert torch.equal(made.crops.vectors, again.crops.vectors)
    chosen = again.of(train[:3])
    assert sorted({*chosen.owner}) == sorted(train[:3])


def test_people_who_are_far_apart_are_never_confused_and_people_alike_always() -> None:
    rng = np.random.default_rng(0)
    who = [str(i // 4) for i in range(40)]
    owner = np.repeat(np.arange(40), 3)
    means = 5.0 * rng.standard_normal((10, 16))
    noise = rng.standard_normal((120, 16))
    apart = torch.from_numpy((means[owner // 4] + noise).astype(np.float32))
    alike = torch.from_numpy(noise.astype(np.float32))
    assert adr_scores.equal_error_rate(apart, owner, who)["score"] < 0.02
    assert adr_scores.equal_error_rate(alike, owner, who)["score"] == pytest.approx(0.5, abs=0.1)
