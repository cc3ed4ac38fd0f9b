"""The signature of a record: whoever has the public key finds every file and every word that was changed."""

import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cryptography")
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sottovoce.audit import record, signing_keys, statement
from sottovoce.audit.signing_keys import private_key, public_key
from sottovoce.audit.statement import check_statement, predicate, write_statement
from sottovoce.errors import ConfigError, ModelError

RECORD = Path(__file__).parent / "schema-2"
PLAIN = form.NoEncryption()
P = 2**255 - 19


def pem(key: Any, encryption: Any = PLAIN, kind: Any = form.PrivateFormat.PKCS8) -> bytes:
    return key.private_bytes(form.Encoding.PEM, kind, encryption)


def public_pem(key: Any) -> bytes:
    return key.public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def folder(tmp_path) -> Path:
    """The record of a small audit, with the table that is written today."""
    shutil.copytree(RECORD, tmp_path / "out")
    found = record.read_results(tmp_path / "out")
    (tmp_path / "out" / "results.csv").write_text(record.csv_table(found), encoding="utf-8")
    return tmp_path / "out"


@pytest.fixture
def key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


@pytest.fixture
def signed(folder, key) -> Path:
    write_statement(folder, key)
    return folder


def wrong(folder: Path, key: Ed25519PrivateKey) -> list[str]:
    return list(check_statement(folder, key.public_key()).wrong)


def envelope(folder: Path) -> Any:
    return json.loads((folder / record.STATEMENT).read_text())


def change(folder: Path, **changed: Any) -> None:
    (folder / record.STATEMENT).write_text(json.dumps({**envelope(folder), **changed}))


def test_the_statement_is_of_the_forms_that_other_tools_read(signed, key):
    """By the words of the two specifications, written out here once more."""
    found = envelope(signed)
    assert found["payloadType"] == "application/vnd.in-toto+json" and {*found} == {
        "payload",
        "payloadType",
        "signatures",
    }
    payload = base64.b64decode(found["payload"])
    encoded = b" ".join([b"DSSEv1", b"28", b"application/vnd.in-toto+json", str(len(payload)).encode(), payload])
    key.public_key().verify(base64.b64decode(found["signatures"][0]["sig"]), encoded)
    stated = json.loads(payload)
    assert stated["_type"] == "https://in-toto.io/Statement/v1"
    assert stated["predicateType"].startswith("urn:uuid:")
    assert {subject["name"]: subject["digest"] for subject in stated["subject"]} == {
        name: {"sha256": record.file_sha256(signed / name)} for name in record.FILES
    }
    results = record.read_results(signed)
    told = stated["predicate"]
    assert told["lines"]["speaker"]["attackers"] == len(results.private["speaker"].attackers) > 0
    assert told["corpus"]["digest"] == results.corpus["digest"] and told["effort"] == results.attackers
    assert told["filter"]["digest"] == results.filter["digest"] and told["seed"] == results.seed


def test_a_signed_record_is_right(signed, key):
    found = check_statement(signed, key.public_key())
    assert not found.wrong and not found.notes and "signed with the key" in found.right[0]


def test_a_record_without_a_signature_is_found(folder, key):
    assert wrong(folder, key) == ["the record is not signed: there is no statement.intoto.json"]


@pytest.mark.parametrize("name", record.FILES)
def test_a_file_that_was_changed_is_found_although_all_digests_are_forged(signed, key, name):
    place = signed / name
    if name == "results.json":
        place.write_text(place.read_text().replace('"seed": 0', '"seed": 1'))
    else:
        place.write_bytes(place.read_bytes() + b"\n")
    record.write_digests(signed)
    found = wrong(signed, key)
    assert f"{name} is not the file that was signed" in found
    assert len(found) == (2 if name == "results.json" else 1), "and what it states of the seed differs"


def resigned(folder: Path, key: Ed25519PrivateKey, edit: Callable[[dict[str, Any]], Any]) -> None:
    """Sign another statement with the same key, as a careless auditor might."""
    stated = json.loads(base64.b64decode(envelope(folder)["payload"]))
    edit(stated)
    payload = json.dumps(stated).encode()
    sig = key.sign(b"DSSEv1 28 application/vnd.in-toto+json %d %b" % (len(payload), payload))
    change(
        folder, payload=base64.b64encode(payload).decode(), signatures=[{"sig": base64.urlsafe_b64encode(sig).decode()}]
    )


