"""Linkers: they find people they have never heard where something is to be found, and nothing elsewhere."""

import numpy as np
import pytest
from scipy.linalg import eigh
from sklearn.metrics import roc_curve
from sklearn.metrics.pairwise import cosine_similarity

from sottovoce.attack.linkage import Cosine, Discriminant, Linker, pairs
from sottovoce.errors import ConfigError

DIMENSIONS, PERSONAL, NUISANCE = 120, 6, 20


def voices(speakers: int, recordings: int, seed: int, personal: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Recordings that differ by speaker in 6 directions and, twice as much, by chance in 20 others."""
    between, within = axes()
    rng = np.random.default_rng(seed)
    speaker = np.repeat(np.arange(speakers), recordings)
    own = personal * rng.standard_normal((speakers, PERSONAL))[speaker] @ between
    noise = rng.standard_normal((len(speaker), NUISANCE)) @ within + rng.standard_normal((len(speaker), DIMENSIONS))
    return (own + noise).astype(np.float32), speaker.astype(str)


def axes() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(99)
    return rng.standard_normal((PERSONAL, DIMENSIONS)), rng.standard_normal((NUISANCE, DIMENSIONS))


def eer(same: np.ndarray, other: np.ndarray) -> float:
    """Equal error rate of the scores of pairs of one speaker and of two."""
    fpr, tpr, _ = roc_curve(np.arange(len(same) + len(other)) < len(same), np.concatenate([same, other]))
    return float(np.interp(0.0, fpr + tpr - 1.0, fpr))


def errors(linker: Linker, personal: float = 0.5) -> float:
    """Equal error rate among 60 people whom the linker has not heard."""
    vectors, names = voices(60, 6, seed=1, personal=personal)
    first, second, same = pairs(names)
    alike = linker.similarity(vectors[first], vectors[second])
    return eer(alike[same], alike[~same])


def best_possible() -> float:
    """Equal error rate of the likelihood ratio of the two-covariance model with the true covariances."""
    between, within = axes()
    values, directions = eigh(0.25 * between.T @ between, within.T @ within + np.eye(DIMENSIONS))
    vectors, names = voices(60, 6, seed=1)
    b, seen = values[-PERSONAL:], (vectors @ directions)[:, -PERSONAL:]
    first, second, same = pairs(names)
    product, squares = seen[first] * seen[second], seen[first] ** 2 + seen[second] ** 2
    ratio = (b / (1 + 2 * b) * product - b**2 / (2 * (1 + b) * (1 + 2 * b)) * squares).sum(axis=1)
    return eer(ratio[same], ratio[~same])


def test_pairs_are_all_that_there_are():
    first, second, same = pairs(np.array(["b", "a", "b", "c"]))
    assert sorted(zip(first.tolist(), second.tolist(), same.tolist(), strict=True)) == [
        (0, 1, False), (0, 2, True), (0, 3, False), (1, 2, False), (1, 3, False), (2, 3, False),
    ]  # fmt: skip


def test_of_many_pairs_some_of_each_kind_are_drawn_by_the_seed():
    names = np.random.default_rng(0).integers(0, 5, 200).astype(str)
    first, second, same = pairs(names, seed=3, most=500)
    assert same.sum() == (~same).sum() == 500
    assert (first < second).all()
    assert (same == (names[first] == names[second])).all()
    assert len(set(zip(first.tolist(), second.tolist(), strict=True))) == 1000, "no pair twice"
    assert (pairs(names, seed=3, most=500)[0] == first).all()
    assert (pairs(names, seed=4, most=500)[0] != first).any()
    share = np.bincount(np.concatenate([first, second])[np.tile(~same, 2)], minlength=200)
    assert share.max() < 20, "each recording takes part in some five"


def test_pairs_of_one_speaker_are_kept_when_others_are_too_many():
    names = np.repeat(np.arange(100), 3).astype(str)
    _, _, same = pairs(names, most=1000)
    assert (same.sum(), (~same).sum()) == (300, 1000)


@pytest.mark.parametrize(("names", "expected"), [(["a"], []), (["a", "b"], [False]), (["a", "a"], [True])])
def test_few_recordings_make_few_pairs(names, expected):
    first, second, same = pairs(np.array(names))
    assert len(first) == len(second)
    assert same.tolist() == expected


def test_the_cosine_is_that_of_standardised_vectors():
    vectors, names = voices(5, 4, seed=0)
    vectors[:, 7] = 3.0  # says nothing, and divides by nothing
    found = Cosine().fit(vectors, names).similarity(vectors[:6], vectors[4:10])
    standard = (vectors - vectors.mean(axis=0)) / np.where(vectors.std(axis=0) > 0, vectors.std(axis=0), 1)
    assert found == pytest.approx(np.diag(cosine_similarity(standard[:6], standard[4:10])), abs=1e-5)


@pytest.mark.parametrize("make", [Cosine, Discriminant])
def test_a_recording_is_like_itself_and_order_does_not_matter(make):
    vectors, names = voices(20, 4, seed=0)
    linker = make().fit(vectors, names)
    assert linker.similarity(vectors, vectors) == pytest.approx(np.ones(80), abs=1e-5)
    there, back = linker.similarity(vectors[:40], vectors[40:]), linker.similarity(vectors[40:], vectors[:40])
    assert there == pytest.approx(back, abs=1e-6)
    assert np.abs(there).max() <= 1.0 + 1e-5


@pytest.mark.parametrize("make", [Cosine, Discriminant])
def test_the_unit_of_a_dimension_does_not_matter(make):
    vectors, names = voices(30, 4, seed=0)
    unit, offset = np.geomspace(0.01, 100, DIMENSIONS).astype(np.float32), np.float32(5.0)
    plain = make().fit(vectors, names).similarity(vectors[:50], vectors[50:100])
    other = unit * vectors + offset
    assert make().fit(other, names).similarity(other[:50], other[50:100]) == pytest.approx(plain, abs=0.01)


def test_the_discriminant_comes_near_the_best_there_is_where_the_cosine_is_lost():
    known, names = voices(100, 5, seed=0)
    assert errors(Cosine().fit(known, names)) > 0.35
    best = best_possible()
    assert best < errors(Discriminant().fit(known, names)) < best + 0.07


def test_two_recordings_each_are_enough_to_learn_from():
    assert errors(Discriminant().fit(*voices(150, 2, seed=0))) < 0.2


def test_speakers_with_a_single_recording_still_show_how_people_differ():
    vectors, names = voices(150, 2, seed=0)
    kept = np.arange(300) % 2 == 0  # one of each, and the second of every third
    kept[1::6] = True
    assert errors(Discriminant().fit(vectors[kept], names[kept])) < 0.3


@pytest.mark.parametrize("make", [Cosine, Discriminant])
def test_where_there_is_nothing_personal_nobody_is_found(make):
    assert errors(make().fit(*voices(60, 5, seed=0, personal=0.0)), personal=0.0) == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize("make", [Cosine, Discriminant])
def test_a_filter_that_says_one_thing_only_links_nobody(make):
    vectors = np.ones((20, 30), np.float32)
    linker = make().fit(vectors, np.repeat(["a", "b"], 10))
    assert (linker.similarity(vectors[:5], vectors[5:10]) == 0.0).all()


def test_recordings_alike_to_the_bit_are_linked():
    people = np.random.default_rng(0).standard_normal((40, 30)).astype(np.float32)
    vectors, names = np.repeat(people, 3, axis=0), np.repeat(np.arange(40), 3).astype(str)
    linker = Discriminant().fit(vectors[:60], names[:60])
    first, second, same = pairs(names[60:])
    alike = linker.similarity(vectors[60:][first], vectors[60:][second])
    assert eer(alike[same], alike[~same]) == 0.0


@pytest.mark.parametrize("names", [["a", "a", "a"], ["a", "b", "c"], ["a"]])
def test_there_must_be_two_speakers_and_two_recordings_of_one(names):
    with pytest.raises(ConfigError, match="expected 2 speakers, one of them twice"):
        Discriminant().fit(np.random.default_rng(0).standard_normal((len(names), 4)), np.array(names))
