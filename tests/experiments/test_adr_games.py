"""Both games of ADR: recognisers of every label are scored on originals and on protected embeddings."""

import json
from pathlib import Path

from sottovoce.experiments import adr_games
from sottovoce.experiments.experiment import Place


def test_every_label_is_scored_for_every_game(miniature, corpora: Path, tmp_path: Path) -> None:
    result = adr_games.play(miniature("adr-games").runs["compact"][0], Place(corpora, tmp_path, tmp_path))
    games = result["games"]
    assert [(each["declared"], each["game"]) for each in games] == [
        (declared, game) for declared in ("gender", "emotion") for game in ("released", "text")
    ]
    for each in games:
        assert {*each["scores"]} == {"speaker", "gender", "emotion"} and -1.0 <= each["cosine"] <= 1.0
        for scores in each["scores"].values():
            assert {*scores} == {"original", "uninformed", "informed"}
            assert all(0.0 <= score <= 1.0 for score in scores.values())
    originals = {json.dumps([each["scores"][label]["original"] for label in adr_games.LABELS]) for each in games}
    assert len(originals) == 1, "originals do not depend on the game"
    text = adr_games.TABLE.markdown([result, result])
    assert text.count("| x-vector |") == 4 and "±" in text
