"""Several processes train what one process trains: the batch is divided, and nothing else."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sottovoce.errors import ConfigError
from sottovoce.training import distributed

SCRIPT = """
import json, sys
from dataclasses import replace
from pathlib import Path
import numpy as np, torch
from torch import nn
from torch.nn import functional
from sottovoce.training import distributed
from sottovoce.training.loop import Run, train, update

distributed.join()
torch.set_num_threads(1)
torch.manual_seed(0)
out, steps = Path(sys.argv[1]), int(sys.argv[2])
data = torch.from_numpy(np.random.default_rng(0).normal(size=(64, 6)).astype(np.float32))
network = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))
optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
losses = []

def step(number, rng):
    rows = torch.from_numpy(distributed.share(rng.integers(64, size=16)))
    loss = functional.mse_loss(network(data[rows]).squeeze(1), data[rows].sum(dim=1))
    losses.append(update(optimiser, loss, 1.0))
    return f"loss {losses[-1]}"

told = []
run = Run(steps, 0, lambda done, total, note: told.append(done), out / "state", "one")
train(step, {"network": network, "optimiser": optimiser}, run)
weights = [value.tolist() for value in network.parameters()]
rank, seen = distributed.rank(), distributed.norm(torch.ones(3)).item()
(out / f"{rank}.json").write_text(json.dumps({"losses": losses, "weights": weights, "told": told, "norm": seen}))
"""


def trained(place: Path, processes: int, steps: int = 12, script: str = SCRIPT) -> list[dict]:
    """What each process has to say."""
    place.mkdir(exist_ok=True)
    file = place / "script.py"
    file.write_text(script)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    subprocess.run([*command, str(file), str(place), str(steps)], check=True, timeout=120, capture_output=True)
    return [json.loads((place / f"{rank}.json").read_text()) for rank in range(processes)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict], list[dict]]:
    return tuple(trained(tmp_path_factory.mktemp(f"of{count}"), count) for count in (1, 2))


def flat(weights: list) -> np.ndarray:
    return np.concatenate([np.ravel(value) for value in weights])


def test_two_processes_have_the_losses_and_weights_of_one(runs) -> None:
    (one,), both = runs
    for each in both:
        np.testing.assert_allclose(each["losses"], one["losses"], rtol=1e-4)
        np.testing.assert_allclose(flat(each["weights"]), flat(one["weights"]), rtol=1e-4, atol=1e-6)
    assert both[0]["weights"] == both[1]["weights"]
    assert one["losses"][-1] < 0.5 * one["losses"][0]


def test_only_the_first_reports_and_norms_are_of_all(runs) -> None:
    (one,), both = runs
    assert one["told"] == both[0]["told"] == list(range(1, 13)) and both[1]["told"] == []
    assert one["norm"] == pytest.approx(3**0.5) and both[0]["norm"] == both[1]["norm"] == pytest.approx(6**0.5)


def test_another_number_of_processes_goes_on_from_a_checkpoint(runs, tmp_path: Path) -> None:
    (one,), _ = runs
    trained(tmp_path, 2, steps=5)
    (later,) = trained(tmp_path, 1)
    assert len(later["losses"]) == 7
    np.testing.assert_allclose(flat(later["weights"]), flat(one["weights"]), rtol=1e-4, atol=1e-6)


def test_processes_that_do_not_see_the_same_state_refuse_to_resume(tmp_path: Path) -> None:
    """They would average gradients of different steps."""
    trained(tmp_path, 2, steps=5)
    apart = SCRIPT.replace('out / "state"', 'out / ("state" if distributed.rank() == 0 else "nothing")')
    assert apart != SCRIPT
    with pytest.raises(subprocess.CalledProcessError) as failed:
        trained(tmp_path, 2, script=apart)
    assert b"the processes do not all see the unfinished training" in failed.value.stderr


def test_one_process_has_all_of_a_batch_and_its_own_gradients() -> None:
    rows = np.arange(5)
    assert distributed.share(rows) is not None and distributed.share(rows).tolist() == rows.tolist()
    network = nn.Linear(2, 1)
    network(torch.ones(1, 2)).sum().backward()
    before = network.weight.grad.clone()
    distributed.average(network.parameters())
    assert torch.equal(network.weight.grad, before)
    assert distributed.mean(2.5) == 2.5 and distributed.processes() == 1


def test_a_batch_that_cannot_be_divided_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "processes", lambda: 2)
    with pytest.raises(ConfigError, match="a batch of 5 cannot be divided among 2 processes"):
        distributed.share(np.arange(5))


RDAL = """
import json, sys
from pathlib import Path
import numpy as np, torch
from sottovoce.methods.rdal.presets import PRESETS
from sottovoce.methods.rdal.training import PairedClips, train_rdal
from dataclasses import replace
from sottovoce.training import distributed
from sottovoce.training.loop import Run

distributed.join()
torch.set_num_threads(1)
rng = np.random.default_rng(0)
few = dict(steps=8, check_every=4, batch=16, width=4, warmup_steps=0, ramp_steps=4)
settings = replace(PRESETS["compact"], samples=16000, **few)
sounds = (rng.random((n, 2, 257, 101), np.float32) for n in (32, 8))
pairs = [PairedClips(part, rng.integers(0, 3, (len(part), 2)), np.ones(len(part), np.float32)) for part in sounds]
notes = []
trained = train_rdal(*pairs, 3, settings, None, Run(8, 0, lambda done, total, note: notes.append(note)))
rows = trained.checks
weights = [value.tolist() for value in trained.hidden.sender.parameters()]
said = json.dumps({"notes": notes, "rows": rows, "weights": weights})
(Path(sys.argv[1]) / f"{distributed.rank()}.json").write_text(said)
"""


def test_rdal_is_trained_on_several_processes_as_on_one(tmp_path: Path) -> None:
    """Batch normalisation sees a share of each batch, so that the losses are near each other and not the same."""
    (one,) = trained(tmp_path / "one", 1, script=RDAL)
    both = trained(tmp_path / "two", 2, script=RDAL)
    assert both[0]["weights"] == both[1]["weights"] and both[1]["notes"] == []
    losses = [[float(note.split()[1]) for note in each["notes"] if "events" in note] for each in (one, both[0])]
    assert len(losses[0]) == len(losses[1]) == 8
    np.testing.assert_allclose(losses[0], losses[1], rtol=0.15)
