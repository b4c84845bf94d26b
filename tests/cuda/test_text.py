"""The text of generated kernels, on file: a change of it arrives as a difference that somebody reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.cuda.expressions import number
from gpuscan.cuda.names import Names
from tests.cuda.texts import own_text

Golden = Callable[[str, str], None]


def compiled(inputs: list[Any], outputs: Any, *values: Any) -> gs.Function:
    f = gs.function(inputs, outputs, device="emulator")
    f(*values)
    return f


def test_a_decaying_sum(golden: Golden) -> None:
    x, s, decay = gt.matrix("x"), gt.vector("s"), gt.scalar("decay")
    out, _ = gs.scan(lambda row, acc, decay: acc * decay + row, [x], [s], [decay], name="decaying sum")
    golden("decaying_sum.cu", own_text(compiled([x, s, decay], out, np.ones((4, 3)), np.zeros(3), 0.5)))


def test_taps_of_a_reversed_sequence_and_of_a_state(golden: Golden) -> None:
    x, init = gt.fmatrix("x"), gt.fmatrix("init")

    def step(before: Any, now: Any, older: Any, newer: Any) -> Any:
        return np.tanh(newer) - 0.5 * older + before * now

    out, _ = gs.scan(step, [dict(input=x, taps=[-2, 0])], [dict(initial=init, taps=[-2, -1])], go_backwards=True)
    values = np.ones((6, 3), "float32"), np.ones((2, 3), "float32")
    golden("taps.cu", own_text(compiled([x, init], out[-1], *values)))


def test_values_that_broadcast(golden: Golden) -> None:
    columns, s = gt.tensor3("columns"), gt.matrix("s")
    (state, largest), _ = gs.scan(lambda c, s: (s + c, gt.maximum(c, 0.0)), [columns], [s, None])
    golden("broadcast.cu", own_text(compiled([columns, s], [state, largest], np.ones((3, 4, 1)), np.ones((4, 5)))))


def test_draws(golden: Golden) -> None:
    def step(x: Any, rng: Any) -> Any:
        rng, noise = rng.normal(0.0, 0.5, size=x.shape)
        rng, kept = rng.bernoulli(0.9, size=(1, 3))
        return x * kept + noise, rng

    x = gt.matrix("x")
    (walk, states), _ = gs.scan(step, outputs_info=[x, gt.random.default_rng(1)], n_steps=5)
    golden("draws.cu", own_text(compiled([x], [walk, states[-1]], np.ones((2, 3)))))


def test_the_text_does_not_depend_on_the_run(golden: Golden) -> None:
    """Equal programs have equal texts, or the kernel cache would be of no use."""
    texts = set()
    for _ in range(3):
        x = gt.matrix("x")
        out, _ = gs.scan(lambda row, a, b: (a + b * row, b - np.exp(a)), [x], [gt.zeros(3), gt.ones(3)])
        texts.add(compiled([x], out, np.ones((2, 3))).kernel_source().partition("// around")[0])
    assert len(texts) == 1


@pytest.mark.parametrize(
    ("value", "dtype", "text"),
    [
        (True, "bool", "true"),
        (3, "int64", "3ll"),
        (-3, "int8", "(signed char)-3ll"),
        (2**64 - 1, "uint64", "18446744073709551615ull"),
        (-(2**63), "int64", "(long long)(-9223372036854775807ll - 1)"),
        (0.1, "float64", "0.1"),
        (-2.0, "float64", "(-2.0)"),
        (0.1, "float32", "(0.10000000149011612f)"),
        (1e300, "float64", "1e+300"),
        (float("inf"), "float32", "gs::infinity<float>()"),
        (-float("inf"), "float64", "-gs::infinity<double>()"),
        (float("nan"), "float64", "gs::not_a_number<double>()"),
    ],
)
def test_numbers(value: float, dtype: str, text: str) -> None:
    assert number(value, dtype) == text


def test_names_are_identifiers_and_differ() -> None:
    names = Names()
    assert [names.unique(f"s_{name}") for name in ("h", "h", "h t", "h-t", "für")] == [
        *("s_h", "s_h_2", "s_h_t", "s_h_t_2", "s_f_r")
    ]
