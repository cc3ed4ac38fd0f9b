"""A target is the same recogniser wherever it comes from, and the vote is the one of the paper."""

import io
import json
import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import soxr
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.linear_model import LogisticRegression
from torch import nn

from sottovoce.audio.segment import front_end
from sottovoce.audio.spectrum import SEGMENT_SAMPLES
from sottovoce.cli.shared import places
from sottovoce.cli.targets import targets as named_targets
from sottovoce.errors import ConfigError, ModelError
from sottovoce.graphs import session
from sottovoce.models import target_loading
from sottovoce.models.architectures import build
from sottovoce.models.checkpoint import write_folder
from sottovoce.models.target import Target, from_callable, from_classifier, from_module
from sottovoce.models.target_loading import load_target, save_target
from sottovoce.models.target_metadata import TargetMetadata, TargetName
from sottovoce.models.target_onnx import from_onnx
from sottovoce.models.vote import vote
from sottovoce.onnx_file import with_metadata
from sottovoce.plugins import Registry

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
    with pytest.raises(ModelError, match=r"no file or folder .*nowhere\.onnx"):
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


class Listener(nn.Module):
    """A recogniser of sound: the power of three bands of [B, T]."""

    def __init__(self, channel: bool = False) -> None:
        super().__init__()
        self.channel = channel
        self.bands = nn.Conv1d(1, 3, 32, stride=16)

    def forward(self, sound: torch.Tensor) -> torch.Tensor:
        return self.bands(sound if self.channel else sound[:, None]).square().mean(dim=2)


RATE = 8000
GIVEN = TargetMetadata("emotion", CLASSES, RATE)


@pytest.fixture
def listener() -> Listener:
    torch.manual_seed(0)
    return Listener()


def segments(count: int = 5) -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal((count, SEGMENT_SAMPLES), dtype=np.float32)


def wave_file(
    path: Path, network: nn.Module, shape: tuple[int, ...], free: dict[int, str], metadata: dict[str, str]
) -> Path:
    file = io.BytesIO()
    axes = {"x": free, "y": {0: "batch"} if 0 in free else {}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = {"input_names": ["x"], "output_names": ["y"]}
        torch.onnx.export(network, (torch.zeros(shape),), file, **names, dynamic_axes=axes, dynamo=False)
    path.write_bytes(with_metadata(file.getvalue(), metadata))
    return path


def expected_at(network: nn.Module, samples: int | None = None) -> np.ndarray:
    """By hand: half the rate, and the first `samples`, with zeros where there are fewer."""
    halved = np.stack([soxr.resample(wav, 16000, RATE) for wav in segments(70)])
    fitted = halved if samples is None else np.pad(halved, ((0, 0), (0, 20_000)))[:, :samples]
    with torch.no_grad():
        return np.asarray(network(torch.from_numpy(fitted[:, None] if network.channel else fitted)))


@pytest.mark.parametrize("samples", [None, 8000, 16_000])
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("channel", [False, True])
def test_an_onnx_file_of_sound_gets_its_own_rate_and_length(tmp_path, listener, samples, batch, channel):
    listener.channel = channel
    shape = (batch, 1, samples or RATE) if channel else (batch, samples or RATE)
    free = ({0: "batch"} if batch > 1 else {}) | ({len(shape) - 1: "samples"} if samples is None else {})
    metadata = METADATA | {"sample_rate": str(RATE)}
    target = load_target(wave_file(tmp_path / "t.onnx", listener, shape, free, metadata))
    assert (target.task, target.classes, target.takes, target.sample_rate) == ("emotion", CLASSES, "wave", RATE)
    assert not target.differentiable and target.source == tmp_path / "t.onnx"
    np.testing.assert_allclose(target.predict_sound(segments(70)), expected_at(listener, samples), atol=1e-5)


def test_all_sources_of_sound_give_the_same_predictions(tmp_path, listener, monkeypatch):
    torch.save(listener.state_dict(), tmp_path / "weights.pt")
    (tmp_path / "my_own_recogniser.py").write_text(
        "import torch\nfrom pathlib import Path\n"
        "weights = torch.load(Path(__file__).with_name('weights.pt'))\n"
        "def recognise(waves, sample_rate):\n"
        f"    assert sample_rate == {RATE} and waves.dtype == 'float32'\n"
        "    bands = torch.nn.functional.conv1d(torch.from_numpy(waves)[:, None], *[\n"
        "        weights[name] for name in ('bands.weight', 'bands.bias')], stride=16)\n"
        "    return bands.square().mean(dim=2).numpy()\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    plugin = {"mine": lambda argument: from_module(listener, "emotion", CLASSES, "wave", int(argument))}
    monkeypatch.setattr(target_loading, "TARGETS", Registry("targets", "target", plugin))
    file = wave_file(tmp_path / "t.onnx", listener, (2, RATE), {0: "batch", 1: "samples"}, {})
    texts = "my_own_recogniser:recognise", str(file)
    targets = [from_module(listener, "emotion", CLASSES, "wave", RATE), load_target(f"mine:{RATE}")]
    targets += [load_target(TargetName.of(text, GIVEN)) for text in texts]
    for target in targets:
        assert (target.task, target.classes, target.takes, target.sample_rate) == ("emotion", CLASSES, "wave", RATE)
        np.testing.assert_allclose(target.predict_sound(segments(70)), expected_at(listener), atol=1e-5)
        assert len(target.digest) == 64
    assert [target.source is None for target in targets] == [True, True, True, False]
    assert load_target(TargetName.of(texts[0], GIVEN)).digest == targets[2].digest


def test_what_the_command_line_states_is_kept_with_the_file(tmp_path, listener, monkeypatch):
    """So that the copy in a filter's folder needs no options."""
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "cache"))
    file = wave_file(tmp_path / "t.onnx", listener, (2, RATE), {0: "batch", 1: "samples"}, {"task": "emotion"})
    target = load_target(TargetName.of(str(file), GIVEN))
    assert target.source is not None and target.source != file
    again = load_target(target.source)
    assert (again.classes, again.sample_rate, again.digest) == (CLASSES, RATE, target.digest)
    np.testing.assert_array_equal(again.predict_sound(segments()), target.predict_sound(segments()))
    assert session(target.source, others=True).get_modelmeta().custom_metadata_map["task"] == "emotion"


