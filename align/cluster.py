"""Work handed to the machines of a Ray cluster, or to this one's cores by Ray."""

import argparse
import contextlib
import functools
import io
import itertools
import os
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import cv2

import cli

SECONDS_TO_ANSWER = 10
TRIES = 20  # of one item, whose workers all end: it is what ends them
ROOT = Path(__file__).resolve().parents[1]
WORKERS_HAVE = {
    "PYTHONPATH": str(ROOT),
    "TF_NUM_INTRAOP_THREADS": "1",  # there is a worker for each core; results do not depend on it
    "OMP_NUM_THREADS": "1",
    "TQDM_DISABLE": "1",
}
Item, Done = TypeVar("Item"), TypeVar("Done")


def add_flags(parser, usual: str = "process") -> None:
    """--engine, with the usual one's name, --address and --workers."""
    cli.flag(
        parser,
        "--engine",
        choices=(usual, "ray"),
        default=usual,
        help="ray: workers of Ray, which may be on other machines (%(default)s)",
    )
    cli.flag(
        parser,
        "--address",
        help="of a Ray cluster, HOST:PORT or auto (default: this machine alone)",
    )
    cli.flag(
        parser, "--workers", type=cli.positive_int, help="on this machine (default: one per core)"
    )


def asked_for(arguments: argparse.Namespace) -> "Ray | None":
    """The engine that flags ask for, None for the usual one. Raises ValueError for a flag that
    would change nothing."""
    engine, address, workers = arguments.engine, arguments.address, arguments.workers
    if address and (engine != "ray" or workers):
        idle = "--workers" if engine == "ray" else "--address"
        raise ValueError(f"{idle} has no effect with --engine {engine} --address")
    if workers and engine == "process":
        raise ValueError("--workers has no effect with --engine process, which is one")
    return Ray(address, workers) if engine == "ray" else None


@dataclass(frozen=True)
class Ray:
    """Workers, one for each core. address: of their cluster; without one Ray is started on this
    machine, with so many workers, and ended."""

    address: str | None = None
    workers: int | None = None

    def each(
        self, work: Callable[[Any, Item], Done], shared: Any, items: Iterable[Item], ahead: int
    ) -> Iterator[Done]:
        """work(shared, item) for every item, in their order; `ahead` items a worker are under way
        or wait to be taken. A worker gets `shared` once, and keeps what it makes of it.

        What was under way on a worker or a machine that is lost is done again by others, so `work`
        must give the same when it is done twice. It runs in this process's current folder, which
        every machine has to have, like the program and the files, at the same path; what it says is
        said here. Raises ValueError where Ray or the cluster is missing, and whatever `work` does.
        """
        items = iter(items)
        if (first := next(items, None)) is None:
            return
        with self._started() as ray:
            task = ray.remote(num_cpus=1, max_retries=TRIES)(_done)
            kept = [ray.put((work, shared))]  # in a list, it is not fetched for every item
            most = ahead * int(ray.cluster_resources().get("CPU", 1))
            waiting = deque()
            for item in itertools.chain([first], items):
                waiting.append(task.remote(kept, item, os.getcwd()))
                if len(waiting) >= most:
                    yield _said(ray, waiting.popleft())
            while waiting:
                yield _said(ray, waiting.popleft())

    @contextlib.contextmanager
    def _started(self) -> Iterator:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_worker_niceness", "0")  # as one process has it, not 15
        try:
            import ray
        except ModuleNotFoundError:
            raise ValueError(
                "--engine ray takes Ray, not installed yet: pip install -r requirements-ray.txt"
            ) from None
        if self.address not in (None, "auto"):
            _must_answer(self.address)  # where nothing does, Ray itself waits for minutes
        try:
            ray.init(
                address=self.address or "local",
                num_cpus=None if self.address else self.workers,
                include_dashboard=False if not self.address else None,
                runtime_env={"env_vars": WORKERS_HAVE},
                log_to_driver=False,
                logging_level="error",
            )
        except ConnectionError as error:
            raise ValueError(f"--address {self.address}: {cli.one_line(error)}") from None
        try:
            yield ray
        finally:
            ray.shutdown()


def _must_answer(address: str) -> None:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), SECONDS_TO_ANSWER).close()
    except (OSError, ValueError) as error:
        raise ValueError(
            f"--address {address}: {cli.one_line(error)}; it is HOST:PORT of ray start --head, "
            "or auto"
        ) from None


def _said(ray, reference) -> Any:
    """What came of an item, when it is there; what was said with it is said."""
    try:
        done, said = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        raise ValueError(
            f"--engine ray: workers were ended from outside {TRIES} times over one item, perhaps "
            f"for their memory: run again to go on ({cli.one_line(error)[:200]})"
        ) from None
    sys.stderr.write(said)
    return done


@functools.lru_cache(maxsize=1)
def _fetched(reference) -> Any:
    import ray

    cv2.setNumThreads(1)
    return ray.get(reference)


def _done(kept: list, item: Any, folder: str) -> tuple[Any, str]:
    """In a worker: what comes of an item, and what is said on standard error with it."""
    os.chdir(folder)
    work, shared = _fetched(kept[0])
    with contextlib.redirect_stderr(io.StringIO()) as said:
        return work(shared, item), said.getvalue()
