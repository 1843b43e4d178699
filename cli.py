"""What every command shares: flags in both spellings, checked numbers, errors, safe writes."""

import argparse
import io
import math
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

# Read by TensorFlow when it is imported, which every command does after this module. oneDNN is off
# by default on processors without AVX-512; measured on one, it takes a third off a training step.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, where argparse would list all flags before it."""

    def error(self, message: str) -> NoReturn:
        print(f"error: {message}; {self.prog} --help says what there is", file=sys.stderr)
        sys.exit(2)


def flag(parser, *names: str, **options) -> argparse.Action:
    """add_argument that accepts each name in kebab-case too: --learning_rate, --learning-rate."""
    spellings = [s for name in names for s in (_kebab(name), name)]
    return parser.add_argument(*dict.fromkeys(spellings), **options)


def _kebab(name: str) -> str:
    """--hmcBeta -> --hmc-beta; --learning_rate -> --learning-rate."""
    if not name.startswith("--"):
        return name
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name[2:])
    return "--" + words.replace("_", "-").lower()


def _number(kind: type, accepts: Callable[[float], bool], wanted: str) -> Callable[[str], float]:
    def parse(text: str):
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not (-math.inf < value < math.inf and accepts(value)):
            raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
        return value

    return parse


positive_int = _number(int, lambda n: n > 0, "a whole number above 0")
non_negative_int = _number(int, lambda n: n >= 0, "a whole number, 0 or more")
positive_float = _number(float, lambda x: x > 0, "a number above 0")
non_negative_float = _number(float, lambda x: x >= 0, "a number, 0 or more")
fraction = _number(float, lambda x: 0 <= x <= 1, "a number from 0 to 1")
decay = _number(float, lambda x: 0 <= x < 1, "a number from 0 to below 1")


def point(text: str) -> tuple[float, float]:
    """A point in a picture from "x,y"."""
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a point x,y") from None
    return x, y


def run(main: Callable[[], int | None], stopped: str = "") -> NoReturn:
    """Call main and exit with what it returns. What a user can get wrong (ValueError, OSError)
    becomes one line on standard error and exit status 2; Ctrl-C exits with 130, and says `stopped`
    where the work itself has not said how to go on."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files may hold any bytes
    try:
        sys.exit(main())
    except (ValueError, OSError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        if stopped:
            tell(f"\n{stopped}")
        sys.exit(130)


def tell(sentence: str) -> None:
    """Say on standard error what somebody should know, though the work goes on."""
    print(sentence, file=sys.stderr, flush=True)


def counted(number: int, noun: str) -> str:
    """1 step, 1,000 steps."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def pass_over(error: Exception | str) -> None:
    """Name, in one line, what could not be done where the rest goes on."""
    tell(f"passed over {error if isinstance(error, str) else one_line(error)}")


def status(passed_over: int, count: int) -> int:
    """What to exit with after `count` pictures: 0, or 1 if some were passed over, 2 if all were."""
    return 0 if not passed_over else 2 if passed_over == count else 1


def one_line(error: Exception) -> str:
    """The message of an exception without line breaks; of an OSError, its file and its reason."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split())


def _missing(error: ModuleNotFoundError) -> str:
    return (
        f"{error.name} is not installed, which this takes: pip install -r requirements.txt, "
        "or . .venv/bin/activate"
    )


def _uncaught(kind: type[BaseException], error: BaseException, trace) -> None:
    """A package that is missing becomes one line on standard error and exit status 2, wherever it
    is imported: commands import this module before any package."""
    if not isinstance(error, ModuleNotFoundError):
        sys.__excepthook__(kind, error, trace)
        return
    print(f"error: {_missing(error)}", file=sys.stderr)
    sys.exit(2)


sys.excepthook = _uncaught


def import_tensorflow() -> None:
    """Import TensorFlow without what it writes to standard error before it heeds any setting.
    Raises ValueError where it is not installed."""
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        import tensorflow  # noqa: F401
    except ModuleNotFoundError as error:
        raise ValueError(_missing(error)) from None
    finally:
        os.dup2(kept, 2)
        os.close(kept)


class StopRequest:
    """Turns the first Ctrl-C or SIGTERM within its block into `requested`, and says so on standard
    error; a second interrupts."""

    def __init__(self, says: str = ""):
        self._says = says

    def __enter__(self) -> "StopRequest":
        self.requested = False
        self._handlers = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._handlers[number] = signal.signal(number, self._request)
        return self

    def _request(self, number, frame) -> None:
        self.requested = True
        if self._says:
            os.write(2, f"\n{self._says}\n".encode())  # print might be under way
        signal.signal(number, signal.default_int_handler)

    def __exit__(self, *error) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
