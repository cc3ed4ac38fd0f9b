"""Plug-ins: found by name wherever they come from, refused where two have one name, and never the same once changed."""

import importlib
import importlib.metadata
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from sottovoce import __version__
from sottovoce.attack.families import ATTACKERS
from sottovoce.corpora.catalogue import CORPORA
from sottovoce.errors import ConfigError
from sottovoce.plugins import Plugin, Registry

GROUP = "sottovoce.animals"


class Animal:
    """What the registries of this test hold."""


class Cat(Animal):
    version = "7"


class Dog(Animal):
    pass


def registry(**settings: object) -> Registry[type[Animal]]:
    return Registry("animals", "animal", {"cat": Cat}, base=Animal, **settings)


Installed = Callable[..., None]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installed:
    """Installs a distribution of one module, by hand: its code, and its entry points by name."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(module: str, code: str, version: str = "1.2", **entries: str) -> None:
        (tmp_path / f"{module}.py").write_text(code)
        about = tmp_path / f"{module}-{version}.dist-info"
        about.mkdir(exist_ok=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: {version}\n")
        lines = "".join(f"{name} = {module}:{what}\n" for name, what in entries.items())
        (about / "entry_points.txt").write_text(f"[{GROUP}]\n{lines}")
        sys.modules.pop(module, None)
        importlib.invalidate_caches()

    return install


@pytest.fixture
def animals(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a distribution can import in place of this file, which is no module of a package."""
    monkeypatch.setitem(sys.modules, "animals", sys.modules[__name__])


def test_what_is_built_in_is_known_by_name():
    known = registry()
    assert (known["cat"], list(known), len(known), "cat" in known, "dog" in known) == (Cat, ["cat"], 1, True, False)
    assert known.plugin("cat") == Plugin(Cat, "sottovoce", __version__)
    assert known.outside() == ()


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="unknown animal 'dog'; known: cat"):
        registry()["dog"]


def test_a_program_registers_by_a_function_or_a_decorator():
    known = registry()
    assert known.register("dog", Dog) is Dog

    @known.register("mouse")
    class Mouse(Animal):
        pass

    assert (known["dog"], known["mouse"], known.outside()) == (Dog, Mouse, ("dog", "mouse"))
    assert known.plugin("dog").origin == __name__


def test_a_name_that_is_taken_is_refused_with_both_origins():
    known = registry()
    with pytest.raises(ConfigError, match=f"two animals are called 'cat', one from sottovoce and one from {__name__}"):
        known.register("cat", Dog)
    assert known.register("cat", Cat) is Cat, "the same thing again is no conflict"


def test_what_is_no_such_thing_is_refused():
    with pytest.raises(ConfigError, match=r"the animal 'seven' .* is 7; expected a .*Animal, or a class derived from"):
        registry().register("seven", 7)


def test_an_installed_distribution_is_found(installed: Installed, animals: None):
    installed("own_dog", "from animals import Animal\nclass Dog(Animal): pass\n", dog="Dog")
    known = registry()
    assert list(known) == ["cat", "dog"] and known.outside() == ("dog",)
    assert known.plugin("dog").origin == "own_dog 1.2"
    assert known.version("dog").startswith("1.2+")


def test_two_distributions_with_one_name_are_named_at_every_look(installed: Installed, animals: None):
    for module in ("first_dog", "second_dog"):
        installed(module, "from animals import Animal\nclass Dog(Animal): pass\n", dog="Dog")
    known = registry()
    for look in (lambda: known["cat"], lambda: list(known), lambda: "dog" in known):
        with pytest.raises(ConfigError) as refused:
            look()
        assert "two animals are called 'dog'" in str(refused.value)
        assert "first_dog 1.2" in str(refused.value) and "second_dog 1.2" in str(refused.value)


