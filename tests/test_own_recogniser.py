"""The page docs/recognisers.md, command by command: from a recogniser of sound to a saved and audited filter."""

import contextlib
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sottovoce import cli
from sottovoce.audit import budgets
from sottovoce.audit.budgets import Effort
from sottovoce.audit.record import verify
from sottovoce.corpora import catalogue
from sottovoce.corpora.catalogue import open_corpus
from sottovoce.methods.codebook.codewords import CodewordSettings
from sottovoce.methods.codebook.distillation import StudentSettings
from sottovoce.methods.codebook.method import METHOD
from sottovoce.methods.codebook.none import NoneSettings
from sottovoce.methods.codebook.training import CodebookSettings
from sottovoce.methods.registry import METHODS

PAGE = (Path(__file__).parents[1] / "docs" / "recognisers.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
SCRIPTS = {text.splitlines()[0].removeprefix("# "): text for language, text in BLOCKS if language == "python"}
COMMANDS = [line for language, text in BLOCKS if language == "bash" for line in text.splitlines()]
PORT = "8765"  # of the page; here it is a free one


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which the commands of the page are run, with small presets, and the scripts of the page."""
    folder = tmp_path_factory.mktemp("page")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    for name, text in SCRIPTS.items():
        (folder / name).write_text(text.replace(PORT, port))
    settings = CodebookSettings(
        student=StudentSettings(steps=150, queries=1600, batch=16),
        drawing=CodewordSettings(steps=20, candidates=96),
        none=NoneSettings(steps=40, measured=64),
        voters=0,
        judges=False,
    )
    effort = Effort(("target", "linear"), ("linear",), (), {}, curves=(), shares=(0.5,), restorer_steps=2)
    voices = open_corpus("voices")
    few = replace(voices, clips=voices.clips[::5])  # of the corpus of the page, so that this takes a minute
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        patch.setattr(catalogue, "open_corpus", lambda _: few)
        small = replace(METHOD, presets={**METHOD.presets, "quick": settings})
        patch.setitem(METHODS.plugins, "codebook", replace(METHODS.plugin("codebook"), value=small))
        patch.setattr(budgets, "EFFORTS", {"quick": effort})
        patch.chdir(folder)
        for line in COMMANDS:
            _run(line.replace(PORT, port), patch, stack)
        yield folder


def _run(line: str, patch: pytest.MonkeyPatch, stack: contextlib.ExitStack) -> None:
    words = shlex.split(line)
    if words[0] == "sottovoce":
        patch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        assert not stopped.value.code, line
    elif words[-1] == "&":
        process = subprocess.Popen([sys.executable, *words[1:-1]], stdout=subprocess.DEVNULL)
        stack.callback(process.kill)
        time.sleep(3.0)
    else:
        environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
        subprocess.run([sys.executable, *words[1:]], check=True, env=environment, capture_output=True)


@pytest.mark.parametrize("name", ["", "-function", "-http"])
def test_the_page_leads_to_a_saved_and_audited_filter(place, name):
    card = json.loads((place / f"filter{name}" / "card.json").read_text())
    assert card["permit"] == ["gender"] and card["classes"] == {"gender": ["female", "male"]}
    results = json.loads((place / f"audit{name}" / "results.json").read_text())
    assert verify(place / f"audit{name}") == []
    assert results["targets"] == card["targets"], "the same recogniser, which the filter holds or the command names"
    permitted = results["permitted"]["gender"]
    assert permitted["original"]["score"] > 0.9
    assert permitted["obfuscated"]["score"] > 0.6, "of few recordings, by a student of few steps; chance is 0.5"
    assert "speaker" in results["private"]


def test_only_a_file_is_kept_in_the_filter(place):
    assert (place / "filter" / "targets" / "gender" / "target.onnx").is_file()
    assert not list(place.glob("filter-*/targets"))
