"""Which devices a run uses: strategies by name, GPU memory, and workers that must act as one."""

import dataclasses
import functools
import json
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import tensorflow as tf

# Raised by collective operations when a worker has gone.
_WORKER_GONE = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.DeadlineExceededError,
    tf.errors.CancelledError,
    tf.errors.InternalError,
)


def strategy(name: str) -> tf.distribute.Strategy:
    """none: one device; mirrored: all GPUs of this machine, else its CPU; multiworker: the machines
    that the environment variable TF_CONFIG lists, as TensorFlow documents it.

    Call it before any tensor is made. GPU memory is taken as it is needed, not all at once. With
    multiworker it says on standard output whom it waits for, and returns when all are there.
    Raises ValueError for a TF_CONFIG that is wrong or that this machine cannot follow.
    """
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    if name == "mirrored":
        return tf.distribute.MirroredStrategy()
    if name == "multiworker":
        return _join(_own_address())
    return tf.distribute.get_strategy()


def _own_address() -> str:
    """What TF_CONFIG gives as this worker's address; ValueError if it is not as documented."""
    text = os.environ.get("TF_CONFIG", "")
    try:
        config = json.loads(text)
        addresses = [address for job in config["cluster"].values() for address in job]
        ports = [int(address.rpartition(":")[2]) for address in addresses]
        job, index = config["task"]["type"], config["task"]["index"]
        if job in ("chief", "worker") and index >= 0 and all(0 < port < 2**16 for port in ports):
            return config["cluster"][job][index]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        pass
    raise ValueError(
        f"TF_CONFIG is {text!r}; --strategy multiworker needs "
        '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
    )


def _join(address: str) -> tf.distribute.Strategy:
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    workers = resolver.cluster_spec().as_dict()
    names = ", ".join(address for job in workers.values() for address in job)
    try:
        with _interruptible():
            print(f"this is worker {address}; waiting for all of {names}", flush=True)
            return tf.distribute.MultiWorkerMirroredStrategy(resolver)
    except tf.errors.OpError as error:
        raise ValueError(
            f"TF_CONFIG: cannot serve at {address} ({error.message.splitlines()[0]}): is the port "
            f"free, and can every name of {names} be resolved?"
        ) from None


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C ends the process at once: while TensorFlow waits, no Python code can handle it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def describe(chosen: tf.distribute.Strategy) -> str:
    """The devices in use, in words: "GPU:0, GPU:1; 16 replicas on 8 workers"."""
    replicas, workers = chosen.num_replicas_in_sync, _worker_count(chosen)
    if chosen.cluster_resolver is None and replicas == 1:
        names = [(tf.config.list_logical_devices("GPU") or ["CPU:0"])[0]]
    else:
        names = chosen.extended.worker_devices  # this process's
    names = [getattr(name, "name", name).rpartition("device:")[2] or name for name in names]
    several = f" on {workers} workers" if workers > 1 else ""
    return f"{', '.join(names)}; {replicas} replica{'s' * (replicas > 1)}{several}"


def _worker_count(chosen: tf.distribute.Strategy) -> int:
    resolver = chosen.cluster_resolver
    return sum(map(len, resolver.cluster_spec().as_dict().values())) if resolver else 1


def is_chief(chosen: tf.distribute.Strategy) -> bool:
    """Whether this process writes what all processes compute: the chief, else worker 0."""
    resolver = chosen.cluster_resolver
    if resolver is None or resolver.task_type == "chief":
        return True
    return "chief" not in resolver.cluster_spec().jobs and resolver.task_id == 0


def local(value) -> np.ndarray:
    """A tensor, or this process's part of a distributed one, as an array."""
    parts = value.values if isinstance(value, tf.distribute.DistributedValues) else [value]
    return np.concatenate([part.numpy() for part in parts])


def anywhere(chosen: tf.distribute.Strategy, fact: bool) -> bool:
    """Whether `fact` holds on any worker. All workers have to ask at the same point."""
    return bool(_gather(chosen, [fact]).any())


def must_agree(chosen: tf.distribute.Strategy, facts: Mapping[str, int]) -> None:
    """ValueError that names the first number in which the workers differ. All have to call it."""
    for name, values in zip(facts, _gather(chosen, list(facts.values())).T, strict=True):
        if (values != values[0]).any():
            other = int((values != values[0]).argmax())
            raise ValueError(
                f"{name} is {values[0]} on replica 0 and {values[other]} on replica {other}: all "
                "workers need the same flags, the same pictures and the same checkpoints"
            )


def _gather(chosen: tf.distribute.Strategy, numbers: list[int]) -> np.ndarray:
    """Every replica's numbers (N,), as int64 (replicas, N)."""
    own = np.array(numbers, np.int64)
    return own[None] if _worker_count(chosen) == 1 else _traced_gather(chosen)(own).numpy()


@functools.cache
def _traced_gather(chosen: tf.distribute.Strategy) -> Callable:
    def on_replica(numbers: tf.Tensor) -> tf.Tensor:
        context = tf.distribute.get_replica_context()
        number, count = context.replica_id_in_sync_group, context.num_replicas_in_sync
        row = tf.one_hot(number, count, dtype=tf.int64)[:, None]
        return context.all_reduce(tf.distribute.ReduceOp.SUM, row * numbers)

    @tf.function(autograph=False, reduce_retracing=True)
    def gather(numbers: tf.Tensor) -> tf.Tensor:
        return chosen.experimental_local_results(chosen.run(on_replica, (numbers,)))[0]

    return lambda numbers: gather(tf.constant(numbers))


@contextmanager
def writing(run, chosen: tf.distribute.Strategy) -> Iterator:
    """The run as this process is to write it: the chief's own, else one in a temporary folder.

    Every worker saves and shows what the chief does, so that none needs to know which it is, and
    whatever needs all of them finds them; what the others write is thrown away.
    """
    if is_chief(chosen):
        yield run
        return
    with tempfile.TemporaryDirectory() as folder:
        names = ("checkpoint_dir", "sample_dir", "log_dir")
        yield dataclasses.replace(run, **{name: f"{folder}/{name}" for name in names})


@contextmanager
def watching_workers(chosen: tf.distribute.Strategy) -> Iterator[None]:
    """Turns what TensorFlow raises when another worker has gone into one line."""
    try:
        yield
    except _WORKER_GONE as error:
        if chosen.cluster_resolver is None:
            raise
        raise ValueError(
            "another worker stopped, so this one stops too; start all of them again to resume "
            f"({type(error).__name__})"
        ) from None
