"""Which sounds a filter of keywords should draw: recordings that unlike recognisers agree on, synthesis, or gradients.

Called by benchmarks/keywords.py. A codeword is a sound of 1.28 s. Exemplars are recordings of training and validation
speakers; for each word the one for which the least sure of the choosing recognisers is most sure. Each recogniser is
also left out of the choice, and then names what the others chose. `filtered` is the accuracy on test speakers of each
recogniser that receives, in the place of every recording, the codeword that the network `own-0` chooses for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import soxr
import torch
from numpy.typing import NDArray

from sottovoce.audio.griffin_lim import MARGIN_SAMPLES
from sottovoce.audio.spectrum import SAMPLE_RATE, SEGMENT_SAMPLES, Wave
from sottovoce.corpora import espeak
from sottovoce.methods.codebook.codewords import CodewordSettings, drawn, sounded
from sottovoce.models.target import Target
from sottovoce.progress import Progress
from sottovoce.training.loop import Run

ENCODER = "own-0"
ARABIC = {
    "backward": "خلف",
    "close": "إغلاق",
    "direction": "اتجاه",
    "down": "أسفل",
    "enable": "تفعيل",
    "five": "خمسة",
    "four": "أربعة",
    "move": "تحريك",
    "nine": "تسعة",
    "ok": "موافق",
    "open": "فتح",
    "previous": "سابق",
    "record": "تسجيل",
    "rotate": "تدوير",
    "seven": "سبعة",
    "start": "ابدأ",
    "three": "ثلاثة",
    "undo": "تراجع",
    "yes": "نعم",
    "zoom in": "تكبير",
}
VOICES = ("", "+f2", "+f5", "+m3", "+m7")
RATES, PITCH = (120, 160), 50
TYPICAL_SOUND = (0.65, 0.85)  # mean and deviation of the log spectra of speech at the level of the front end
SHIFT_SAMPLES = 2400  # 0.15 s

Logs = NDArray[np.float64]


def compared(clips: Any, targets: Mapping[str, Target], out: Path) -> dict[str, Any]:
    """For each source of codewords how many words each recogniser names rightly, and the accuracy through a filter."""
    classes = targets[ENCODER].classes
    assert all(target.classes == classes for target in targets.values())
    seen = np.flatnonzero(clips.part != "test")
    label = np.searchsorted(classes, clips.word)
    pools = {"exemplars": (clips.segments[seen], label[seen])}
    for language, texts in (("ar", ARABIC), ("en-us", {name: name for name in ARABIC})):
        pools[f"espeak {language}"] = synthesised(language, [texts[name] for name in classes])
    answers = {name: _answers(targets, waves) for name, (waves, _) in pools.items()}
    sources = {name: waves[chosen(answers[name], of, targets)] for name, (waves, of) in pools.items()}
    near = np.flatnonzero(clips.part == "train")
    sources["recordings nearest to one network"] = clips.segments[seen][
        chosen(answers["exemplars"], np.where(np.isin(seen, near), label[seen], -1), [ENCODER])
    ]
    sources["gradients through one network"] = by_gradients(targets[ENCODER])
    test = clips.part == "test"
    codes = targets[ENCODER].predict_sound(clips.segments[test]).argmax(axis=1)
    found = {name: _judged(targets, waves, codes, label[test]) for name, waves in sources.items()}
    for name, (waves, of) in pools.items():
        found[name]["left out of the choice"] = {
            judge: _right(
                targets[judge], waves[chosen(answers[name], of, [other for other in targets if other != judge])]
            )
            for judge in targets
        }
    best = chosen(answers["exemplars"], label[seen], targets)
    found["exemplars"]["recordings"] = [f"{clips.word[i]}/{clips.path[i].name}" for i in seen[best]]
    np.savez(out / "codewords.npz", **{name.replace(" ", "-"): waves for name, waves in sources.items()})
    return found


def _answers(targets: Mapping[str, Target], waves: Wave) -> dict[str, Logs]:
    """Log posteriors [N, K] of each recogniser for sounds [N, 20480]."""
    logits = {name: target.predict_sound(waves).astype(np.float64) for name, target in targets.items()}
    return {name: each - np.logaddexp.reduce(each, axis=1, keepdims=True) for name, each in logits.items()}


def chosen(answers: Mapping[str, Logs], label: NDArray[np.int64], by: Sequence[str] | Mapping[str, Any]) -> list[int]:
    """For each class the candidate of that label of which the least sure of the recognisers `by` is most sure."""
    least = np.min([answers[name] for name in by], axis=0)
    classes = range(least.shape[1])
    return [int(np.where(label == k, least[:, k], -np.inf).argmax()) for k in classes]


def _right(target: Target, waves: Wave) -> int:
    """How many of the codewords [K, 20480] a recogniser names rightly."""
    return int((target.predict_sound(waves).argmax(axis=1) == np.arange(len(waves))).sum())


def _judged(
    targets: Mapping[str, Target], waves: Wave, codes: NDArray[np.int64], truth: NDArray[np.int64]
) -> dict[str, Any]:
    found: dict[str, Any] = {"named": {}, "named 0.15 s later": {}, "filtered": {}}
    for name, target in targets.items():
        found["named"][name] = _right(target, waves)
        found["named 0.15 s later"][name] = _right(target, np.roll(waves, SHIFT_SAMPLES, axis=1))
        found["filtered"][name] = round(float((target.predict_sound(waves).argmax(axis=1)[codes] == truth).mean()), 4)
    return found


def synthesised(language: str, texts: Sequence[str]) -> tuple[Wave, NDArray[np.int64]]:
    """Candidates [N, 20480] of each text by several voices at two rates, and the position of the text [N]."""
    plan = list(product(VOICES, RATES, range(len(texts))))
    spoken: list[bytes] = []
    for voice in VOICES:
        spoken += espeak.speak(
            [espeak.Utterance(language + voice, texts[k], rate, PITCH, 50, 60) for own, rate, k in plan if own == voice]
        )
    waves = np.zeros((len(plan), SEGMENT_SAMPLES), np.float32)
    for row, samples in zip(waves, spoken, strict=True):
        wav = soxr.resample(np.frombuffer(samples, "<i2").astype(np.float32) / 2**15, espeak.SAMPLE_RATE, SAMPLE_RATE)
        wav = wav[:SEGMENT_SAMPLES]
        start = (SEGMENT_SAMPLES - len(wav)) // 2
        row[start : start + len(wav)] = 0.1 * wav / np.sqrt(np.mean(np.square(wav)))
    return waves, np.array([k for *_, k in plan])


def by_gradients(target: Target) -> Wave:
    """Sounds [K, 20480] of templates that are optimised for one frozen network."""
    classes = len(target.classes)
    goal = torch.from_numpy((0.95 * np.eye(classes) + 0.05 / classes).astype(np.float32))
    templates = drawn([[target]], [goal], CodewordSettings(), TYPICAL_SOUND, Run(0, 0, Progress()))
    return np.ascontiguousarray(sounded(templates, TYPICAL_SOUND)[:, MARGIN_SAMPLES:-MARGIN_SAMPLES])
