"""The access tokens of the stand-in of application messages, and the ban of who asks with a wrong secret."""

from __future__ import annotations

import os
from collections.abc import Mapping

from andon.dev.standin import Refusal

_WRONG_SECRETS = 5


class Tokens:
    """One app's token: one at a time, which `lasts` seconds. Five wrong secrets in a row shut everybody out for `ban`
    seconds. Methods raise Refusal."""

    def __init__(self, corp_id: str, secret: str, lasts: int, ban: float) -> None:
        self.secret = secret
        self.token = ""
        self.asked = 0
        self.made = 0
        self._corp_id = corp_id
        self._lasts = lasts
        self._ban = ban
        self._ends = 0.0
        self._wrong = 0
        self._banned_until = 0.0

    def revoke(self) -> None:
        """Takes the token back before its time, as the vendor may."""
        self.token = ""

    def granted(self, query: Mapping[str, str], now: float) -> dict[str, object]:
        """The answer to gettoken."""
        self.asked += 1
        if now < self._banned_until:
            raise Refusal(45009, "api freq out of limit")
        if not query.get("corpsecret"):
            raise Refusal(41004, "corpsecret missing")
        if query.get("corpid") != self._corp_id:
            raise Refusal(40013, "invalid corpid")
        if query["corpsecret"] != self.secret:
            self._wrong += 1
            if self._wrong >= _WRONG_SECRETS:
                self._banned_until, self._wrong = now + self._ban, 0
            raise Refusal(40001, "invalid credential")
        self._wrong = 0
        if not self.token or now >= self._ends:
            self.made += 1
            self.token, self._ends = f"token-{self.made}-{os.urandom(8).hex()}", now + self._lasts
        left = max(1, int(self._ends - now))
        return {"errcode": 0, "errmsg": "ok", "access_token": self.token, "expires_in": left}

    def require(self, query: Mapping[str, str], now: float) -> None:
        """Refuses a call whose token is not, or no longer, the one."""
        given = query.get("access_token")
        if not given:
            raise Refusal(41001, "access_token missing")
        if given != self.token:
            raise Refusal(40014, "invalid access_token")
        if now >= self._ends:
            raise Refusal(42001, "access_token expired")