def test_a_distribution_cannot_take_the_name_of_a_built_in(installed: Installed, animals: None):
    installed("own_cat", "from animals import Animal\nclass Dog(Animal): pass\n", cat="Dog")
    with pytest.raises(ConfigError, match=r"'cat', one from sottovoce and one from own_cat 1\.2"):
        registry()["cat"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [("import nothing_of_that_name", "ModuleNotFoundError"), ("def (", "SyntaxError"), ("", "AttributeError")],
)
def test_what_cannot_be_loaded_is_named(installed: Installed, code: str, reason: str):
    installed("broken_dog", code, dog="Dog")
    with pytest.raises(ConfigError, match=rf"'dog' of broken_dog 1\.2 cannot be loaded \({reason}.*uninstall"):
        registry()["cat"]


def test_an_entry_point_that_is_no_such_thing_is_refused(installed: Installed):
    installed("odd_dog", "Dog = 7\n", dog="Dog")
    with pytest.raises(ConfigError, match=r"the animal 'dog' of odd_dog 1\.2 is 7"):
        registry()["cat"]


def test_a_module_may_register_itself_and_have_an_entry_point(installed: Installed, animals: None, monkeypatch):
    known = registry()
    monkeypatch.setattr(sys.modules[__name__], "KNOWN", known, raising=False)
    code = "from animals import KNOWN, Animal\n@KNOWN.register('dog')\nclass Dog(Animal): pass\n"
    installed("twice_dog", code, dog="Dog")
    assert list(known) == ["cat", "dog"]


def test_the_version_changes_with_the_source_and_with_the_stated_version(installed: Installed, animals: None):
    def version(code: str, distributed: str = "1.2") -> str:
        installed("own_dog", code, distributed, dog="Dog")
        return registry().version("dog")

    code = "from animals import Animal\nclass Dog(Animal): pass\n"
    first = version(code)
    assert version(code) == first
    assert version(f"{code}# changed\n") != first
    stated = version(f"{code}Dog.version = '9'\n")
    assert stated.startswith("9+")


def test_the_version_of_a_value_is_that_of_its_code(installed: Installed, monkeypatch):
    @dataclass(frozen=True)
    class Method:
        train: Callable[[], None]

    monkeypatch.setitem(sys.modules, "animals", sys.modules[__name__])
    monkeypatch.setattr(sys.modules[__name__], "Method", Method, raising=False)

    def version(inner: str) -> str:
        installed("inner", inner)
        installed("outer", "from animals import Method\nfrom inner import train\nDOG = Method(train)\n", dog="DOG")
        return Registry("animals", "method", code=lambda method: method.train).version("dog")

    assert version("def train(): return 1\n") != version("def train(): return 2\n")


def test_the_version_changes_with_any_module_of_the_package(tmp_path, monkeypatch):
    package = tmp_path / "kennel"
    package.mkdir()
    (package / "__init__.py").write_text("class Dog: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    dog = importlib.import_module("kennel").Dog

    def version(core: str) -> str:
        (package / "core.py").write_text(core)
        known: Registry[type] = Registry("kennels", "kennel")
        known.register("dog", dog)
        return known.version("dog")

    assert version("GUESS = 0\n") == version("GUESS = 0\n") != version("GUESS = 1\n")


def test_without_a_source_no_other_process_has_the_same_version():
    code = (
        "from sottovoce.plugins import Registry\n"
        "known = Registry('animals', 'animal')\n"
        "known.register('dog', lambda: 1)\n"
        "print(known.version('dog'))"
    )
    versions = [subprocess.check_output([sys.executable, "-c", code], text=True) for _ in range(2)]
    assert versions[0] != versions[1]


def test_a_plug_in_can_be_sent_to_a_worker():
    plugin = ATTACKERS.plugin("linear")
    assert pickle.loads(pickle.dumps(plugin)) == plugin


def test_our_own_register_themselves_from_their_files():
    assert {"linear", "nearest", "cnn", "target", "encoder", "deepspeech2"} <= set(ATTACKERS)
    assert {"ravdess", "voices", "csv", "mixtures", "speech-mixtures"} <= set(CORPORA)
    for known in (ATTACKERS, CORPORA):
        assert all(known.plugin(name) == Plugin(known[name], "sottovoce", __version__) for name in known)
        assert known.outside() == ()
    assert all(corpus.name == name for name, corpus in CORPORA.items())
    assert len({kind.name for kind in ATTACKERS.values()}) == len(ATTACKERS), "reports tell them apart"
