"""Philox against the published known answers, in NumPy, on the emulator and on a GPU."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gpuscan.cuda.device import open_device
from gpuscan.cuda.kernel import Kernel, Parameter
from gpuscan.cuda.random import RandomBlocks
from gpuscan.cuda.source import splice
from gpuscan.tensor.random.draw import Functions
from gpuscan.tensor.random.philox import block_bits, philox4x32
from gpuscan.tensor.random.sampling import NUMBER
from gpuscan.tensor.random.words import DeviceBits, HostBits

# Random123, file kat_vectors, lines "philox4x32 10": counter, key, words.
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words(text):
    return tuple(int(word, 16) for word in text.split())


@pytest.fixture(params=["emulator", pytest.param("cuda:0", marks=pytest.mark.cuda)])
def device(request):
    return open_device(request.param)


def kernel(name, parameters, body):
    records = []
    for written in parameters.split(", "):
        dtype, word, *out = written.split()
        records.append(Parameter(word, dtype, is_array=True, writes=bool(out)))
    c_types = {"uint32": "unsigned int", "uint64": "unsigned long long"}
    declared = ", ".join(f"Global<{'' if p.writes else 'const '}{c_types[p.dtype]}> {p.name}" for p in records)
    text = f'#include "philox.cuh"\nextern "C" __global__ void {name}({declared}) {{\n{body}\n}}\n'
    return Kernel(name, splice(text), tuple(records))


def run(device, kernel, *arguments):
    with device.active():
        arrays = [device.as_array(a, a.dtype.name) for a in arguments]
        device.load(kernel)((1, 1, 1), (1, 1, 1), 0, arrays)
        return [device.to_host(a) for a in arrays]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_known_answers_in_python(counter, key, expected):
    assert philox4x32(words(counter), words(key)) == words(expected)


def test_known_answers_in_numpy():
    counters, keys, expected = (np.array([words(row[i]) for row in KNOWN_ANSWERS], np.uint64).T for i in range(3))
    np.testing.assert_array_equal(philox4x32(tuple(counters), tuple(keys)), expected)


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_known_answers_in_a_kernel(counter, key, expected, device):
    known_answers = kernel(
        "known_answers",
        "uint32 given, uint32 found out",
        "gs::PhiloxWords w = gs::philox4x32({{given[0], given[1], given[2], given[3]}}, given[4], given[5]);\n"
        "for (int i = 0; i < 4; ++i) found[i] = w.word[i];",
    )
    _, found = run(device, known_answers, np.array(words(counter) + words(key), "uint32"), np.zeros(4, "uint32"))
    assert tuple(found) == words(expected)


def test_bits_of_elements_in_a_kernel_are_those_in_numpy(device):
    bits_of = kernel(
        "bits_of",
        "uint64 state, uint64 elements, uint64 blocks, uint64 found out",
        "gs::RandomState s = {state[0], state[1]};\n"
        "for (int i = 0; i < 4; ++i) {\n"
        "    gs::RandomBits b = gs::random_bits(s, (long long)elements[i], (unsigned int)blocks[i]);\n"
        "    found[2 * i] = b.first, found[2 * i + 1] = b.second;\n"
        "}",
    )
    state = np.array([0x123456789ABCDEF0, 2**64 - 2], np.uint64)
    elements = np.array([0, 1, 2**32 + 5, 2**44 - 1], np.uint64)
    blocks = np.array([0, 1, 77, 2**20 - 1], np.uint64)
    *_, found = run(device, bits_of, state, elements, blocks, np.zeros(8, np.uint64))
    for i in range(4):
        expected = block_bits(int(state[0]), int(state[1]), elements[i : i + 1], int(blocks[i]))
        assert [int(b[0]) for b in expected] == found[2 * i : 2 * i + 2].tolist()


def test_each_counter_word_counts():
    def at(key=1, draw=2, element=3, block=4):
        return block_bits(key, draw, np.array([element], np.uint64), block)[0][0]

    places = [
        {}, {"key": 2}, {"key": 1 + 2**32}, {"draw": 3}, {"draw": 2 + 2**32}, {"element": 4}, {"element": 3 + 2**32},
        {"block": 5},
    ]  # fmt: skip
    assert len({int(at(**place)) for place in places}) == len(places)


@pytest.mark.parametrize("count", [1, 7, 512, 513, 3000])
def test_draws_kept_ready_are_those_made_one_by_one(count):
    for draw in (0, 1, 2047, 2048, 2**64 - 1):
        for which in (0, 1, 5):
            expected = block_bits(9, draw, np.arange(count, dtype=np.uint64), which // 2)[which % 2]
            asked = NUMBER[which % 2], which // 2, count
            some = np.array([count - 1, 0])
            np.testing.assert_array_equal(HostBits(9, draw).values_at(*asked, some), expected[some])
            bits = HostBits(9, draw)
            np.testing.assert_array_equal(bits.values(*asked), expected)
            np.testing.assert_array_equal(bits.values_at(*asked, some), expected[some])


@pytest.mark.parametrize("count", [0, 1, 257])
def test_bits_in_the_memory_of_a_device(count, device):
    with device.active():
        xp = Functions(replace(device.arrays, extra={"random_blocks": RandomBlocks(device)}).lookup)
        bits = DeviceBits(xp, device.as_array(np.array([9, 2**64 - 1], np.uint64), "uint64"))
        for which in (0, 1, 5):
            expected = block_bits(9, 2**64 - 1, np.arange(count, dtype=np.uint64), which // 2)[which % 2]
            asked = NUMBER[which % 2], which // 2, count
            some = np.arange(count)[::-1]
            np.testing.assert_array_equal(device.to_host(bits.values(*asked)), expected)
            found = bits.values_at(*asked, device.as_array(some, "int64"))
            np.testing.assert_array_equal(device.to_host(found), expected[some])
