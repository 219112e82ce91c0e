"""Verdicts as JUnit XML, which CI servers read (the form of Ant's junitreport: testsuites, testsuite, testcase)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import groupby
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from andon.rehearsal.run import Verdict

# What XML 1.0 does not take, not even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(verdicts: Sequence[Verdict], told: Callable[[Verdict], str]) -> bytes:
    """The XML; `told` says why a test failed, as a person reads it."""
    root = Element("testsuites", _counts(verdicts))
    for file, some in groupby(verdicts, key=lambda one: one.file):
        of_file = list(some)
        suite = SubElement(root, "testsuite", {"name": _text(file)} | _counts(of_file))
        for one in of_file:
            known = {"classname": _text(file), "name": _text(one.name), "time": f"{one.seconds:.3f}"}
            case = SubElement(suite, "testcase", known | {"file": _text(file), "line": str(one.line)})
            if one.failures:
                first = one.failures[0]
                message = f"expected {first.expected}; came {first.came}"
                SubElement(case, "failure", {"message": _text(message)}).text = _text(told(one))
    indent(root)
    xml: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return xml + b"\n"


def _counts(verdicts: Sequence[Verdict]) -> dict[str, str]:
    return {
        "tests": str(len(verdicts)),
        "failures": str(sum(not one.passed for one in verdicts)),
        "errors": "0",
        "time": f"{sum(one.seconds for one in verdicts):.3f}",
    }


def _text(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
