"""How the interpreter is set for a service."""

from __future__ import annotations

import gc
import sys

# A thread that waits for the interpreter's lock gets it after at most this long; the store's and Kafka's threads
# need it for microseconds, and the default of 5 ms would be most of the latency of a hop.
_SWITCH_S = 0.0005
# Records come and go by the thousand and hardly any are in cycles: look for those less often, and not in what was
# loaded at the start.
_GC_OBJECTS = 20_000


def tune() -> None:
    """To be called once, when the modules are loaded."""
    sys.setswitchinterval(_SWITCH_S)
    gc.freeze()
    gc.set_threshold(_GC_OBJECTS, 20, 20)
