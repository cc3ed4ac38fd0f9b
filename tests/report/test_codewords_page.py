"""The page of everything that can be said."""

import numpy as np
import pytest

from sottovoce.audio.segment import FRONT_END
from sottovoce.audio.spectrum import BINS, SEGMENT_FRAMES
from sottovoce.errors import ConfigError
from sottovoce.models.codebook import Codebook
from sottovoce.report.codewords_page import write_codewords_page
from sottovoce.runtime.engine import CodebookEngine, FilterConfig
from sottovoce.runtime.filter import Filter


class Deaf:
    """An encoder that input nothing."""

    def run(self, spectra):
        return np.zeros((len(spectra), 2), np.float32)


def filter_of(words: np.ndarray, classes=("<happy>", "sad")) -> Filter:
    book = Codebook(("mood",), (np.eye(2, dtype=np.float32),), words, -1.0, 3.0)
    config = FilterConfig(FRONT_END, "codebook", {}, 0.6, 0.8)
    return Filter(CodebookEngine(Deaf(), book, ("mood",)), config, {"classes": {"mood": list(classes)}}, "abc123")


@pytest.fixture(scope="module")
def words() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 3, 8, 4), dtype=np.uint8)


def test_every_word_has_a_picture_and_a_sound(words, tmp_path):
    assert write_codewords_page(filter_of(words), tmp_path / "words.html") == 6
    page = (tmp_path / "words.html").read_text(encoding="utf-8")
    assert page.count("<svg") == page.count("data:audio/wav;base64,") == 6
    assert "mood: revoked".capitalize() in page and "&lt;happy&gt;" in page and "<happy>" not in page
    assert "At most 1 bits leave with each block of 1.28 s" in page  # log2(2)
    assert "abc123" in page and "http" not in page.replace("http-equiv", "")


def test_codes_that_are_no_classes_are_numbered(words, tmp_path):
    write_codewords_page(filter_of(words, ("a", "b", "c")), tmp_path / "words.html")
    assert "code 2" in (tmp_path / "words.html").read_text(encoding="utf-8")


def test_what_has_no_words_is_refused(words, tmp_path):
    class Other:
        pass

    with pytest.raises(ConfigError, match="no words"):
        write_codewords_page(Filter(Other(), filter_of(words).config), tmp_path / "words.html")
    many = np.zeros((600, 3, 1, 1), np.uint8)
    with pytest.raises(ConfigError, match="at most 512"):
        write_codewords_page(filter_of(many), tmp_path / "words.html")
    assert not list(tmp_path.iterdir())


def test_a_word_is_a_whole_segment(words):
    drawn = filter_of(words).engine.codebook.draw(np.array([[1]]), np.array([0]))
    assert drawn.shape == (1, BINS, SEGMENT_FRAMES)
