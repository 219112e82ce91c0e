"""A channel under test, wired to a fake of its vendor."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from andon.core.failure import Rejected, Retryable
from andon.core.ports import Call, Channel, ChannelConfig, Context, NamesLines, Receipt
from andon.core.specimen import BASE, HIDDEN, REFERENCE, ChannelSpecimen
from andon.testing.builders import call
from andon.testing.clock import ManualClock
from andon.testing.vendor import Behaviour, FakeVendor, answers
from andon.web.wire import HttpWire

SECONDS = 3.0


class ContractBroken(AssertionError):  # noqa: N818 - the finding of a law, not an error of ours
    """A plug-in does not keep its contract; the text says which sentence of it, and how."""


def expect(kept: object, sentence: str) -> None:
    """Raises ContractBroken with `sentence` unless `kept` is true."""
    if not kept:
        raise ContractBroken(sentence)


def expect_refused(config_type: type[BaseModel], options: Mapping[str, Any], sentence: str) -> None:
    """Raises ContractBroken with `sentence` unless the configuration refuses these options."""
    try:
        config_type.model_validate(options)
    except ValidationError:
        return
    raise ContractBroken(sentence)


class ChannelRig:
    """A channel built from its own `specimen`, the vendor it talks to, and everything that was logged meanwhile."""

    def __init__(self, channel_type: type[Any], vendor: FakeVendor, wire: HttpWire, logged: list[str]) -> None:
        self.specimen: ChannelSpecimen = channel_type.specimen
        self.vendor = vendor
        self.logged = logged
        self.config_type: type[BaseModel] = channel_type.Config
        self.options = filled(dict(self.specimen.options), vendor.url)
        self.config: Any = self.config_type.model_validate(self.options)
        self.clock = ManualClock()
        self.channel: Channel = channel_type(self.config, Context("contract", Path(), self.clock, wire))

    @property
    def limits(self) -> ChannelConfig:
        """The configuration as the desk sees it."""
        found: ChannelConfig = self.config
        return found

    def call(self, text: str = "冲压机 7 停机", kind: str = "", **changes: Any) -> Call:
        """A call of the channel's first kind, unless another is named."""
        return call(text, kind or next(iter(self.specimen.kinds)), **changes)

    def answer(self, body: bytes) -> Behaviour:
        """The vendor's own answer with this body: under the status that its good ones have."""
        return answers(self.specimen.status, body)

    async def send(self, one: Call | None = None) -> Sequence[Receipt] | Retryable | Rejected:
        """What `send` returns or raises; anything but receipts, Retryable and Rejected breaks the contract, as does
        taking a second longer than the call's deadline or 3 s."""
        one = one or self.call()
        task = asyncio.ensure_future(self.channel.send(one))
        done, _ = await asyncio.wait({task}, timeout=min(one.deadline + 1, SECONDS))
        if not done:
            task.cancel()
            await asyncio.wait({task}, timeout=1)
        expect(done, f"a call ends within its deadline ({one.deadline:g} s)")
        expect(not task.cancelled(), "a call that nobody cancelled is not cancelled")
        error = task.exception()
        if error is None:
            return task.result()
        if not isinstance(error, Retryable | Rejected):
            raise ContractBroken(f"send raises only Retryable and Rejected, not {type(error).__name__}") from error
        return error


@asynccontextmanager
async def channel_rig(channel_type: type[Any]) -> AsyncIterator[ChannelRig]:
    """A rig whose vendor answers well; closes the channel at the end."""
    specimen: ChannelSpecimen = channel_type.specimen
    good = answers(specimen.status, specimen.accepted)
    async with faked(good, specimen.secret, specimen.aside) as (vendor, wire, logged):
        rig = ChannelRig(channel_type, vendor, wire, logged)
        try:
            yield rig
        finally:
            await rig.channel.close()


@asynccontextmanager
async def faked(
    behave: Behaviour, secret: str, aside: Mapping[str, bytes]
) -> AsyncIterator[tuple[FakeVendor, HttpWire, list[str]]]:
    """A vendor that does this, the wire to it, and everything that is logged meanwhile."""
    shown = {path: answer.replace(HIDDEN, secret.encode()) for path, answer in aside.items()}
    with _Log() as logged:
        async with FakeVendor(behave, shown) as vendor, wired(secret) as wire:
            yield vendor, wire, logged


@asynccontextmanager
async def wired(secret: str) -> AsyncIterator[HttpWire]:
    """A wire, while `REFERENCE` leads to this secret; the environment is as before at the end."""
    name = REFERENCE.removeprefix("env:")
    before = os.environ.get(name)
    os.environ[name] = secret
    wire = HttpWire()
    try:
        yield wire
    finally:
        await wire.close()
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


def expect_limits(config: ChannelConfig, again: ChannelConfig, secret: str) -> None:
    """What a channel's configuration tells the desk; `again` is made of the same options."""
    domain = config.limit_domain()
    expect(domain and domain == again.limit_domain(), "a limit domain is stable")
    expect(secret not in domain, "a limit domain names no secret")
    expect(all(limit.count > 0 and limit.period > 0 for limit in config.limits()), "limits are positive")
    expect(config.lines() >= 1, "a channel has a line")
    if isinstance(config, NamesLines) and isinstance(again, NamesLines):
        names = config.line_names()
        expect(len(set(names)) == config.lines(), "each line has a name of its own")
        expect(names == again.line_names(), "the names of lines are stable")
        expect(not any(secret in name for name in names), "the names of lines name no secret")


class _Log(logging.Handler):
    """Everything any logger says, as text, while entered."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))

    def __enter__(self) -> list[str]:
        self._level = logging.root.level
        logging.root.addHandler(self)
        logging.root.setLevel(logging.DEBUG)
        return self._lines

    def __exit__(self, *_exception: object) -> None:
        logging.root.removeHandler(self)
        logging.root.setLevel(self._level)


def filled(value: Any, base: str) -> Any:
    """Options of a specimen, with this address in place of `BASE`."""
    if isinstance(value, dict):
        return {key: filled(one, base) for key, one in value.items()}
    if isinstance(value, list):
        return [filled(one, base) for one in value]
    return value.replace(BASE, base) if isinstance(value, str) else value
