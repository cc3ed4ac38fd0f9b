"""A signed statement of an audit: an in-toto Statement (v1) about the files of its record, in a DSSE envelope.

Whoever has the public key can check it without a secret: https://github.com/in-toto/attestation and
https://github.com/secure-systems-lab/dsse describe the two forms.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sottovoce.audit import record
from sottovoce.audit.record import STATEMENT, Check
from sottovoce.audit.results import Results
from sottovoce.audit.signing_keys import key_id, signed
from sottovoce.errors import ConfigError, ModelError
from sottovoce.files import file_sha256, read_json, write_file

PREDICATE = "urn:uuid:4c011569-d999-4452-aa3c-db175962aaa6#sottovoce-audit-v1"
_TYPE = "https://in-toto.io/Statement/v1"
_PAYLOAD_TYPE = "application/vnd.in-toto+json"
_MOST_SIGNATURES = 16


def predicate(results: Results) -> dict[str, Any]:
    """What is stated of an audit: on what, by whom and how hard it was attacked, and what was concluded."""
    stated = results.model_dump(mode="json", by_alias=True)
    attributes = stated["private"]
    linkage = stated["linkage"] or {"linkers": [], "originals": []}
    return {
        **{key: stated[key] for key in ("sottovoce", "date", "seed", "valid", "names_shown", "scores", "versions")},
        "effort": stated["attackers"],
        "corpus": {key: stated["corpus"].get(key) for key in ("digest", "split", "split_seed", "clips", "test_clips")},
        "filter": {key: stated["filter"].get(key) for key in ("digest", "permit", "constant_blocks")},
        "targets": stated["targets"],
        "judges": {task: [judge["digest"] for judge in entry["judges"]] for task, entry in stated["permitted"].items()},
        "lines": {
            **{
                name: {"attackers": len(entry["attackers"]), "originals": len(entry["originals"])}
                for name, entry in attributes.items()
            },
            "linkage": {"attackers": len(linkage["linkers"]), "originals": len(linkage["originals"])},
            "continuous": {name: len(entry["estimators"]) for name, entry in stated["continuous"].items()},
        },
        "attackers": {
            name: [
                {**{key: row[key] for key in ("attacker", "knowledge", "input")}, "seeds": len(row["seeds"])}
                for row in entry["attackers"]
            ]
            for name, entry in attributes.items()
        },
        "verdicts": {name: entry["verdict"] for name, entry in attributes.items()},
    }


def write_statement(folder: Path, key: Ed25519PrivateKey) -> None:
    """Sign the record in a folder."""
    subjects = [{"name": name, "digest": {"sha256": digest}} for name, digest in _digests(folder).items()]
    stated = predicate(record.read_results(folder))
    statement = {"_type": _TYPE, "subject": subjects, "predicateType": PREDICATE, "predicate": stated}
    payload = json.dumps(statement).encode()
    signature = {"keyid": key_id(key.public_key()), "sig": _base64(key.sign(_encoded(_PAYLOAD_TYPE, payload)))}
    envelope = {"payload": _base64(payload), "payloadType": _PAYLOAD_TYPE, "signatures": [signature]}
    write_file(folder / STATEMENT, json.dumps(envelope, indent=1).encode())


def check_statement(folder: Path, key: Ed25519PublicKey) -> Check:
    """Whether the holder of `key` signed the record in a folder; ConfigError where what is there is no statement."""
    place = folder / STATEMENT
    if not place.exists():
        return Check(wrong=[f"the record is not signed: there is no {STATEMENT}"])
    payload, signatures = _opened(place)
    if not any(signed(key, _encoded(_PAYLOAD_TYPE, payload), signature) for signature in signatures):
        return Check(wrong=[f"{STATEMENT} was not signed with this key, or was changed afterwards"])
    stated = _json(payload, place)
    for name, expected in (("_type", _TYPE), ("predicateType", PREDICATE)):
        if stated.get(name) != expected:
            raise ConfigError(
                f"{place} has the {name} {str(stated.get(name))[:80]!r}; expected {expected}: verify it with the "
                "program that wrote it."
            )
    wrong = [*_other_files(folder, stated.get("subject")), *_other_words(folder, stated.get("predicate"))]
    others = len(signatures) - 1
    notes = [f"{STATEMENT} has {others} more signatures, which this key does not check"] if others else []
    return Check([] if wrong else [f"the record was signed with the key {key_id(key)[:16]}…"], wrong, notes)


def _other_files(folder: Path, subjects: Any) -> list[str]:
    """What differs between the files that were signed and those of the record."""
    try:
        named = {subject["name"]: subject["digest"]["sha256"] for subject in subjects}
    except (KeyError, TypeError) as error:
        raise ConfigError(f"{STATEMENT} does not list files with their sha256; sign the audit again.") from error
    now = _digests(folder)
    wrong = [f"{name} is not the file that was signed" for name in now if name in named and named[name] != now[name]]
    wrong += [f"{name} was not signed" for name in now if name not in named]
    return wrong + [f"{str(name)[:80]} was signed, and is no file of a record" for name in named if name not in now]


def _other_words(folder: Path, stated: Any) -> list[str]:
    """What differs between what was signed of the results and what results.json says."""
    now = json.loads(json.dumps(predicate(record.read_results(folder))))
    if not isinstance(stated, Mapping):
        return [f"{STATEMENT} states nothing of the audit"]
    different = [name for name in {**now, **stated} if name not in stated or stated[name] != now.get(name)]
    return [f"{STATEMENT} states another {name[:80]} than {record.RESULTS}" for name in different]


def _digests(folder: Path) -> dict[str, str]:
    return {name: file_sha256(folder / name) for name in record.FILES}


def _opened(place: Path) -> tuple[bytes, list[bytes]]:
    """The payload of a DSSE envelope and its signatures, of which none has been checked."""
    envelope = _json(place, place)
    listed = envelope.get("signatures")
    if not isinstance(listed, list) or not 1 <= len(listed) <= _MOST_SIGNATURES:
        raise _no_envelope(place, f"it has no list of 1 to {_MOST_SIGNATURES} signatures")
    if envelope.get("payloadType") != _PAYLOAD_TYPE:
        raise _no_envelope(place, f"its payloadType is {str(envelope.get('payloadType'))[:80]!r}")
    texts = [envelope.get("payload"), *(each.get("sig") if isinstance(each, dict) else None for each in listed)]
    try:
        # DSSE allows both alphabets of base64.
        payload, *signatures = [base64.b64decode(text.translate({45: 43, 95: 47}), validate=True) for text in texts]  # type: ignore[union-attr]
    except (AttributeError, ValueError, binascii.Error):
        raise _no_envelope(place, "its payload or a signature is no base64") from None
    return payload, signatures


def _json(source: Path | bytes, place: Path) -> dict[str, Any]:
    try:
        return read_json(source)
    except ModelError as error:
        raise _no_envelope(place, str(error).rstrip(".")) from error


def _no_envelope(place: Path, why: str) -> ConfigError:
    return ConfigError(
        f"{place} is no statement that can be read ({why}); expected the DSSE envelope that `sottovoce audit --sign` "
        "writes: get the record again."
    )


def _encoded(payload_type: str, payload: bytes) -> bytes:
    """What is signed, by the pre-authentication encoding of DSSE: the type and the payload, each after its length."""
    return b"DSSEv1 %d %b %d %b" % (len(payload_type), payload_type.encode(), len(payload), payload)


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
