"""E-mail by SMTP (RFC 5321): the fallback everyone has.

One mail per delivery, more for a long list, and one connection per mail. What each recipient's RCPT was answered is
that recipient's outcome; the answer to the end of the mail is the evidence, and it means that the next server took it,
not that a person has it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP as POLICY
from email.utils import parseaddr
from itertools import islice
from typing import Annotated, ClassVar, Literal

from markdown_it import MarkdownIt
from pydantic import Field, field_validator, model_validator

from andon.config.addresses import is_loopback
from andon.config.secrets import SecretMissing, SecretRef
from andon.config.units import Rate
from andon.core.failure import Failure, Rejected, Retryable
from andon.core.outcome import Parked
from andon.core.policy import Limit
from andon.core.ports import Call, Content, Context, Receipt
from andon.core.reason import Reason
from andon.core.specimen import HOST, PORT, REFERENCE, MailSpecimen
from andon.egress.certified import Certified
from andon.egress.channels import smtp_answers as answers
from andon.egress.channels.smtp_account import Account
from andon.egress.channels.smtp_address import ascii_form, recipient_fault
from andon.egress.channels.smtp_header import mailbox, unstructured
from andon.web.address import checked_host
from andon.web.smtp import Answer, Lost, Refused, Session, Unreadable, name_of_us
from andon.web.tls import Tls, Unusable

BYTES = 384 << 10  # more than a template can render
KINDS = ("text", "markdown")
_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_SUBJECT = 200  # characters; the mail itself has the whole line
_SHOWN_TO = 20  # recipients
# In one session: RFC 5321 has every server take 100 (section 4.5.3.1.8), and some hang up after 20 refusals.
_ASKED = 100
_REFUSED = 20
# Of the time of a call; what is left is for the mail itself.
_ASKING = 0.6
_PLACES = re.compile(r"\{(line|receiver)\}")
_MARKUP = re.compile(r"\*\*|~~|`|^[#>\s]+")
_LINK = re.compile(r"https?://|mailto:", re.IGNORECASE)
_PAGE = '<!DOCTYPE html><html><head><meta charset="utf-8"></head><body>\n{}</body></html>\n'


class Smtp:
    """An account at a mail server. `send` hands one mail over, with a receipt for each recipient."""

    class Config(Certified):
        """The server, the account and the sender."""

        model_config: ClassVar = {"populate_by_name": True}

        host: str
        """The mail server."""
        port: Annotated[int | None, Field(ge=1, le=65_535)] = None
        """By default 587, with `tls: tls` 465, with `tls: none` 25."""
        tls: Literal["starttls", "tls", "none"] | None = None
        """`starttls` (default) and `tls` (from the first byte on; default for port 465) are verified; `none` is for a
        server on this machine only."""
        user: SecretRef | None = None
        """The account's name, with `password`."""
        password: SecretRef | None = None
        """Its password."""
        from_: Annotated[str, Field(alias="from")]
        """The sender, `andon@corp.cn` or `Andon <andon@corp.cn>`."""
        subject: str = "{line}"
        """`{line}` is the first line of the text, `{receiver}` the receiver's name."""
        limit: Rate | None = None
        """No more mails than this; none by default."""

        @field_validator("host")
        @classmethod
        def _place(cls, host: str) -> str:
            try:
                checked_host(f"[{host}]" if ":" in host else host)
            except ValueError as error:
                raise ValueError(f"{error}: write a name or an address, the port as `port`") from None
            return host

        @field_validator("from_")
        @classmethod
        def _sender(cls, text: str) -> str:
            _, address = parseaddr(text)
            if text != text.strip() or not text.isprintable() or (fault := recipient_fault(address)):
                raise ValueError(fault if text.isprintable() and address else "write andon@corp.cn")
            return text

        @field_validator("subject")
        @classmethod
        def _places(cls, subject: str) -> str:
            if not subject.strip() or not subject.isprintable() or {"{", "}"} & set(_PLACES.sub("", subject)):
                raise ValueError("one line of text, in which {line} and {receiver} may stand")
            return subject

        @model_validator(mode="after")
        def _together(self) -> Smtp.Config:
            if (self.user is None) != (self.password is None):
                missing = "password" if self.password is None else "user"
                raise ValueError(f"`{missing}` is missing: name and password go together")
            if self.way() == "none" and not is_loopback(self.host):
                raise ValueError(f"without TLS every mail to {self.host} could be read on its way; use starttls or tls")
            return self

        def way(self) -> str:
            """How TLS is used."""
            return self.tls or ("tls" if self.port == _PORTS["tls"] else "starttls")

        def at(self) -> int:
            """The port."""
            return self.port or _PORTS[self.way()]

        def limit_domain(self) -> str:
            """The account, by the reference of its name."""
            account = f"{self.user.reference}@" if self.user else ""
            return f"smtp:{account}{self.host.lower()}:{self.at()}"

        def limits(self) -> tuple[Limit, ...]:
            return (self.limit,) if self.limit else ()

        def lines(self) -> int:
            return 1

        def sender(self) -> str:
            return self.limit_domain()

        def behind(self, name: str, /) -> int | None:
            """One address is one person; who is behind a list of the mail server, only that knows."""
            return None

        def recipient_mistakes(self, to: Sequence[str], /) -> Sequence[tuple[int | None, str]]:
            """Nobody, or what is no address."""
            if not to:
                return [(None, "`to` is missing: a channel of kind `smtp` must know whom to write to")]
            return [(number, fault) for number, one in enumerate(to) if (fault := recipient_fault(one))]

    specimen: ClassVar = MailSpecimen(
        options={
            "host": HOST,
            "port": PORT,
            "tls": "none",
            "user": REFERENCE,
            "password": REFERENCE,
            "from": "andon@corp.cn",
        },
        kinds=dict.fromkeys(KINDS, BYTES),
    )

    def __init__(self, config: Config, context: Context) -> None:
        self._config = config
        self._wire = context.wire
        self._clock = context.clock
        self._tls = Tls(**config.files(context.directory))
        name, address = parseaddr(config.from_)
        self._sender = ascii_form(address)
        self._from = mailbox("From", name, self._sender)
        self._html = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable("table").disable("image")
        self._html.validateLink = _LINK.match  # type: ignore[method-assign, assignment]

    def __repr__(self) -> str:
        return f"Smtp({self._config.limit_domain()!r})"

    @staticmethod
    def _fault(name: str) -> str | None:
        return recipient_fault(name)

    def split(self, content: Content, tail: str = "", /) -> Sequence[Content]:
        """The whole. Raises Rejected for another kind, and for what is longer than any template renders."""
        if content.kind not in KINDS:
            raise Rejected(Reason.REJECTED, f"a mail takes text or markdown, not {content.kind}")
        whole = Content(content.kind, content.text + tail) if tail else content
        if len(whole.text.encode()) > BYTES:
            raise Rejected(Reason.TOO_LONG, f"a mail has at most {BYTES:,} bytes of text")
        return (whole,)

    async def send(self, call: Call, /) -> Sequence[Receipt]:
        """Sends one mail. Raises Retryable and Rejected where it reached nobody."""
        self.split(call.content)
        receipts: dict[str, Receipt] = {}
        known: dict[str, str] = {}
        for one in call.recipients:
            if fault := self._fault(one):
                receipts[one] = Receipt(one, failed=Parked(Reason.REJECTED, fault))
            else:
                known[one] = ascii_form(one)
        if known:
            try:
                mail = self._mail(call, list(known.values()))
                receipts |= await self._handed_over(call, known, mail, self._account())
            except (SecretMissing, Unusable) as missing:
                raise Retryable(Reason.NOT_SENT, str(missing)) from None
        return [receipts[one] for one in call.recipients]

    async def close(self) -> None:
        """Nothing to release: each mail has a connection of its own."""

    def _account(self) -> Account:
        """Raises SecretMissing, and Rejected where the server has refused the account lately."""
        named = [one.reveal() for one in (self._config.user, self._config.password) if one]
        account = Account(self._clock, self._config.limit_domain(), named)
        account.look()
        return account

    # ---- the session

    async def _handed_over(
        self, call: Call, known: dict[str, str], mail: bytes, account: Account
    ) -> dict[str, Receipt]:
        session, said = Session(), dict[str, Answer]()
        failure: Failure
        # Each attempt begins with others: those for whom it is always too early must not keep it from the rest.
        turn = call.refused * _REFUSED % len(known)
        order = dict([*known.items()][turn:]) | known
        # A little earlier than the desk, which cannot know whether the mail had ended and would call it ambiguous.
        seconds = max(call.deadline * 0.95, call.deadline - 0.5)
        try:
            async with asyncio.timeout(seconds):
                await self._exchange(session, order, said, mail, account, seconds)
            return answers.receipts(known, said, account.forms)
        except Refused as refused:
            failure = answers.refusal(refused, account.forms)
        except TimeoutError:
            failure = answers.broken(session, Reason.TIMEOUT, f"no answer within {call.deadline:g} s")
        except Unreadable as error:
            failure = answers.broken(session, Reason.BAD_REPLY, f"its answer cannot be used: {error}")
        except (Lost, OSError) as error:
            text = "its certificate is not trusted" if "CERTIFICATE" in str(error) else "the connection was lost"
            failure = answers.broken(session, Reason.CONNECTION, text)
        finally:
            session.close()
        if not isinstance(failure, Retryable) or failure.ambiguous or not answers.refusals(said):
            raise failure
        return answers.receipts(known, said, account.forms, failure)

    async def _exchange(
        self,
        session: Session,
        known: Mapping[str, str],
        said: dict[str, Answer],
        mail: bytes,
        account: Account,
        seconds: float,
    ) -> None:
        """One session; `said` becomes what was answered of each recipient who was asked for."""
        until = asyncio.get_running_loop().time() + seconds * _ASKING
        host, way = self._config.host, self._config.way()
        context = self._tls.context() if way != "none" else None
        sock = await self._wire.connect(host, self._config.at(), deadline=seconds)
        name = name_of_us(sock)
        await session.begin(sock, name, (context, host) if context and way == "tls" else None)
        if context and way == "starttls":
            await session.secure(context, host, name)
        await account.sign_in(session)
        await session.sender(self._sender, len(mail))
        await self._ask_for(session, known, said, until)
        if not any(answer.good for answer in said.values()):
            if waiting := next(filter(answers.waits, said.values()), None):
                raise Refused("RCPT", waiting)
            return
        last = await session.mail(mail)
        if not last.good:
            raise Refused("the mail", last)

    async def _ask_for(self, session: Session, known: Mapping[str, str], said: dict[str, Answer], until: float) -> None:
        """Asks for as many as one session may, as the server takes, and as there is time for."""
        loop, taken = asyncio.get_running_loop(), False
        for one, address in islice(known.items(), _ASKED):
            if said and loop.time() >= until:
                return
            said[one] = answer = await session.recipient(address)
            if answers.closing(answer):
                raise Refused("RCPT", answer)
            if taken and answers.enough(answer):
                return
            taken = taken or answer.good

    # ---- the mail

    def _mail(self, call: Call, to: Sequence[str]) -> bytes:
        text = call.content.text
        mail = EmailMessage(policy=POLICY)
        mail["From"] = self._from
        # The others' addresses are nobody's business in a long list.
        mail["To"] = ", ".join(to) if len(to) <= _SHOWN_TO else "undisclosed-recipients:;"
        mail["Subject"] = unstructured("Subject", self._subject(call))
        mail["Date"] = datetime.fromtimestamp(int(self._clock.now()), UTC)
        mail["Message-ID"] = f"<{call.delivery}@{self._sender.rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday notices, please
        mail["X-Auto-Response-Suppress"] = "All"
        mail.set_content(text, cte="base64")
        if call.content.kind == "markdown":
            mail.add_alternative(_PAGE.format(self._html.render(text)), subtype="html", cte="base64")
        return mail.as_bytes()

    def _subject(self, call: Call) -> str:
        line = next((line for line in call.content.text.splitlines() if line.strip()), "")
        if call.content.kind == "markdown":
            line = _MARKUP.sub("", line)
        values = {"line": line, "receiver": call.receiver}
        whole = _PLACES.sub(lambda place: values[place[1]], self._config.subject)
        whole = " ".join("".join(letter if letter.isprintable() else " " for letter in whole).split())
        return whole if len(whole) <= _SUBJECT else whole[: _SUBJECT - 1] + "…"
