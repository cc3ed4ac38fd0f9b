"""What is installed: the lock, the lowest versions and pyproject.toml say the same."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
NEEDED = [
    Requirement(text)
    for text in [
        *PROJECT["project"]["dependencies"],
        *PROJECT["build-system"]["requires"],
        *(text for texts in EXTRAS.values() for text in texts),
    ]
    if not text.startswith("sottovoce[")
]
APART = {"torch": "2.13.0", "resemblyzer": "0.1.4"}
LINTERS = {"ruff", "mypy"}  # no version of which is better than the one that checks this text
BUILDERS = {"editables"}  # hatchling asks for it when it builds


def pins(name: str) -> dict[str, Version]:
    found = re.findall(r"^([\w.-]+)==([\w.+-]+)", (ROOT / name).read_text(), re.MULTILINE)
    assert len({canonicalize_name(package) for package, _ in found}) == len(found), "each package once"
    return {canonicalize_name(package): Version(version) for package, version in found}


def test_every_dependency_is_locked_within_its_bounds():
    locked = pins("requirements.txt") | pins("requirements-torch.txt")
    for requirement in NEEDED:
        assert locked[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_every_line_of_the_lock_has_a_hash_and_what_has_none_is_apart():
    lines = (ROOT / "requirements.txt").read_text().replace("\\\n", "").splitlines()
    packages = [line for line in lines if line and not line.startswith("#")]
    assert len(packages) == len(pins("requirements.txt"))
    assert all(re.fullmatch(r"[\w.-]+==[\w.+-]+(\s+--hash=sha256:[0-9a-f]{64})+", line) for line in packages)
    assert pins("requirements-torch.txt") == {name: Version(version) for name, version in APART.items()}
    for name in ("requirements.txt", "requirements-torch.txt", "lowest.txt"):
        assert "://" not in (ROOT / name).read_text(), "no address of an index"


def test_the_lowest_versions_are_the_lower_bounds():
    lowest = pins("lowest.txt")
    bounds = {}
    for requirement in NEEDED:
        name = canonicalize_name(requirement.name)
        if name in LINTERS or requirement.name in PROJECT["build-system"]["requires"]:
            continue
        (bound,) = requirement.specifier
        assert bound.operator == ">=", requirement
        bounds[name] = Version(bound.version)
    assert lowest == bounds


def test_nothing_is_locked_that_nobody_needs():
    """As far as what is installed here says what it needs."""
    locked, known, left = pins("requirements.txt"), set(), [canonicalize_name(one.name) for one in NEEDED]
    while left:
        name = left.pop()
        if name in known:
            continue
        known.add(name)
        try:
            needs = [Requirement(text) for text in metadata.requires(name) or []]
        except metadata.PackageNotFoundError:
            pytest.skip(f"{name} is not installed here")
        left += [
            canonicalize_name(one.name) for one in needs if one.marker is None or one.marker.evaluate({"extra": ""})
        ]
    assert set(locked) <= known | BUILDERS
