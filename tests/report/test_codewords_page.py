"""The page of all codewords: it opens with an example, holds every codeword once, and folds the similar ones."""

import re

import numpy as np
import pytest

from sottovoce.audio.segment import FRONT_END
from sottovoce.audio.spectrum import BINS, SEGMENT_FRAMES
from sottovoce.errors import ConfigError
from sottovoce.models.codebook import SOUND_SAMPLES, Codebook, nothing
from sottovoce.report.codewords_page import write_codewords_page
from sottovoce.runtime.codebook import CodebookEngine
from sottovoce.runtime.engine import FilterConfig
from sottovoce.runtime.filter import Filter
from sottovoce.runtime.segments import ObfuscatorEngine


class Indifferent:
    """An encoder whose output is the same for every input."""

    def run(self, spectra):
        return np.zeros((len(spectra), 3), np.float32)


def codewords(*shape: int) -> np.ndarray:
    sounds = np.random.default_rng(0).integers(0, 256, (*shape, SOUND_SAMPLES), dtype=np.uint8)
    sounds[nothing(len(shape) - 1)] = 128
    return sounds


def filter_of(words: np.ndarray, classes=("<happy>", "sad")) -> Filter:
    book = Codebook(("mood",), (np.eye(2, dtype=np.float32),), (0.5,), words)
    config = FilterConfig(FRONT_END, "codebook", {}, 0.6, 0.8)
    return Filter(
        CodebookEngine(config, ("mood",), Indifferent(), book), {"classes": {"mood": list(classes)}}, "abc123"
    )


@pytest.fixture(scope="module")
def words() -> np.ndarray:
    return codewords(2, 3)


def page_of(filter_: Filter, folder) -> str:
    write_codewords_page(filter_, folder / "page.html")
    return (folder / "page.html").read_text(encoding="utf-8")


def test_every_codeword_has_a_picture_and_a_sound(words, tmp_path):
    assert write_codewords_page(filter_of(words), tmp_path / "page.html") == 6
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<svg") + page.count("<img") == page.count("data:audio/wav;base64,") == 6
    assert page.count('alt="Spectrogram of') == page.count("<img")
    assert "While nothing is permitted" in page and "&lt;happy&gt;" in page and "<happy>" not in page
    assert "At most 1.58 bits per block of 1.28 s pass" in page  # log2(3)
    assert "abc123" in page and "http" not in page.replace("http-equiv", "")
    assert "<script" not in page and "default-src 'none'" in page


def test_the_page_is_titled_by_what_is_permitted_and_opens_with_an_example(words, tmp_path):
    page = page_of(filter_of(words), tmp_path)
    assert "<h1>Filter that permits mood</h1>" in page
    assert page.index("If the filter recognises mood “&lt;happy&gt;”, the application gets this sound") < page.index(
        "<svg"
    )
    assert page.index("<svg") < page.index("<audio") < page.index("<img"), "the example stands before all others"


def test_similar_codewords_are_folded(words, tmp_path):
    page = page_of(filter_of(words), tmp_path)
    folded = "".join(re.findall(r"<details>.*?</details>", page, re.DOTALL))
    assert folded.count("<audio") == 3, "those of the second block"
    assert page.count("<audio") - folded.count("<audio") == 3


def test_each_set_of_permitted_tasks_has_its_codewords_and_nothing_comes_last(tmp_path):
    centres = np.eye(2, dtype=np.float32), np.eye(3, dtype=np.float32)
    book = Codebook(("emotion", "place"), centres, (0.5, 0.5), codewords(1, 3, 4))
    config = FilterConfig(FRONT_END, "codebook", {}, 0.6, 0.8)
    card = {"classes": {"emotion": ["angry", "calm"], "place": ["home", "street", "park"]}}
    page = page_of(Filter(CodebookEngine(config, book.tasks, Indifferent(), book), card, "abc123"), tmp_path)
    assert "If you say something angry, the application gets this sound" in page
    assert re.findall("<h2>(.*?)</h2>", page) == [
        "While only emotion is permitted", "While only place is permitted", "While emotion and place are permitted",
        "While nothing is permitted",
    ]  # fmt: skip
    captions = re.findall("<figcaption>(.*?)</figcaption>", page)
    assert captions[:4] == ["calm", "home", "street", "park"]
    assert captions[4:6] == ["angry, home", "angry, street"] and captions[-1] == "nothing"
    assert page.count("<audio") == 12 and "<details" not in page


def test_codes_that_are_no_classes_are_numbered(words, tmp_path):
    assert "code 2" in page_of(filter_of(words, ("a", "b", "c")), tmp_path)


def test_a_filter_without_codewords_is_refused(words, tmp_path):
    obfuscator = Filter(ObfuscatorEngine(filter_of(words).config, (), Indifferent()))
    with pytest.raises(ConfigError, match="no codewords"):
        write_codewords_page(obfuscator, tmp_path / "page.html")
    assert not list(tmp_path.iterdir())


def test_a_codeword_is_a_whole_segment(words):
    drawn = filter_of(words).engine.codebook.draw(np.array([[1]]), np.array([0]))
    assert drawn.shape == (1, BINS, SEGMENT_FRAMES)
