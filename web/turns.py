"""A job that a page's button asks for: it takes its turn, can be stopped, and may be given up."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import gradio as gr

from web import studio
from web.runs import Runs

WAITING = "Waiting for its turn…"
ENDS = {
    "done": "Done",
    "stopped": "Stopped: the best so far",
    "time": "Time is up: the best so far",
}


def warn(error: ValueError, title: str = "Not possible") -> None:
    """Tell a ValueError, which is the user's, on the page."""
    gr.Warning(str(error), title=title)


class Turns:
    """The jobs of a page's visitors; what one writes goes into a folder of its own in `folder`.

    Answers are values of: the button that asks, the one that stops, a line of status, what is shown
    on the way, the results, and what a page has besides.
    """

    def __init__(self, folder: Path):
        self.folder, self._runs = folder, Runs()

    def ask(self, request: gr.Request) -> tuple:
        """A click on the button -> number of what is asked for, button, stop, status. It is to take
        its turn; what the same visitor asked for before is given up."""
        run = self._runs.ask(request.session_hash)
        return run.number, gr.update(visible=False), gr.update(visible=True), WAITING

    def stop(self, request: gr.Request) -> tuple:
        """-> button, stop, status"""
        if self._runs.stop(request.session_hash):
            return gr.update(visible=True), gr.update(visible=False), ""
        return (gr.skip(),) * 3

    def take(
        self,
        request: gr.Request,
        number: int | None,
        job: Callable[[Path, threading.Event], Iterator[tuple]],
        begins: str,
        others: int,
    ) -> Iterator[tuple]:
        """What was asked for by this number -> the answers of the job, which gets a folder and an
        event that says when to stop. begins: the first status; others: values after the results."""
        shown, hidden = gr.update(visible=True), gr.update(visible=False)
        with self._runs.turn(request.session_hash, number) as run:
            if run is None:  # Gradio would hide the buttons of one that yields nothing
                yield (gr.skip(),) * (5 + others)
                return
            old = hidden if run.follows else gr.skip()
            yield hidden, shown, begins, gr.skip(), old, *[gr.skip()] * others
            try:
                with studio.own_folder(self.folder) as folder:
                    for answer in job(folder, run.stop):
                        if run.abandoned:
                            return
                        yield answer
            except ValueError as error:
                warn(error)
                yield shown, hidden, "", hidden, *[gr.skip()] * (1 + others)

    def give_up(self, request: gr.Request) -> None:
        """What the visitor asked for is of no use any more."""
        self._runs.abandon(request.session_hash)

    def end(self, request: gr.Request, failed: bool = False) -> tuple:
        """A job is over; failed: as the server was busy, or broke -> button, stop, status, what is
        shown on the way, results

        An answer that was on its way when it was abandoned came after the new picture: what it
        showed goes here.
        """
        run, hidden = self._runs.end(request.session_hash, failed), gr.update(visible=False)
        if run is None:  # a later one is to come
            return (gr.skip(),) * 5
        status = "" if failed or run.stale else gr.skip()
        return gr.update(visible=True), hidden, status, hidden, hidden if run.stale else gr.skip()

    def fail(self, request: gr.Request) -> tuple:
        return self.end(request, failed=True)
