"""The integrations of Alertmanager that have a channel here: WeChat, e-mail and webhook."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from email.utils import getaddresses
from typing import Any, NamedTuple

from andon.config.addresses import is_loopback
from andon.config.alertmanager.source import Part
from andon.config.alertmanager.variables import Variables
from andon.config.rules import holds_secret

NOBODY = "fact:alertmanager.to"
"""A fact that nothing finds: whoever is told by it is nobody, until a person writes a name there."""

_TEMPLATES = (
    "its texts are templates of Go and were left out: write one in Jinja2 (docs/templates.md); until then `plain`"
)
_NEAR = re.compile(r"10\..*|192\.168\..*|172\.(?:1[6-9]|2\d|3[01])\..*|[a-z0-9-]+")
_ADDRESS = re.compile(r"(https?)://(?:[^@/]*@)?(\[[^\]]+\]|[^:/?#]*)")


class Integration(NamedTuple):
    """What one becomes: a channel, with the name it gets where that is free, and the receiver's own keys."""

    name: str
    channel: dict[str, Any]
    receiver: dict[str, Any]


class Reader(NamedTuple):
    """How integrations of a kind are read: each with the `global` section, and the name of its receiver. `word` is what
    several of one receiver are told apart by; `resolved` is whether it tells of what is over unless it says so."""

    word: str
    resolved: bool
    read: Callable[[Part, Part, Variables, str], Integration]


def wechat(part: Part, site: Part, variables: Variables, name: str) -> Integration:
    corp = part["corp_id"] or site["wechat_api_corp_id"]
    agent = part["agent_id"].text() if re.fullmatch(r"\d{1,9}", part["agent_id"].text()) else ""
    if not agent:
        part.note("`agent_id` is not a number: write that of the application at its channel, in place of 0")
    own = part if part["api_secret"] or part["api_secret_file"] else None
    what = "the secret of the application of WeCom"
    given = (own, "api_secret") if own else (site, "wechat_api_secret")
    secret = variables.secret(*given, f"WECOM_SECRET_{agent}", what)
    channel: dict[str, Any] = {
        "kind": "wecom_app",
        "corp_id": variables.env(corp, "WECOM_CORP_ID", "the corp_id of WeCom"),
        "agent_id": int(agent or 0),
        "secret": secret,
    }
    address = part["api_url"] or site["wechat_api_url"]
    url = address.text().rstrip("/").removesuffix("/cgi-bin")
    if holds_secret(url):
        address.note("a secret stands in this address, so it was left out: write `base_url` without it at the channel")
    elif url and url != "https://qyapi.weixin.qq.com":
        channel["base_url"] = url
    if part["message"] or part["message_type"]:
        part.note(_TEMPLATES)
    words = (("to_user", ""), ("to_party", "party:"), ("to_tag", "tag:"))
    to = [f"{word}{one}" for key, word in words for one in _names(part[key], "|")]
    part.unread(
        "send_resolved", "corp_id", "agent_id", "api_secret", "api_secret_file", "api_url", "message", "message_type",
        *dict(words),
    )  # fmt: skip
    return Integration(f"wecom-{agent}" if agent else "wecom", channel, {"to": to or [_nobody(part)]})


def email(part: Part, site: Part, variables: Variables, name: str) -> Integration:
    host, _, port = (part["smarthost"] or site["smtp_smarthost"]).text().rpartition(":")
    host = host.strip("[]")
    sender = (part["from"] or site["smtp_from"]).text()
    if not host or not port.isdigit() or not sender:
        raise part.wrong("needs a smarthost (host:port) and a sender, here or under `global`")
    channel: dict[str, Any] = {"kind": "smtp", "host": host, "port": int(port)}
    if not (part["require_tls"] or site["smtp_require_tls"]).flag(True) and port != "465":
        if is_loopback(host):
            channel["tls"] = "none"
        else:
            part.note(f"mails go to {host} with STARTTLS only: without it each could be read on its way")
    if user := part["auth_username"] or site["smtp_auth_username"]:
        own = part if part["auth_password"] or part["auth_password_file"] else None
        given = (own, "auth_password") if own else (site, "smtp_auth_password")
        channel["user"] = variables.env(user, "SMTP_USER", "the account at the mail server")
        channel["password"] = variables.secret(*given, "SMTP_PASSWORD", "the password of that account")
    channel["from"] = sender
    channel |= _certificates(part["tls_config"] or site["smtp_tls_config"])
    if part["html"] or part["text"] or part["headers"]:
        part.note(_TEMPLATES)
    part.unread(
        "send_resolved", "to", "from", "smarthost", "require_tls", "tls_config", "html", "text", "headers",
        "auth_username", "auth_password", "auth_password_file",
    )  # fmt: skip
    to = [address for _, address in getaddresses(list(_names(part["to"], ","))) if address]
    return Integration("mail", channel, {"to": to or [_nobody(part)]})


def webhook(part: Part, site: Part, variables: Variables, name: str) -> Integration:
    channel: dict[str, Any] = {"kind": "webhook"}
    channel["url"] = variables.secret(part, "url", f"{name}_URL", f"the address of the webhook of `{name}`")
    address = _ADDRESS.match(part["url"].text())
    host = address[2].strip("[]").lower() if address else ""
    if address and address[1] == "http" and not is_loopback(host):
        part.note("plain HTTP is for this machine only: the variable has to hold an address with https")
    if is_loopback(host) or _NEAR.fullmatch(host):
        channel["allow"] = [host]
    channel |= _http(part["http_config"] or site["http_config"], variables, name)
    part.note(
        "what is posted is Andon's event, not Alertmanager's JSON: who reads it has to know (docs/channels/webhook.md)"
    )
    part.unread("send_resolved", "url", "url_file", "http_config")
    return Integration(name, channel, {})


READERS = {
    "wechat_configs": Reader("wechat", False, wechat),
    "email_configs": Reader("email", False, email),
    "webhook_configs": Reader("webhook", True, webhook),
}


def _names(part: Part, joint: str) -> Iterator[str]:
    """The names in a text; those that a template would have made are left out, and said."""
    if "{{" in part.text():
        part.note(
            f"`{part.path[-1]}` is a template of Go: name people, or a fact (`fact:machine.leader`, docs/routing.md)"
        )
        return
    yield from filter(None, map(str.strip, part.text().split(joint)))


def _nobody(part: Part) -> str:
    part.note(f"it names nobody whom Andon could tell: write who hears of it in place of {NOBODY}")
    return NOBODY


def _http(part: Part, variables: Variables, name: str) -> dict[str, Any]:
    keys = _certificates(part["tls_config"])
    basic, bearer = part["basic_auth"], part["authorization"]
    if basic["password"]:
        what = f"base64 of user:password, for the webhook of `{name}`"
        keys["headers"] = {"Authorization": f"Basic {variables.env(basic['password'], f'{name}_BASIC', what)}"}
    elif bearer:
        token = variables.secret(bearer, "credentials", f"{name}_TOKEN", f"the token for the webhook of `{name}`")
        keys["headers"] = {"Authorization": f"{bearer['type'].text('Bearer')} {token}"}
    elif basic:
        basic.note("`basic_auth` with a password in a file was left out: write `headers` at the channel")
    part.unread("basic_auth", "authorization", "tls_config", "follow_redirects", "enable_http2")
    return keys


def _certificates(part: Part) -> dict[str, Any]:
    part.unread("ca_file", "cert_file", "key_file")
    words = (("ca_file", "ca"), ("cert_file", "cert"), ("key_file", "key"))
    return {name: f"file:{part[key].text()}" for key, name in words if part[key]}
