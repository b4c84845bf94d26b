"""The benchmarks run. What they measure is read by people, not asserted."""

from __future__ import annotations

import json

import pytest

from benchmarks import compile_time, cpu_loops, first_call, gradients, language, memory, whole_arrays
from benchmarks.seed_examples import PROGRAMS


def test_cpu_loops(capsys):
    cpu_loops.main(["--steps", "3", "--repeats", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 + len(cpu_loops.CASES) * len(cpu_loops.SHAPES)
    assert lines[1].startswith("loop")


@pytest.mark.parametrize("name", PROGRAMS)
def test_first_call(name, capsys):
    first_call.main(["--only", name, "--json"])
    assert len(json.loads(capsys.readouterr().out)) == len(first_call.PARTS)


def test_first_call_in_a_new_python(capsys):
    first_call.main(["--only", "power", "--repeats", "1"])
    assert capsys.readouterr().out.splitlines()[-1].startswith("power")


def test_memory(capsys):
    memory.main(["--steps", "3", "1000", "--size", "10"])
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert [row[0] for row in rows] == ["A**3", "A**1000"]
    assert float(rows[1][2]) < 1


def test_gradients(capsys):
    gradients.main(["--steps", "3", "--long", "20", "--repeats", "1"])
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[2:4]] == ["rnn", "lstm"]


def test_language(capsys):
    language.main(["--fewer", "1000", "--repeats", "1"])
    assert len(capsys.readouterr().out.splitlines()) == 5


def test_compile_time(capsys):
    compile_time.main(["--repeats", "1", "--nodes", "10", "30"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5 + len(compile_time.PROGRAMS) + 2 * len(compile_time.GRAPHS)


def test_whole_arrays(capsys):
    whole_arrays.main(["--fewer", "1000", "--repeats", "1", "--no-peers"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5 + 2 * len(whole_arrays.PROGRAMS)
    assert sum(line.startswith(tuple(whole_arrays.PROGRAMS)) for line in lines) == 2 * len(whole_arrays.PROGRAMS)


def test_peers_that_are_not_installed(capsys, monkeypatch):
    monkeypatch.setattr(whole_arrays, "PEERS", {"Nobody": "benchmarks.scan_of_nobody"})
    whole_arrays.main(["--fewer", "1000", "--repeats", "1", "--only", "nested"])
    assert capsys.readouterr().out.count("not installed") == 2


@pytest.mark.parametrize("peer", whole_arrays.PEERS)
def test_peers_compute_the_same(peer):
    module = whole_arrays.installed_peers()[peer]
    if module is None:
        pytest.skip(f"{peer} is not installed")
    assert list(module.PROGRAMS) == list(whole_arrays.PROGRAMS)
    for name in ("running sum", "tanh net, gradient"):
        measured = whole_arrays.measure(name, 5, 1, {peer: module})  # which compares results
        assert measured.peers.keys() == {peer}
