"""A process that runs tasks for another: what a task breaks, hangs or leaks ends with the process."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from time import monotonic
from typing import Any

Record = dict[str, Any]
Task = Callable[..., Iterator[Record]]

DONE = "done"
FAILED = "failed"
WHOLE_MESSAGE = 2000


class Worker:
    """Runs tasks in one process, which is started when it is needed and again when a task has broken it.

    Parameters
    ----------
    environment : mapping
        Variables that the process has besides this one's.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self.environment = dict(environment or {})
        self._process: Any = None
        self._pipe: Connection | None = None

    def run(self, task: Task, *arguments: Any, limit: float) -> Record:
        """Run a task, and return all that its records say, the later ones winning.

        Parameters
        ----------
        task : callable
            A function of a module, which yields records.
        *arguments
            Of the task; they are pickled.
        limit : float
            Seconds after which the process is killed.

        Returns
        -------
        dict
            With ``"failed"``, a text, if the task raised an error, ended its process or took too long; what it had
            yielded until then is there. After that the next task gets a new process: an error may have spoiled what
            the process holds of the GPU.
        """
        found: Record = {}
        deadline = monotonic() + limit
        try:
            pipe = self._started()
            pipe.send((task, arguments))
            while True:
                if not pipe.poll(max(deadline - monotonic(), 0)):
                    found[FAILED] = f"stopped after {limit:.0f} s"
                    break
                record = pipe.recv()
                if record == DONE:
                    return found
                found.update(record)
                if FAILED in record:
                    break
        except (EOFError, OSError):
            code = self._exit_code()
            found[FAILED] = f"its process ended with code {code}"
        self.stop()
        return found

    def _started(self) -> Connection:
        if self._pipe is None:
            context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(target=_serve, args=(theirs, self.environment), daemon=True)
            self._process.start()
            theirs.close()
        return self._pipe

    def _exit_code(self) -> Any:
        if self._process is None:
            return None
        self._process.join(5)
        return self._process.exitcode

    def stop(self) -> None:
        """End the process, and with it all that it holds."""
        if self._pipe is not None:
            self._pipe.close()
            self._process.kill()
            self._process.join(10)
        self._pipe = self._process = None


def _serve(pipe: Connection, environment: Mapping[str, str]) -> None:
    """Run the tasks that come, until there is nobody to ask for them."""
    import os

    os.environ.update(environment)
    while True:
        try:
            task, arguments = pipe.recv()
        except EOFError:
            return
        try:
            for record in task(*arguments):
                pipe.send(record)
            pipe.send(DONE)
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            with suppress(OSError):
                pipe.send({FAILED: text[:WHOLE_MESSAGE], "traceback": _traceback(error)})


def _traceback(error: Exception) -> str:
    import traceback

    return "".join(traceback.format_exception(error))[-2 * WHOLE_MESSAGE :]
