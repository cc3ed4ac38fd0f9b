"""The page of all codewords: it opens with an example, holds every codeword once, and folds the similar ones."""

import re
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from sottovoce.audio.segment import FRONT_END
from sottovoce.audio.spectrum import BINS, SEGMENT_FRAMES
from sottovoce.errors import ConfigError
from sottovoce.models.codebook import SOUND_SAMPLES, Codebook, nothing
from sottovoce.models.rejection import Rejection, rejections
from sottovoce.report.codewords_page import write_codewords_page
from sottovoce.report.detection import det
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


def filter_of(words: np.ndarray, classes=("<happy>", "sad"), task="mood") -> Filter:
    book = Codebook((task,), (np.eye(2, dtype=np.float32),), (0.5,), words)
    config = FilterConfig(FRONT_END, "codebook", {}, 0.6, 0.8)
    return Filter(CodebookEngine(config, (task,), Indifferent(), book), {"classes": {task: list(classes)}}, "abc123")


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


CURVE = [[-4.0 + at, 0.5**at, 0.01 * at] for at in range(12)]
NONE = {"threshold": 2.0, "false_alarms_per_hour": {"silence": 0.0, "music": 0.75}, "miss_rate": 0.062, "curve": CURVE}


def test_what_is_rejected_is_told_with_its_curve_where_the_card_has_it(words, tmp_path):
    plain = filter_of(words)
    assert 'id="none"' not in page_of(plain, tmp_path)
    known = replace(plain, card={**plain.card, "none": {"mood": NONE}})
    page = page_of(known, tmp_path).replace("\u202f", " ")
    assert "Mood: at the threshold of 2 the filter misses 6.2 % of the blocks that contain one of its classes." in page
    assert (
        "takes other sounds for one: 0 in silence, 0.75 in music." in page and "false alarms, % of other blocks" in page
    )
    without = replace(plain, card={**plain.card, "none": {"mood": {**NONE, "curve": []}}})
    page = page_of(without, tmp_path)
    assert "0.75 in music" in page and "false alarms, % of other blocks" not in page


@pytest.mark.parametrize(
    "entry",
    [
        None, 7, [], "text", {}, {**NONE, "miss_rate": 2.0}, {**NONE, "threshold": "high"}, {**NONE, "curve": [[1, 2]]},
        {**NONE, "curve": [[0.0, 0.5, float("nan")]]}, {**NONE, "false_alarms_per_hour": {"music": float("inf")}},
        {**NONE, "false_alarms_per_hour": 1.0},
        {**NONE, "curve": 7},
    ],
)  # fmt: skip
def test_a_malformed_rejection_is_not_shown(entry):
    assert rejections({"none": {"mood": entry}}) == rejections({"none": entry}) == rejections({}) == {}


def test_a_curve_of_two_normal_distributions_is_a_straight_line():
    """Misses and false alarms of two normal distributions, read off the picture."""
    thresholds = np.linspace(-1.5, 3.0, 21)
    alarms, misses = norm.sf(thresholds), norm.cdf(thresholds - 2.0)
    curve = tuple(zip(thresholds, alarms, misses, strict=True))
    drawn = str(det("d", {"mood": Rejection(0.0, {}, 0.1, curve)}))
    paths = re.findall(r'<path d="(M [^"]*)" clip-path[^>]*stroke: var\(--informed\)', drawn)
    points = np.array(re.findall(r"[ML] ([\d.]+) ([\d.]+)", paths[0]), float)
    assert len(points) > 1
    straight = np.polyfit(points[:, 0], points[:, 1], 1)
    assert np.abs(np.polyval(straight, points[:, 0]) - points[:, 1]).max() < 0.5


@pytest.mark.parametrize("task", ["emotion", "place"])
def test_the_page_of_a_filter_of_emotions_says_what_the_law_prohibits(words, tmp_path, task):
    page = page_of(filter_of(words, task=task), tmp_path)
    assert ("Article 5(1)(f)" in page and "--attack emotion" in page) == (task == "emotion")
