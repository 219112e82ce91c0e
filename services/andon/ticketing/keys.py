"""How the ticketing desk's open work is found by the keys of `andon.enriched`."""

from __future__ import annotations

from collections.abc import Mapping

from andon.core.event import Event
from andon.core.stored import Stored
from andon.core.work import memo_name
from andon.kafka.codecs import Json
from andon.ticketing.desk import Job
from andon.ticketing.episode import Episode


class EpisodeKeys:
    """The key is the subject: of an episode, that of the fault it began with; and a command goes with its episode
    (`store.moved.Keys`)."""

    domains = False

    def __init__(self) -> None:
        self._episodes = Json(Episode)
        self._jobs = Json(Job)
        self._events = Stored(Event)

    def of_item(self, domain: str, lane: str, body: bytes, memos: Mapping[str, bytes]) -> bytes:
        if memo := memos.get(memo_name(lane)) or memos.get(lane):
            return self.of_memo(memo)
        return self._events.decode(self._jobs.decode(body).event).subject.encode()

    def of_memo(self, body: bytes) -> bytes:
        return self._episodes.decode(body).subject.encode()