def test_either_alphabet_of_base64_is_read(signed, key):
    resigned(signed, key, lambda stated: None)
    assert wrong(signed, key) == []


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda s: s["subject"].pop(), "report.md was not signed"),
        (lambda s: s["subject"].append({"name": "x", "digest": {"sha256": "0"}}), "x was signed, and is no file"),
        (lambda s: s["predicate"].pop("effort"), "states another effort"),
        (lambda s: s["predicate"].update(effort="thorough"), "states another effort"),
        (lambda s: s["predicate"].update(praise="best"), "states another praise"),
        (lambda s: s["predicate"]["lines"]["speaker"].update(attackers=99), "states another lines"),
        (lambda s: s.update(predicate=None), "states nothing of the audit"),
    ],
)
def test_a_statement_about_something_else_is_found(signed, key, edit, said):
    resigned(signed, key, edit)
    assert any(said in sentence for sentence in wrong(signed, key))


@pytest.mark.parametrize(
    "edit",
    [
        lambda s: s.update(_type="https://in-toto.io/Statement/v0.1"),
        lambda s: s.update(predicateType="https://slsa.dev/provenance/v1"),
        lambda s: s.update(subject=7),
        lambda s: s.update(subject=[{"name": "results.json"}]),
        lambda s: s.update(subject=[{"name": [], "digest": {"sha256": ""}}]),
    ],
)
def test_a_statement_of_another_form_is_refused(signed, key, edit):
    resigned(signed, key, edit)
    with pytest.raises(ConfigError, match=r"expected|does not list"):
        wrong(signed, key)


def test_the_key_of_somebody_else_is_found(signed):
    (sentence,) = wrong(signed, Ed25519PrivateKey.generate())
    assert "not signed with this key" in sentence


def test_one_of_several_signatures_is_enough_and_the_others_are_named(signed, key):
    other = {"keyid": "", "sig": base64.b64encode(bytes(64)).decode()}
    own = envelope(signed)["signatures"][0]
    change(signed, signatures=[other, {**own, "keyid": "whoever"}])
    found = check_statement(signed, key.public_key())
    assert not found.wrong and found.notes == [
        "statement.intoto.json has 1 more signatures, which this key does not check"
    ]
    change(signed, signatures=[other, other])
    assert wrong(signed, key)


GARBAGE = {
    "nothing": b"",
    "no table": b"[]",
    "an empty table": b"{}",
    "a key twice": b'{"payload": "", "payload": "", "payloadType": "application/vnd.in-toto+json", "signatures": []}',
    "deep": b"[" * 100_000,
    "no text": b"\xff\xfe",
    "large": b'{"payload": "' + b"A" * (1 << 22) + b'"}',
}


@pytest.mark.parametrize("name", GARBAGE)
def test_what_is_no_envelope_is_refused(signed, key, name):
    (signed / record.STATEMENT).write_bytes(GARBAGE[name])
    with pytest.raises(ConfigError, match="no statement that can be read") as refused:
        wrong(signed, key)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "changed",
    [
        {"payload": 7},
        {"payload": "é"},
        {"payload": "A"},
        {"payloadType": "application/json"},
        {"payloadType": None},
        {"signatures": {}},
        {"signatures": []},
        {"signatures": [7]},
        {"signatures": [{}]},
        {"signatures": [{"sig": "?"}]},
        {"signatures": [{"sig": ""}] * 17},
    ],
    ids=str,
)
def test_a_damaged_envelope_is_refused(signed, key, changed):
    change(signed, **changed)
    with pytest.raises(ConfigError, match="no statement that can be read"):
        wrong(signed, key)


@pytest.mark.parametrize("sig", [b"", b"short", bytes(64), bytes(65)])
def test_a_signature_that_is_none_is_found(signed, key, sig):
    change(signed, signatures=[{"sig": base64.b64encode(sig).decode()}])
    assert "not signed with this key" in wrong(signed, key)[0]


# Keys

