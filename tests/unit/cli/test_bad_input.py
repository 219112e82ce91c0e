"""What issue 5 calls bad input: `andon check` refuses it at its place, or it is parked, and both say what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from andon.cli.commands.check import checked
from andon.core.failure import Rejected
from andon.core.reason import Reason
from andon.egress.look import Look
from andon.egress.render import Renderer
from andon.testing.builders import delivery

FILE = """\
version: 1
channels:
  app: {kind: wecom_app, corp_id: env:CORP, agent_id: 1, secret: env:SECRET}
receivers:
  shift: {channel: app, to: [wang], template: fault}
route: {receiver: shift}
"""
CARD = 'title: 停机\ndescription: 冲压机 7\nurl: "https://mes.corp/1"\n'


def said(folder: Path, text: str = FILE, files: dict[str, str] | None = None) -> list[str]:
    (folder / "templates").mkdir()
    (folder / "andon.yaml").write_text(text, encoding="utf-8")
    for name, content in {"fault.j2": "{{ event.subject }}", **(files or {})}.items():
        (folder / "templates" / name).write_text(content, encoding="utf-8")
    return [f"{one.line}: {one.text}" for one in checked(folder).mistakes]


def test_a_channel_without_credentials(tmp_path: Path) -> None:
    assert said(tmp_path, FILE.replace(", secret: env:SECRET", "")) == ["3: `secret` is missing"]


def test_a_field_a_card_does_not_have(tmp_path: Path) -> None:
    files = {"fault.wecom_app.textcard.yaml": CARD.replace("description", "descripton")}
    assert said(tmp_path, files=files) == [
        "5: template fault.wecom_app.textcard.yaml line 1: `description` is missing",
        "5: template fault.wecom_app.textcard.yaml line 2: unknown key `descripton`; did you mean `description`?",
    ]


def test_an_image_of_three_megabytes(tmp_path: Path) -> None:
    (tmp_path / "big.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * (3 << 20))
    text = FILE.replace("wecom_app, corp_id: env:CORP, agent_id: 1, secret: env:SECRET", "wecom_robot, keys: [env:K]")
    (mistake,) = said(tmp_path, text, {"fault.wecom_robot.image.yaml": "file: big.png"})
    assert mistake.startswith("5: template fault.wecom_robot.image.yaml line 1: `big.png` has 3,145,736 bytes;")
    assert mistake.endswith("the vendor takes 1 to 2,097,152")


def test_a_thousand_and_one_recipients(tmp_path: Path) -> None:
    names = ", ".join(f"u{number}" for number in range(1_001))
    (mistake,) = said(tmp_path, FILE.replace("to: [wang]", f"to: [{names}]"))
    assert mistake == "5: `to`: 1001 names; a delivery has at most 1000 recipients: make several receivers"


def test_a_template_for_a_kind_of_channel_that_is_none(tmp_path: Path) -> None:
    files = {"fault.wecom_ap.md.j2": "x", "fault.wecom_ap.textcard.yaml": CARD}
    text, card = said(tmp_path, files=files)
    assert text.startswith("1: template fault.wecom_ap.md.j2 is not used: `wecom_ap` is neither a kind of channel nor")
    assert text.endswith("did you mean `wecom_app`?")
    assert card.startswith("1: template fault.wecom_ap.textcard.yaml line 1: there is no kind of channel `wecom_ap`;")
    assert card.endswith("did you mean `wecom_app`? (a file is named NAME.CHANNEL_KIND.CONTENT_KIND.yaml)")


def test_a_link_to_the_whole_that_leads_nowhere(tmp_path: Path) -> None:
    (mistake,) = said(tmp_path, FILE.replace("template: fault", "template: fault, long: link"))
    text = "`link` needs `templates.link`, the address where the whole can be read; without one write `split`"
    assert mistake == f"5: {text}"


def test_an_empty_text_is_parked() -> None:
    with pytest.raises(Rejected) as caught:
        Renderer({"fault.j2": "{# nothing #} "}).render(delivery(), "wecom_app", Look("fault"))
    assert (caught.value.reason, caught.value.detail) == (
        Reason.EMPTY,
        "fault.j2 renders to nothing; give it a text for such an event",
    )
