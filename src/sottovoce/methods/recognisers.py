"""Other recognisers of the permitted tasks than the target: voters choose codewords, and judges never take part.

What a target understands says little about other networks. Voters of other seeds and architectures see to it that a
codeword means to them what it means to the target; judges, which training never asks, measure whether that went well.
Both learn from the labels of the corpus. Where it has none of the task there are neither.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from sottovoce.methods.method import Context
from sottovoce.models.checkpoint import copy_files, path_part
from sottovoce.models.target import Target, from_module
from sottovoce.models.target_loading import save_target
from sottovoce.runtime.export import JUDGES
from sottovoce.training.target import PRESETS, TargetSettings, train_target

_ARCHITECTURES = ("x-vector", "compact")  # of voters, by their presets
_OTHER_SEEDS = 1000  # between the target's seed and those of voters, and between these and those of judges


class Judge(NamedTuple):
    """A recogniser of `task` that training never asked: what it is in words, and the files of its target folder."""

    task: str
    name: str
    judge: str
    files: dict[str, bytes]


class _Reordered(nn.Module):
    """Another recogniser's logits [B, K] in the order of the target's classes."""

    def __init__(self, network: nn.Module, order: list[int]) -> None:
        super().__init__()
        self.network, self.order = network, order

    def forward(self, spectra: Tensor) -> Tensor:
        logits: Tensor = self.network(spectra)
        return logits[:, self.order]


def voters(context: Context[Any], target: Target, count: int, steps: int) -> list[Target]:
    """Recognisers of the task of a target, of architectures and seeds by turns."""
    if not _labelled(context, target):
        return []
    names = context.manifest.classes(target.task)
    order = [names.index(name) for name in target.classes]
    kinds = [replace(PRESETS[name], steps=steps) for name in _ARCHITECTURES]
    others = []
    for i in range(count):
        network = _trained(
            context, target.task, kinds[i % len(kinds)], context.run.seed + _OTHER_SEEDS + i, f"voter-{i}"
        )
        others.append(from_module(_Reordered(network, order), target.task, target.classes))
    return others


def judges(context: Context[Any], target: Target) -> list[Judge]:
    """A recogniser of the architecture and the training of the target, as far as these are known, of another seed."""
    if not _labelled(context, target):
        return []
    known = (target.card or {}).get("settings")
    settings = TargetSettings(**known) if known else PRESETS["compact"]
    seed = context.run.seed + 2 * _OTHER_SEEDS
    network = _trained(context, target.task, settings, seed, "judge")
    classes = context.manifest.classes(target.task)
    sizes = {**settings.settings, "classes": len(classes)}
    name = path_part(f"{target.task}-seed")
    with tempfile.TemporaryDirectory() as place:
        card = {"seed": seed, "settings": asdict(settings)}
        save_target(Path(place) / name, network, settings.architecture, sizes, target.task, classes, card)
        files = copy_files(Path(place) / name, f"{JUDGES}/{name}")
    text = "the same architecture, another seed" if known else f"another architecture ({settings.architecture})"
    return [Judge(target.task, name, text, files)]


def _labelled(context: Context[Any], target: Target) -> bool:
    """Whether the recordings say which class of the target they are."""
    return {context.manifest.clips[i].labels.get(target.task) for i in context.split.train} == {*target.classes}


def _trained(context: Context[Any], task: str, settings: TargetSettings, seed: int, name: str) -> nn.Module:
    run = context.run.part(f"{name}-{task}", settings.steps)._replace(seed=seed)
    return train_target(context.manifest, context.sounds, context.split.train, task, settings, run)
