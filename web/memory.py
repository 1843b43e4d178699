"""Memory that is needed no more goes back to the system. glibc, where it is the allocator, would
keep up to eight pools for each core, and what is freed in them."""

import contextlib
import ctypes
import gc

M_ARENA_MAX = -8  # of malloc.h
POOLS = 2


def share() -> None:
    """Have the threads that are to come use again what others have freed."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").mallopt(M_ARENA_MAX, POOLS)


def give_back() -> None:
    """Networks are in cycles, which Python alone would seldom look for."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