@pytest.mark.parametrize(
    "given", [TargetMetadata("mood"), TargetMetadata(classes=("a", "b")), TargetMetadata(sample_rate=16_000)]
)
def test_metadata_that_contradict_the_file_are_refused(tmp_path, listener, given):
    metadata = METADATA | {"sample_rate": str(RATE)}
    file = wave_file(tmp_path / "t.onnx", listener, (2, RATE), {0: "batch", 1: "samples"}, metadata)
    with pytest.raises(ConfigError, match="states the"):
        load_target(TargetName.of(str(file), given))


@pytest.mark.parametrize("rate", ["0", "fast", "8000.5", "1000000"])
def test_a_rate_that_is_none_is_refused(tmp_path, listener, rate):
    file = wave_file(tmp_path / "t.onnx", listener, (2, RATE), {0: "batch"}, METADATA | {"sample_rate": rate})
    with pytest.raises(ModelError, match="sample_rate"):
        load_target(file)


def test_spectra_have_the_rate_of_the_front_end(module, tmp_path):
    file = onnx_file(tmp_path / "t.onnx", module, METADATA)
    with pytest.raises(ConfigError, match="16000; got 8000"):
        load_target(TargetName.of(str(file), TargetMetadata(sample_rate=8000)))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("no_such_module_at_all:recognise", ""),
        ("broken_module:recognise", "raise RuntimeError('no weights')"),
        ("empty_module:recognise", ""),
        ("failing_module:recognise", "def recognise(waves, sample_rate): raise ValueError('too short')"),
        ("wrong_module:recognise", "def recognise(waves, sample_rate): return waves[:, :2]"),
    ],
)
def test_a_function_that_does_not_serve_is_refused_in_one_sentence(tmp_path, monkeypatch, text, code):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    if "no_such" not in text:
        (tmp_path / f"{text.split(':')[0]}.py").write_text(code)
    with pytest.raises(ModelError) as error:
        load_target(TargetName.of(text, GIVEN))
    assert "\n" not in str(error.value)


def test_a_function_states_nothing_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "unnamed_module.py").write_text("raise SystemExit('this must not be imported')")
    with pytest.raises(ModelError, match="--task and --classes"):
        load_target("unnamed_module:recognise")


def test_spectra_are_decoded_for_a_target_of_sound_and_sound_is_analysed_for_one_of_spectra(listener, module):
    target = from_module(listener, "emotion", CLASSES, "wave")
    given = segments()
    np.testing.assert_array_equal(target.predict(front_end(given), lambda: given), target.predict_sound(given))
    decoded = target.predict(front_end(given))
    assert decoded.shape == (5, 3) and np.isfinite(decoded).all()
    other = from_module(module, "emotion", CLASSES)
    np.testing.assert_array_equal(other.predict_sound(given), other.predict(front_end(given)))


def test_metadata_are_given_for_each_target_in_order(tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("calm, or so\nangry\n\n")
    found = named_targets("a.onnx,http://h/x,m:f", ",,mood", f"{names};;x,y", "8000,,", ("emotion", "word", "mood"))
    assert [str(target) for target in found] == ["a.onnx", "http://h/x", "m:f"]
    assert [target.metadata for target in found] == [
        TargetMetadata(None, ("calm, or so", "angry"), 8000),
        TargetMetadata(),
        TargetMetadata("mood", ("x", "y")),
    ]
    assert named_targets("a,b", None, None, None, ("p", "q"))[1].metadata == TargetMetadata("q")
    assert named_targets("a,b", None, None, None) == (Path("a"), Path("b"))


@pytest.mark.parametrize(
    "options", [("x,y", None, None), (None, "a", None), (None, "a,a", None), (None, None, "8"), (None, None, "fast")]
)
def test_metadata_that_fit_no_target_are_refused(options):
    with pytest.raises(ConfigError, match="expected"):
        named_targets("t.onnx", *options)
