"""Both games of ADR on little: every listener is scored for every label, seeds are kept, and not played twice."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sottovoce.corpora.manifest import Clip
from sottovoce.experiments import adr_games
from sottovoce.methods.adr import game as adr
from sottovoce.methods.adr.xvector import XVectorSettings


@pytest.fixture
def little(shaped, monkeypatch: pytest.MonkeyPatch) -> None:
    """The small corpus in the place of both, with words for emotions and every other speaker of either gender."""
    speakers = list(shaped.manifest.speakers)

    def told(clip: Clip) -> Clip:
        gender = ("female", "male")[speakers.index(clip.labels["speaker"]) % 2]
        return replace(clip, labels={**clip.labels, "gender": gender, "emotion": clip.labels["word"]})

    manifest = replace(shaped.manifest, clips=tuple(map(told, shaped.manifest.clips)))
    xvector = XVectorSettings({"width": 4, "pooled": 6}, steps=2, batch=6)
    settings = replace(adr.PRESETS["compact"], steps=3, batch=8, classifier_steps=2, crops=1, xvector=xvector)
    monkeypatch.setattr(adr_games, "opened", lambda spec, report: (manifest, shaped.sounds))
    monkeypatch.setattr(adr_games, "PRESETS", {"compact": settings})
    monkeypatch.setattr(adr_games, "available", lambda: False)
    monkeypatch.setattr(adr_games, "RECOGNISER_STEPS", 3)
    monkeypatch.setattr(adr_games, "SEEDS", (0, 1))


def test_games_are_kept_and_told(little, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = adr_games.run(tmp_path, tmp_path, 1)
    found = json.loads((tmp_path / "adr-games.json").read_text())
    assert [(each["seed"], each["declared"], each["game"]) for each in found] == [
        (seed, declared, game) for seed in (0, 1) for declared in ("gender", "emotion") for game in ("released", "text")
    ]
    for each in found:
        assert {*each["scores"]} == {"speaker", "gender", "emotion"} and -1.0 <= each["cosine"] <= 1.0
        for scores in each["scores"].values():
            assert {*scores} == {"original", "uninformed", "informed"}
            assert all(0.0 <= score <= 1.0 for score in scores.values())
    originals = {json.dumps([each["scores"][label]["original"] for label in adr_games.LABELS]) for each in found[:4]}
    assert len(originals) == 1, "originals do not depend on the game"
    assert text.count("| x-vector |") == 4 and "±" in text
    monkeypatch.setattr(adr_games, "_games", None)
    assert adr_games.run(tmp_path, tmp_path, 1) == text
