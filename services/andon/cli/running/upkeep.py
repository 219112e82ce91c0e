"""What `andon up` does with the cluster: prepares it, publishes, takes out members that are gone, counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from andon.cli.running.plan import Plan
    from andon.config.load import Loaded
    from andon.config.published import Published
    from andon.runtime.tally import Tally


async def prepare(plan: Plan) -> str | None:
    """Creates the topics and publishes the configuration, if it is another one than what is published and was not put
    aside by a rollback; returns a sentence about files that differ from what is in force."""
    from andon.runtime.bootstrap import prepare

    return _put_aside(plan.loaded, await prepare(plan.loaded, plan.bootstrap, anew=False))


async def publish(plan: Plan, loaded: Loaded) -> str:
    """Publishes a changed configuration; returns what came of it as a sentence."""
    from andon.kafka.errors import KafkaFailure
    from andon.runtime.bootstrap import prepare

    try:
        now = await prepare(loaded, plan.bootstrap, anew=False)
    except KafkaFailure as error:
        return f"{loaded.file} could not be published ({error}); save it again"
    return _put_aside(loaded, now) or f"{loaded.file} is in force as version {now.version}"


def _put_aside(loaded: Loaded, now: Published) -> str | None:
    from andon.config.published import content_digest

    if now.restores is None or now.digest == content_digest(loaded):
        return None
    return (
        f"version {now.version} is in force, which put the content of version {now.restores} back; {loaded.file} is "
        "older and was not published: change it, or run `andon apply`"
    )


def take_out(plan: Plan, service: str, slots: Sequence[int]) -> str:
    """Takes slots that are not to come back out of their group, for the others to serve their partitions at once;
    returns what came of it as a sentence."""
    from andon.kafka.connection import connection
    from andon.kafka.errors import KafkaFailure
    from andon.kafka.members import Members

    named = f"{service} {', '.join(map(str, slots))}"
    try:
        gone = Members(connection(plan.loaded.settings.kafka, plan.bootstrap)).remove(service, slots)
    except KafkaFailure as error:
        return f"{named} ran before and could not be taken out of its group ({error}): its partitions wait for 10 s"
    return f"{named} ran before: taken out of its group" if gone else f"{named} ran before, and has left its group"


def tally(plan: Plan) -> Tally:
    """The counts of everything in the topics, from their start in a demo and from now on elsewhere; of every id, if
    the run has an end, and so a summary that says what was lost."""
    from andon.kafka.connection import connection
    from andon.runtime.tally import Tally

    link = connection(plan.loaded.settings.kafka, plan.bootstrap)
    return Tally(link, from_start=plan.demo is not None, whole=plan.ends)
