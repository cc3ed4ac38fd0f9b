"""Corpora in miniature, and runs of every experiment on them with hardly any training."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sottovoce.audit import budgets
from sottovoce.audit.budgets import Effort
from sottovoce.corpora.readers import strings
from sottovoce.corpora.readers.mixtures import Mixing
from sottovoce.experiments.adr_games import AdrRun
from sottovoce.experiments.adr_voices import EmbeddingsJob, XVectorJob
from sottovoce.experiments.catalogue import EXPERIMENTS
from sottovoce.experiments.digit_strings import StringFilter, StringTarget
from sottovoce.experiments.experiment import Corpus, Experiment, RunSettings
from sottovoce.experiments.filter_runs import FilterJob, FilterRun, TargetJob, filter_run
from sottovoce.experiments.latents import LatentAttackers
from sottovoce.experiments.optin import GameRun
from sottovoce.experiments.paper_run import FirstSteps
from sottovoce.experiments.rdal import sender_run
from sottovoce.experiments.shipped import Shipped
from sottovoce.experiments.speech import Detector
from sottovoce.experiments.table1 import GraphJob, Measurement
from sottovoce.experiments.transfer import judged_run
from sottovoce.methods.adr import training as adr
from sottovoce.methods.digits.ctc import CtcSettings
from sottovoce.methods.optin.settings import OptinSettings
from sottovoce.methods.rdal.mask import MaskSettings
from sottovoce.methods.rdal.training import RdalSettings

RATE = 16000
TABLE = Corpus("csv:clips.csv")
GAME = OptinSettings("compact-autoencoder", {"width": 4, "blocks": 1}, {"width": 4, "blocks": 1}, 2, 4, "adam")
EMBEDDINGS = adr.AdrSettings(steps=2, batch=8, classifier_steps=2, crops=0)
OTHERS = Corpus("csv:others.csv")
XVECTORS = XVectorJob((OTHERS,), 4, 6, steps=2, batch=6)
TARGET = {
    "architecture": "deepspeech2",
    "settings.maps": 2,
    "settings.hidden": 8,
    "settings.layers": 1,
    "steps": 3,
    "batch": 4,
}
GAME_BY_NAME = {
    **{
        f"{player}.{size}": value
        for player in ("obfuscator", "deobfuscator")
        for size, value in GAME.obfuscator.items()
    },
    "steps": 2,
    "batch": 4,
}
IN_A_BODY = (*GAME_BY_NAME.items(), ("obfuscator.body", 2))
FEW_CODEWORDS = {
    "drawing.steps": 2,
    "drawing.candidates": 64,
    "voters": 1,
    "voter_steps": 2,
    "judges": False,
    "none.steps": 3,
    "none.measured": 32,
}
BY_NAME = {  # settings of each method
    "optin": GAME_BY_NAME,
    "raw": GAME_BY_NAME,
    "codebook": FEW_CODEWORDS,
    "adr": {
        "steps": 2,
        "batch": 8,
        "classifier_steps": 2,
        "crops": 0,
        "xvector.settings.width": 4,
        "xvector.settings.pooled": 6,
        "xvector.steps": 2,
        "xvector.batch": 6,
    },
}
ATTACKERS = Effort(("nearest",), ("nearest",), (), {}, curves=(), shares=(0.5,), restorer_steps=2)
RDAL = RdalSettings(width=2, batch=8, epochs=2, warmup_epochs=0, ramp=2, replace_every=1, verifier_patience=2)
MASKED = replace(RDAL, mask="frozen", masking=MaskSettings(width=2, epochs=1))
FEW = LatentAttackers((("nearest", 0),), sequences=4, length=3, folds=3)
ONE_STEP = CtcSettings(steps=1)
EMOTION, SPEAKER, GENDER = (
    TargetJob(TABLE, task, settings=tuple(TARGET.items())) for task in ("emotion", "speaker", "gender")
)


def run(method: str = "codebook", permit: str = "speaker", attack: tuple[str, ...] = ("gender",), **more) -> FilterRun:
    """A run of filter and audit with hardly any training."""
    settings = BY_NAME[method] | more
    return filter_run(
        TABLE, (permit,), attack, method=method, target_settings=tuple(TARGET.items()), attackers="tiny", **settings
    )


def of_figures() -> tuple[RunSettings, ...]:
    """The three methods of Figures 3a and 4."""
    attack = ("gender", "emotion")
    return (run("optin", attack=attack), run("adr", attack=attack, hide=("gender",)), run(attack=attack))


def senders() -> tuple[RunSettings, ...]:
    """Two methods that share a mask."""
    mixing = Mixing(windows=1, uses=1)
    methods = {"masked": MASKED, "codes": replace(MASKED, adversary="none", codes=True)}
    return tuple(sender_run(name, settings, mixing, attackers=FEW) for name, settings in methods.items())


def games() -> tuple[RunSettings, ...]:
    """Without and with pressure."""
    return tuple(
        GameRun(
            job, loss, ("speaker", "gender"), (EMOTION, EMOTION), (SPEAKER,) * 2 + (GENDER,) * 2, ("nearest",), (), 1
        )
        for loss, job in (
            ("none", FilterJob((EMOTION,), "optin", settings=IN_A_BODY)),
            ("latent", FilterJob((EMOTION,), "raw", settings=(*IN_A_BODY, ("gradient_ratio", 0.3)))),
        )
    )


MINIATURE: dict[str, Callable[[], tuple[RunSettings, ...]]] = {
    "adr-games": lambda: tuple(
        AdrRun(
            EmbeddingsJob(XVECTORS, TABLE, 1, True),
            declared,
            taught,
            (EmbeddingsJob(XVECTORS, OTHERS),),
            EMBEDDINGS,
            2,
            ("nearest",),
        )
        for declared, taught in (("gender", (EmbeddingsJob(XVECTORS, OTHERS, 1),)), ("emotion", ()))
    ),
    "codebook": lambda: (
        run(title="2 codes, 1 segments", codes=2),
        run(title="2 codes, 2 segments", codes=2, block_segments=2),
    ),
    "digit-strings": lambda: (
        StringFilter(
            StringTarget(settings=ONE_STEP), ONE_STEP, 1, paces=("even", "live"), attackers=("tiny", "tiny"), trees=5
        ),
    ),
    "figure3a": of_figures,
    "figure3b": lambda: (run(permit="gender", attack=("speaker",)),),
    "figure4": of_figures,
    "first-light": lambda: (run("raw"),),
    "optin": games,
    "optin-variants": games,
    "paper-run": lambda: (FirstSteps(2, replace(GAME, optimiser="sgd", steps=7200), EMOTION),),
    "rdal": senders,
    "rdal-mixing": lambda: tuple(
        sender_run(
            "no-privacy", replace(RDAL, adversary="none", replace_every=0), Mixing(windows=1, uses=1, snr_db=snr_db)
        )
        for snr_db in ((-5.0, 0.0), (5.0, 10.0))
    ),
    "shipped": lambda: (
        Shipped(
            "emotion",
            FilterJob((EMOTION,), settings=tuple(FEW_CODEWORDS.items())),
            ("gender",),
            "CC0",
            attackers="tiny",
        ),
    ),
    "speech-detector": lambda: (Detector((TABLE,) * 4, steps=2, batch=4, pool=4, measured=8),),
    "table1": lambda: (
        Measurement(least_s=0.0),
        Measurement("compact", "eager", least_s=0.0),
        Measurement("compact", "onnx", graphs=GraphJob("compact"), least_s=0.0),
        Measurement("codebook", "int8", graphs=GraphJob("codebook"), least_s=0.0),
    ),
    "transfer": lambda: (
        judged_run(
            TABLE,
            "emotion",
            ("gender",),
            others=(("quick", tuple(TARGET.items())),),
            target=tuple(TARGET.items()),
            **FEW_CODEWORDS,
        ),
    ),
}


@pytest.fixture
def miniature() -> Callable[..., Experiment]:
    """An experiment with few, small runs in the place of its own."""

    def of(name: str, runs: tuple[RunSettings, ...] = ()) -> Experiment:
        return replace(EXPERIMENTS[name], runs={"compact": runs or MINIATURE[name]()})

    return of


@pytest.fixture(scope="session")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all experiments in miniature write, since some share runs."""
    return tmp_path_factory.mktemp("experiments") / "out"


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch, corpora: Path) -> None:
    """Attackers beside those that there are, and few strings of digits."""
    monkeypatch.setattr(budgets, "EFFORTS", {**budgets.EFFORTS, "tiny": ATTACKERS})
    monkeypatch.setattr(strings, "STRINGS", {"train": 8, "validation": 4, "test": 4})
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(corpora / "cache"))


