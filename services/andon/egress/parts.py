"""What of a rendered notice leaves in how many calls."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from andon.core.ports import Content
from andon.egress.judge import fits
from andon.egress.look import NO_ENDS, Ends
from andon.egress.receivers import Served
from andon.egress.structure import Structure, marked

_MARKDOWN = "markdown"
_FIRST = re.compile(r"\(1/\d+\)\n")
# A longer one would leave little of a text before it, so such a text is told in parts.
_LONGEST_REST = 1_024


def parts(receiver: Served, content: Content, ends: Ends, *, marked: bool) -> tuple[Content, ...]:
    """The content as the channel wants it, with the mark of a possible repeat if wanted and if people read it; a card
    is one part. Raises Rejected as the channel does."""
    mark = receiver.look.words.repeat
    wholes = repeated(content, receiver.structures, mark) if marked and not receiver.programs else (content,)
    return tuple(part for whole in wholes for part in _fitted(receiver, whole, ends))


def _fitted(receiver: Served, content: Content, ends: Ends) -> Sequence[Content]:
    channel = receiver.channel
    if content.kind in receiver.structures or ends == NO_ENDS:
        return channel.split(content)
    whole = channel.split(content, ends.tail)
    if len(whole) == 1 or not 0 < len(ends.rest.encode()) <= _LONGEST_REST:
        return whole
    first = channel.split(content, ends.rest + ends.tail)[0]
    return (Content(first.kind, _FIRST.sub("", first.text, count=1)),)


def repeated(content: Content, structures: Mapping[str, Structure], mark: str) -> tuple[Content, ...]:
    """The content with the mark of a possible repeat where people see it: before a text, in a card's first words, or
    as a text of its own before what has no words. To change twice what was sent is to change it once."""
    structure = structures.get(content.kind)
    if structure is None:
        before = f"{mark}\n" if content.kind.startswith(_MARKDOWN) else mark
        return (Content(content.kind, before + content.text),)
    if not structure.notice:
        return (content,)
    value = msgspec.json.decode(content.text)
    if marked(structure, value, mark) and fits(structure, value):
        return (Content(content.kind, msgspec.json.encode(value).decode()),)
    return Content("text", mark), content
