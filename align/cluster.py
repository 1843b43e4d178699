"""Work handed to the machines of a Ray cluster, or to this one's cores by Ray."""

import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import cli

SECONDS_TO_ANSWER = 10
ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def tasks(work: Callable, address: str | None, workers: int | None) -> Iterator[tuple]:
    """Yields what submits `work` with its arguments, and the number of cores that do it.

    Without an address Ray is started on this machine, with so many workers, and ended. What was
    under way on a worker or a machine that is lost is done again by others, so `work` must give the
    same when it is done twice. Its files must lie where every machine finds them, and this program
    at the same path. Raises ValueError where Ray or the cluster is missing.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ModuleNotFoundError:
        raise ValueError(
            "--engine ray takes Ray, not installed yet: pip install -r requirements-ray.txt"
        ) from None
    if address not in (None, "auto"):
        _must_answer(address)  # where nothing does, Ray itself waits for minutes
    try:
        ray.init(
            address=address or "local",
            num_cpus=None if address else workers,
            include_dashboard=False if not address else None,
            runtime_env={"env_vars": {"PYTHONPATH": str(ROOT)}},
            log_to_driver=False,
            logging_level="error",
        )
    except ConnectionError as error:
        raise ValueError(f"--address {address}: {cli.one_line(error)}") from None
    try:
        task = ray.remote(num_cpus=1, max_retries=-1)(work)

        def submit(*arguments) -> Future:
            return task.remote(*arguments).future()

        yield submit, int(ray.cluster_resources().get("CPU", 1))
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