@pytest.fixture(scope="session")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the experiments in miniature read: a table of voices that are tones, single digits, events and speech."""
    folder = tmp_path_factory.mktemp("corpora")
    rng = np.random.default_rng(0)
    time = np.arange(RATE) / RATE
    rows = [("path", "speaker", "gender", "emotion")]
    for number in range(48):
        voice, mood = number % 4, number // 4 % 2
        wav = 0.1 * np.sin(2 * np.pi * (300 + 700 * voice) * time + rng.uniform(0, 6))
        soundfile.write(folder / f"{number}.flac", wav + 0.02 * mood * rng.standard_normal(RATE), RATE)
        rows.append((f"{number}.flac", f"voice-{voice}", "female" if voice < 2 else "male", ("calm", "loud")[mood]))
    for table, some in (("clips.csv", rows), ("others.csv", rows[:25])):
        with (folder / table).open("w", newline="") as file:
            csv.writer(file).writerows(some)

    def noise(name: str, seconds: float, rate: int) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, 0.1 * rng.standard_normal(round(seconds * rate)), rate)

    for speaker in ("ada", "bob"):
        for digit in range(10):
            for index in (0, 5, 10):
                noise(f"fsdd/recordings/{digit}_{speaker}_{index}.wav", 0.2, 8000)
    for number, event in enumerate(("Dog bark", "Rain"), start=1):
        for fold in range(1, 6):
            for recording in (1000 + fold, 2000 + fold, 3000 + fold):
                noise(f"esc10/00{number} - {event}/{fold}-{recording}-A.wav", 2.5, 22050)
    lines = []
    for sex, names in {"F": range(10, 20), "M": range(20, 30)}.items():
        for name in names:
            noise(f"librispeech/train-clean-100/{name}/7/{name}-7-0000.wav", 3.2, RATE)
            lines.append(f"{name} | {sex} | train-clean-100 | 1.0 | Reader\n")
    (folder / "librispeech" / "SPEAKERS.TXT").write_text("".join(lines))
    return folder
