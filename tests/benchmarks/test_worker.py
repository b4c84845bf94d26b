"""A worker gives back what a task found until it failed, and goes on with the next task."""

from __future__ import annotations

import os
import time

import pytest

from benchmarks.worker import Worker


def counted(last):
    for k in range(last):
        yield {"last": k, f"is_{k}": True}


def raises():
    yield {"stage": "begun"}
    raise ValueError("so it is")


def hangs():
    yield {"stage": "begun"}
    time.sleep(100)


def dies():
    yield {"stage": "begun"}
    os._exit(3)


def named(variable):
    yield {variable: os.environ.get(variable), "process": os.getpid()}


@pytest.fixture
def worker():
    worker = Worker({"SAID": "in its environment"})
    yield worker
    worker.stop()


def test_later_records_win(worker):
    assert worker.run(counted, 2, limit=20) == {"last": 1, "is_0": True, "is_1": True}


@pytest.mark.parametrize(
    ("task", "limit", "message"),
    [(raises, 20, "ValueError: so it is"), (hangs, 1.5, "stopped after 2 s"), (dies, 20, "ended with code 3")],
)
def test_what_fails_ends_its_process_alone(worker, task, limit, message):
    first = worker.run(named, "SAID", limit=20)
    failed = worker.run(task, limit=limit)
    assert failed["stage"] == "begun"
    assert message in failed["failed"]
    second = worker.run(named, "SAID", limit=20)
    assert second["SAID"] == first["SAID"] == "in its environment"
    assert second["process"] != first["process"]
