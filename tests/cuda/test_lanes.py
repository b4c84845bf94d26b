"""Which axes of a loop are lanes, found without a device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.cuda.gpu import KNOWN_GPUS
from gpuscan.cuda.step import kernel_text
from gpuscan.cuda.step.alignment import same_axes
from gpuscan.cuda.step.analysis import analyse
from gpuscan.cuda.step.memory import Region
from gpuscan.cuda.strategies import choose, write_kernel
from gpuscan.tensor import random
from tests.cuda.analysed import analysed, array, loops_of


def lanes(step: Callable[..., Any], *args: Any, **options: Any) -> tuple[int, ...]:
    """Return the sizes of the axes of lanes of a loop."""
    return analysed(step, *args, **options).lanes.sizes


class TestPointwise:
    def test_every_axis_is_one(self) -> None:
        assert lanes(lambda x, s: np.tanh(s) + x, [array(9, 3, 5)], [array(3, 5)]) == (3, 5)

    def test_axes_that_some_values_broadcast_along(self) -> None:
        found = analysed(lambda x, s: s * x, [array(9, 1, 5)], [array(3, 5)])
        assert found.lanes.sizes == (3, 5)
        (x,) = (v for s in found.loop.sequences for v in s.reads.values())
        assert found.lanes.of(x) == (None, 1)
        assert found.shape(x) == (1, 1)

    def test_states_of_several_ranks(self) -> None:
        assert lanes(lambda a, b: (a * b, b + 1.0), None, [array(3, 5), array(5)], n_steps=4) == (3, 5)

    def test_a_scalar(self) -> None:
        assert lanes(lambda s: s * 2, None, [array()], n_steps=4) == ()

    def test_an_axis_that_is_transposed_changes_places(self) -> None:
        found = analysed(lambda x, s: s + x.T, [array(9, 5, 3)], [array(3, 5)])
        assert sorted(found.lanes.sizes) == [3, 5]
        (x,) = (v for s in found.loop.sequences for v in s.reads.values())
        assert found.lanes.of(x) == found.lanes.of(found.loop.states[0].next)[::-1]

    def test_a_state_that_is_transposed_runs_beside_itself(self) -> None:
        found = analysed(lambda s: s.T * 0.5, None, [array(4, 4)], n_steps=4)
        assert found.lanes.sizes == ()
        assert "two axes of" in next(iter(found.lanes.mixed.values()))

    def test_every_element_with_every_other(self) -> None:
        assert lanes(lambda s: (s[:, None] * s[None, :]).sum(0), None, [array(40)], n_steps=4) == ()

    def test_a_diagonal_beside_lanes(self) -> None:
        assert lanes(lambda s: (s[:, :, None] * s[:, None, :]).sum(1), None, [array(6, 40)], n_steps=4) == (6,)


class TestUnrelated:
    """Values that nothing joins, as those of two models in one loop: of one size they share lanes."""

    def test_two_states_of_one_size(self) -> None:
        found = analysed(lambda x, a, b: (np.tanh(a + x), np.sin(b)), [array(9, 40)], [array(40), array(40)])
        assert found.lanes.sizes == (40,)
        assert {found.lanes.of(s.next) for s in found.loop.states} == {(0,)}

    def test_two_recurrent_networks(self) -> None:
        step = lambda h, g, w, u: (np.tanh(h @ w), np.tanh(g @ u))  # noqa: E731
        found = analysed(step, None, [array(8, 16), array(8, 24)], [array(16, 16), array(24, 24)], n_steps=4)
        assert found.lanes.sizes == (8,)
        assert [found.shape(s.next) for s in found.loop.states] == [(1, 16), (1, 24)]

    def test_axes_stay_in_their_order(self) -> None:
        found = analysed(lambda a, b: (np.tanh(a), np.sin(b)), None, [array(5, 5), array(5, 5)], n_steps=4)
        assert found.lanes.sizes == (5, 5)
        assert {found.lanes.of(s.next) for s in found.loop.states} == {(0, 1)}

    def test_a_vector_shares_the_last_axis_of_a_matrix(self) -> None:
        found = analysed(lambda a, b: (np.tanh(a), np.sin(b)), None, [array(5, 5), array(5)], n_steps=4)
        assert [found.lanes.of(s.next) for s in found.loop.states] == [(0, 1), (1,)]

    def test_of_other_sizes_they_are_axes_of_their_own(self) -> None:
        assert sorted(lanes(lambda a, b: (np.tanh(a), np.sin(b)), None, [array(5), array(7)], n_steps=4)) == [5, 7]

    def test_what_meets_later_stays_apart(self) -> None:
        step = lambda a, b: (np.tanh(a), np.sin(b), a[:, None] * b[None, :])  # noqa: E731
        assert lanes(step, None, [array(5), array(5), None], n_steps=4) == (5, 5)

    def test_totals_of_each(self) -> None:
        h, g, w, u = array(8, 16), array(8, 24), array(16, 16), array(24, 24)
        step = lambda h, g, w, u: (np.tanh(h @ w), np.tanh(g @ u))  # noqa: E731
        (hs, others), _ = gs.scan(step, None, [h, g], [w, u], n_steps=4)
        *_, backward = loops_of(*gs.grad(hs.sum() + others.sum(), [w, u]))
        found = analyse(backward)
        assert found.lanes.sizes == (8,)
        assert len(found.totals) == 2


class TestProducts:
    def test_a_batch_of_recurrent_networks(self) -> None:
        found = analysed(lambda x, h, w: np.tanh(h @ w + x), [array(9, 8, 16)], [array(8, 16)], [array(16, 16)])
        assert found.lanes.sizes == (8,)
        (state,) = found.loop.states
        assert found.shape(state.next) == (1, 16)
        assert found.longest_sum() == 16
        assert any("matmul" in why for why in found.lanes.mixed.values())

    def test_the_gradient_of_one_has_the_same_lanes(self) -> None:
        x, h, w = array(9, 8, 16), array(8, 16), array(16, 16)
        (states,), _ = gs.scan(lambda x, h, w: np.tanh(h @ w + x), [x], [h], [w], return_list=True)
        *_, backward = loops_of(*gs.grad(states.sum(), [x, h, w]))
        found = analyse(backward)
        assert found.lanes.sizes == (8,)
        (total,) = found.totals
        state = backward.state(total.state)
        assert state is not None
        assert found.shape(state.next) == (16, 16)

    def test_totals_leave_room_for_the_word_that_tells_the_last_block(self, monkeypatch: pytest.MonkeyPatch) -> None:
        x, h, w = array(9, 8, 16), array(8, 16), array(16, 16)
        (states,), _ = gs.scan(lambda x, h, w: np.tanh(h @ w + x), [x], [h], [w], return_list=True)
        limits: list[int] = []
        monkeypatch.setattr(kernel_text, "Region", lambda *args: limits.append(args[0]) or Region(*args))
        gpu = KNOWN_GPUS["NVIDIA H200"]
        for loop in loops_of(*gs.grad(states.sum(), [x, h, w])):
            with gs.config.change_flags(strategy="block"):
                plan = choose(loop, gpu)
            declares = "GPUSCAN_SHARED(unsigned int, ticket" in write_kernel(plan, frozenset(), gpu).kernel.source
            assert declares == bool(plan.totals)
            assert limits[-1] == gpu.shared_per_block - 128 * declares

    def test_heads_are_lanes(self) -> None:
        step = lambda s, w: np.tanh(gt.einsum("bij,ijk->bik", s, w))  # noqa: E731
        assert lanes(step, None, [array(5, 3, 8)], [array(3, 8, 8)], n_steps=4) == (5, 3)

    def test_a_filter_of_small_matrices(self) -> None:
        def step(y: Any, m: Any, p: Any, a: Any) -> Any:
            p = a @ p @ a.T
            gain = p / (p.sum((1, 2))[:, None, None] + 1)
            return m + (gain @ (y - m)[:, :, None])[:, :, 0], p - gain @ p

        found = analysed(step, [array(9, 50, 4)], [array(50, 4), array(50, 4, 4)], [array(4, 4)])
        assert found.lanes.sizes == (50,)
        assert found.widest() == (4, 4)

    def test_attention_mixes_positions_and_leaves_the_batch(self) -> None:
        def step(q: Any, k: Any) -> Any:
            weights = np.exp(q @ k.transpose((0, 2, 1)))
            return (weights / weights.sum(2, keepdims=True)) @ k

        assert lanes(step, None, [array(3, 10, 4)], [array(3, 12, 4)], n_steps=2) == (3, 10)

    def test_a_state_that_mixes_with_itself_leaves_none(self) -> None:
        assert lanes(lambda q: np.tanh(q @ q.T @ q), None, [array(10, 10)], n_steps=2) == ()

    def test_lanes_that_would_repeat_a_product_are_none(self) -> None:
        def step(small: Any, big: Any, w: Any) -> Any:
            return small * 0.5 + big.sum(), np.tanh(big @ w)

        found = analysed(step, None, [array(1000), array(64)], [array(64, 64)], n_steps=4)
        assert found.lanes.sizes == ()
        assert any("would compute" in why for why in found.lanes.mixed.values())

    def test_units_of_an_output_layer_are_no_lanes(self) -> None:
        def step(h: Any, w: Any, v: Any) -> Any:
            h = np.tanh(h @ w)
            return h, h @ v

        assert lanes(step, None, [array(32), None], [array(32, 32), array(32, 3)], n_steps=4) == ()


class TestReshapes:
    def test_axes_that_stay(self) -> None:
        assert list(same_axes((2, 3, 4), (2, 12))) == [(0, 0)]
        assert list(same_axes((2, 3, 4), (6, 4))) == [(2, 1)]
        assert list(same_axes((2, 3, 4), (2, 1, 3, 4))) == [(0, 0), (1, 2), (2, 3)]
        assert list(same_axes((2, 3, 5, 4, 2), (6, 5, 8))) == [(2, 1)]
        assert list(same_axes((6,), (2, 3))) == []

    def test_a_batch_kept_by_a_reshape(self) -> None:
        assert lanes(lambda s: s.reshape((7, 6)).reshape((7, 3, 2)) * 0.5, None, [array(7, 3, 2)], n_steps=2) == (7,)

    def test_an_axis_merged_with_another_is_mixed(self) -> None:
        step = lambda s: s + s.reshape((42,))[::-1].reshape((7, 6))  # noqa: E731
        assert lanes(step, None, [array(7, 6)], n_steps=2) == ()


class TestWhatMovesElements:
    def test_a_part_of_a_row_has_lanes_of_its_own(self) -> None:
        found = analysed(lambda x, s: s + x[2:5], [array(9, 7)], [array(3)])
        assert found.lanes.sizes == (3,)
        (x,) = (v for s in found.loop.sequences for v in s.reads.values())
        assert found.shape(x) == (7,)

    def test_a_part_of_a_state_mixes_it(self) -> None:
        assert lanes(lambda s: s[::-1] * 0.5, None, [array(6)], n_steps=2) == ()

    def test_a_gather_mixes_the_axis_it_takes_from(self) -> None:
        found = analysed(lambda i, s, table: s + table[i], [array(9, 5, dtype="int64")], [array(5, 4)], [array(99, 4)])
        assert found.lanes.sizes == (5, 4)

    def test_a_scatter_leaves_the_axis_it_writes_to(self) -> None:
        step = lambda i, x, s: gt.inc_subtensor(s[i], x)  # noqa: E731
        assert lanes(step, [array(9, 3, dtype="int64"), array(9, 3)], [array(20)]) == (20,)

    def test_sorting_mixes_one_axis(self) -> None:
        assert lanes(lambda s: gt.sort(s, axis=1) * 0.5, None, [array(5, 6)], n_steps=2) == (5,)

    def test_time_of_a_loop_inside_is_no_lane(self) -> None:
        def step(rows: Any, s: Any) -> Any:
            return gs.scan(lambda row, s: s * 0.5 + row, [rows], [s])[0][-1]

        found = analysed(step, [array(9, 6, 5)], [array(5)])
        assert found.lanes.sizes == (5,)


class TestDraws:
    def test_draws_alone_have_lanes(self) -> None:
        def step(rng: Any) -> Any:
            rng, noise = rng.normal(0, 1, size=(3, 40))
            return noise, rng

        assert lanes(step, None, [None, random.default_rng(3)], n_steps=4) == (3, 40)

    def test_draws_have_lanes_and_their_state_none(self) -> None:
        def step(s: Any, rng: Any) -> Any:
            rng, noise = rng.normal(0, 1, size=(3, 40))
            return s + noise, rng

        found = analysed(step, None, [array(3, 40), random.default_rng(3)], n_steps=4)
        assert found.lanes.sizes == (3, 40)
        rng = found.loop.states[1].next
        assert rng in found.random
        assert found.shape(rng) == ()

    def test_a_state_drawn_from_in_a_loop_inside_is_one_outside_too(self) -> None:
        def inner(s: Any, rng: Any) -> Any:
            rng, noise = rng.normal(0, 1, size=(40,))
            return s + noise, rng

        def step(s: Any, rng: Any) -> Any:
            states, rngs = gs.scan(inner, None, [s, rng], n_steps=2)[0]
            return states[-1], rngs[-1]

        found = analysed(step, None, [array(40), random.default_rng(3)], n_steps=4)
        assert found.loop.states[1].next in found.random
        assert found.lanes.sizes == (40,)


@pytest.mark.parametrize("team", ["thread", "warp", "block", "grid"])
def test_a_total_beside_lanes_that_it_does_not_sum_over_counts_once(team: str) -> None:
    x, c = gt.matrix("x"), gt.vector("c")
    step = lambda row, total, c: (total + (row * row).sum(), row[:, None] * c)  # noqa: E731
    (total, products), _ = gs.scan(step, x, [gt.zeros(()), None], c)
    values = np.random.default_rng(0).normal(size=(5, 6)), np.arange(3.0)
    as_written = gs.Mode().excluding("sum_after")
    with gs.config.change_flags(strategy=team):
        f = gs.function([x, c], [total[-1], products], as_written, device="emulator")
    found = f(*values)
    np.testing.assert_allclose(found[0], (values[0] ** 2).sum())
    np.testing.assert_allclose(found[1], values[0][:, :, None] * values[1])
