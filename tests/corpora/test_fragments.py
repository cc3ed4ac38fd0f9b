"""Laws of fragments: the segments of their clip; by utterance they stay together, by fragment they do not."""

import numpy as np
import pytest

from sottovoce.audio import segment
from sottovoce.audio.spectrum import SEGMENT_SAMPLES
from sottovoce.corpora.cache import Sounds, load
from sottovoce.corpora.fragments import fragmented
from sottovoce.corpora.manifest import Manifest
from sottovoce.corpora.readers.folder import CORPUS as folder
from sottovoce.corpora.splits import split
from sottovoce.errors import CorpusError


@pytest.fixture
def whole(record, tmp_path) -> tuple[Manifest, Sounds]:
    for i in range(12):
        record(f"sounds/{'ab'[i % 2]}/{i}.wav", duration_s=0.5 + 0.7 * i)
    return load(folder.read(tmp_path / "sounds"), tmp_path / "cache")


def origin(clip_id: str) -> str:
    return clip_id.partition("#")[0]


def test_fragments_are_the_segments_of_their_clip_with_its_labels(whole) -> None:
    manifest, sounds = whole
    cut, pieces = fragmented(manifest, sounds)
    assert len(cut.clips) == len(pieces) and len({clip.id for clip in cut.clips}) == len(cut.clips)
    for i, clip in enumerate(manifest.clips):
        mine = [j for j, other in enumerate(cut.clips) if origin(other.id) == clip.id]
        assert all(cut.clips[j].labels == clip.labels for j in mine)
        heard = pieces.segments(mine, np.zeros(len(mine), int), SEGMENT_SAMPLES)
        np.testing.assert_allclose(heard, segment.cut(sounds.wave(i)), atol=1e-3)  # which fills up with the mean
        if len(mine) > 1:
            np.testing.assert_array_equal(heard, np.stack([pieces.wave(j) for j in mine]))


def test_by_fragment_an_utterance_is_on_both_sides_and_by_utterance_it_is_not(whole) -> None:
    cut, _ = fragmented(*whole)

    def shared(rule) -> int:
        dealt = split(cut, rule)
        parts = [{origin(cut.clips[i].id) for i in part} for part in (dealt.train, dealt.validation, dealt.test)]
        assert sum(map(len, (dealt.train, dealt.validation, dealt.test))) == len(cut.clips)
        return len(parts[0] & parts[2])

    assert shared("fragment") > 0 == shared("utterance")
    assert split(cut).rule == "fragment"


def test_they_are_another_corpus_that_says_what_it_is(whole) -> None:
    manifest, sounds = whole
    cut, _ = fragmented(manifest, sounds)
    assert cut.digest != manifest.digest
    assert cut.spec == f"fragments:{manifest.spec}"
    assert "says nothing about recordings outside the corpus" in cut.notes[-1]


def test_utterances_cannot_be_split_by_fragment(whole) -> None:
    with pytest.raises(CorpusError, match="name the corpus as fragments:folder:"):
        split(whole[0], "fragment")
