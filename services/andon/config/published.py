"""A configuration as it stands in the topic `andon.config`: settings, template texts, tables and mutes; who published
it, when and why.

Secrets stay references. Services read only this; the YAML reader is not imported for it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec
from pydantic import ValidationError

from andon.config.settings import Settings
from andon.core.mute import Mute
from andon.core.tables import NO_TABLES, Tables

if TYPE_CHECKING:
    from andon.config.load import Loaded

MAX_BUNDLE = 900 << 10
"""Bytes of a bundle: below 1 MiB, what Kafka takes in one record unless it is told otherwise."""


@dataclass(frozen=True)
class Published:
    """One version. `directory` is the folder relative tables are found in, `files` the template texts by name.

    `restores` is the version whose content this one has again, where no files but a rollback brought it.
    """

    version: int
    at: datetime
    author: str
    directory: str
    settings: Settings
    files: Mapping[str, str]
    tables: Tables = NO_TABLES
    reason: str = ""
    restores: int | None = None
    mutes: tuple[Mute, ...] = ()

    @property
    def digest(self) -> str:
        """Equal for equal content of the files, whatever its version, author and time, and whatever is muted."""
        return _digest(self.settings, self.directory, self.files, self.tables)


class _Bundle(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    version: int
    at: datetime
    author: str
    directory: str
    settings: dict[str, Any]
    files: dict[str, str]
    tables: Tables = NO_TABLES
    reason: str = ""
    restores: int | None = None
    mutes: tuple[Mute, ...] = ()


class _Mutes(msgspec.Struct, frozen=True):
    mutes: tuple[msgspec.Raw, ...] = ()


class BundleUnreadable(Exception):  # noqa: N818 - a state of the topic, read by people
    """The bytes are no bundle this version can read; the text says why and shows no content."""

    exit_code = 1


def published(loaded: Loaded, version: int, author: str, at: datetime, reason: str = "") -> Published:
    """The content of files as a version. Raises Invalid when they have a mistake."""
    directory = str(loaded.directory)
    return Published(version, at, author, directory, loaded.settings, dict(loaded.files), loaded.tables, reason)


def bundle(one: Published) -> bytes:
    """The record's value. Raises ValueError for a time without a zone."""
    if one.at.tzinfo is None:
        raise ValueError("the time of publication needs a zone")
    return msgspec.json.encode(
        _Bundle(
            one.version,
            one.at,
            one.author,
            one.directory,
            plain(one.settings),
            dict(one.files),
            one.tables,
            one.reason,
            one.restores,
            one.mutes,
        )
    )


def unpublished(loaded: Loaded) -> Published:
    """What would be published, as version 0: for whoever shows what it does. Raises Invalid."""
    return published(loaded, 0, "", datetime.now(UTC))


def unbundle(raw: bytes) -> Published:
    """What `bundle` made. Raises BundleUnreadable."""
    try:
        inner = msgspec.json.decode(raw, type=_Bundle)
        settings = Settings.model_validate(inner.settings)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BundleUnreadable(f"not a published configuration: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise BundleUnreadable(f"a published configuration of another format: {place}: {first['msg']}") from None
    return Published(
        inner.version,
        inner.at,
        inner.author,
        inner.directory,
        settings,
        inner.files,
        inner.tables,
        inner.reason,
        inner.restores,
        inner.mutes,
    )


def mutes_of(raw: bytes) -> tuple[tuple[Mute, ...], int]:
    """The mutes in what another Andon published, whose other content this one cannot read, and how many more there are
    that cannot be read either; none where it cannot be read at all."""
    try:
        every = msgspec.json.decode(raw, type=_Mutes).mutes
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return (), 0
    found: list[Mute] = []
    for one in every:
        with suppress(msgspec.MsgspecError, UnicodeDecodeError):
            found.append(msgspec.json.decode(one, type=Mute))
    return tuple(found), len(every) - len(found)


def content_digest(loaded: Loaded) -> str:
    """What `Published.digest` is after publishing: equal digests need no new version. Raises Invalid."""
    return _digest(loaded.settings, str(loaded.directory), loaded.files, loaded.tables)


def content_size(settings: Settings, files: Mapping[str, str], tables: Tables) -> int:
    """About the bytes a bundle of this content has."""
    return len(msgspec.json.encode((plain(settings), files, tables)))


def plain(settings: Settings, *, whole: bool = True) -> dict[str, Any]:
    """The settings as plain data under the names of the file; without `whole` only what is not the default."""
    return settings.model_dump(mode="json", by_alias=True, exclude_defaults=not whole)


def _digest(settings: Settings, directory: str, files: Mapping[str, str], tables: Tables) -> str:
    content = [plain(settings), directory, dict(files), msgspec.to_builtins(tables)]
    text = json.dumps(content, sort_keys=True, ensure_ascii=True)
    return sha256(text.encode()).hexdigest()
