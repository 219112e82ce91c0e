"""The texts of ours that people read, in Chinese and in English."""

from __future__ import annotations

import msgspec


class Words(msgspec.Struct, frozen=True):
    """One language. `repeat` stands before what may be one, `missing` where a field is not there, `more` and `whole`
    after a text that was cut; `plain` and `digest` are templates."""

    suffix: str
    repeat: str
    missing: str
    more: str
    whole: str
    plain: str
    digest: str

    def files(self) -> dict[str, str]:
        """The templates by the names of files that replace them."""
        return {f"plain.{self.suffix}.j2": self.plain, f"digest.{self.suffix}.j2": self.digest}


_CHINESE = Words(
    suffix="zh",
    repeat="【可能重复】",
    missing="【缺】",
    more="……（未完）",
    whole="全文",
    plain="""\
{% if labels.state == "clear" %}【恢复】{% elif labels.severity %}【{{ labels.severity }}】{% endif %}
{{ event.type }} {{ event.subject }}
时间：{{ event.time | at }}
{% for name, value in data | items %}
{{ name }}：{{ value }}
{% endfor %}
""",
    digest="""\
【合并 {{ digest.count }} 条】{{ digest.first | at }} 至 {{ digest.last | at }}
{% for line in digest.lines %}
{{ line.time | time("%H:%M:%S") }} {{ line.subject }} {{ line.text }}{% if line | link %} {{ line | link }}{% endif %}

{% endfor %}
{% if digest.left_out %}
另有 {{ digest.left_out }} 项较早的未列出
{% endif %}
""",
)
_ENGLISH = Words(
    suffix="en",
    repeat="[possible repeat]",
    missing="[missing]",
    more="… (there is more)",
    whole="the whole",
    plain="""\
{% if labels.state == "clear" %}[resolved] {% elif labels.severity %}[{{ labels.severity }}] {% endif %}
{{ event.type }} {{ event.subject }}
Time: {{ event.time | at }}
{% for name, value in data | items %}
{{ name }}: {{ value }}
{% endfor %}
""",
    digest="""\
[{{ digest.count }} in one] {{ digest.first | at }} to {{ digest.last | at }}
{% for line in digest.lines %}
{{ line.time | time("%H:%M:%S") }} {{ line.subject }} {{ line.text }}{% if line | link %} {{ line | link }}{% endif %}

{% endfor %}
{% if digest.left_out %}
and {{ digest.left_out }} older ones that are not listed
{% endif %}
""",
)
BUILT_IN = {**_CHINESE.files(), **_ENGLISH.files()}
"""The templates that are there without a file, in both languages."""
LANGUAGES = (_CHINESE.suffix, _ENGLISH.suffix)


def words_of(language: str) -> Words:
    """Chinese for `zh` and its countries, English for any other language."""
    return _CHINESE if language.partition("-")[0] == _CHINESE.suffix else _ENGLISH
