"""One Kafka to a directory: its own lock file says whether another has it open."""

import fcntl
import os
import struct
import time

from andon.broker.errors import BrokerError
from andon.broker.layout import Layout

LETTING_GO_S = 5.0


def refuse_second_writer(layout: Layout) -> None:
    """Raises BrokerError if a Kafka that no record knows of has the topics open: its own lock file says so."""
    try:
        file = (layout.topics / ".lock").open("r+b")
    except FileNotFoundError:
        return
    with file:
        deadline = time.monotonic() + LETTING_GO_S
        while True:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError) as problem:
                # A killed process is gone from the list before its last thread has closed its files.
                if time.monotonic() < deadline:
                    time.sleep(0.02)
                    continue
                raise BrokerError(
                    f"A Kafka that was not started here{_owner(file.fileno())} uses {layout.topics}: stop it first."
                ) from problem
            return


def _owner(descriptor: int) -> str:
    """The process that holds a lock, where the system tells."""
    if not hasattr(os, "sched_getaffinity"):  # Linux; elsewhere the structure has another form
        return ""
    question = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    pid = struct.unpack("hhqqi4x", fcntl.fcntl(descriptor, fcntl.F_GETLK, question))[4]
    return f" (process {pid})" if pid else ""
