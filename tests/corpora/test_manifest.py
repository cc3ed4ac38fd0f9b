"""Laws of a manifest: its digest, its labels, what can be learnt from it."""

from dataclasses import replace
from pathlib import Path

import pytest

from sottovoce.corpora.manifest import Clip, Manifest, check_task
from sottovoce.errors import CorpusError


def manifest(*labels: dict[str, str]) -> Manifest:
    clips = tuple(Clip(Path(f"{i}.wav"), f"{i}.wav", label, sha256=f"{i:064x}") for i, label in enumerate(labels))
    return Manifest("test", "test:here", clips, "none", "", "utterance")


BASE = manifest({"word": "yes", "speaker": "a"}, {"word": "no", "speaker": "b"}, {"word": "yes", "speaker": "b"})


def test_digest_does_not_depend_on_the_order_of_clips_or_on_the_folder() -> None:
    moved = tuple(replace(clip, path=Path("elsewhere") / clip.path) for clip in reversed(BASE.clips))
    assert replace(BASE, spec="test:elsewhere", clips=moved).digest == BASE.digest


@pytest.mark.parametrize(
    "change", [{"id": "x.wav"}, {"labels": {"word": "no", "speaker": "a"}}, {"sha256": "f" * 64}, {"part": "test"}]
)
def test_digest_changes_with_an_id_a_label_a_content_or_a_part(change: dict[str, object]) -> None:
    first, *others = BASE.clips
    assert replace(BASE, clips=(replace(first, **change), *others)).digest != BASE.digest  # type: ignore[arg-type]


def test_digest_of_a_clip_without_hash_is_that_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"sound")
    one = replace(BASE, clips=(Clip(path, "a.wav", {}),))
    before = one.digest
    path.write_bytes(b"Sound")
    assert replace(one).digest != before


def test_labels_are_listed_in_order() -> None:
    assert BASE.tasks == ("speaker", "word")
    assert BASE.classes("word") == ("no", "yes")
    assert BASE.speakers == ("a", "b")


def test_unknown_task_is_refused_with_the_known_ones() -> None:
    with pytest.raises(CorpusError, match=r"no label 'mood'; it has: speaker, word"):
        BASE.classes("mood")


def test_a_task_that_can_be_learnt_passes() -> None:
    check_task(BASE, "word")


def test_one_class_is_not_a_task() -> None:
    with pytest.raises(CorpusError, match=r"at least two classes.*2 clips of 'yes'"):
        check_task(manifest({"word": "yes"}, {"word": "yes"}), "word")


def test_a_label_that_some_clips_lack_is_not_a_task() -> None:
    with pytest.raises(CorpusError, match=r"1 of 3 clips .* no label 'word'"):
        check_task(manifest({"word": "yes"}, {"word": "no"}, {"speaker": "a"}), "word")


def test_a_label_that_never_recurs_is_not_a_task() -> None:
    with pytest.raises(CorpusError, match="each of the 2 values of 'word'"):
        check_task(manifest({"word": "a text"}, {"word": "another"}), "word")
