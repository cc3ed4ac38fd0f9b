"""The protection methods by name: those of this package, and those of other installed distributions.

A distribution offers one by an entry point of the group `sottovoce.methods` that names a `Method`.
"""

from __future__ import annotations

from typing import Any

from sottovoce.methods.adr.method import METHOD as ADR
from sottovoce.methods.codebook.method import METHOD as CODEBOOK
from sottovoce.methods.digits.method import METHOD as WORDS
from sottovoce.methods.method import Method
from sottovoce.methods.optin.method import METHOD as OPTIN
from sottovoce.methods.optin.method import RAW
from sottovoce.methods.rdal.method import METHOD as RDAL
from sottovoce.plugins import Registry

_OURS: tuple[Method[Any], ...] = (CODEBOOK, OPTIN, RAW, WORDS, RDAL, ADR)
METHODS = Registry(
    "methods", "method", {method.name: method for method in _OURS}, code=lambda method: method.train, base=Method
)
