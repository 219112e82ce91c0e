"""One application of one corp at WeCom: its access token, and the calls made with it (pages 91039 and 90313)."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping
from urllib.parse import quote, urlencode

from andon.config.secrets import SecretMissing, SecretRef
from andon.core.failure import Retryable
from andon.core.ports import Context
from andon.core.reason import Reason
from andon.egress.channels import wecom_app_codes as codes
from andon.egress.channels.wecom_app_codes import A
from andon.egress.tokens import Granted, Tokens
from andon.egress.vendors import JSON, Meaning, revealed

TOKEN_PATH = "/cgi-bin/gettoken"  # noqa: S105 - an address
_GOOD = (0,)
_NO_OTHER: Mapping[int, Meaning] = {}


class Account:
    """The app whose secret this is. Its token is shared with all processes that have the context's vault."""

    def __init__(
        self, name: str, base_url: str, corp_id: SecretRef, secret: SecretRef, block: float, context: Context
    ) -> None:
        self._base_url = base_url
        self._block = block
        self._corp_id = corp_id
        self._secret = secret
        self._wire = context.wire
        self.tokens = Tokens(name, secret, self.granted, context.clock, context.vault, beside=corp_id)

    async def call(
        self,
        path: str,
        body: bytes,
        answer: type[A],
        deadline: float,
        *,
        good: Collection[int] = _GOOD,
        other: Mapping[int, Meaning] = _NO_OTHER,
        headers: Mapping[str, str] = JSON,
        query: str = "",
    ) -> A:
        """The vendor's answer with an errcode of `good`. Raises what any other means, `other` before the table.

        A token it takes no more is renewed once and the call made once more; the desk waits after a second refusal.
        """
        ends = asyncio.get_running_loop().time() + deadline
        token = await self.tokens.token(deadline)
        said = await self._posted(path, body, answer, token, ends, headers, query)
        if said.errcode in codes.STALE:
            token = await self.tokens.token(_left(ends), stale=token)
            said = await self._posted(path, body, answer, token, ends, headers, query)
        if said.errcode in codes.STALE:
            raise Retryable(Reason.CREDENTIALS, f"errcode {said.errcode}: a new access token is refused as well")
        if said.errcode not in good:
            raise codes.failure(said, (token, *self._secrets()), self._block, other)
        return said

    async def _posted(
        self, path: str, body: bytes, answer: type[A], token: str, ends: float, headers: Mapping[str, str], query: str
    ) -> A:
        address = f"{self._base_url}{path}?access_token={quote(token, safe='')}{query}"
        reply = await self._wire.request("POST", address, body=body, headers=headers, deadline=_left(ends))
        return codes.read(reply, answer, self._block)

    async def granted(self, secret: str, deadline: float) -> Granted:
        """A token for the secret. Raises what its refusal means."""
        corp = revealed(self._corp_id)
        query = urlencode({"corpid": corp, "corpsecret": secret})
        address = f"{self._base_url}{TOKEN_PATH}?{query}"
        reply = await self._wire.request("GET", address, deadline=deadline)
        said = codes.read(reply, codes.Token, self._block)
        if said.errcode != 0:
            raise codes.failure(said, (secret, corp), self._block, asking=True)
        if not said.access_token:
            raise Retryable(Reason.BAD_REPLY, "errcode 0 without an access token")
        return Granted(said.access_token, said.expires_in)

    def _secrets(self) -> Iterator[str]:
        for reference in (self._corp_id, self._secret):
            try:
                yield reference.reveal()
            except SecretMissing:
                continue


def _left(ends: float) -> float:
    left = ends - asyncio.get_running_loop().time()
    if left <= 0:
        raise Retryable(Reason.NOT_SENT, "the time of the call went on its access token")
    return left
