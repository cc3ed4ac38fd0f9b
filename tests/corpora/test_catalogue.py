"""The way from a name and a path to a corpus."""

from pathlib import Path

import pytest

from sottovoce.corpora.catalogue import CORPORA, open_corpus
from sottovoce.corpora.corpus import text
from sottovoce.errors import CorpusError

WITH_PATH = [name for name, corpus in CORPORA.items() if corpus.needs_path]


def test_a_spec_opens_its_corpus(record, tmp_path: Path) -> None:
    record("wav/03a01Fa.wav")
    manifest = open_corpus(f"emodb:{tmp_path}")
    assert (manifest.name, manifest.spec, len(manifest.clips)) == ("emodb", f"emodb:{tmp_path}", 1)
    assert manifest.licence == CORPORA["emodb"].licence


def test_a_csv_file_is_opened_by_its_path(record, tmp_path: Path) -> None:
    record("a.wav")
    (tmp_path / "clips.csv").write_text("path,word\na.wav,yes\n")
    assert open_corpus(f"csv:{tmp_path / 'clips.csv'}").tasks == ("word",)


def test_an_unknown_corpus_is_refused_with_the_known_ones() -> None:
    with pytest.raises(CorpusError) as error:
        open_corpus("timit:somewhere")
    assert all(name in str(error.value) for name in CORPORA)


@pytest.mark.parametrize(
    ("file", "offered"),
    [
        ("Actor_01/03-01-06-01-02-01-01.wav", "ravdess:{0} or folder:{0}"),
        ("wav/03a01Fa.wav", "emodb:{0} or folder:{0}"),
        ("train/wav.scp", "kaldi:{0} or folder:{0}"),
        ("recordings/7_george_0.wav", "fsdd:{0} or folder:{0}"),
        ("yes/one.wav", "give folder:{0};"),
    ],
)
def test_a_bare_path_is_offered_under_the_names_that_fit(tmp_path: Path, file: str, offered: str) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).touch()
    with pytest.raises(CorpusError) as error:
        open_corpus(str(tmp_path))
    assert offered.format(tmp_path) in str(error.value)


def test_a_bare_table_is_offered_as_one_and_a_path_that_is_not_there_as_nothing(tmp_path: Path) -> None:
    (tmp_path / "clips.csv").touch()
    with pytest.raises(CorpusError, match=r"give csv:.*clips\.csv; known"):
        open_corpus(str(tmp_path / "clips.csv"))
    with pytest.raises(CorpusError, match=r"nowhere'; known"):
        open_corpus(str(tmp_path / "nowhere"))


def test_what_is_synthesised_takes_no_path(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="without one; name it as voices"):
        open_corpus(f"voices:{tmp_path}")


@pytest.mark.parametrize("every_note", [False, True])
def test_of_many_notes_of_one_kind_a_few_are_printed_unless_all_are_asked_for(every_note: bool) -> None:
    notes = [f"'{i}.wav' dropped, a byte-for-byte duplicate of 'a{i}.wav'" for i in range(223)] + ["another note"]
    about = {"clips": 1, "speakers": 1, "hours": 1, "licence": "", "labels": {}, "expected": None, "digest": "0"}
    printed = text({**about, "notes": notes}, every_note).splitlines()
    assert printed[-1] == "another note"
    assert sum("duplicate" in line for line in printed) == (223 if every_note else 5)
    assert any("218 more notes of this kind; --all" in line for line in printed) == (not every_note)


@pytest.mark.parametrize("name", WITH_PATH)
def test_a_path_is_needed_and_must_be_there(name: str, tmp_path: Path) -> None:
    for spec in (name, f"{name}:"):
        with pytest.raises(CorpusError, match=f"as in {name}:PATH"):
            open_corpus(spec)
    with pytest.raises(CorpusError, match="does not exist"):
        open_corpus(f"{name}:{tmp_path / 'nowhere'}")


@pytest.mark.parametrize("name", WITH_PATH)
def test_neither_an_empty_folder_nor_a_foreign_file_is_a_corpus(name: str, tmp_path: Path) -> None:
    with pytest.raises(CorpusError):
        open_corpus(f"{name}:{tmp_path}")
    file = tmp_path / "text.txt"
    file.write_text("hello")
    with pytest.raises(CorpusError):
        open_corpus(f"{name}:{file}")


def test_what_is_known_is_complete() -> None:
    for name, corpus in CORPORA.items():
        assert corpus.name == name
        assert corpus.title and corpus.layout and corpus.licence
        assert not corpus.expected or corpus.expected["clips"] > 0
