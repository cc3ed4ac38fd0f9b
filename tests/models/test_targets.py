"""A target is the same recogniser wherever it comes from, and the vote is the one of the paper."""

import io
import json
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.linear_model import LogisticRegression
from torch import nn

from sottovoce.cli.shared import places
from sottovoce.errors import ConfigError, ModelError
from sottovoce.models.architectures import build
from sottovoce.models.checkpoint import write_folder
from sottovoce.models.target import Target, from_callable, from_classifier, from_module, vote
from sottovoce.models.target_folder import load_target, save_target
from sottovoce.models.target_onnx import from_onnx

CLASSES = ("angry", "calm", "sad")
BINS, FRAMES = 161, 128


class Reader(nn.Module):
    """A recogniser as a third party may have it: mean over time, dropout, linear."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(BINS)
        self.dropout = nn.Dropout(0.5)
        self.output = nn.Linear(BINS, classes)

    def forward(self, spectrum: torch.Tensor) -> torch.Tensor:
        return self.output(self.dropout(self.norm(spectrum).relu().mean(dim=2)))


@pytest.fixture
def module() -> nn.Module:
    torch.manual_seed(0)
    return Reader()


def spectra(count: int = 5) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((count, BINS, FRAMES), dtype=np.float32)


def onnx_file(path: Path, network: nn.Module, metadata: dict[str, str], frames: int = FRAMES) -> Path:
    file = io.BytesIO()
    axes = {"x": {0: "batch"}, "y": {0: "batch"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            (torch.zeros(2, BINS, frames),),
            file,
            input_names=["x"],
            output_names=["y"],
            dynamic_axes=axes,
            dynamo=False,
        )
    graph = onnx.load_from_string(file.getvalue())
    onnx.helper.set_model_props(graph, metadata)
    path.write_bytes(graph.SerializeToString())
    return path


METADATA = {"task": "emotion", "classes": json.dumps(CLASSES)}


def test_all_sources_give_the_same_predictions(module, tmp_path):
    def function(batch: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return module.eval()(torch.from_numpy(batch)).double().numpy()

    targets = [
        from_module(module, "emotion", CLASSES),
        from_onnx(onnx_file(tmp_path / "t.onnx", module, METADATA)),
        load_target(tmp_path / "t.onnx"),
        from_callable(function, "emotion", list(CLASSES)),
    ]
    expected = function(spectra(70)).astype(np.float32)  # more than one batch
    for target in targets:
        assert (target.task, target.classes) == ("emotion", CLASSES)
        found = target.predict(spectra(70))
        assert found.dtype == np.float32 and found.shape == (70, 3)
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert [target.differentiable for target in targets] == [True, False, False, False]
    assert targets[1].digest == targets[2].digest != ""
    assert targets[2].source == tmp_path / "t.onnx"


def test_a_differentiable_target_passes_gradients_and_keeps_none(module):
    target = from_module(module.train(), "emotion", CLASSES)
    assert not module.training, "dropout and batch statistics are off"
    heard = torch.from_numpy(spectra()).requires_grad_()
    target.logits(heard).sum().backward()
    assert heard.grad is not None and heard.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in module.parameters())


def test_a_target_that_can_only_be_queried_passes_none(module):
    target = from_callable(lambda batch: batch[:, :3, 0], "emotion", CLASSES)
    heard = torch.from_numpy(spectra()).requires_grad_()
    assert not target.logits(heard).requires_grad


def test_predicting_changes_nothing(module):
    before = {name: value.clone() for name, value in module.state_dict().items()}
    target = from_module(module, "emotion", CLASSES)
    first, digest = target.predict(spectra()), target.digest
    np.testing.assert_array_equal(target.predict(spectra()), first)
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert from_module(module, "emotion", CLASSES).digest == digest
    with torch.no_grad():
        module.output.bias += 1
    assert from_module(module, "emotion", CLASSES).digest != digest


@pytest.mark.parametrize("shape", [(5, 2), (5, 4), (5,), (4, 3), (5, 3, 1), ()])
def test_a_callable_with_answers_of_another_shape_is_refused(shape):
    target = from_callable(lambda batch: np.zeros(shape), "emotion", CLASSES)
    with pytest.raises(ModelError, match=r"expected \(5, 3\)"):
        target.predict(spectra())


def means(batch: np.ndarray) -> np.ndarray:
    return batch[:, :6].mean(axis=2)


def fitted(names: np.ndarray) -> LogisticRegression:
    return LogisticRegression().fit(means(spectra(60)), names[np.arange(60) % 3])


def test_a_classifier_of_scikit_learn_is_a_target():
    model = fitted(np.array(CLASSES))
    target = from_classifier(model, "emotion", CLASSES, means)
    assert (target.task, target.classes, target.differentiable) == ("emotion", CLASSES, False)
    logits = target.predict(spectra(70))
    assert [CLASSES[i] for i in logits.argmax(axis=1)] == list(model.predict(means(spectra(70))))
    np.testing.assert_allclose(np.exp(logits).sum(axis=1), 1.0, atol=1e-5)


def test_a_classifier_may_know_its_classes_by_number():
    by_name, by_number = fitted(np.array(CLASSES)), fitted(np.arange(3))
    found = [from_classifier(model, "emotion", CLASSES, means).predict(spectra()) for model in (by_name, by_number)]
    np.testing.assert_allclose(*found, atol=1e-6)


@pytest.mark.parametrize("classes", [("calm", "angry", "sad"), ("angry", "calm"), ("1", "2", "3")])
def test_a_classifier_of_other_classes_is_refused(classes):
    with pytest.raises(ModelError, match="in this order"):
        from_classifier(fitted(np.array(CLASSES)), "emotion", classes, means)


def test_an_impossible_class_has_a_finite_score():
    class Certain:
        classes_ = CLASSES

        def predict_proba(self, features: np.ndarray) -> np.ndarray:
            return np.tile([0.0, 1.0, 0.0], (len(features), 1))

    logits = from_classifier(Certain(), "emotion", CLASSES, means).predict(spectra())
    assert np.isfinite(logits).all() and (logits.argmax(axis=1) == 1).all()


def test_an_onnx_file_with_answers_of_another_shape_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"expected \(1, 3\)"):
        from_onnx(onnx_file(tmp_path / "t.onnx", Reader(4), METADATA))


def test_an_onnx_file_that_takes_another_shape_is_refused(tmp_path):
    network = nn.Sequential(nn.Flatten(), nn.Linear(BINS * 100, 3))
    with pytest.raises(ModelError):
        from_onnx(onnx_file(tmp_path / "t.onnx", network, METADATA, frames=100)).predict(spectra())


def test_a_module_with_answers_of_another_shape_is_refused():
    with pytest.raises(ModelError):
        from_module(Reader(4), "emotion", CLASSES).predict(spectra())


@pytest.mark.parametrize("metadata", [{}, {"task": "emotion"}, {"classes": "[]"}, {"task": "e", "classes": "angry"}])
def test_an_onnx_file_that_does_not_name_its_classes_is_refused(module, tmp_path, metadata):
    with pytest.raises(ModelError, match="metadata"):
        from_onnx(onnx_file(tmp_path / "t.onnx", module, metadata))


@pytest.mark.parametrize("classes", ["3", '"angry"', "[1, 2, 3]", "[]"])
def test_an_onnx_file_whose_classes_are_no_list_of_names_is_refused(module, tmp_path, classes):
    with pytest.raises(ModelError, match="classes"):
        from_onnx(onnx_file(tmp_path / "t.onnx", module, {"task": "emotion", "classes": classes}))


def test_a_file_that_is_no_onnx_model_is_refused(tmp_path):
    (tmp_path / "t.onnx").write_bytes(b"not a graph")
    with pytest.raises(ModelError, match="not a usable ONNX graph"):
        load_target(tmp_path / "t.onnx")
    with pytest.raises(ModelError):
        load_target(tmp_path / "nowhere.onnx")


@pytest.mark.parametrize(
    "place",
    [
        "ftp://me:hidden@host/x;hidden?hidden",
        "http:127.0.0.1/x?token=hidden",
        "HTTP:/127.0.0.1/x?token=hidden",
        "HTTP://me:hidden@host/x?token=hidden",
        "localhost:8080/ask?token=hidden",
        "me:hidden@host/ask",
        Path("http://host/x?token=hidden"),
    ],
)
def test_an_address_that_is_none_of_a_target_is_refused_without_its_keys(place):
    with pytest.raises(ConfigError, match="is no address of a target; expected http") as error:
        load_target(place)
    assert "hidden" not in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b@c", (Path("a"), Path("b@c"))),
        ("a,http://h/x?y=1,HTTP://i", (Path("a"), "http://h/x?y=1", "HTTP://i")),
        ("http://h/x,runs/t", ("http://h/x", Path("runs/t"))),
        ("ftp://h,http:h", ("ftp://h", "http:h")),
    ],
)
def test_paths_and_addresses_are_given_with_commas(text, expected):
    assert places(text) == expected


@pytest.mark.parametrize(
    "text", ["http://h/x?token=hid,hidden", "HTTP://me:hid,hidden@host", "http://h/;hid,hidden", "http://me:h,i,dden@h"]
)
def test_an_address_with_a_comma_is_not_cut(text):
    with pytest.raises(ConfigError, match="%2C") as error:
        places(text)
    assert "hid" not in str(error.value)


SIZES = {"maps": 2, "hidden": 4, "layers": 1, "classes": 3}


def saved(folder: Path) -> Target:
    torch.manual_seed(0)
    network = build("deepspeech2", SIZES)
    save_target(folder, network, "deepspeech2", SIZES, "emotion", CLASSES, {"seed": 7})
    return from_module(network, "emotion", CLASSES)


def test_a_target_folder_gives_back_what_was_saved(tmp_path):
    before, target = saved(tmp_path / "t"), load_target(tmp_path / "t")
    assert (target.task, target.classes, target.differentiable) == ("emotion", CLASSES, True)
    assert target.source == tmp_path / "t"
    assert target.card["seed"] == 7
    np.testing.assert_allclose(target.predict(spectra()), before.predict(spectra()), atol=1e-6)


def config_changed(folder: Path, **changes: object) -> None:
    """Write the folder again as somebody might who knows the format."""
    config = {**json.loads((folder / "config.json").read_text()), **changes}
    weights = (folder / "weights.safetensors").read_bytes()
    write_folder(folder, "target", {"config.json": json.dumps(config).encode(), "weights.safetensors": weights}, {})


@pytest.mark.parametrize(
    "changes",
    [
        {"architecture": "subprocess.Popen"},
        {"architecture": "compact-autoencoder"},
        {"architecture": None},
        {"settings": {**SIZES, "hidden": 5}},
        {"settings": {**SIZES, "hidden": -5}},
        {"settings": {**SIZES, "colour": 5}},
        {"classes": 3},
    ],
)
def test_a_target_folder_that_does_not_fit_itself_is_refused(tmp_path, changes):
    saved(tmp_path / "t")
    config_changed(tmp_path / "t", **changes)
    with pytest.raises(ModelError):
        load_target(tmp_path / "t")


@pytest.mark.parametrize("classes", [["angry"], ["angry", "calm", "sad", "glad"]])
def test_a_target_folder_with_another_number_of_names_is_refused(tmp_path, classes):
    saved(tmp_path / "t")
    config_changed(tmp_path / "t", classes=classes)
    with pytest.raises(ModelError):
        load_target(tmp_path / "t").predict(spectra())


def literal_vote(logits: np.ndarray, owner: np.ndarray) -> list[int | None]:
    """The class of each utterance: most segments, then highest mean posterior; None where that is a tie as well."""
    classes: list[int | None] = []
    for utterance in range(owner.max() + 1):
        counts: Counter[int] = Counter()
        mean = np.zeros(logits.shape[1])
        for row in logits[owner == utterance].astype(np.float64):
            counts[int(np.argmax(row))] += 1
            mean += np.exp(row - np.log(np.sum(np.exp(row)))) / (owner == utterance).sum()
        tied = sorted((k for k in counts if counts[k] == max(counts.values())), key=lambda k: -mean[k])
        clear = len(tied) == 1 or mean[tied[0]] - mean[tied[1]] > 1e-5
        classes.append(tied[0] if clear else None)
    return classes


@settings(deadline=None, max_examples=60)
@given(data=st.data(), classes=st.integers(2, 4), lengths=st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_the_vote_is_that_of_the_paper(data, classes, lengths):
    owner = np.repeat(np.arange(len(lengths)), lengths)
    logits = data.draw(arrays.arrays(np.float32, (len(owner), classes), elements=st.floats(-20, 20, width=16)))
    scores = vote(logits, owner)
    assert scores.shape == (len(lengths), classes)
    for found, expected in zip(scores.argmax(axis=1), literal_vote(logits, owner), strict=True):
        assert expected is None or found == expected


def test_a_tie_is_decided_by_the_mean_posterior():
    logits = np.array([[1.0, 0.0, -9.0], [0.0, 3.0, -9.0]], np.float32)
    assert vote(logits, np.array([0, 0])).argmax() == 1
    assert vote(logits[:, [1, 0, 2]], np.array([0, 0])).argmax() == 0


def test_no_certainty_outweighs_a_vote():
    logits = np.array([[0.1, 0.0], [0.1, 0.0], [-50.0, 50.0]], np.float32)
    assert vote(logits, np.array([0, 0, 0])).argmax() == 0


def test_huge_logits_do_not_overflow():
    logits = np.array([[1e30, -1e30], [-1e30, 1e30], [1e30, 0.0]], np.float32)
    assert vote(logits, np.array([0, 0, 0])).argmax() == 0
