"""A real issue tracker for the demo and the tests: Roundup (https://www.roundup-tracker.org), extra `demo`.

`python -m andon.dev.tracker --home DIR --port 8730 --password-env NAME` installs the classic template on SQLite in
DIR once, then serves it on loopback under /tracker/ until SIGTERM; its web page is the same address. The account is
`admin`, its password the value of the environment variable NAME, also when that value has changed since. No mail
leaves: it goes to `mail.log` in DIR.

The server runs as the user who starts it. Roundup refuses to do that for root unless told so by its own setting
`user`, which is what happens here: another account would need a home, and a virtual environment, whose parent
directories it may enter, and those of root are closed to it.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

HOST = "127.0.0.1"
USER = "admin"
_PASSWORD = "ANDON_TRACKER_PASSWORD"  # noqa: S105 - the variable's name
_PR_SET_PDEATHSIG = 1
# Basic authentication costs this work at every request; the default of 250,000 rounds would make each take 0.4 s.
_ROUNDS = "1000"


class TrackerFailed(Exception):  # noqa: N818 - says what happened, read by people
    """The tracker did not come up; the text says why."""


class Running:
    """A tracker process of our own. `url` ends in a slash and is its web page."""

    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        self._process = process
        self.url = url
        self.pid = process.pid

    def stop(self) -> None:
        """Ends the process and waits for it. May be called again."""
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def address(port: int) -> str:
    return f"http://{HOST}:{port}/tracker/"


def start_tracker(home: Path, port: int, password: str, *, within: float = 20.0) -> Running:
    """Starts the tracker in its own process and returns once it answers. Its data in `home` is kept over restarts.

    The process ends with the thread that called this (Linux). Raises TrackerFailed when it ends early, as it does when
    the port is taken, or does not answer `within` seconds.
    """
    home.mkdir(parents=True, exist_ok=True)
    log = home / "server.log"
    command = [sys.executable, "-m", "andon.dev.tracker", "--home", str(home), "--port", str(port)]
    with log.open("ab") as output:
        before = output.tell()
        process = subprocess.Popen(
            [*command, "--password-env", _PASSWORD],
            env={**os.environ, _PASSWORD: password},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    running = Running(process, address(port))
    deadline = time.monotonic() + within
    while _serving(port) not in (written := log.read_bytes()[before:].decode(errors="replace")):
        if process.poll() is not None:
            last = written.strip().rpartition("\n")[2]
            raise TrackerFailed(f"the issue tracker ended at its start: {last} (more in {log})")
        if time.monotonic() > deadline:
            running.stop()
            raise TrackerFailed(f"the issue tracker did not start within {within:g} s; see {log}")
        time.sleep(0.02)
    return running


def _serving(port: int) -> str:
    return f"issue tracker: serving {address(port)}\n"


def prepare(home: Path, port: int, password: str) -> None:
    """Makes the tracker in `home` if there is none, and brings its address and the password up to date."""
    from roundup import configuration, init, instance
    from roundup.admin import AdminTool
    from roundup.password import Password

    initialised = home / "db" / "initialised"
    if not initialised.exists():
        home.mkdir(parents=True, exist_ok=True)
        (home / "config.ini").unlink(missing_ok=True)
        settings = {
            "rdbms_backend": "sqlite",
            "tracker_web": address(port),
            "mail_domain": "plant.example",
            "mail_host": "localhost",
            "mail_debug": "mail.log",
            "password_pbkdf2_default_rounds": _ROUNDS,
        }
        init.install(str(home), AdminTool().listTemplates()["classic"]["path"], settings=settings)
        tracker = instance.open(str(home))
        if tracker.exists():
            tracker.nuke()
        tracker.init(Password(password, config=tracker.config))
        initialised.touch()
        return
    config = configuration.CoreConfig(str(home))
    if config["TRACKER_WEB"] != address(port):
        config["TRACKER_WEB"] = address(port)
        config.save()
    database = instance.open(str(home)).open(USER)
    try:
        account = database.user.lookup(USER)
        if database.user.get(account, "password") != password:
            database.user.set(account, password=Password(password, config=database.config))
            database.commit()
    finally:
        database.close()


def serve(home: Path, port: int) -> None:
    """Serves the prepared tracker on loopback; does not return. Requests are not logged. Raises OSError: port taken."""
    from roundup.scripts.roundup_server import RoundupRequestHandler, ServerConfig, TrackerHomeOption

    config = ServerConfig()
    config.add_option(TrackerHomeOption(config, "trackers", "tracker"))
    settings = {"HOST": HOST, "PORT": port, "MULTIPROCESS": "thread", "LOGHTTPVIALOGGER": "yes"}
    if os.getuid() == 0:
        settings["USER"] = "0"
    for name, value in {**settings, "TRACKERS_TRACKER": str(home)}.items():
        config[name] = value
    # Without this each answer on a kept-alive connection waits 40 ms for an acknowledgement.
    RoundupRequestHandler.disable_nagle_algorithm = True
    server = config.get_server()
    sys.stdout.write(_serving(port))
    sys.stdout.flush()
    server.serve_forever()


def _end_with_parent() -> None:
    """Asks Linux for a SIGTERM when the thread that started this process is gone; other systems have no such call."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m andon.dev.tracker", description="Runs a Roundup issue tracker.")
    parser.add_argument("--home", type=Path, required=True, help="directory of the tracker's files and data")
    parser.add_argument("--port", type=int, default=8730)
    parser.add_argument("--password-env", required=True, metavar="NAME", help="variable with the password of admin")
    options = parser.parse_args(arguments)
    _end_with_parent()
    password = os.environ.pop(options.password_env, "")
    if not password:
        return _say(f"the environment variable {options.password_env} is not set", 2)
    home = options.home.resolve()
    try:
        prepare(home, options.port, password)
        serve(home, options.port)
    except ModuleNotFoundError as error:
        return _say(f"the demo tracker needs the extra `demo`: pip install 'andon[demo]' ({error.name} is missing)", 1)
    except OSError as error:
        return _say(str(error), 1)
    return 0


def _say(sentence: str, code: int) -> int:
    sys.stderr.write(f"{sentence}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
