"""Memory that is needed no more goes back to the system. glibc, where it is the allocator, would
keep up to eight pools for each core, and what is freed in them; oneDNN's pool, all it ever took."""

import contextlib
import ctypes
import gc
import os
import threading
from collections.abc import Callable, Hashable
from typing import Any

M_ARENA_MAX = -8  # of malloc.h
POOLS = 2
KEPT = 2  # networks: what a job needs, and what the one before needed


def share() -> None:
    """Have the threads that are to come use again what others have freed. Before TensorFlow is
    imported."""
    os.environ["TF_ONEDNN_USE_SYSTEM_ALLOCATOR"] = "1"
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").mallopt(M_ARENA_MAX, POOLS)


def give_back() -> None:
    """Networks are in cycles, which Python alone would seldom look for."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


class Recent:
    """What was asked for last, `kept` of it; what was asked for before is forgotten."""

    def __init__(self, kept: int = KEPT):
        self._kept, self._lock = kept, threading.Lock()
        self._made: dict[Hashable, Any] = {}  # the latest last

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What was made for the key, or is made now. What is forgotten goes afterwards, as it may
        share networks with what takes its place."""
        with self._lock:
            made = self._made.pop(key, None)
            if made is None:
                made = make()
            self._made[key] = made
            if len(self._made) > self._kept:
                del self._made[next(iter(self._made))]
                give_back()
            return made
