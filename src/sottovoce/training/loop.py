"""What every training shares: drawing batches, a step of an optimiser, progress, and resuming after a kill."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from sottovoce.audio.segment import front_end
from sottovoce.audio.spectrum import SEGMENT_SAMPLES, Wave
from sottovoce.corpora.cache import Sounds
from sottovoce.errors import ConfigError, ModelError
from sottovoce.machine import usable_cores
from sottovoce.progress import Report, silent
from sottovoce.training import distributed
from sottovoce.training.device import device, mixed, precision

_SAVE_EVERY_S = 15.0


class Run(NamedTuple):
    """How many steps to train, by which seed, where progress is reported, and where state is kept to resume from."""

    steps: int
    seed: int
    report: Report
    partial: Path | None = None  # None: nothing is kept
    identity: str = ""  # of the run: the state of another run is not used

    def part(self, name: str, steps: int) -> Run:
        """A part of this run, of so many steps, that keeps a state of its own."""
        partial = self.partial.with_name(f"{self.partial.name}-{name}") if self.partial else None
        return self._replace(steps=steps, partial=partial)


def draw(sounds: Sounds, clips: NDArray[np.int64], batch: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Random segments of random clips: standardised log spectra [B, 161, 128], and the clips' positions [B].

    Of several processes each gets its share of the batch.
    """
    segments, chosen = draw_segments(sounds, clips, batch, rng, distributed.share)
    return torch.from_numpy(front_end(segments)).to(device()), torch.from_numpy(chosen).to(device())


def draw_segments(
    sounds: Sounds,
    clips: NDArray[np.int64],
    batch: int,
    rng: np.random.Generator,
    part: Callable[[NDArray[np.int64]], NDArray[np.int64]] = lambda drawn: drawn,
) -> tuple[Wave, NDArray[np.int64]]:
    """Random segments [B, 20480] of random clips, and the clips' positions [B]; `part` of what is drawn."""
    chosen = rng.choice(clips, size=batch, replace=len(clips) < batch)
    spare = np.array([max(0, sounds.samples(i) - SEGMENT_SAMPLES) for i in chosen])
    starts = rng.integers(0, spare + 1)
    chosen, starts = part(chosen), part(starts)
    return sounds.segments(chosen, starts, SEGMENT_SAMPLES), chosen


def one_cycle(step: int, steps: int, peak: float, warm_up: float = 0.2) -> float:
    """Learning rate that rises to `peak` over the first fifth and falls along a cosine to 0 (Smith and Topin 2019)."""
    rising = step / (warm_up * steps)
    if rising < 1.0:
        return peak * (0.04 + 0.96 * rising)
    return peak * 0.5 * (1.0 + math.cos(math.pi * (step / steps - warm_up) / (1.0 - warm_up)))


def set_learning_rate(optimiser: Optimizer, rate: float) -> None:
    """Set the learning rate of every group of parameters."""
    for group in optimiser.param_groups:
        group["lr"] = rate


def update(optimiser: Optimizer, loss: Tensor, clip_norm: float = math.inf) -> float:
    """One step of an optimiser along the gradient of `loss`, whose norm is at most `clip_norm`; returns the loss.

    Gradient and loss are means over all processes. ModelError where the loss is not finite.
    """
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    parameters = [each for group in optimiser.param_groups for each in group["params"]]
    distributed.average(parameters)
    if clip_norm < math.inf:
        nn.utils.clip_grad_norm_(parameters, clip_norm)
    optimiser.step()
    if not math.isfinite(value := distributed.mean(loss.item())):
        raise ModelError(f"the training diverged: the loss is {value}; lower the learning rate, and train again.")
    return value


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Within, gradients flow through `network` and not into it."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


def train(
    step: Callable[[int, np.random.Generator], str],
    parts: Mapping[str, nn.Module | Optimizer],
    run: Run,
    finished: Callable[[], bool] = lambda: False,
) -> None:
    """Call `step(number, rng)` for each step and report its note; save `parts` now and then, and resume from there.

    All randomness of a step is seeded by its number, so that a resumed run ends exactly as an uninterrupted one.
    `finished`, which may look at `parts` alone, ends it before the last step. Of several processes the first reports
    and saves. ModelError where a weight is not finite at the end,
    ConfigError where processes would resume at different steps.
    """
    first_one = distributed.rank() == 0
    report, partial = (run.report if first_one else silent), (run.partial if first_one else None)
    torch.set_num_threads(min(torch.get_num_threads(), usable_cores()))  # torch does not look at control groups
    first = _restore(parts, run)
    if not distributed.same(first):
        raise ConfigError(
            f"the processes do not all see the unfinished training {run.partial}; choose an --out on a disk that they "
            "share, or delete it."
        )
    saved = time.monotonic()
    for number in range(first, run.steps):
        if finished():
            break
        torch.manual_seed(run.seed * 1_000_003 + number)
        with mixed():
            note = step(number, np.random.default_rng([run.seed, number]))
        report(number + 1, run.steps, note)
        if partial is not None and time.monotonic() - saved > _SAVE_EVERY_S:
            _save(parts, partial, {"step": str(number + 1), "identity": run.identity})
            saved = time.monotonic()
    networks = [part for part in parts.values() if isinstance(part, nn.Module)]
    if not all(value.isfinite().all() for network in networks for value in network.parameters()):
        raise ModelError("the training diverged: a weight is not finite; lower the learning rate, and train again.")
    if partial is not None:  # kept until the caller has written what was trained
        _save(parts, partial, {"step": str(run.steps), "identity": run.identity})


def _save(parts: Mapping[str, nn.Module | Optimizer], path: Path, metadata: dict[str, str]) -> None:
    new = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(_tensors(parts), new, metadata)
        os.replace(new, path)
    except (OSError, SafetensorError) as error:
        new.unlink(missing_ok=True)
        raise ModelError(f"{path} could not be written ({error}); free space and repeat the command.") from error


def _tensors(parts: Mapping[str, nn.Module | Optimizer]) -> dict[str, Tensor]:
    """Every tensor of networks and optimisers under one flat name."""
    tensors: dict[str, Tensor] = {}
    for name, part in parts.items():
        if isinstance(part, nn.Module):
            tensors |= {f"{name}/{key}": value.contiguous().clone() for key, value in part.state_dict().items()}
        else:
            for index, state in part.state_dict()["state"].items():
                tensors |= {f"{name}/{index}/{key}": value.contiguous().clone() for key, value in state.items()}
    return tensors


def _restore(parts: Mapping[str, nn.Module | Optimizer], run: Run) -> int:
    """Load the state that an interrupted run left, if it was the same run; returns the next step."""
    if run.partial is None or not run.partial.is_file():
        return 0
    try:
        with safe_open(run.partial, framework="pt") as file:
            metadata = file.metadata()
            if metadata["identity"] != run.identity:
                return 0
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
    except SafetensorError:  # torn: train from the start
        return 0
    for name, part in parts.items():
        own = {key.removeprefix(f"{name}/"): value for key, value in tensors.items() if key.startswith(f"{name}/")}
        if isinstance(part, nn.Module):
            part.load_state_dict(own)
        else:
            state: dict[int, dict[str, Any]] = {}
            for key, value in own.items():
                index, entry = key.split("/")
                state.setdefault(int(index), {})[entry] = value
            part.load_state_dict({"state": state, "param_groups": part.state_dict()["param_groups"]})
    return int(metadata["step"])


def identity(**settings: Any) -> str:
    """A line that is different for any two runs whose settings or precision differ."""
    exact = {} if precision() == "float32" else {"precision": precision()}
    return json.dumps(settings | exact, sort_keys=True, default=str)
