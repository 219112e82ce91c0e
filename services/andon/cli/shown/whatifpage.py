"""What other rules would change, as a page of its own: it loads nothing and everything in it is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>What if</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em; color: #222 }
table { border-collapse: collapse; width: 100%; margin: .5em 0 2em }
th, td { text-align: left; padding: .25em .7em; border-bottom: 1px solid #ddd; vertical-align: top }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
.gain { color: #06703b } .loss { color: #a41e1e } .none { color: #999 } small { color: #666 }
</style></head><body>
<h1>What if</h1>
<p>{{ "{:,}".format(events) }} events from {{ since }} to {{ until }}: {{ old }} compared with {{ new }}.
{{ "{:,}".format(different) }} of them would be told to others, <b>{{ "{:,}".format(silent) }} to nobody any more</b>,
{{ "{:,}".format(heard) }} to somebody where there was nobody. Nothing was sent.</p>
{% macro n(value, kind) -%}
<td class="n {{ kind if value else 'none' }}">{{ "{:,}".format(value) }}</td>
{%- endmacro %}
<h2>Receivers</h2>
<table><tr><th>receiver</th><th class="n">gains</th><th class="n">loses</th><th class="n">changed</th>
<th class="n">same</th><th>examples</th></tr>
{% for one in receivers %}<tr><td>{{ one.receiver }}</td>{{ n(one.gained, "gain") }}{{ n(one.lost, "loss") }}
{{ n(one.changed, "") }}{{ n(one.kept, "") }}<td><small>
{% for each in one.gains %}+ {{ each.subject }} {{ each.type }} ({{ each.event }})<br>{% endfor %}
{% for each in one.losses %}− {{ each.subject }} {{ each.type }} ({{ each.event }})<br>{% endfor %}
</small></td></tr>
{% endfor %}</table>
<h2>Rules</h2>
<table><tr><th>rules</th><th>route</th><th>receiver</th><th>matchers</th>
<th class="n">gains</th><th class="n">loses</th></tr>
{% for one in rules %}<tr><td>{{ "version %d" % one.version if one.version else "new" }}</td><td>{{ one.route }}</td>
<td>{{ one.receiver }}</td><td>{{ one.matchers | join(", ") }}</td>
{{ n(one.gained, "gain") }}{{ n(one.lost, "loss") }}</tr>
{% endfor %}</table>
<h2>People</h2>
<table><tr><th>person</th><th class="n">gains</th><th class="n">loses</th></tr>
{% for one in people[:most] %}<tr><td>{{ one.person }}</td>{{ n(one.gained, "gain") }}{{ n(one.lost, "loss") }}</tr>
{% endfor %}</table>
{% if people | length > most %}<p>{{ "{:,}".format(people | length - most) }} more people: see <code>--json</code>.</p>
{% endif %}</body></html>
"""
_MOST_PEOPLE = 1_000


def page(whole: Mapping[str, Any]) -> str:
    """The HTML of a comparison."""
    from jinja2 import Environment

    environment = Environment(autoescape=True, trim_blocks=True)
    return environment.from_string(_PAGE).render(whole, most=_MOST_PEOPLE)
