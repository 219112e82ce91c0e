"""Sends notices by Apprise and tells what it says of each: run in a process that has Apprise and nothing of Andon.

Reads {"url", "key", "notices": [[id, text], …]} as JSON from stdin and writes {id: true | false} to stdout. Its WeCom
robot has no setting for another address, so that is replaced by `url`; nothing else of it is touched. Each notice has
an Apprise of its own, as with its command: one object would wait 5.5 s after every notice.
"""

from __future__ import annotations

import json
import sys


def main() -> int:
    from apprise import Apprise  # type: ignore[import-not-found]
    from apprise.plugins.wecombot import NotifyWeComBot  # type: ignore[import-not-found]

    given = json.load(sys.stdin)
    NotifyWeComBot.notify_url = f"{given['url']}/cgi-bin/webhook/send?key={{key}}"
    said: dict[str, bool] = {}
    for name, text in given["notices"]:
        one = Apprise()
        one.add(f"wecombot://{given['key']}")
        said[name] = bool(one.notify(body=text))
    json.dump(said, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
