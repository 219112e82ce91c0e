"""What the pages of callbacks tell to write is a configuration, and does what they say."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from andon.config.plugs import SOURCES, SourcePlug
from andon.config.settings import Settings
from andon.core.matchers import compile_matchers
from andon.core.ports import Context, Source
from andon.enrichment import CachedConnector, CachePolicy, EnrichmentStage
from andon.enrichment.connectors.csv import CsvTable
from andon.runtime.clock import SystemClock
from andon.runtime.registry import Registry
from tests.unit.ingress.callbacks.bench import KEYS, NOW, Bench
from tests.unit.ingress.callbacks.calls import LARK_KEY, MS, lark_push, wechat_push

PAGES = Path(__file__).parents[3] / "docs" / "callbacks"
KINDS = ("dingtalk", "feishu", "standard_webhooks", "wechat_oa", "wecom_callback")
TEXT = (
    "<xml><ToUserName>gh_1</ToUserName><FromUserName>{openid}</FromUserName><CreateTime>1700000000</CreateTime>"
    "<MsgType>text</MsgType><Content>停机</Content><MsgId>1</MsgId></xml>"
)


def written(kind: str) -> dict[str, Any]:
    """All that a page says for andon.yaml."""
    blocks = re.findall(r"```yaml\n(.*?)```", (PAGES / f"{kind}.md").read_text("utf-8"), re.DOTALL)
    found: dict[str, Any] = {}
    for block in blocks:
        found |= YAML(typ="safe").load(block)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_the_source_of_a_page_can_be_built(tmp_path: Path, kind: str) -> None:
    said = written(kind)
    registry = Registry()
    for name, keys in said["sources"].items():
        channels = {"app": {"corp_id": "ww1"}}
        context = Context(name, tmp_path, SystemClock(), None, channels=channels)  # type: ignore[arg-type]
        source: Source = registry.build(SOURCES, SourcePlug.model_validate(keys), context)
        assert type(source) is registry.plug_in(SOURCES, kind)


def test_a_pressed_button_goes_where_the_page_says(tmp_path: Path) -> None:
    settings = Settings.model_validate({"version": 1, "route": written("feishu")["route"]})
    (route,) = settings.route.routes
    matchers = compile_matchers(route.matchers)
    bench = Bench(tmp_path, Registry().plug_in(SOURCES, "feishu"))
    source = bench.source(token=bench.secret("token", "tok"), encrypt_key=bench.secret("key", LARK_KEY))
    header = {"event_id": "e1", "event_type": "card.action.trigger", "create_time": MS, "token": "tok"}
    for pressed, taken in (("take", True), ("mute", False)):
        event = {"operator": {"open_id": "ou_1"}, "action": {"tag": "button", "value": {"do": pressed}}}
        (one,) = source.parse(lark_push({"schema": "2.0", "header": header, "event": event}))
        assert all(matcher.holds(one) for matcher in matchers) is taken


def test_a_table_joins_who_has_two_openids(tmp_path: Path) -> None:
    said = written("wechat_oa")
    (tmp_path / "unions.csv").write_text("openid,unionid\no1,u9\no2,u9\n", encoding="utf-8")
    ((name, keys),) = said["connectors"].items()
    settings = Settings.model_validate({"version": 1, "route": {"receiver": "it"}, "enrich": said["enrich"]})
    bench = Bench(tmp_path, Registry().plug_in(SOURCES, "wechat_oa"))
    source = bench.source(token=bench.secret("token", "tok"), aes_key=bench.secret("key", KEYS[0]), receive_id="wx1")
    events = [
        event for one in ("o1", "o2", "o3") for event in source.parse(wechat_push(TEXT.format(openid=one), at=NOW))
    ]

    async def scenario() -> None:
        options = {key: value for key, value in keys.items() if key != "kind"}
        context = Context(name, tmp_path, bench.clock, None)  # type: ignore[arg-type]
        table = CsvTable(CsvTable.Config.model_validate(options), context)
        cached = CachedConnector(name, table, bench.clock, CachePolicy())
        stage = EnrichmentStage(settings.enrich, {name: cached})
        known = [result.outputs[0] for result in await stage(events)]
        assert [event.labels.get("unionid") for event in known] == ["u9", "u9", None]
        assert [event.subject for event in known] == ["o1", "o2", "o3"]
        assert known[2].facts[name] == {"missing": "not_found"}
        await cached.close()

    asyncio.run(scenario())
