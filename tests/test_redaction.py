"""What is shown of command lines, addresses and paths: nothing that is secret, and nobody's folder."""

import shlex
from pathlib import Path

import pytest

from sottovoce.redaction import command, prose, visible, word

AUDIT = "sottovoce audit"
SHOWN = {
    f"{AUDIT} filter --corpus ravdess:ravdess --out audit --max-leakage 0.05": None,
    f"{AUDIT} f --corpus csv:/home/berta/mine/clips.csv": f"{AUDIT} f --corpus csv:clips.csv",
    f"{AUDIT} f --corpus=fragments:csv:../berta/clips.csv": f"{AUDIT} f --corpus=fragments:csv:clips.csv",
    f"{AUDIT} f --corpus 'folder:/data/Berta Kunz/cleaned'": f"{AUDIT} f --corpus folder:cleaned",
    f"{AUDIT} f --corpus folder:/home/berta": f"{AUDIT} f --corpus folder:'~'",
    f"{AUDIT} f --corpus folder:/Users/berta/": f"{AUDIT} f --corpus folder:'~'",
    f"{AUDIT} f --out '~berta'": f"{AUDIT} f --out '~'",
    f"{AUDIT} f --corpus 'folder:C:\\Users\\berta\\x y'": f"{AUDIT} f --corpus 'folder:x y'",
    f"{AUDIT} f --target /home/berta/t,runs/u": f"{AUDIT} f --target t,u",
    f"{AUDIT} f --target http://berta:geheim@host:8080/ask?token=abc#x": f"{AUDIT} f --target http://host:8080",
    f"{AUDIT} f --target=https://berta@host/ask": f"{AUDIT} f --target=https://host",
    f"{AUDIT} f --target http://berta:ge,heim@host/a,/home/berta/t": f"{AUDIT} f --target http://host",
    f"{AUDIT} f --target runs/t,http://b:x@one/a,http://b:y@two/b": f"{AUDIT} f --target t,http://one,http://two",
    f"{AUDIT} f --target 'HTTP://host/a;geheim?x=geheim'": f"{AUDIT} f --target HTTP://host",
    f"{AUDIT} f --target http:127.0.0.1:80/geheim": f"{AUDIT} f --target http:127.0.0.1:80",
    f"{AUDIT} f --target ftp://berta@[::1]:21/geheim,geheim": f"{AUDIT} f --target ftp://[::1]:21",
    f"{AUDIT} f --target \"http://host/'a' geheim?x=<geheim>\"": f"{AUDIT} f --target http://host",
    f"{AUDIT} f --target 'localhost:80/ask?x=geheim'": f"{AUDIT} f --target localhost:ask",
    f"{AUDIT} f --target http://berta:ge/heim@host/a": f"{AUDIT} f --target http://REDACTED",
    f"{AUDIT} f --token geheim --json": f"{AUDIT} f --token REDACTED --json",
    f"{AUDIT} f --token=geheim": f"{AUDIT} f --token=REDACTED",
    f"{AUDIT} f --sign /keys/geheim.pem --json": f"{AUDIT} f --sign REDACTED --json",
    f"{AUDIT} f --sign=geheim.pem --design x": f"{AUDIT} f --sign=REDACTED --design x",
    f"{AUDIT} f --api-key geheim --PASSWORD geheim": f"{AUDIT} f --api-key REDACTED --PASSWORD REDACTED",
    f"{AUDIT} f --verbose-token --json": f"{AUDIT} f --verbose-token --json",
    f"{AUDIT} 'command:anonymise {{in}} {{out}}'": f"{AUDIT} 'command:anonymise {{in}} {{out}}'",
    f"{AUDIT} 'command:KEY=geheim /home/berta/bin/run -v {{in}} {{out}}'": (
        f"{AUDIT} 'command:REDACTED run -v {{in}} {{out}}'"
    ),
    f"{AUDIT} 'command:env api_token=geheim run {{in}} {{out}}'": (
        f"{AUDIT} 'command:env REDACTED REDACTED {{in}} {{out}}'"
    ),
    f"{AUDIT} 'command:curl -u berta:geheim -H \"X-Api-Key: geheim\" http://berta:geheim@host/ {{in}} {{out}}'": (
        f"{AUDIT} 'command:curl -u REDACTED -H REDACTED REDACTED {{in}} {{out}}'"
    ),
    f"{AUDIT} 'command:run -uberta:geheim -pgeheim --pin=geheim --key:geheim=1 geheim {{in}} {{out}}'": (
        f"{AUDIT} 'command:run -u -p --pin --key REDACTED {{in}} {{out}}'"
    ),
    f"{AUDIT} 'command:sh -c \"TOKEN=geheim run {{in}} {{out}}\"'": f"{AUDIT} 'command:sh -c REDACTED'",
    f"{AUDIT} 'command:scp berta:geheim@host:x {{in}} {{out}}'": f"{AUDIT} 'command:scp REDACTED {{in}} {{out}}'",
    f"{AUDIT} 'command:/opt/geheim/run --pin 1234 -- geheim|geheim {{in}} --to={{out}}'": (
        f"{AUDIT} 'command:run --pin REDACTED REDACTED REDACTED {{in}} --to'"
    ),
}


@pytest.mark.parametrize("line", SHOWN)
def test_a_command_line_is_shown_without_secrets_and_folders(line):
    shown = command(shlex.split(line))
    assert "geheim" not in shown
    assert "berta" not in shown.lower()
    assert shlex.split(shown) == shlex.split(SHOWN[line] or line)
    assert command(shlex.split(shown)) == shown, "what is shown may be shown again"


@pytest.mark.parametrize(
    "secret",
    ["hf_abcdefghijkl", "ghp_0123456789abcdef", "sk-proj-abcdefgh1234", "eyJhbGciOiJIUzI1NiJ9.e30.abc", "A1b2" * 8],
)
def test_what_looks_like_a_secret_is_not_shown_wherever_it_stands(secret):
    for text in (secret, f"--send={secret}", f"http://{secret}/ask", f"command:run {secret} {{in}} {{out}}"):
        assert secret not in word(text) and "REDACTED" in word(text)
    assert secret not in prose(f"it said {secret}.")


def test_an_open_quote_shows_nothing():
    assert word("command:run 'geheim {in}") == "command:REDACTED"


def test_the_folder_of_whoever_runs_it_is_not_shown_wherever_it_is(monkeypatch):
    monkeypatch.setenv("HOME", "/srv/berta")
    assert Path.home() == Path("/srv/berta")
    assert word("csv:/srv/berta") == "csv:~" and word("/srv/berta/x") == "x"


def test_a_sentence_keeps_its_words():
    said = "FileNotFoundError: /home/berta/model.onnx at http://berta:geheim@host/x?y=1 3/4 and float32 [T]"
    assert prose(said) == "FileNotFoundError: model.onnx at http://host 3/4 and float32 [T]"
    assert prose("'HTTP://host/it's?x=geheim' is away, http:host/geheim.") == "'HTTP://host' is away, http:host."


def test_visible_text_shows_what_it_says():
    assert visible("señor ☂ می‌خواهم 79\u202f%") == "señor ☂ می‌خواهم 79\u202f%"
    assert visible("a\x1b[31m\x00\u202eb\u2028\ud800\n\tc") == "a\\u001b[31m\\u0000\\u202eb\\u2028\\ud800  c"
