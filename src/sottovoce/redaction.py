"""What may be shown to others of command lines, addresses and paths, and text that only shows what it says."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

REDACTED = "REDACTED"

_COMMAND = re.compile(r"((?:--?[\w-]+=)?command:)(.*)", re.DOTALL)
_PROGRAM = re.compile(r"[\w.+-]+")
_OPTION = re.compile(r"--[A-Za-z][A-Za-z0-9_-]*|-[A-Za-z]")
_SECRET_NAME = (
    r"(?:[\w-]*(?:api.?key|auth|bearer|cookie|credential|key|pass|pwd|secret|session|signature|token|user)[\w-]*"
    r"|-{0,2}sign)"
)
_SECRET_OPTION = re.compile(rf"--?{_SECRET_NAME}", re.IGNORECASE)
_SECRET_VALUE = re.compile(rf"({_SECRET_NAME}\s*[:=]\s*)\S.*", re.IGNORECASE | re.DOTALL)
_ENVIRONMENT = re.compile(r"([A-Z_][A-Z0-9_]*=).+", re.DOTALL)
_SCHEME = r"(?:[A-Za-z][A-Za-z0-9+.-]*://|(?<![A-Za-z0-9])(?i:https?|ftps?|wss?):(?=\S)[/\\]{0,2})"
# A comma may be part of an address; a comma before another address is not. In a word an address ends nowhere else, and
# in a sentence at a space, but for the marks before it.
_ADDRESS = re.compile(rf"{_SCHEME}(?:(?!,{_SCHEME}).)*", re.DOTALL)
_ADDRESS_IN_PROSE = re.compile(rf"{_SCHEME}\S*?(?=['\"),.:;>]*(?:\s|$)|,{_SCHEME})")
_HOST = re.compile(r"(?:\[[\da-fA-F:.]*\]|[\w.-]*)(?::\d+)?")
_USER = re.compile(r"[^\s/@,=]+@(?=[\w.-])")
_SECRET_LOOKING = re.compile(
    r"\beyJ[\w.-]{8,}|\b(?:sk|pk|hf|gh[a-z]|glpat|xox[a-z])[-_][\w-]{8,}|\bAKIA\w{12,}"
    r"|\b(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{24,}\b"
)
_PATH_IN_PROSE = re.compile(r"(?<![\w.])(?:~\w*|\.{1,2})?/[^\s'\",;:()]+|\b[A-Za-z]:\\[^\s'\",;:()]+")
_BEFORE_A_PATH = re.compile(r"((?:--?)?[\w.-]+=)?((?:[A-Za-z][\w+.-]+:)*)", re.DOTALL)

_JOINERS = "\u200c\u200d"  # letters of some scripts need them


def visible(text: str) -> str:
    """Text whose control characters, directions and halves of characters are written out, and do nothing."""
    if text.isprintable():
        return text
    return "".join(
        " " if letter in "\t\n\r" else letter if _shows_itself(letter) else f"\\u{ord(letter):04x}" for letter in text
    )


def command(words: Sequence[str]) -> str:
    """The words of a command line as one line, each as `word` shows it."""
    return " ".join(map(_quoted, _shown(words)))


def word(text: str, before: str = "") -> str:
    """One word of a command line, which stands after the word `before`: an option, a path, an address, a system.

    Of a path the last part stays, of an address the scheme, host and port, and of a command of somebody else the
    program, the names of options, {in} and {out}. What follows the name of a secret, or is assigned to a variable of
    the environment, is left out.
    """
    if _SECRET_OPTION.fullmatch(before) and not text.startswith("--"):
        return REDACTED
    if match := _COMMAND.fullmatch(text):
        return match[1] + _outside(match[2])
    for assignment in (_SECRET_VALUE, _ENVIRONMENT):
        if match := assignment.fullmatch(text):
            return match[1] + REDACTED
    return _each(_ADDRESS, text, lambda rest: _without_secrets(",".join(map(_last_part, rest.split(",")))))


def prose(text: str) -> str:
    """A sentence, such as the message of an error, whose addresses and paths are shown as `word` shows them."""
    return _each(
        _ADDRESS_IN_PROSE,
        text,
        lambda rest: _without_secrets(_PATH_IN_PROSE.sub(lambda path: _last_part(path[0]), rest)),
    )


def is_address(text: str) -> bool:
    """Whether text begins as an address does, of whatever scheme."""
    return re.match(_SCHEME, text) is not None


def address(text: str, with_path: bool = False) -> str:
    """The scheme, host and port of an address, with its path if asked: no user, parameters, query and fragment."""
    start = re.match(rf"(?:{_SCHEME}|//)?", text)
    assert start, "it may match nothing"
    authority, *after = re.split(r"(?=[/?#;\\\s])", text[start.end() :], maxsplit=1)
    if "@" in "".join(after):  # a password with a slash in it, or an at sign in a path
        return start[0] + REDACTED
    host = _HOST.match(authority.rpartition("@")[2])
    assert host, "it may match nothing"
    return start[0] + host[0] + (re.split(r"[?#;\\\s]", "".join(after))[0] if with_path else "")


def _shown(words: Sequence[str]) -> list[str]:
    return [word(each, before) for before, each in zip(["", *words], words, strict=False)]


def _shows_itself(letter: str) -> bool:
    category = unicodedata.category(letter)
    return letter in _JOINERS or (category[0] != "C" and category not in ("Zl", "Zp"))


def line(text: str) -> str:
    """A command line as `command` shows it; nothing of it where quotes are open, since its words are not known."""
    try:
        words = shlex.split(text)
    except ValueError:
        return REDACTED
    return text if _shown(words) == words else command(words)


def _quoted(text: str) -> str:
    """As a shell reads it; the places {in} and {out} need no quotes."""
    return text if shlex.quote(re.sub(r"[{}]", "", text) or "x") == re.sub(r"[{}]", "", text) else shlex.quote(text)


def _outside(text: str) -> str:
    """A command of somebody else: its program, the names of options without values, {in} and {out}, and no more."""
    try:
        words = shlex.split(text)
    except ValueError:
        return REDACTED
    # Before the program stand variables of the environment, which may have been redacted already.
    program = next((i for i, each in enumerate(words) if "=" not in each and each != REDACTED), len(words))
    shown = [REDACTED] * len(words)
    for i, each in enumerate(words):
        if i == program and _PROGRAM.fullmatch(name := _last_part(each)):
            shown[i] = _without_secrets(name)
        elif i > program and (option := _OPTION.match(each)):
            shown[i] = _without_secrets(option[0])
        elif each in ("{in}", "{out}"):
            shown[i] = each
    return text if shown == words else " ".join(map(_quoted, shown))


def _each(addresses: re.Pattern[str], text: str, change: Callable[[str], str]) -> str:
    """The text with its addresses redacted, and what stands between them changed."""
    parts, end = [], 0
    for match in addresses.finditer(text):
        parts += [change(text[end : match.start()]), _SECRET_LOOKING.sub(REDACTED, address(match[0]))]
        end = match.end()
    return "".join([*parts, change(text[end:])])


def _last_part(text: str) -> str:
    """A path, with whatever names its kind before it, reduced to its last part; the folder of a user to "~".

    What stands after a question mark or a semicolon may belong to an address without a scheme, and is left out.
    """
    text = re.split("[?;]", text)[0]
    match = _BEFORE_A_PATH.match(text)
    assert match, "it may match nothing"
    path = text[match.end() :]
    parts = [part for part in re.split(r"[/\\]", path) if part]
    if (path.startswith("~") and len(parts) == 1) or parts[-2:-1] in (["home"], ["Users"]) or _is_home(path):
        return f"{match[0]}~"
    return match[0] + (parts[-1] if parts and ("/" in path or "\\" in path) else path)


def _is_home(path: str) -> bool:
    try:
        return path.startswith("/") and Path(path) == Path.home()
    except RuntimeError:  # there is none
        return False


def _without_secrets(text: str) -> str:
    return _SECRET_LOOKING.sub(REDACTED, _USER.sub(f"{REDACTED}@", text))
