"""The ablation: a whole game on little, which changes what its variant says, is kept, and is not played twice."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sottovoce.experiments import ablation
from sottovoce.experiments.ablation import Variant
from sottovoce.jobs.train import make_target
from sottovoce.methods.optin import game as optin
from sottovoce.methods.optin.game import OptinSettings
from sottovoce.training import target as target_training
from sottovoce.training.target import TargetSettings

GAME = OptinSettings("compact-autoencoder", {"width": 4, "blocks": 1}, {"width": 4, "blocks": 1}, 3, 4, "adam")
WORDS = TargetSettings("deepspeech2", {"maps": 2, "hidden": 8, "layers": 1}, steps=2, batch=4)


@pytest.fixture
def little(shaped, monkeypatch: pytest.MonkeyPatch) -> None:
    """The small corpus in the place of RAVDESS, and words in the place of emotions."""

    def opened(spec, report):
        return shaped.manifest, shaped.sounds

    monkeypatch.setattr(ablation, "opened", opened)
    monkeypatch.setattr("sottovoce.jobs.train.opened", opened)
    monkeypatch.setattr(ablation, "PRESETS", {"compact": GAME})
    monkeypatch.setattr(target_training, "PRESETS", {"compact": WORDS})
    monkeypatch.setattr(ablation, "ATTACKERS", ("linear",))


def test_games_are_kept_and_told(shaped, little, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = [Variant(), Variant("raw", target_weight=1.0), Variant("latent", 1)]
    monkeypatch.setattr(ablation, "variants", lambda: iter(planned))
    target = tmp_path / "runs" / "ravdess-emotion" / "target"
    make_target(shaped.spec, "word", target, "compact", None, 0, "", lambda *_: None)
    text = ablation.run(tmp_path, tmp_path, 1)
    found = json.loads((tmp_path / "ablation.json").read_text())
    assert [(each["loss"], each["layers"], each["target_weight"]) for each in found] == [
        ("latent", 2, 3.0),
        ("raw", 2, 1.0),
        ("latent", 1, 3.0),
    ]
    for each in found:
        assert each["steps"] == 3 and 0.0 <= each["kept"] <= 1.0
        assert {*each["read"]} == {"speaker", "gender"} and {*each["read"]["speaker"]} == {"linear"}
    assert text.count("\n") == 1 + len(planned) and "| -L_a |" in text
    assert str(tmp_path) not in json.dumps(found)
    monkeypatch.setattr(ablation, "game", None)
    assert ablation.run(tmp_path, tmp_path, 1) == text


def test_a_variant_is_played_as_it_says(little, shaped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    met = []

    def train_optin(sounds, clips, target, settings, raw, run):
        met.append((settings, raw, run.steps, run.seed))
        return optin.train_optin(sounds, clips, target, settings, raw, run)

    monkeypatch.setattr(ablation, "train_optin", train_optin)
    make_target(shaped.spec, "word", tmp_path / "target", "compact", None, 0, "", lambda *_: None)
    ablation.game(Variant("raw", 3, 10.0, seed=4, steps=2), tmp_path, tmp_path / "target")
    ((settings, raw, steps, seed),) = met
    expected = replace(GAME, target_weight=10.0, deobfuscator={**GAME.deobfuscator, "latent_layers": 3})
    assert (settings, raw, steps, seed) == (expected, True, 2, 4)


def test_all_variants_have_names_of_their_own() -> None:
    names = [variant.name for variant in ablation.variants()]
    assert len(set(names)) == len(names) == 27
