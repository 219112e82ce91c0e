"""The way back: a card is sent, somebody presses its button, the click is an event, and the card changes for all."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from andon.config.settings import Settings
from andon.core.outcome import Delivered, Parked
from andon.core.ports import Context, Inbound
from andon.core.reason import Reason
from andon.dev.wecom_app import WecomAppStandIn
from andon.ingress.bodies.sealed import Seal
from andon.ingress.sources.wecom_callback import WecomCallback
from andon.routing.router import Router
from andon.testing.clock import ManualClock
from andon.web.wire import HttpWire
from tests.component.wecom.app_laws import AGENT, CORP, SECRET
from tests.component.wecom.app_plant import DOMAIN, Process, notices

KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
SEAL = Seal("token", KEY, CORP)
CARD = """\
card_type: button_interaction
main_title: {title: "{{ event.subject }} 停机"}
button_list: [{text: 接手, key: take}]
"""
TAKEN = """\
response_code: "{{ data.ResponseCode }}"
button: "{{ data.FromUserName }} 已接手"
"""
FILES = {"fault.wecom_app.template_card.yaml": CARD, "taken.wecom_app.update_template_card.yaml": TAKEN}
RECEIVERS = {
    "both": {"channel": "app", "to": ["wang", "li"], "template": "fault"},
    "taken": {"channel": "app", "to": ["@all"], "template": "taken"},
}
ROUTE = {
    "receiver": "both",
    "routes": [{"matchers": ['type="wecom.event.template_card_event"', 'key="take"'], "receiver": "taken"}],
}


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLBACK_TOKEN", "token")
    monkeypatch.setenv("CALLBACK_KEY", KEY)


def clicked(code: str, now: float) -> Inbound:
    """What WeCom calls back with when Li presses the button."""
    plain = (
        f"<xml><ToUserName>{CORP}</ToUserName><FromUserName>li</FromUserName><CreateTime>{now:.0f}</CreateTime>"
        "<MsgType>event</MsgType><Event>template_card_event</Event><EventKey>take</EventKey>"
        f"<ResponseCode>{code}</ResponseCode><AgentID>{AGENT}</AgentID></xml>"
    )
    sealed, at = SEAL.close(plain.encode(), bytes(16)), f"{now:.0f}"
    query = {"msg_signature": SEAL.signature(at, "n", sealed), "timestamp": at, "nonce": "n"}
    return Inbound("clicks", {}, f"<xml><Encrypt>{sealed}</Encrypt></xml>".encode(), query)


def test_a_click_changes_the_card_for_everybody_once(tmp_path: Path) -> None:
    async def scene() -> None:
        clock, wire = ManualClock(), HttpWire()
        given = {"corp_id": CORP, "secret": SECRET, "agent": AGENT, "now": clock.now}
        async with asyncio.timeout(60), WecomAppStandIn(["wang", "li"], **given) as vendor:  # type: ignore[arg-type]
            desk = Process(tmp_path, vendor, wire, clock, receivers=RECEIVERS, files=FILES)
            (notice,) = notices(1, "both", ["wang", "li"])
            desk.take([notice])
            await desk.run(1)
            code = desk.outcomes()[notice.id].attempts[0].reference.partition(" ")[2]
            config = WecomCallback.Config(
                token="env:CALLBACK_TOKEN",  # as in a file
                aes_key="env:CALLBACK_KEY",
                channel="app",
            )
            context = Context("clicks", tmp_path, clock, wire, channels={"app": {"corp_id": "env:APP_CORP"}})
            source = WecomCallback(config, context)
            settings = Settings.model_validate(
                {
                    "version": 1,
                    "channels": {"app": {"kind": "wecom_app"}},
                    "receivers": RECEIVERS,
                    "route": ROUTE,
                }
            )
            router = Router(settings, 1, dict.fromkeys(RECEIVERS, DOMAIN))
            for turn in range(2):  # somebody else presses it at the same time
                (event,) = source.parse(clicked(code, clock.now() + turn))
                (change,) = router.route(event).outputs
                desk.take([change], first=turn + 1)
                await desk.run(10)
                outcome = desk.outcomes()[change.id].outcome
                if turn == 0:
                    assert isinstance(outcome, Delivered)
                else:
                    assert isinstance(outcome, Parked)
                    assert outcome.reason is Reason.GONE
            changes = [(one.member, one.content) for one in vendor.seen if one.what == "updated"]
            assert changes == [("wang", "li 已接手"), ("li", "li 已接手")]
            desk.kill()
        await wire.close()

    asyncio.run(scene())
