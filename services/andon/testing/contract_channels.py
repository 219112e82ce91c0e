"""The contract of every channel, as laws that a channel keeps or breaks.

    for law in LAWS: run(law, MyChannel)

needs only the channel's class with its nested `Config` and its `specimen` (core.specimen). Each law drives the
channel against a vendor faked on the level of bytes and raises ContractBroken.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from andon.core.failure import Failure, Rejected, Retryable
from andon.core.ports import Content, KeyedChannel, Recalls, Receipt
from andon.core.reason import Reason
from andon.egress.judge import problems
from andon.egress.structure import Structure, needs_file
from andon.testing.rig import ChannelRig, ContractBroken, channel_rig, expect, expect_limits, expect_refused
from andon.testing.standstill import LONGEST, LOOKS, blocks
from andon.testing.vendor import (
    GATEWAY,
    NOTHING_SAID,
    Behaviour,
    FakeVendor,
    answers,
    drips,
    floods,
    hangs,
    resets,
    sends,
)

Law = Callable[[ChannelRig], Awaitable[None]]
LAWS: dict[str, Law] = {}

_SECONDS = 30.0
_WORD = re.compile(r"\bw\d{5}\b")
_STATUSES = (301, 302, 400, 401, 403, 404, 407, 408, 413, 429, 500, 502, 503, 504)
_TEXTS = (
    "",
    "短",
    "a" * 5_000,
    "冲压机 7 停机。请检查！\n" * 400,
    "👩‍🔧🇨🇳é" * 600,
    "\n" * 5_000,
    "x " * 3_000,
    "汉" * 4_100,
)


def law(function: Law) -> Law:
    """Adds a law under its own name."""
    LAWS[function.__name__] = function
    return function


def run(name: str, channel_type: type[Any]) -> None:
    """Holds `channel_type` to one law. Raises ContractBroken."""

    async def scene() -> None:
        async with asyncio.timeout(_SECONDS), channel_rig(channel_type) as rig:
            await LAWS[name](rig)

    asyncio.run(scene())


@law
async def configuration_tells_the_desk_its_limits(rig: ChannelRig) -> None:
    again: Any = rig.config_type.model_validate(rig.options)
    expect_limits(rig.limits, again, rig.specimen.secret)


@law
async def configuration_refuses_unknown_keys(rig: ChannelRig) -> None:
    expect_refused(rig.config_type, {**rig.options, "nonsense": 1}, "an unknown key is refused")


@law
async def parts_joined_equal_the_text(rig: ChannelRig) -> None:
    for kind, limit in rig.specimen.kinds.items():
        for text in (*_TEXTS, *("汉" * (limit // 3) + "a" * (limit % 3 + more) for more in (0, 1))):
            parts = _parts(rig, kind, text)
            if parts is None:
                continue
            joined = "".join(unnumbered([part.text for part in parts]))
            expect(joined == text, f"the parts of {kind}, without their numbers, joined equal it byte for byte")
            expect(parts and (not text or all(part.text for part in parts)), "there is a part, and none is empty")
            expect(all(part.kind == kind for part in parts), "a part has the kind of the whole")
            expect(
                all(len(part.text.encode()) <= limit for part in parts), f"a part of {kind} has {limit} bytes at most"
            )


@law
async def marked_up_text_loses_nothing_in_parts(rig: ChannelRig) -> None:
    for kind, limit in rig.specimen.kinds.items():
        text = _marked_up(limit)
        parts = _parts(rig, kind, text)
        if parts is None:
            continue
        said = _WORD.findall(" ".join(unnumbered([part.text for part in parts])))
        expect(said == _WORD.findall(text), f"every word of a {kind} is in its parts, once and in order")
        expect(all(len(part.text.encode()) <= limit for part in parts), f"a part of {kind} has {limit} bytes at most")


@law
async def tail_ends_every_part(rig: ChannelRig) -> None:
    tail = "\n组长 · 3f2a9c1e"
    for kind, limit in rig.specimen.kinds.items():
        for text in ("短", *(() if rig.specimen.whole else ("冲压机 7 停机。" * (limit // 9),))):
            texts = [part.text for part in rig.channel.split(Content(kind, text), tail)]
            expect(all(one.endswith(tail) for one in texts), f"every part of a {kind} ends with its tail")
            expect(all(len(one.encode()) <= limit for one in texts), f"a part of {kind} has {limit} bytes at most")
            said = "".join(unnumbered([one.removesuffix(tail) for one in texts]))
            expect(said == text, f"the parts of {kind} without their tails are the whole")


@law
async def unknown_kind_is_rejected_before_any_call(rig: ChannelRig) -> None:
    expect(isinstance(await rig.send(rig.call(kind="nonsense")), Rejected), "an unknown kind is Rejected")
    expect(not rig.vendor.heard, "an unknown kind makes no call")


@law
async def unknown_kind_breaks_no_split(rig: ChannelRig) -> None:
    try:
        rig.channel.split(Content("nonsense", "text"))
    except Rejected:
        return
    except Exception as error:
        raise ContractBroken(f"split raises only Rejected, not {type(error).__name__}") from error


@law
async def good_answer_gives_a_receipt_per_recipient(rig: ChannelRig) -> None:
    for recipients in (("one",), ("one", "two", "three")):
        result = await rig.send(rig.call(recipients=recipients))
        if isinstance(result, Failure):
            raise ContractBroken(f"a good answer is no failure: {result}")
        expect(all(isinstance(receipt, Receipt) and receipt.failed is None for receipt in result), "receipts are given")
        expect(tuple(receipt.recipient for receipt in result) == recipients, "there is a receipt for each recipient")


@law
async def everybody_named_is_in_what_is_sent(rig: ChannelRig) -> None:
    for count in sorted({min(count, rig.specimen.recipients) for count in (1, 3, 1_000)} - {0}):
        names = tuple(f"name-{number:04}" for number in range(count))
        result = await rig.send(rig.call(recipients=names, named=True))
        if isinstance(result, Failure):
            raise ContractBroken(f"a call to {count} recipients is sent: {result}")
        expect(tuple(receipt.recipient for receipt in result) == names, "there is a receipt for each recipient")
        heard = rig.vendor.heard[-1]
        said = "\n".join((heard.target, *heard.headers.values(), *_strings(heard.body)))
        missed = [name for name in names if name not in said]
        expect(not missed, f"of {count} recipients the vendor is not told of {len(missed)}")


@law
async def whole_text_is_sent(rig: ChannelRig) -> None:
    for kind, limit in rig.specimen.kinds.items():
        text = ("汉" * limit)[: limit // 3] + "z" * (limit % 3)
        await rig.send(rig.call(text, kind))
        expect(text in _strings(rig.vendor.heard[-1].body), f"a {kind} of {limit} bytes is sent whole")


@law
async def kinds_are_told_apart(rig: ChannelRig) -> None:
    for kind in rig.specimen.kinds:
        await rig.send(rig.call("**x**", kind))
    said = {(heard.target, heard.headers.get("content-type"), heard.body) for heard in rig.vendor.heard}
    expect(len(said) == len(rig.specimen.kinds), "the vendor is told the kind of the text")


@law
async def one_call_is_one_request(rig: ChannelRig) -> None:
    replies = (rig.specimen.accepted, *rig.specimen.refused, *rig.specimen.throttled)
    behaviours = [*(rig.answer(reply) for reply in replies), answers(503, GATEWAY), resets()]
    for count, behave in enumerate(behaviours, 1):
        rig.vendor.behave = behave
        await rig.send()
        expect(len(rig.vendor.heard) == count, "a channel makes one request and leaves the next to the desk")


@law
async def body_decides_under_http_200(rig: ChannelRig) -> None:
    for reply in (*rig.specimen.refused, *rig.specimen.throttled):
        await _fails(rig, rig.answer(reply), f"HTTP {rig.specimen.status} with a refusal in the body is no success")


@law
async def refusal_is_final(rig: ChannelRig) -> None:
    for reply in rig.specimen.refused:
        failure = await _fails(rig, rig.answer(reply), "a refused call is no success")
        expect(isinstance(failure, Rejected), f"what will never succeed as it is, is not tried for ever: {failure}")


@law
async def throttle_is_retryable(rig: ChannelRig) -> None:
    for reply in rig.specimen.throttled:
        failure = await _fails(rig, rig.answer(reply), "a throttled call is no success")
        expect(isinstance(failure, Retryable), f"a throttled call may be tried later: {failure}")
        expect(not getattr(failure, "ambiguous", False), "a throttled call had no effect")


@law
async def no_status_makes_a_success_of_a_foreign_answer(rig: ChannelRig) -> None:
    for body in () if rig.specimen.by_status else NOTHING_SAID:
        await _fails(rig, rig.answer(body), f"silence is not success: HTTP {rig.specimen.status} with {body!r}")
    for status in _STATUSES:
        for body in (GATEWAY, b"", rig.specimen.accepted, *rig.specimen.refused):
            await _fails(rig, answers(status, body), f"HTTP {status} is no success")


@law
async def unjudged_answer_is_ambiguous(rig: ChannelRig) -> None:
    behaviours = [resets(), sends(b"", close=True), answers(502, GATEWAY)]
    for behave in behaviours if rig.specimen.by_status else [*behaviours, rig.answer(GATEWAY)]:
        failure = await _fails(rig, behave, "a call without an answer is no success")
        expect(isinstance(failure, Retryable) and failure.ambiguous, f"it may have had its effect: {failure}")


@law
async def call_that_never_left_is_not_ambiguous(rig: ChannelRig) -> None:
    await rig.vendor.stop()
    failure = await rig.send()
    expect(isinstance(failure, Retryable) and not failure.ambiguous, f"nothing was sent: {failure}")


@law
async def redirect_is_not_followed(rig: ChannelRig) -> None:
    async with FakeVendor(rig.answer(rig.specimen.accepted)) as other:
        for status in (301, 302, 303, 307, 308):
            redirect = answers(status, b"", {"Location": other.url + "/elsewhere"})
            await _fails(rig, redirect, f"HTTP {status} is no success")
        expect(not other.heard, "a redirect is not followed: it would carry the secret elsewhere")


@law
async def deadline_is_kept(rig: ChannelRig) -> None:
    for behave in (hangs(), drips(rig.specimen.accepted or b"accepted", 0.2, rig.specimen.status)):
        rig.vendor.behave = behave
        failure = await rig.send(rig.call(deadline=0.25))
        expect(isinstance(failure, Retryable) and failure.ambiguous, f"a call past its deadline is unknown: {failure}")


@law
async def token_is_fetched_once_for_many_calls(rig: ChannelRig) -> None:
    for _ in range(3):
        await asyncio.gather(*(rig.send() for _ in range(4)))
    fetched = len(rig.vendor.beside)
    expect(fetched == len(rig.specimen.aside), f"what is asked beside the notice is asked once, not {fetched} times")


@law
async def sending_leaves_the_event_loop_to_others(rig: ChannelRig) -> None:
    expect(not await blocks(rig.send), f"each of {LOOKS} calls kept the event loop to itself for {LONGEST * 1000:g} ms")


@law
async def cancellation_ends_the_call(rig: ChannelRig) -> None:
    rig.vendor.behave = hangs()
    task = asyncio.ensure_future(rig.channel.send(rig.call()))
    async with asyncio.timeout(_SECONDS):
        await rig.vendor.called.wait()
    task.cancel()
    await asyncio.wait({task}, timeout=1)
    if task.done() and not task.cancelled():
        task.exception()  # taken note of: asyncio would tell of it whenever the task is collected
    expect(task.cancelled(), "a cancelled call ends at once, as cancelled")
    expect(await _left(rig), "a cancelled call leaves the vendor")


@law
async def huge_answer_is_not_read_to_its_end(rig: ChannelRig) -> None:
    await _fails(rig, floods(256 << 20), "an answer without end is no success")
    expect(await _left(rig), "an answer without end is left, not read")


@law
async def calls_at_the_same_time_do_not_mix(rig: ChannelRig) -> None:
    names = [f"name-{number}" for number in range(32)]
    results = await asyncio.gather(*(rig.send(rig.call(f"text of {name}", recipients=(name,))) for name in names))
    for name, result in zip(names, results, strict=True):
        mine = not isinstance(result, Failure) and [receipt.recipient for receipt in result] == [name]
        expect(mine, "a call's receipts are its own")
    texts = [text for heard in rig.vendor.heard for text in _strings(heard.body) if text.startswith("text of ")]
    # Whoever calls people by name has their names behind it.
    said = sorted(next(iter(text.splitlines())) for text in texts)
    expect(said == sorted(f"text of {name}" for name in names), "each text is sent once")


@law
async def secret_is_never_shown(rig: ChannelRig) -> None:
    shown = [repr(rig.channel), str(rig.channel), repr(rig.config), str(rig.config), rig.config.model_dump_json()]
    bodies = (*rig.specimen.refused, *rig.specimen.throttled)
    secret, statuses = rig.specimen.secret, (rig.specimen.status, 500)
    behaviours: list[Behaviour] = [rig.answer(rig.specimen.accepted), resets(), answers(302, b"", {"Location": "/x"})]
    behaviours += [answers(status, _echo(body, secret)) for body in bodies for status in statuses]
    behaviours += [answers(status, secret.encode()) for status in (400, 500)]
    behaviours += [answers(400, json.dumps(secret).encode()), sends(secret.encode() + b"\r\n\r\n", close=True)]
    for behave in behaviours:
        rig.vendor.behave = behave
        result = await rig.send()
        if isinstance(result, Failure):
            shown += [repr(result), str(result), result.detail, *traceback.format_exception(result)]
    shown += rig.logged
    for form in (secret, quote(secret, safe="")):
        expect(not any(form in text for text in shown), "a secret is in no repr, no exception and no log")


@law
async def repeat_is_known_by_its_key(rig: ChannelRig) -> None:
    if not isinstance(rig.channel, KeyedChannel):
        return
    keys = []
    for changes in ({}, {"line": 0, "deadline": 3.0}, {"part": 1}, {"part": 2}):
        one = rig.call(**changes)
        await rig.send(one)
        keys.append(rig.channel.repeat_key(one))
        heard = rig.vendor.heard[-1]
        told = (*heard.headers.values(), *_strings(heard.body))
        expect(keys[-1] in told, "the vendor is told the key")
    expect(keys[0] == keys[1], "two attempts at a part have one key")
    expect(len(set(keys)) == 3, "another part has another key")


@law
async def recall_is_judged_by_its_answer(rig: ChannelRig) -> None:
    if not isinstance(rig.channel, Recalls):
        return
    await rig.channel.recall("reference", rig.clock.now())
    expect("reference" in _strings(rig.vendor.heard[-1].body), "the vendor is told what to take back")
    bodies = (*rig.specimen.refused, *rig.specimen.throttled, *NOTHING_SAID)
    for behave in (*(rig.answer(body) for body in bodies), answers(502, GATEWAY), resets()):
        rig.vendor.behave = behave
        try:
            await rig.channel.recall("reference", rig.clock.now(), deadline=5.0)
        except (Retryable, Rejected):
            continue
        raise ContractBroken("what was not taken back is said to be")


@law
async def card_is_sent_whole(rig: ChannelRig) -> None:
    declared: Mapping[str, Structure] = getattr(rig.channel, "structures", {})
    without_file = {kind for kind, structure in declared.items() if not needs_file(structure.shape)}
    expect(set(rig.specimen.structured) == without_file, "the specimen shows every structured kind that needs no file")
    for kind, text in rig.specimen.structured.items():
        found = list(problems(declared[kind].shape, json.loads(text)))
        expect(not found, f"the specimen of {kind} is one: {found}")
        expect(tuple(rig.channel.split(Content(kind, text))) == (Content(kind, text),), f"a {kind} is never split")
        result = await rig.send(rig.call(text, kind))
        expect(not isinstance(result, Failure), f"a {kind} is sent: {result}")
        said = _strings(rig.vendor.heard[-1].body)
        expect(all(one in said for one in _leaves(json.loads(text))), f"everything in a {kind} is sent")


@law
async def close_may_be_called_twice(rig: ChannelRig) -> None:
    await rig.send()
    await rig.channel.close()
    await rig.channel.close()


def unnumbered(parts: Sequence[str]) -> list[str]:
    """The parts without (1/3), (2/3), … and the line end behind it, where every part has its own."""
    numbers = [f"({number}/{len(parts)})\n" for number in range(1, len(parts) + 1)]
    if len(parts) == 1 or not all(part.startswith(own) for part, own in zip(parts, numbers, strict=True)):
        return list(parts)
    return [part.removeprefix(own) for part, own in zip(parts, numbers, strict=True)]


def _marked_up(limit: int) -> str:
    """A text of about three parts with every construct that a cut may go through; each word stands once."""
    words = (f"w{number:05}" for number in itertools.count())

    def run(count: int) -> str:
        return " ".join(itertools.islice(words, count))

    text = ""
    while len(text) < 3 * limit:
        text += f"# {run(3)}\n**{run(30)}** 停机。`{run(4)}` [{run(9)}](https://mes.corp/x)\n\n> {run(20)}\n\n"
        text += f'```\n{run(9)}\n{run(9)}\n```\n<font color="info">{run(20)}</font>\n\n'
        text += f"| 甲 | 乙 |\n|---|---|\n| {run(5)} | **{run(5)}** |\n| {run(5)} | {run(5)} |\n\n"
    return text


def _parts(rig: ChannelRig, kind: str, text: str) -> Sequence[Content] | None:
    """The text in parts; None where the channel refuses, as it may, what it does not split."""
    try:
        return rig.channel.split(Content(kind, text))
    except Rejected as refusal:
        too_long = len(text.encode()) > rig.specimen.kinds[kind] and refusal.reason is Reason.TOO_LONG
        expect(rig.specimen.whole and too_long, "only what is too long is refused, and only where none is split")
        return None


async def _fails(rig: ChannelRig, behave: Behaviour, sentence: str) -> Failure:
    rig.vendor.behave = behave
    result = await rig.send()
    if isinstance(result, Failure):
        return result
    raise ContractBroken(sentence)


async def _left(rig: ChannelRig) -> bool:
    try:
        async with asyncio.timeout(1):
            return await rig.vendor.gone.wait()
    except TimeoutError:
        return False


def _echo(body: bytes, secret: str) -> bytes:
    """A refusal in which the vendor quotes our secret back, as vendors do with addresses."""
    try:
        return json.dumps(_quoting(json.loads(body), secret)).encode()
    except ValueError:
        return body + b" " + secret.encode()


def _quoting(value: Any, secret: str) -> Any:
    """The value with the secret behind every text in it."""
    match value:
        case str():
            return f"{value} {secret}"
        case dict():
            return {key: _quoting(one, secret) for key, one in value.items()}
        case list():
            return [_quoting(one, secret) for one in value]
        case _:
            return value


def _strings(body: bytes) -> list[str]:
    """Every text in a request body: of JSON the strings, else the whole."""
    try:
        value = json.loads(body)
    except ValueError:
        return [body.decode(errors="replace")]
    return list(_leaves(value))


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _leaves(one)
