"""The ablation: a game is played as its variant says."""

from dataclasses import replace
from pathlib import Path

import pytest

from sottovoce.experiments import ablation
from sottovoce.experiments.experiment import Place
from sottovoce.methods.optin import training as optin


def test_a_variant_is_played_as_it_says(miniature, corpora: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    met = []

    def train_optin(sounds, clips, target, settings, run):
        met.append((settings, run.steps, run.seed))
        return optin.train_optin(sounds, clips, target, settings, run)

    monkeypatch.setattr(ablation, "train_optin", train_optin)
    variant = replace(miniature("ablation").runs["compact"][0], loss="raw", layers=3, target_weight=10.0, seed=4)
    found = ablation.play(variant, Place(corpora, out, out / "runs" / "ablation"))
    ((settings, steps, seed),) = met
    expected = replace(
        variant.game, target_weight=10.0, deobfuscator={**variant.game.deobfuscator, "latent_layers": 3}, raw=True
    )
    assert (settings, steps, seed) == (expected, variant.game.steps, 4)
    assert {*found["read"]} == {"speaker", "gender"} and {*found["read"]["speaker"]} == {"nearest"}
    assert found["steps"] == variant.game.steps and 0.0 <= found["kept"] <= 1.0


def test_all_variants_are_played() -> None:
    variants = ablation.EXPERIMENT.runs["compact"]
    assert len({(each.loss, each.layers, each.target_weight, each.seed) for each in variants}) == len(variants) == 27
