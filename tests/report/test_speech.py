"""What a page says of recognised words and of people among others, and nothing where there is nothing."""

from typing import Any

import pytest

from sottovoce.report import speech
from sottovoce.report.pages import environment


def share(score: float) -> dict[str, float]:
    return {"score": score, "low": score - 0.05, "high": score + 0.05}


WORDS: dict[str, Any] = {
    "recogniser": "Whisper tiny.en",
    "recordings": 100,
    "failed": [],
    "original": {"error_rate": share(0.35), "recovered": share(0.7)},
    "obfuscated": {"error_rate": share(0.98), "recovered": share(0.12)},
    "floor": share(0.1),
    "guess": "the most frequent content words",
    "leakage": share(0.02),
    "verdict": "not shown",
}


def linker(*sizes: tuple[int, int]) -> dict[str, Any]:
    rows = [{"people": people, "utterances": count, **share(0.5)} for people, count in sizes]
    return {"searches": rows, "isolations": rows[:1]}


def rendered(macro: str, given: dict[str, Any]) -> str:
    template = '{% from "report.speech.j2" import ' + macro + " with context %}{{ " + macro + "(given) }}"
    return environment(autoescape=True).from_string(template).render(given=given)


def test_a_sentence_has_all_numbers_and_the_verdict():
    text = speech.said(WORDS)
    for number in (
        "100 test",
        "12\u202f% (7–17)",
        "70\u202f% (65–75)",
        "10\u202f% (5–15)",
        "+2.0",
        "NOT SHOWN",
        "98",
        "35",
    ):
        assert number in text
    assert "broke down" in speech.said({**WORDS, "recordings": 0})
    assert speech.said(WORDS) in rendered("words", {"words": WORDS})


@pytest.mark.parametrize("results", [{}, {"words": None}])
def test_results_without_words_say_nothing(results):
    assert not rendered("words", results).strip()


def test_searches_are_a_table_by_people_and_recordings():
    page = rendered("crowds", {"strongest": linker((2, 1), (2, 3), (5, 1)), "ceiling": linker((2, 1), (5, 1))})
    assert page.count("<table") == 2 and "1 recording" in page and "3 recordings" in page
    assert page.count('<th scope="row">5</th>') == 1 and page.count('<th scope="row">2</th>') == 2
    assert not rendered("crowds", {"strongest": {}, "ceiling": {}}).strip(), "of earlier versions"
