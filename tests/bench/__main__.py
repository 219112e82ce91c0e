"""`python -m tests.bench [NAME …]`: runs the named benchmarks, or all."""

from __future__ import annotations

import importlib
import sys

NAMES = (
    *("stage", "two", "avro", "path", "store", "latency", "ingress", "memory", "start", "recovery"),
    *("conservation", "fanout", "fanout_urgent", "webhooks", "utilisation", "peers", "whatif"),
    *("open_groups", "storm", "matching", "callbacks"),
)


def main(names: list[str]) -> int:
    unknown = set(names) - set(NAMES)
    if unknown:
        print(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}", file=sys.stderr)
        return 2
    for name in names or NAMES:
        print(f"# {name}", flush=True)
        importlib.import_module(f"tests.bench.bench_{name}").bench()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
