"""A device and a precision that are not there are refused; what is chosen holds and is recorded."""

import numpy as np
import pytest
import torch
from torch import nn

from sottovoce.errors import ConfigError
from sottovoce.progress import silent
from sottovoce.training import device
from sottovoce.training.loop import Run, identity, train, update


@pytest.fixture(autouse=True)
def nothing_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(device.DEVICE, "auto")
    monkeypatch.setenv(device.PRECISION, "float32")


@pytest.mark.parametrize(
    ("number_of_gpus", "name"), [(0, "cuda"), (0, "cuda:0"), (1, "cuda:1"), (1, "gpu"), (0, "CPU"), (0, "")]
)
def test_a_device_that_is_not_here_is_refused(monkeypatch, number_of_gpus, name):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: number_of_gpus)
    with pytest.raises(
        ConfigError, match=f"--device or SOTTOVOCE_DEVICE is '{name}'; expected auto or what is here: cpu"
    ):
        device.choose(name, None)


def test_a_precision_that_is_unknown_is_refused():
    with pytest.raises(ConfigError, match="--precision or SOTTOVOCE_PRECISION is 'half'; expected float32 or bfloat16"):
        device.choose(None, "half")


@pytest.mark.parametrize(
    ("name", "rank", "expected"),
    [
        (None, "0", "cuda:0"),
        (None, "3", "cuda:1"),
        ("auto", "1", "cuda:1"),
        ("cuda:0", "1", "cuda:0"),
        ("cpu", "1", "cpu"),
    ],
)
def test_each_process_has_a_gpu_of_its_own_unless_one_is_named(monkeypatch, name, rank, expected):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", rank)
    device.choose(name, None)
    assert str(device.device()) == expected


def test_a_record_names_the_processor_and_the_precision():
    device.choose("cpu", "bfloat16")
    assert device.about() == {"device": device.processor(), "precision": "bfloat16"}
    assert len(device.processor()) > 3


def trained(precision: str) -> tuple[list[torch.dtype], float]:
    """The formats of the products of matrices in a training, and its last loss."""
    device.choose("cpu", precision)
    torch.manual_seed(0)
    network, seen, losses = nn.Linear(4, 1), [], []
    optimiser = torch.optim.Adam(network.parameters(), lr=0.05)

    def step(number: int, rng: np.random.Generator) -> str:
        x = torch.from_numpy(rng.normal(size=(32, 4)).astype(np.float32))
        answer = network(x)
        seen.append(answer.dtype)
        losses.append(update(optimiser, nn.functional.mse_loss(answer[:, 0], x.sum(dim=1))))
        return ""

    train(step, {"network": network, "optimiser": optimiser}, Run(100, 0, silent))
    assert all(value.dtype == torch.float32 for value in network.parameters())
    return seen, losses[-1]


def test_products_have_the_precision_that_was_chosen_and_weights_are_exact():
    exact, coarse = trained("float32"), trained("bfloat16")
    assert set(exact[0]) == {torch.float32} and set(coarse[0]) == {torch.bfloat16}
    assert exact[1] < 0.02 and coarse[1] < 0.02 and exact[1] != coarse[1]


def test_a_training_in_another_precision_is_another_training():
    exact = identity(steps=1)
    device.choose(None, "bfloat16")
    assert identity(steps=1) != exact
