"""The way from a name and a path to a corpus."""

from pathlib import Path

import pytest

from sottovoce.corpora.catalogue import CORPORA, open_corpus
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
