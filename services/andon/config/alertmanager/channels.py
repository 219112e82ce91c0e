"""The receivers of Alertmanager as receivers of andon.yaml. One with several integrations becomes several of ours."""

from __future__ import annotations

from andon.config.alertmanager.integrations import READERS
from andon.config.alertmanager.layout import Entry, flow
from andon.config.alertmanager.source import Part
from andon.config.alertmanager.variables import Variables, free

_HINT = "Andon tells by wecom_app, wecom_robot, dingtalk_robot, feishu_robot, smtp, webhook and kafka"


class Channels:
    """What the receivers became. `of` has the names of ours by the name there: none for one that tells nobody."""

    def __init__(self, root: Part, variables: Variables) -> None:
        self.channels: dict[str, Entry] = {}
        self.receivers: dict[str, Entry] = {}
        self.of: dict[str, tuple[str, ...]] = {}
        self._site = root["global"]
        self._variables = variables
        self._accounts: dict[str, str] = {}
        for part in root["receivers"].parts():
            name = part["name"].text()
            if not name or name in self.of:
                raise part["name"].wrong("must be a name of its own")
            self.of[name] = self._read(part, name)

    def left(self, part: Part, name: str, why: str) -> str:
        """A receiver that a person has to give a channel; until its variable is set, its notices wait."""
        url = self._variables.env(part, f"{name}_URL", f"an https address for `{name}`, for {why}")
        return self._receiver(name, name, {"kind": "webhook", "url": url}, {}, [f"{why}: put another channel here"])

    def _read(self, part: Part, name: str) -> tuple[str, ...]:
        found = [(kind, each) for kind, several in part.items() if kind != "name" for each in several.parts()]
        able = [(kind, each) for kind, each in found if kind in READERS]
        for kind, each in found:
            if kind not in READERS:
                rest = "was left out" if able else f"is a webhook without an address in {name}"
                each.note(f"`{kind}` has no equivalent and {rest}; name another channel: {_HINT}")
        if found and not able:
            return (self.left(part["name"], name, f"`{found[0][0]}` has no equivalent"),)
        kinds = [kind for kind, _ in able]
        return tuple(
            self._integration(kind, each, f"{name}-{READERS[kind].word}" if len(kinds) > 1 else name)
            for kind, each in able
        )

    def _integration(self, kind: str, part: Part, name: str) -> str:
        before = len(part.source.notes)
        reader = READERS[kind]
        own, channel, keys = reader.read(part, self._site, self._variables, name)
        if not part["send_resolved"].flag(reader.resolved):
            keys["send_resolved"] = False
        beside = [note.text for note in part.source.notes[before:]]
        return self._receiver(name, own, channel, keys, beside)

    def _receiver(
        self, name: str, account: str, channel: dict[str, object], keys: dict[str, object], beside: list[str]
    ) -> str:
        """Adds a receiver, and its channel unless that account has one already."""
        if flow(channel) not in self._accounts:
            self._accounts[flow(channel)] = kept = free(_name(account), self.channels)
            self.channels[kept] = Entry(channel)
        own = free(_name(name), self.receivers)
        self.receivers[own] = Entry({"channel": self._accounts[flow(channel)], **keys}, beside)
        return own


def _name(text: str) -> str:
    """The name as andon.yaml takes it."""
    plain = "".join(sign if sign.isprintable() and sign != "#" else "-" for sign in text).strip()
    return plain or "receiver"
