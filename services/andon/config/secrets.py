"""Secrets are never written in the configuration: it names where they are, `env:NAME` or `file:/path`."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, GetCoreSchemaHandler, SecretStr
from pydantic_core import CoreSchema, core_schema

# A file that was written this short a time ago may be written again with the same time and size.
_SETTLED_S = 2.0


class SecretMissing(Exception):  # noqa: N818 - names a state of the machine, read by people
    """The named environment variable or file is not there; the text says which."""


class SecretRef:
    """A reference to a secret. Only the reference is ever shown, logged or published.

    A `file:` is looked at again at every use, and read when it is another one than before (its inode, size or times),
    so a rotation needs no restart; during one it may hold two lines, the new value first: `values()` gives both,
    `reveal()` the first, each without the blanks around it.
    """

    __slots__ = ("_read", "_seen", "reference")

    def __init__(self, reference: str) -> None:
        scheme, _, name = reference.partition(":")
        if scheme not in ("env", "file") or not name:
            raise ValueError("a secret is written as env:NAME or file:/path, never as its value")
        self.reference = reference
        self._seen: tuple[int, ...] = ()
        self._read: tuple[SecretStr, ...] = ()

    def values(self) -> tuple[SecretStr, ...]:
        """Every value valid now. Raises SecretMissing."""
        scheme, _, name = self.reference.partition(":")
        if scheme == "env":
            if not os.environ.get(name):
                raise SecretMissing(f"the environment variable {name} is not set")
            return (SecretStr(os.environ[name]),)
        try:
            stat = os.stat(name)
            seen = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
            if seen != self._seen:
                self._read = _values(name)
                settled = abs(time.time() - max(stat.st_mtime, stat.st_ctime)) > _SETTLED_S
                self._seen = seen if settled else ()
        except OSError as error:
            self._seen = ()
            raise SecretMissing(f"the secret file {name} cannot be read ({error.strerror})") from None
        except UnicodeDecodeError:
            self._seen = ()
            raise SecretMissing(f"the secret file {name} is not written in UTF-8") from None
        return self._read

    def reveal(self) -> str:
        """The current value. Raises SecretMissing."""
        return self.values()[0].get_secret_value()

    def __repr__(self) -> str:
        return f"SecretRef({self.reference!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretRef) and other.reference == self.reference

    def __hash__(self) -> int:
        return hash(self.reference)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        def parse(value: Any) -> SecretRef:
            if isinstance(value, SecretRef):
                return value
            if not isinstance(value, str):
                raise ValueError("a secret is written as env:NAME or file:/path")
            return cls(value)

        return core_schema.no_info_plain_validator_function(
            parse, serialization=core_schema.plain_serializer_function_ser_schema(lambda ref: ref.reference)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, _handler: Any) -> dict[str, Any]:
        return {"type": "string", "pattern": "^(env|file):.+"}


def _values(name: str) -> tuple[SecretStr, ...]:
    lines = [line.strip() for line in Path(name).read_text(encoding="utf-8-sig").split("\n") if line.strip()]
    if not lines:
        raise SecretMissing(f"the secret file {name} is empty")
    return tuple(SecretStr(line) for line in lines[:2])


def _pem(text: str) -> str:
    if text.startswith("env:"):
        raise ValueError("a certificate or a key is a file; write file:/path")
    if "-----BEGIN" in text:
        raise ValueError("a certificate or a key is named, never written; write file:/path")
    return text.removeprefix("file:")


PemFile = Annotated[str, AfterValidator(_pem)]
"""The path of a file in PEM form, written with or without `file:`."""
