"""The public API: what `import sottovoce` offers, how it is called, and that the import stays light."""

import ast
import inspect
import subprocess
import sys
import time
from pathlib import Path

import pytest

import sottovoce

# A change here is a change of the public API: it belongs into CHANGELOG.md and docs/api.md.
SIGNATURES = {
    "train_target": "(corpus, *, task, out, preset='compact', split=None, seed=0, replace=False, report=None, "
    "**settings)",
    "train": "(corpus, *, permit, target, out, method='codebook', preset='compact', seed=0, replace=False, "
    "report=None, **settings)",
    "audit": "(system, *, corpus, out, attackers='standard', attack=(), permit=(), target=(), judge=(), split=None, "
    "seed=0, workers=None, replace=False, report=None, **settings)",
    "compare": "(*folders)",
    "open_corpus": "(spec)",
    "load_target": "(place)",
    "Target": "(task, classes, differentiable, logits, digest='', source=None, card=None, takes='spectrum', "
    "sample_rate=16000)",
    "Target.predict": "(self, spectra, sound=None)",
    "Filter.load": "(path, threads=1)",
    "Filter.filter": "(self, wav, sample_rate=16000, permit=None)",
    "Filter.labels": "(self, wav, sample_rate=16000, permit=None)",
    "Filter.stream": "(self, sample_rate=16000, output_rate=None)",
    "Filter.label_stream": "(self, sample_rate=16000)",
    "Filter.features": "(self, wav)",
    "Filter.permitting": "(self, tasks)",
    "Filter.constant": "(self, blocks)",
    "Attacker.fit": "(self, train, labels, validation, validation_labels, classes)",
    "Attacker.scores": "(self, observations)",
}


def written(function) -> str:
    """A signature without types."""
    parameters = inspect.signature(function).parameters.values()
    return str(inspect.Signature([one.replace(annotation=inspect.Parameter.empty) for one in parameters]))


@pytest.mark.parametrize("name", SIGNATURES)
def test_the_public_api_is_called_as_it_was(name):
    first, _, method = name.partition(".")
    function = getattr(sottovoce, first)
    assert written(getattr(function, method) if method else function) == SIGNATURES[name]


def test_the_public_names_are_these_and_the_stub_and_the_documentation_have_them_all():
    names = {"Attacker", "Filter", "Target", "audit", "compare", "load_target", "open_corpus", "train", "train_target"}
    assert set(dir(sottovoce)) == set(sottovoce.__all__) == names | {"__version__"}
    stub = ast.parse(Path(sottovoce.__file__).with_suffix(".pyi").read_text())
    aliases = [(node.module, one) for node in stub.body if isinstance(node, ast.ImportFrom) for one in node.names]
    assert {one.asname for _, one in aliases} == names
    assert {(module, one.name) for module, one in aliases} == {
        (f"sottovoce.{home}", name) for name, home in sottovoce._HOMES.items()
    }
    page = (Path(__file__).parents[1] / "docs" / "api.md").read_text()
    assert all(f"sottovoce.{name}" in page for name in names)


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(AttributeError, match=r"no attribute 'filter'; it has __version__, Attacker"):
        sottovoce.filter  # noqa: B018


@pytest.mark.parametrize("first", ["import sottovoce.audit.results", "sottovoce.train", "sottovoce.audit"])
def test_audit_is_a_function_although_a_folder_has_its_name(first):
    code = f"""
import sottovoce
{first}
assert callable(sottovoce.audit)
from sottovoce import audit
assert audit is sottovoce.audit
import sottovoce.audit.results as results
assert sottovoce.audit.results is results
try:
    audit("none", corpus="nothing", out="nowhere")
except sottovoce.errors.CorpusError as error:
    print(error)
"""
    assert python(code).startswith("unknown corpus 'nothing'")


def test_a_filter_is_loaded_without_the_training_parts():
    code = "import sys, sottovoce; sottovoce.Filter, sottovoce.open_corpus; print('torch' in sys.modules)"
    assert python(code) == "False\n"


def test_the_import_is_quick():
    def seconds(code: str) -> float:
        began = time.perf_counter()
        python(code)
        return time.perf_counter() - began

    assert min(seconds("import sottovoce") - seconds("pass") for _ in range(5)) < 0.3


def test_the_version_is_printed():
    done = subprocess.run([sys.executable, "-m", "sottovoce.cli", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"sottovoce {sottovoce.__version__}\n")


def python(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
