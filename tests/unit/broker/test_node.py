"""A node that runs already, or is just about to end. Processes are stand-ins."""

from pathlib import Path

import pytest

from andon.broker import BrokerError, archive, crash, disk, download, java, node, process, start, storage
from andon.broker.launch import Record
from andon.broker.layout import Layout


def record(data: Path, pid: int) -> Record:
    return Record(pid, "then", 8792, 9792, str(data), "4", "java", 0.0)


@pytest.mark.parametrize("ends", [True, False])
def test_one_that_had_been_told_to_end_is_started_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, ends: bool
) -> None:
    def wait(_layout: Layout, _record: Record) -> None:
        raise BrokerError("Kafka ended while it started")

    for module, name, stand_in in (
        (node, "alive", lambda layout: record(layout.data, 11)),
        (node, "wait", wait),
        (node, "launch", lambda layout, *_, **__: record(layout.data, 12)),
        (process, "started", lambda _: None if ends else "then"),
        (java, "find", lambda: None),
        (download, "fetch", lambda **_: ()),
        (archive, "options", lambda _: ()),
        (archive, "train_in_background", lambda *_, **__: None),
        (storage, "format_storage", lambda *_: None),
        (disk, "refuse_when_full", lambda _: None),
        (crash, "crashed", lambda _: False),
    ):
        monkeypatch.setattr(module, name, stand_in)
    if ends:
        assert start(tmp_path).pid == 12
    else:
        with pytest.raises(BrokerError, match="Kafka ended"):
            start(tmp_path)
