"""The import rule: the house is built from the ground up, and what ships on a device carries no training parts."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import sottovoce

ROOT = Path(sottovoce.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
# Lower never imports upper. `doctor` stands beside `demo`.
LAYERS = (
    ("errors",),
    ("files", "arguments"),
    ("arrays",),
    ("private", "redaction"),
    ("terminal",),
    ("machine", "plugins"),
    ("progress", "onnx_file"),
    ("graphs",),
    ("audio",),
    ("corpora",),
    ("models",),
    ("cluster_worker",),
    ("cluster",),
    ("parallel",),
    ("training",),
    ("runtime",),
    ("live", "serve", "methods", "attack"),
    ("audit",),
    ("report",),
    ("jobs",),
    ("experiments", "studio"),
    ("demo", "doctor", "api"),
    ("cli",),
)
HEIGHT = {part: height for height, layer in enumerate(LAYERS) for part in layer}
ON_A_DEVICE = {"numpy", "onnxruntime", "soundfile", "soxr"}
# What a sound card and a network need beside that: optional, imported where they are used.
OPTIONAL = {"sottovoce.live.devices": {"sounddevice"}, "sottovoce.serve.websocket": {"websockets"}}
NO_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}
TORCH_FREE = [
    name
    for name in MODULES
    if name.split(".")[1:2] in (["audio"], ["runtime"], ["live"], ["serve"]) and name != "sottovoce.runtime.export"
]


def imports(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it, as a full dotted name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import hides where it leads"
            assert node.module is not None
            whole = {f"{node.module}.{name.name}" for name in node.names}
            found |= {name if name in MODULES else node.module for name in whole}
    return found


def part_of(module: str) -> str:
    return module.split(".")[1]


def test_every_part_has_its_place_and_is_found_by_this_test():
    assert {part_of(name) for name in MODULES if name != "sottovoce"} <= set(HEIGHT)
    assert "sottovoce.audio.spectrum" in imports(ROOT / "audio" / "segment.py")
    assert "sottovoce.runtime.files" in imports(ROOT / "demo.py"), "`from sottovoce.runtime import files` counts"
    assert "sottovoce.jobs.train" in imports(ROOT / "cli" / "train.py"), "imports inside functions count"
    assert "torch" in imports(ROOT / "models" / "layers.py")


@pytest.mark.parametrize("module", [name for name in MODULES if name != "sottovoce"])
def test_lower_never_imports_upper(module):
    own = [name for name in imports(MODULES[module]) if name.startswith("sottovoce.")]
    upper = [name for name in own if HEIGHT[part_of(name)] > HEIGHT[part_of(module)]]
    assert not upper


@pytest.mark.parametrize(
    ("one", "other"),
    [(part, "attack") for part in ("training", "methods")] + [("attack", "training"), ("attack", "methods")],
)
def test_training_and_attack_are_strangers(one, other):
    for path in (ROOT / one).rglob("*.py"):
        assert not [name for name in imports(path) if name.startswith(f"sottovoce.{other}")], path


def test_no_modules_import_each_other_in_a_circle():
    arrows = {name: imports(path) & MODULES.keys() for name, path in MODULES.items()}

    def reached(start: str) -> set[str]:
        found, left = set(), [*arrows[start]]
        while left:
            if (name := left.pop()) not in found:
                found.add(name)
                left += arrows[name]
        return found

    assert not [name for name in MODULES if name in reached(name)]


def test_nothing_imports_the_command_line():
    others = {name: path for name, path in MODULES.items() if part_of(f"{name}.") != "cli"}
    assert not [name for name, path in others.items() if any(part_of(f"{i}.") == "cli" for i in imports(path))]


@pytest.mark.parametrize("module", TORCH_FREE)
def test_audio_and_runtime_import_only_what_a_device_has(module):
    others = {name.split(".")[0] for name in imports(MODULES[module])} - sys.stdlib_module_names - {"sottovoce"}
    assert others <= ON_A_DEVICE | OPTIONAL.get(module, set())


def test_importing_them_or_the_command_line_loads_no_training_parts():
    modules = [*TORCH_FREE, "sottovoce.cli", "sottovoce.doctor", "sottovoce.models.checkpoint"]
    code = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    loaded = {name.split(".")[0] for name in python(code).split()}
    assert loaded.isdisjoint({"torch", "safetensors", "sklearn", "scipy", "matplotlib", "jinja2", "joblib", "onnx"})
    assert loaded.isdisjoint(set.union(*OPTIONAL.values()))
    assert loaded >= ON_A_DEVICE


def test_importing_everything_opens_no_socket():
    modules = ", ".join(MODULES)
    code = f"""
import sys
opened = []
sys.addaudithook(lambda event, details: opened.append(event) if event.startswith("socket.") else None)
import {modules}
print("opened", *opened)
import socket
socket.socket().close()
assert opened, "the hook sees nothing"
"""
    assert python(code).split() == ["opened"]


def test_importing_the_package_loads_nothing_else():
    code = "import sys; before = set(sys.modules); import sottovoce; print(*(set(sys.modules) - before))"
    assert python(code).split() == ["sottovoce"]


def test_no_file_is_a_drawer_for_odds_and_ends():
    assert not [path for path in ROOT.rglob("*") if path.stem in NO_NAMES]


def test_no_file_is_long():
    assert not [path for path in FILES if len(path.read_text(encoding="utf-8").splitlines()) > 350]


def python(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
