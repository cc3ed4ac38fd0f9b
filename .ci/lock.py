"""Write requirements.txt anew: what is installed in this environment, with the hashes of its files.

    .venv/bin/python .ci/lock.py

Run it once the tests pass with newer versions. pip asks the index for the files of each platform named below. What
requirements-torch.txt pins is left out: those packages come in builds that no one index has.
"""

import json
import re
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

PLACE = Path(__file__).parents[1]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS = (
    [f"manylinux{name}_x86_64" for name in ("_2_28", "_2_27", "_2_17", "2014")],
    [f"manylinux{name}_aarch64" for name in ("_2_28", "_2_27", "_2_17", "2014")],
    [f"macosx_{version}_arm64" for version in (f"{number}_0" for number in (14, 13, 12, 11))]
    + [f"macosx_{version}_universal2" for version in ("11_0", "10_13", "10_12", "10_9")],
    ["win_amd64"],
)
HEAD = """\
# The versions that the project is checked with, written by .ci/lock.py: pip refuses a file with another hash.
"""


def normal(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed() -> dict[str, str]:
    """Name and version of everything in this environment that belongs into the file."""
    apart = re.findall(r"^([\w.-]+)==", (PLACE / "requirements-torch.txt").read_text(), re.MULTILINE)
    left_out = {"pip", "sottovoce", *map(normal, apart)}
    found = {normal(one.metadata["Name"]): one.version for one in metadata.distributions()}
    return {name: found[name] for name in sorted(found.keys() - left_out)}


def hashes(pins: Path, python: str, platform: list[str]) -> dict[str, str]:
    """Name and sha256 of the file that pip takes of each package for a version of Python on a platform."""
    words = ["--dry-run", "--quiet", "--ignore-installed", "--no-deps", "--only-binary=:all:", "--report", "-"]
    words += ["--target", str(pins.parent / "none"), "--implementation", "cp", "--python-version", python]
    words += [f"--platform={name}" for name in platform]
    command = [sys.executable, "-m", "pip", "install", *words, "-r", str(pins)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    taken = json.loads(done.stdout)["install"]
    return {normal(one["metadata"]["name"]): one["download_info"]["archive_info"]["hashes"]["sha256"] for one in taken}


def main() -> None:
    pins = installed()
    known: dict[str, set[str]] = {name: set() for name in pins}
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "pins.txt"
        file.write_text("".join(f"{name}=={version}\n" for name, version in pins.items()))
        for python in PYTHONS:
            for platform in PLATFORMS:
                print(python, platform[0], file=sys.stderr)
                for name, value in hashes(file, python, platform).items():
                    known[name].add(value)
    lines = [
        " \\\n    ".join([f"{name}=={version}", *(f"--hash=sha256:{value}" for value in sorted(known[name]))])
        for name, version in pins.items()
    ]
    (PLACE / "requirements.txt").write_text(HEAD + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
