"""The schemas in schemas/ are those of the records we write, and no version may break another."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec
import pytest

from andon.kafka.formats import Formats
from andon.kafka.history import refusals, versions
from andon.kafka.index import Index, IndexBroken
from andon.kafka.schemas import RECORDS, main, mistakes, schema, write
from tests.unit.kafka.specimens import SCHEMAS, SPECIMENS, WRITTEN

PAST = [
    (topic, suffix, number)
    for topic in RECORDS
    for suffix in ("json", "avsc")
    for number in versions(SCHEMAS, topic, suffix)
]


def test_the_committed_schemas_are_current_and_pass_the_gate() -> None:
    assert mistakes(SCHEMAS) == [], "run: python -m andon.kafka.schemas schemas/"


@pytest.mark.parametrize(("topic", "suffix", "number"), PAST)
def test_what_a_past_version_wrote_is_read_by_todays_code(topic: str, suffix: str, number: int) -> None:
    file = WRITTEN / topic / f"{number}.{suffix.replace('avsc', 'avro')}"
    assert file.exists(), "run: python -m tests.unit.kafka.specimens"
    found = msgspec.json.decode(Formats().incoming(file.read_bytes()), type=RECORDS[topic])
    assert found == SPECIMENS[topic]


# ---- the gate refuses


def field(found: Any, name: str) -> Any:
    return next(one for one in found["fields"] if one["name"] == name)


def _removed(found: Any) -> None:
    found["fields"].remove(field(found, "subject"))


def _added(found: Any) -> None:
    found["fields"].append({"name": "plant", "type": "string"})


def _renamed(found: Any) -> None:
    field(found, "number")["name"] = "count"


def _narrowed(found: Any) -> None:
    field(found, "number")["type"] = "int"


def _widened(found: Any) -> None:
    field(found, "number")["type"] = "double"


def _retyped(found: Any) -> None:
    field(found, "subject")["type"] = "long"


def _gone_with_its_default(found: Any) -> None:
    found["fields"].remove(field(found, "receiver"))


def _not_optional(found: Any) -> None:
    field(found, "receiver").update(type="string", default="")


def _other_logical_type(found: Any) -> None:
    field(found, "at")["type"] = {"type": "long", "logicalType": "timestamp-millis"}


def _no_logical_type(found: Any) -> None:
    field(found, "at")["type"] = "long"


def _branch_gone(found: Any) -> None:
    del field(found, "outcome")["type"][3]


def _branch_more(found: Any) -> None:
    more = {"type": "record", "name": "Lost", "fields": [{"name": "why", "type": "string"}]}
    field(found, "outcome")["type"].append(more)


def _evidence(found: Any) -> Any:
    return field(field(found, "outcome")["type"][0], "evidence")["type"]


def _word_gone_and_no_default(found: Any) -> None:
    _evidence(found)["symbols"].remove("read")
    del _evidence(found)["default"]


def _no_default_any_more(found: Any) -> None:
    del _evidence(found)["default"]
    _evidence(found)["symbols"].remove("receipt")


def _record_renamed(found: Any) -> None:
    found["name"] = "Result"


def _enum_renamed(found: Any) -> None:
    _evidence(found)["name"] = "Proof"


def _item_changed(found: Any) -> None:
    field(found, "origin")["type"]["items"] = "string"


def _array_to_map(found: Any) -> None:
    kind = field(found, "origin")["type"]
    kind.update(type="map", values=kind.pop("items"))


def _default_gone_from_a_field_that_not_all_wrote(found: Any) -> None:
    found["fields"].append({"name": "shift", "type": "string"})


AVRO_BREAKS: dict[str, Callable[[Any], None]] = {
    one.__name__.strip("_"): one
    for one in (
        _removed,
        _added,
        _renamed,
        _narrowed,
        _widened,
        _retyped,
        _not_optional,
        _other_logical_type,
        _no_logical_type,
        _branch_gone,
        _branch_more,
        _word_gone_and_no_default,
        _no_default_any_more,
        _record_renamed,
        _enum_renamed,
        _item_changed,
        _array_to_map,
        _default_gone_from_a_field_that_not_all_wrote,
    )
}


def outcome_with_number() -> Any:
    found = json.loads(schema("andon.outcomes", "avsc"))
    found["fields"].append({"name": "number", "type": "long", "default": 0})
    del field(found, "number")["default"]
    return found


@pytest.mark.parametrize("name", AVRO_BREAKS)
def test_a_breaking_change_of_an_avro_schema_is_refused(name: str) -> None:
    before = outcome_with_number()
    after = deepcopy(before)
    AVRO_BREAKS[name](after)
    assert refusals(before, {1: before}, "avsc") == []
    assert refusals(after, {1: before}, "avsc")


def json_schema() -> Any:
    return json.loads(schema("andon.outcomes"))


def _record(found: Any) -> Any:
    return found["$defs"]["OutcomeRecord"]


def _changed(*path: str, **change: Any) -> Callable[[Any], None]:
    def change_it(found: Any) -> None:
        part = found["$defs"]
        for step in path:
            part = part[step]
        part.clear()
        part.update(change)

    return change_it


def _j_removed(found: Any) -> None:
    _record(found)["required"].remove("subject")
    del _record(found)["properties"]["subject"]


def _j_required(found: Any) -> None:
    _record(found)["required"].append("receiver")


def _j_added(found: Any) -> None:
    _record(found)["properties"]["plant"] = {"type": "string"}
    _record(found)["required"].append("plant")


def _j_renamed(found: Any) -> None:
    _j_removed(found)
    _record(found)["properties"]["topic"] = {"type": "string"}
    _record(found)["required"].append("topic")


def _j_closed(found: Any) -> None:
    del _record(found)["properties"]["receiver"]
    _record(found)["additionalProperties"] = False


def _j_default(found: Any) -> None:
    _record(found)["properties"]["config_version"]["default"] = 1


def _j_word(found: Any) -> None:
    found["$defs"]["Evidence"]["enum"].remove("read")
    del found["$defs"]["Evidence"]["default"]


def _j_branch(found: Any) -> None:
    _record(found)["properties"]["outcome"]["anyOf"].pop()


def _j_tag(found: Any) -> None:
    found["$defs"]["Parked"]["properties"]["outcome"]["enum"] = ["stopped"]


def _j_not_null(found: Any) -> None:
    _record(found)["properties"]["receiver"] = {"type": "string", "default": ""}


OUTCOME = ("OutcomeRecord", "properties")
JSON_BREAKS: dict[str, Callable[[Any], None]] = {
    "a field removed": _j_removed,
    "a field required that was not": _j_required,
    "a field added without default": _j_added,
    "a field renamed": _j_renamed,
    "unknown fields refused": _j_closed,
    "another default": _j_default,
    "a word removed": _j_word,
    "an alternative removed": _j_branch,
    "another tag": _j_tag,
    "null no more": _j_not_null,
    "another type": _changed(*OUTCOME, "subject", type="integer"),
    "a format": _changed(*OUTCOME, "event", type="string", format="uuid"),
    "a format less": _changed(*OUTCOME, "id", type="string"),
    "other items": _changed(*OUTCOME, "recipients", type="array", items={"type": "string"}, default=[]),
    "a number narrowed": _changed(*OUTCOME, "config_version", type="boolean", default=0),
}


@pytest.mark.parametrize("name", JSON_BREAKS)
def test_a_breaking_change_of_a_json_schema_is_refused(name: str) -> None:
    before = json_schema()
    after = deepcopy(before)
    JSON_BREAKS[name](after)
    assert refusals(before, {2: before}, "json") == []
    assert refusals(after, {2: before}, "json")


def test_what_breaks_nothing_passes() -> None:
    avro, plain = outcome_with_number(), json_schema()
    newer, later = deepcopy(avro), deepcopy(plain)
    newer["fields"].append({"name": "shift", "type": ["null", "string"], "default": None})
    _evidence(newer)["symbols"].append("answered")
    _gone_with_its_default(newer)
    _record(later)["properties"]["shift"] = {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}
    later["$defs"]["Evidence"]["enum"].append("answered")
    assert refusals(newer, {1: avro}, "avsc") == []
    assert refusals(later, {2: plain}, "json") == []


def test_every_version_counts_and_not_only_the_last() -> None:
    """A field goes, and comes back as something else: only its first version knows better."""
    first = outcome_with_number()
    second = deepcopy(first)
    field(first, "number")["default"] = 0
    second["fields"].remove(field(second, "number"))
    third = deepcopy(second)
    third["fields"].append({"name": "number", "type": "string", "default": ""})
    assert refusals(second, {1: first}, "avsc") == []
    assert refusals(third, {2: second}, "avsc") == []
    assert refusals(third, {1: first, 2: second}, "avsc")


# ---- the folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SCHEMAS, tmp_path / "schemas"))


def test_a_changed_type_becomes_a_version_with_an_id_of_its_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Index(folder).entries
    more = msgspec.defstruct("Event", [("shift", str, "")], bases=(RECORDS["andon.events"],), frozen=True)
    monkeypatch.setitem(RECORDS, "andon.events", more)
    assert write(folder) == []
    after = Index(folder).entries
    assert {number: after[number] for number in before} == before
    (new,) = after.keys() - before.keys()
    assert new == max(before) + 1
    assert (after[new].topic, after[new].version) == ("andon.events", 2)
    assert "shift" in (folder / "history" / "andon.events" / "2.avsc").read_text()
    assert write(folder) == []
    assert Index(folder).entries == after


def test_a_breaking_type_changes_no_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    more = msgspec.defstruct("Event", [("shift", str)], bases=(RECORDS["andon.events"],), frozen=True, kw_only=True)
    monkeypatch.setitem(RECORDS, "andon.events", more)
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    assert main([str(folder)]) == 1
    assert "andon.events.avsc: version 1 is not read any more: shift" in capsys.readouterr().out
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before


def test_an_altered_past_is_seen(folder: Path) -> None:
    file = folder / "history" / "andon.events" / "1.avsc"
    file.write_text(file.read_text().replace('"traceparent"', '"trace"'))
    assert any("digest" in one for one in mistakes(folder))
    with pytest.raises(IndexBroken, match=r"1\.avsc"):
        Index(folder).text(2_000_000_001)
    (folder / "history" / "andon.outcomes" / "1.json").unlink()
    assert "a version is missing in history/andon.outcomes" in mistakes(folder)
