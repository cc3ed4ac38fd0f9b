"""README and the pages of docs/: their commands, code and links are right, and Sphinx builds them without a warning."""

import ast
import importlib
import itertools
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from sottovoce.cli import verbs  # noqa: F401  # importing it adds the verbs
from sottovoce.cli.shared import app

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
TEXT = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}
CLI = typer.main.get_command(app)
CONTEXT = typer.Context(CLI, info_name="sottovoce")
# What stands for a number in a command.
PLACEHOLDERS = {"HZ": "16000", "PORT": "8765"}


def blocks(text: str) -> list[tuple[str, str]]:
    """Language and content of every fenced or indented block of code."""
    fenced = re.findall(r"^```(\S*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^```.*?^```\n", "", text, flags=re.MULTILINE | re.DOTALL)
    indented = re.findall(r"(?:^|\n\n)((?: {4}.*\n(?:\n(?= {4}))?)+)", rest)
    return [*fenced, *(("", re.sub(r"^ {4}", "", block, flags=re.MULTILINE)) for block in indented)]


def commands(text: str) -> list[tuple[bool, list[str]]]:
    """The arguments of every `sottovoce ...`, and whether these are all: in a sentence some may be left out."""
    lines = [
        (True, line.removeprefix("$ "))
        for language, block in blocks(text)
        if language in ("", "bash", "console")
        for line in block.replace("\\\n", " ").splitlines()
    ]
    lines += [(False, line) for line in re.findall(r"`(sottovoce [^`]*)`", text)]
    found = []
    for whole, line in lines:
        began = re.search(r"(^|\| |\")sottovoce ", line)
        if "..." in line or not began:
            continue
        lexer = shlex.shlex(line[began.end() :].partition('"')[0], posix=True, punctuation_chars="|<>&;")
        lexer.whitespace_split, lexer.commenters = True, "#"
        words = itertools.takewhile(lambda word: word[0] not in "|<>&;", lexer)
        found.append((whole, [PLACEHOLDERS.get(word, word) for word in words]))
    return found


def parse(whole: bool, words: list[str]) -> None:
    """Parse the arguments as the program does, without running the command; a wrong one is an error."""
    command, context, left = CLI, CONTEXT, list(words)
    while hasattr(command, "commands") and not left[0].startswith("--"):
        _, command, left = command.resolve_command(context, left)
        context = typer.Context(command, info_name=command.name, parent=context)
        if not left and hasattr(command, "commands"):
            return  # `sottovoce filters`, in a sentence
    if whole:
        command.make_context(command.name, left, parent=context.parent)
    else:
        command.make_parser(context).parse_args(left)


@pytest.mark.parametrize(
    ("page", "whole", "words"), [(page, *one) for page, text in TEXT.items() for one in commands(text)], ids=str
)
def test_every_command_has_the_options_that_are_written(page, whole, words):
    parse(whole, words)


def test_a_wrong_command_would_be_found():
    text = "Use `sottovoce audit --attak x`.\n\n    sottovoce protekt a b   # why\n\n"
    text += "```console\n$ sottovoce audit a\n```\n"
    assert commands(text) == [
        (True, ["audit", "a"]),
        (True, ["protekt", "a", "b"]),
        (False, ["audit", "--attak", "x"]),
    ]
    for whole, words in [*commands(text), (True, ["protect", "a", "b", "--workers", "many"])]:
        with pytest.raises(typer.BadParameter.__mro__[2]):
            parse(whole, words)
    assert sum(len(commands(text)) for text in TEXT.values()) > 60


@pytest.mark.parametrize("page", TEXT)
def test_code_compiles_and_what_it_imports_exists(page):
    for language, block in blocks(TEXT[page]):
        if language != "python":
            continue
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Import | ast.ImportFrom) and "sottovoce" in ast.unparse(node):
                exec(compile(ast.unparse(node), page, "exec"), {})
            elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "sottovoce":
                assert hasattr(importlib.import_module("sottovoce"), node.attr), node.attr


@pytest.mark.parametrize("page", TEXT)
def test_every_link_leads_somewhere(page):
    text = re.sub(r"^```.*?^```\n", "", TEXT[page], flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}
            assert anchor in slugs, link


@pytest.mark.parametrize("page", TEXT)
def test_every_make_target_and_script_that_is_named_exists(page):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|^    |\$ )make ([a-z]+)", TEXT[page], re.MULTILINE)) <= targets
    for script in re.findall(r"\b(?:benchmarks|tests)/[\w/]+\.py", TEXT[page]):
        assert (ROOT / script).is_file(), script


def test_readme_is_short_and_its_limits_come_before_its_results():
    text = TEXT["README.md"]
    assert len(text.splitlines()) <= 160
    assert text.index("## Limits") < text.index("## Results") < text.index("## Five tasks")
    assert len(TEXT["RESULTS.md"].splitlines()) <= 60


def test_sphinx_builds_the_pages_without_a_warning_and_they_load_nothing_from_elsewhere(tmp_path):
    pytest.importorskip("furo")
    pytest.importorskip("myst_parser")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "docs", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = re.compile(
        r"""<(?:script|img|iframe|link)[^>]*\s(?:src|href)=["'](?:https?:)?//|@import|url\(["']?(?:https?:)?//"""
    )
    files = [file for file in tmp_path.rglob("*") if file.suffix in (".html", ".css")]
    assert len(files) > 20
    assert not [file.name for file in files if loaded.search(file.read_text(encoding="utf-8"))]