OTHERS = {
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "elliptic": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ed448": ed448.Ed448PrivateKey.generate,
    "x25519": x25519.X25519PrivateKey.generate,
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_key_of_another_kind_is_refused(tmp_path, name):
    key = OTHERS[name]()
    (tmp_path / "key").write_bytes(pem(key))
    (tmp_path / "pub").write_bytes(public_pem(key.public_key()))
    with pytest.raises(ConfigError, match=r"key of another kind .*; expected a private Ed25519 key in PEM"):
        private_key(tmp_path / "key", tmp_path / "out")
    with pytest.raises(ConfigError, match=r"key of another kind .*; expected a public Ed25519 key in PEM"):
        public_key(tmp_path / "pub", tmp_path / "out")


def private_content(key: Ed25519PrivateKey) -> dict[str, bytes]:
    openssh = pem(key, PLAIN, form.PrivateFormat.OpenSSH)
    raw = key.private_bytes(form.Encoding.Raw, form.PrivateFormat.Raw, PLAIN)
    return {
        "empty": b"", "words": b"my key", "raw": raw, "openssh": openssh, "public": public_pem(key.public_key()),
        "cut off": pem(key)[:60], "twice": b"-----BEGIN PRIVATE KEY-----\n" * 9,
    }  # fmt: skip


@pytest.mark.parametrize("name", private_content(Ed25519PrivateKey.generate()))
def test_what_is_no_private_key_is_refused_without_a_word_of_it(tmp_path, key, name):
    content = private_content(key)[name]
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(ConfigError, match=r"is no key that can be read; expected .*openssl genpkey") as refused:
        private_key(tmp_path / "key", tmp_path / "out")
    secret = "".join(pem(key).decode().splitlines()[1:-1])
    assert secret not in str(refused.value) and "\n" not in str(refused.value)


def test_an_encrypted_key_is_refused_with_what_to_do(tmp_path, key):
    (tmp_path / "key").write_bytes(pem(key, form.BestAvailableEncryption(b"secret")))
    with pytest.raises(ConfigError, match=r"is encrypted; .*openssl pkey -in key -out PLAIN"):
        private_key(tmp_path / "key", tmp_path / "out")


def test_a_key_that_would_be_passed_on_is_refused(tmp_path, key):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "key").write_bytes(pem(key))
    with pytest.raises(ConfigError, match="lies in the folder that will be passed on"):
        private_key(tmp_path / "out" / "key", tmp_path / "out")
    with pytest.raises(ConfigError, match="got a key itself") as refused:
        private_key(Path(pem(key).decode()), tmp_path / "out")
    assert len(str(refused.value)) < 200, "and it is not repeated"


def test_the_public_key_does_not_come_with_the_record(signed, key):
    (signed / "pub").write_bytes(public_pem(key.public_key()))
    with pytest.raises(ConfigError, match="came with the record"):
        public_key(signed / "pub", signed)


def test_a_private_key_is_not_needed_and_refused(tmp_path, key):
    (tmp_path / "key").write_bytes(pem(key))
    with pytest.raises(ConfigError, match=r"holds a private key; .*openssl pkey -in key -pubout"):
        public_key(tmp_path / "key", tmp_path / "out")


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    for read in (private_key, public_key):
        for place in (tmp_path, tmp_path / "nowhere"):
            with pytest.raises(ModelError):
                read(place, tmp_path / "out")


def small_orders() -> list[int]:
    """The y of every point of order 1, 2, 4 or 8, found by doubling: that of a point of order 8 doubles to y = 0."""
    d = -121665 * pow(121666, -1, P) % P

    def doubled(y: int) -> int | None:
        squared = (y * y - 1) * pow(d * y * y + 1, -1, P) % P  # x², by the equation of the curve
        # y of twice the point: (y² + x²) / (1 - d x² y²)
        return (y * y + squared) * pow(1 - d * squared * y * y, -1, P) % P

    assert all(doubled(doubled(doubled(y))) == 1 for y in signing_keys._SMALL_ORDER)
    return sorted(signing_keys._SMALL_ORDER)


@pytest.mark.parametrize("sign", [0, 1])
@pytest.mark.parametrize("y", [*small_orders(), P, P + 1])
def test_a_key_under_which_everybody_can_sign_is_refused(tmp_path, y, sign):
    key = Ed25519PublicKey.from_public_bytes((y | sign << 255).to_bytes(32, "little"))
    (tmp_path / "pub").write_bytes(public_pem(key))
    with pytest.raises(ConfigError, match="everybody can sign"):
        public_key(tmp_path / "pub", tmp_path / "out")


def test_such_a_signature_would_pass(tmp_path):
    """Why it has to be refused here: the library does not."""
    one = (1).to_bytes(32, "little")
    assert signing_keys.signed(Ed25519PublicKey.from_public_bytes(one), b"whatever", one + bytes(32))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_keys_of_openssl_are_read(folder, tmp_path):
    """As the documentation makes them."""
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", tmp_path / "key"], check=True)
    subprocess.run(["openssl", "pkey", "-in", tmp_path / "key", "-pubout", "-out", tmp_path / "pub"], check=True)
    write_statement(folder, private_key(tmp_path / "key", folder))
    assert not check_statement(folder, public_key(tmp_path / "pub", folder)).wrong


def test_what_is_stated_has_no_name_that_results_do_not_have(folder):
    assert {*predicate(record.read_results(folder))} >= {
        "corpus", "filter", "targets", "judges", "effort", "attackers", "lines", "seed", "versions", "date", "verdicts",
    }  # fmt: skip
    assert statement.STATEMENT == record.STATEMENT
