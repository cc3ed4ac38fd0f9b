"""The readers against real recordings, wherever they are.

They are looked for in `$SOTTOVOCE_RECORDINGS`, then in shared/corpora beside the repository.
"""

import os
from itertools import combinations
from pathlib import Path

import pytest

from sottovoce.corpora.cache import load
from sottovoce.corpora.catalogue import open_corpus
from sottovoce.corpora.fragments import fragmented
from sottovoce.corpora.manifest import Manifest, check_task
from sottovoce.corpora.splits import split

RECORDINGS = Path(os.environ.get("SOTTOVOCE_RECORDINGS") or Path(__file__).resolve().parents[3] / "shared" / "corpora")

pytestmark = pytest.mark.skipif(not RECORDINGS.is_dir(), reason="real recordings not present")


def corpus(name: str) -> Manifest:
    return open_corpus(f"{name}:{RECORDINGS / name.replace('-', '_')}")


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("ravdess", {"clips": 1439, "speaker": 24, "gender": 2, "emotion": 8, "intensity": 2, "statement": 2}),
        ("emodb", {"clips": 535, "speaker": 10, "gender": 2, "emotion": 7, "sentence": 10}),
        ("librispeech", {"clips": 351, "speaker": 261, "gender": 2, "subset": 2}),
        ("fsdd", {"clips": 3000, "speaker": 6, "digit": 10}),
        ("arabic-commands", {"clips": 3600, "speaker": 30, "keyword": 20}),
    ],
)
def test_counts(name: str, counts: dict[str, int]) -> None:
    manifest = corpus(name)
    assert {"clips": len(manifest.clips), **{task: len(manifest.classes(task)) for task in manifest.tasks}} == counts
    if name not in ("librispeech", "arabic-commands"):  # of which a part is there
        assert manifest.notes == ()


@pytest.mark.parametrize(("name", "men"), [("ravdess", 12), ("emodb", 5)])
def test_genders_by_speaker(name: str, men: int) -> None:
    manifest = corpus(name)
    pairs = {(clip.labels["speaker"], clip.labels["gender"]) for clip in manifest.clips}
    assert len(pairs) == len(manifest.speakers) == 2 * men
    assert sum(gender == "male" for _, gender in pairs) == men


@pytest.mark.parametrize(
    ("name", "task"),
    [("ravdess", "emotion"), ("emodb", "emotion"), ("librispeech", "gender"), ("arabic-commands", "keyword")],
)
def test_the_split_by_speaker_keeps_speakers_apart_and_has_every_class(name: str, task: str) -> None:
    manifest = corpus(name)
    check_task(manifest, task)
    dealt = split(manifest, "speaker")
    parts = [[manifest.clips[i].labels for i in part] for part in (dealt.train, dealt.validation, dealt.test)]
    for one, other in combinations(parts, 2):
        assert not {labels["speaker"] for labels in one} & {labels["speaker"] for labels in other}
    for part in parts:
        assert {labels[task] for labels in part} == set(manifest.classes(task))


def test_fsdd_has_its_official_test_part() -> None:
    dealt = split(corpus("fsdd"))
    assert (dealt.rule, len(dealt.test)) == ("official", 300)


def test_a_part_of_librispeech_that_the_paper_does_not_use_has_no_official_split() -> None:
    assert {clip.part for clip in corpus("librispeech").clips} == {None}


def test_emodb_in_fragments(tmp_path: Path) -> None:
    manifest, sounds = fragmented(*load(corpus("emodb"), tmp_path))
    assert len(manifest.clips) == len(sounds) == 1429
    assert manifest.speakers == corpus("emodb").speakers
    by_fragment, by_utterance = (split(manifest, rule) for rule in ("fragment", "utterance"))
    shared = []
    for dealt in (by_fragment, by_utterance):
        train, test = ({manifest.clips[i].id.partition("#")[0] for i in part} for part in (dealt.train, dealt.test))
        shared.append(len(train & test))
    assert shared[0] > 100 and shared[1] == 0


def test_emodb_is_decoded_whole(tmp_path: Path) -> None:
    manifest, sounds = load(corpus("emodb"), tmp_path)
    assert not sounds.failed
    hours = sum(map(sounds.duration_s, range(len(sounds)))) / 3600
    assert len(sounds) == len(manifest.clips) == 535
    assert 0.38 < hours < 0.42
