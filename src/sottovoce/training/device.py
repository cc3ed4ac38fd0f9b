"""What networks are trained on, and in which precision.

Both are chosen for a process and for all that it starts, by two variables of the environment.
"""

from __future__ import annotations

import os

import torch

from sottovoce.errors import ConfigError
from sottovoce.machine import processor

DEVICE, PRECISION = "SOTTOVOCE_DEVICE", "SOTTOVOCE_PRECISION"
_PRECISIONS = ("float32", "bfloat16")


def choose(device_name: str | None, precision_name: str | None) -> None:
    """Choose for this process and those that it starts; None leaves what the environment says. Raises ConfigError."""
    chosen = {DEVICE: device_name, PRECISION: precision_name}
    os.environ.update({variable: name for variable, name in chosen.items() if name is not None})
    device(), precision()


def device() -> torch.device:
    """What was chosen: by default a GPU of this process's own if there is one. ConfigError for what is not there."""
    name, gpus = os.environ.get(DEVICE, "auto"), torch.cuda.device_count()
    here = ["cpu", *(["cuda"] if gpus else []), *(f"cuda:{number}" for number in range(gpus))]
    if name not in ("auto", *here):
        raise ConfigError(f"--device or {DEVICE} is {name!r}; expected auto or what is here: {', '.join(here)}.")
    if name == "cpu" or not gpus:
        return torch.device("cpu")
    number = int(name.removeprefix("cuda:")) if ":" in name else int(os.environ.get("LOCAL_RANK", 0)) % gpus
    return torch.device("cuda", number)


def precision() -> str:
    """In which format products of matrices are computed, "float32" or "bfloat16"."""
    name = os.environ.get(PRECISION, "float32")
    if name not in _PRECISIONS:
        raise ConfigError(f"--precision or {PRECISION} is {name!r}; expected {' or '.join(_PRECISIONS)}.")
    return name


def mixed() -> torch.autocast:
    """Within, products of matrices have the precision that was chosen; sums, losses and weights stay in float32."""
    return torch.autocast(device().type, torch.bfloat16, enabled=precision() == "bfloat16")


def about() -> dict[str, str]:
    """What the record of a training says of both: the name of the GPU or of the processor, and the precision."""
    here = device()
    name = torch.cuda.get_device_name(here) if here.type == "cuda" else processor()
    return {"device": name, "precision": precision()}
