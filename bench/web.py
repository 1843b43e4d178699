#!/usr/bin/env python3
"""The page under load: do clients that come at once wait in order, how long, and on what memory?

    bench/web.py [--checkpoint DIR] [--clients 10] [--rounds 10] [--steps 100]
                 [--alternatives 3]
    bench/web.py --every-way [--clients 10] [--rounds 10]

In each round every client sends a photograph to the page's /complete, one right after another; with
--every-way it is, in turn, completed in all ways by the models that ship, and mended by each.
Memory is the server's resident set after the first round, when all is loaded, and after the last.
"""

import argparse
import itertools
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"  # Gradio's client would report its use

from gradio_client import Client, handle_file  # noqa: E402
from gradio_client.client import Job  # noqa: E402

import cli  # noqa: E402
from training import checkpoint  # noqa: E402
from web.mend import Menders  # noqa: E402

PHOTOGRAPH = ROOT / "examples" / "astronaut.jpg"
Ask = Callable[[Client], Job]  # what a client asks for
WAYS = (
    {"method": "network"},
    {"method": "network", "alternatives": 4},
    {"method": "search"},
    {"method": "both", "alternatives": 2},
)


@contextmanager
def server(flags: Sequence[str]):
    """The page in a process of its own; yields the process and the page's address."""
    command = [sys.executable, ROOT / "web" / "app.py", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            if not line:
                raise ValueError("the page did not start")
            yield process, line.split()[0]
        finally:
            process.terminate()


def completed(**options) -> Ask:
    """Has the photograph completed."""
    return lambda client: client.submit(
        picture=handle_file(PHOTOGRAPH), fit="face", api_name="/complete", **options
    )


def mended(wrong: str) -> Ask:
    """Has it mended."""
    return lambda client: client.submit(handle_file(PHOTOGRAPH), wrong, 0, api_name="/mend")


def every_way() -> list[Ask]:
    """Each way once."""
    mends = [mended(wrong) for wrong in Menders(checkpoint.MENDING).folders]
    return [completed(**way) for way in WAYS] + mends


def one_round(clients: Sequence, asks: Iterator[Ask]) -> tuple[list[float], list[int]]:
    """A job from every client -> seconds each waited for its result; who was answered, in order."""
    sent, answered, jobs = [], SimpleQueue(), []
    for number, client in enumerate(clients):
        sent.append(time.perf_counter())
        job = next(asks)(client)
        job.add_done_callback(lambda _, n=number: answered.put((n, time.perf_counter())))
        jobs.append(job)
        while job.status().rank is None and not job.done():
            time.sleep(0.005)  # until the server has it: who comes next stands behind
    ends = [answered.get() for _ in jobs]
    for job in jobs:
        job.result()
    return [end - sent[number] for number, end in ends], [number for number, _ in ends]


def resident_megabytes(process: subprocess.Popen) -> tuple[float, float]:
    """Now, and at most so far."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return tuple(
        int(re.search(rf"{name}:\s+(\d+)", status)[1]) / 1024 for name in ("VmRSS", "VmHWM")
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", help="folder of a model (default: the page's own)")
    parser.add_argument("--clients", type=cli.positive_int, default=10)
    parser.add_argument("--rounds", type=cli.positive_int, default=10)
    parser.add_argument("--steps", type=cli.positive_int, help="of a search (default: one pass)")
    parser.add_argument("--alternatives", type=cli.positive_int, default=1)
    parser.add_argument("--every-way", action="store_true", help="whatever the page can do")
    parser.add_argument("--port", type=cli.positive_int, default=7861)
    args = parser.parse_args()
    flags = ["--port", str(args.port), "--max-waiting", str(args.clients)]
    flags += ["--checkpoint", args.checkpoint] if args.checkpoint else []
    options = {"alternatives": args.alternatives} | ({"steps": args.steps} if args.steps else {})
    asks = itertools.cycle(every_way() if args.every_way else [completed(**options)])
    with server(flags) as (process, address):
        clients = [Client(address, verbose=False) for _ in range(args.clients)]
        waits, memory, in_order = [], [], 0
        for _ in range(args.rounds):
            seconds, order = one_round(clients, asks)
            waits += seconds
            in_order += order == sorted(order)
            now, peak = resident_megabytes(process)
            memory.append(now)
            print(f"round {len(memory)}: {max(seconds):.1f} s, {now:.0f} MB", flush=True)
    half, most = np.percentile(waits, [50, 95])
    what = "every way in turn" if args.every_way else f"{options}"
    print(
        f"web: {len(waits)} jobs, {what}, {args.clients} at once, all answered, "
        f"{in_order} of {args.rounds} rounds in order; wait {half:.1f} s median, {most:.1f} s "
        f"p95; memory {memory[0]:.0f} MB after round 1, {memory[-1]:.0f} MB at the end, "
        f"{peak:.0f} MB at most"
    )


if __name__ == "__main__":
    cli.run(main)
