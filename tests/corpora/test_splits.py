"""Laws of a split: disjoint parts that cover all, kept apart as the rule says; only the seed matters."""

from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce.corpora.manifest import Clip, Manifest, SplitRule
from sottovoce.corpora.splits import Split, split
from sottovoce.errors import CorpusError


def corpus(speakers: int, clips_each: int, genders: bool = False, parts: tuple[str | None, ...] = (None,)) -> Manifest:
    """`clips_each` clips of each speaker; every second speaker is male; clip i is in the i-th of `parts`, in turn."""
    clips = []
    for speaker in range(speakers):
        for i in range(clips_each):
            labels = {"speaker": f"s{speaker}"}
            if genders:
                labels["gender"] = "male" if speaker % 2 else "female"
            name = f"{speaker}_{i}.wav"
            clips.append(Clip(Path(name), name, labels, part=parts[i % len(parts)], sha256=name))
    return Manifest("test", "test:here", tuple(clips), "", "", "utterance")


def parts_of(split: Split) -> list[np.ndarray]:
    return [split.train, split.validation, split.test]


def speakers_in(manifest: Manifest, positions: np.ndarray) -> set[str]:
    return {manifest.clips[i].labels["speaker"] for i in positions}


RULES: tuple[SplitRule, ...] = ("utterance", "speaker")


@given(st.sampled_from(RULES), st.integers(3, 12), st.integers(3, 20), st.booleans(), st.integers(0, 9))
def test_every_clip_is_in_exactly_one_part(
    rule: SplitRule, speakers: int, clips: int, genders: bool, seed: int
) -> None:
    manifest = corpus(speakers, clips, genders)
    dealt = split(manifest, rule, seed)
    assert all(len(part) for part in parts_of(dealt))
    assert sorted(np.concatenate(parts_of(dealt))) == list(range(len(manifest.clips)))
    assert (dealt.rule, dealt.seed) == (rule, seed)


@given(st.integers(1, 6), st.integers(3, 30), st.integers(0, 9))
def test_by_utterance_each_speaker_is_in_every_part(speakers: int, clips: int, seed: int) -> None:
    manifest = corpus(speakers, clips)
    for part in parts_of(split(manifest, "utterance", seed)):
        assert speakers_in(manifest, part) == set(manifest.speakers)


@given(st.integers(3, 20), st.booleans(), st.integers(0, 9))
def test_by_speaker_no_speaker_is_in_two_parts(speakers: int, genders: bool, seed: int) -> None:
    manifest = corpus(speakers, 3, genders)
    for one, other in combinations(parts_of(split(manifest, "speaker", seed)), 2):
        assert not speakers_in(manifest, one) & speakers_in(manifest, other)


@given(st.integers(6, 20), st.integers(0, 9))
def test_by_speaker_each_gender_is_in_every_part(speakers: int, seed: int) -> None:
    manifest = corpus(speakers, 3, genders=True)
    for part in parts_of(split(manifest, "speaker", seed)):
        assert {manifest.clips[i].labels["gender"] for i in part} == {"female", "male"}


def test_shares_are_70_10_20() -> None:
    assert [len(part) for part in parts_of(split(corpus(10, 10), "utterance"))] == [700 // 10, 10, 20]
    assert [len(part) for part in parts_of(split(corpus(10, 10), "speaker"))] == [70, 10, 20]


@pytest.mark.parametrize("rule", RULES)
def test_the_order_of_clips_does_not_matter_and_the_seed_does(rule: SplitRule) -> None:
    manifest = corpus(8, 6, genders=True)
    shuffled = replace(manifest, clips=tuple(manifest.clips[i] for i in np.random.default_rng(1).permutation(48)))

    def ids_in_test(manifest: Manifest, seed: int) -> set[str]:
        return {manifest.clips[i].id for i in split(manifest, rule, seed).test}

    assert ids_in_test(manifest, 3) == ids_in_test(shuffled, 3)
    assert ids_in_test(manifest, 3) != ids_in_test(manifest, 4)


@pytest.mark.parametrize("seed", range(5))
def test_slices_that_overlap_stay_together(seed: int) -> None:
    overlapping = [
        Clip(Path("long.wav"), f"long.wav#{i}+1.5", {"speaker": "s"}, start_s=i, duration_s=1.5, sha256="long")
        for i in range(8)
    ]
    apart = [
        Clip(Path("other.wav"), f"other.wav#{i}+1", {"speaker": "s"}, start_s=i, duration_s=1.0, sha256="other")
        for i in range(8)
    ]
    dealt = split(Manifest("test", "test:here", (*overlapping, *apart), "", "", "utterance"), seed=seed)
    together = [sum(i < 8 for i in part) for part in parts_of(dealt)]
    assert Counter(together) == {8: 1, 0: 2}
    assert sum(len(part) > 0 for part in parts_of(dealt)) == 3


def test_official_parts_are_kept_and_validation_is_cut_from_train() -> None:
    manifest = corpus(4, 10, parts=("train", "train", "train", "test"))
    dealt = split(manifest, "official")
    assert {manifest.clips[i].part for i in dealt.test} == {"test"}
    assert {manifest.clips[i].part for i in (*dealt.train, *dealt.validation)} == {"train"}
    assert speakers_in(manifest, dealt.validation) == set(manifest.speakers)


def test_an_official_validation_is_kept() -> None:
    manifest = corpus(4, 10, parts=("train", "validation", "test"))
    dealt = split(manifest, "official")
    for name, part in zip(("train", "validation", "test"), parts_of(dealt), strict=True):
        assert {manifest.clips[i].part for i in part} == {name}


def test_by_speaker_official_parts_are_kept_where_they_agree() -> None:
    manifest = corpus(6, 4)
    clips = tuple(replace(c, part="test" if c.labels["speaker"] in ("s0", "s1") else "train") for c in manifest.clips)
    manifest = replace(manifest, clips=clips)
    dealt = split(manifest, "speaker")
    assert speakers_in(manifest, dealt.test) == {"s0", "s1"}
    assert not speakers_in(manifest, dealt.train) & speakers_in(manifest, dealt.validation)


@pytest.mark.parametrize(
    ("manifest", "rule", "message"),
    [
        (corpus(6, 4, parts=("train", "test")), "speaker", "'s0' in more than one part"),
        (corpus(6, 4), "official", "no complete official split"),
        (corpus(6, 4, parts=("train", None, "test")), "official", "in no part"),
        (corpus(6, 4, parts=("train",)), "official", "too small"),
        (corpus(1, 20), "speaker", "at least three speakers.* has 1"),
        (corpus(1, 2), "utterance", "too small"),
        (corpus(6, 4), "random", "unknown split 'random'; known: utterance, speaker, official, fragment"),
    ],
)
def test_what_cannot_be_split_is_refused(manifest: Manifest, rule: SplitRule, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        split(manifest, rule)


def test_a_speaker_of_two_genders_is_refused() -> None:
    manifest = corpus(6, 4, genders=True)
    first, *others = manifest.clips
    mislabelled = replace(first, labels={"speaker": "s0", "gender": "male"})
    with pytest.raises(CorpusError, match="'s0' has more than one gender"):
        split(replace(manifest, clips=(mislabelled, *others)), "speaker")


def test_by_speaker_every_clip_needs_a_speaker() -> None:
    manifest = corpus(6, 4)
    first, *others = manifest.clips
    with pytest.raises(CorpusError, match=r"'0_0\.wav' has none"):
        split(replace(manifest, clips=(replace(first, labels={}), *others)), "speaker")
