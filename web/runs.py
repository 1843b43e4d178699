"""What each visitor has asked to have completed last: whether it waits, runs, or is given up."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Run:
    """A completion that was asked for. abandoned: nobody waits for it any more; follows: one that
    was stale."""

    follows: bool = False
    number: int = field(default_factory=itertools.count(1).__next__)
    stop: threading.Event = field(default_factory=threading.Event)
    begun: bool = False
    over: bool = False
    abandoned: bool = False

    def abandon(self) -> None:
        if not self.over:
            self.abandoned = True
            self.stop.set()

    @property
    def stale(self) -> bool:
        """Whether an answer may have been on its way when nobody waited for it any more."""
        return self.begun and self.abandoned


class Runs:
    """The last run of each session. One that is asked for takes the place of the one before."""

    def __init__(self):
        self._last: dict[str, Run] = {}

    def ask(self, session: str) -> Run:
        last = self._last.get(session)
        self.abandon(session)
        run = self._last[session] = Run(follows=last is not None and last.stale)
        return run

    def abandon(self, session: str) -> None:
        if run := self._last.get(session):
            run.abandon()

    def stop(self, session: str) -> bool:
        """Have the run end with the best so far; one that waits is abandoned. Whether it was."""
        run = self._last.get(session)
        waited = run is not None and not run.begun
        if waited:
            run.abandon()
        elif run:
            run.stop.set()
        return waited

    @contextmanager
    def turn(self, session: str, number: int | None) -> Iterator[Run | None]:
        """The run of that number, which is over after the block; None if it is not to be done."""
        run = self._last.get(session)
        if run is None or run.number != number or run.begun:
            yield None
            return
        run.begun = not run.abandoned
        try:
            yield run if run.begun else None
        finally:
            run.over = True

    def end(self, session: str, failed: bool = False) -> Run | None:
        """Forget the last run, if it is over or has failed; None if there is one to wait for."""
        run = self._last.get(session, Run(over=True))
        if not (run.over or failed):
            return None
        self._last.pop(session, None)
        return run
