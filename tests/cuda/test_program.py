"""What is around the kernels of a function for a GPU: which values are where, and where outputs go."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from tests.cuda.stand_in import DeviceArray, StandIn


@pytest.fixture(autouse=True)
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpuscan.cuda.program.open_device", lambda name: StandIn())
    monkeypatch.setattr("gpuscan.cuda.launch.gpu_count", lambda: 1)


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).normal(size=shape)


def check(inputs: list[Any], outputs: Any, *values: Any) -> gs.Function:
    expected = gs.function(inputs, outputs, device="cpu")(*values)
    f = gs.function(inputs, outputs, device="cuda")
    found = f(*values)
    for e, v in zip(expected, found, strict=True):
        assert isinstance(v, np.ndarray)
        np.testing.assert_allclose(v, e, rtol=1e-12, atol=1e-14)
    return f


def test_a_loop_that_is_a_kernel() -> None:
    x, n, a = gt.matrix("x"), gt.iscalar("n"), gt.scalar("a")
    (doubled, total), _ = gs.scan(lambda row, s, a: (row * a, s + row), [x], [None, x[0] * 2], [a + 1], n_steps=n)
    check([x, n, a], [doubled[-2:], total, total[-1].sum()], normal(6, 3), 4, 2.5)


@pytest.mark.parametrize("team", ["auto", "host"])
def test_a_loop_with_a_product(team: str) -> None:
    x, w, h = gt.matrix("x"), gt.matrix("w"), gt.vector("h")
    (states, norms), _ = gs.scan(lambda row, h, w: (np.tanh(h @ w + row), (h * h).sum()), [x], [h, None], [w])
    with gs.config.change_flags(strategy=team):
        f = check([x, w, h], [states, norms, states[-1]], normal(5, 3), normal(3, 3), normal(3))
    assert [plan.team == "host" for plan in f.plans] == [team == "host"]


def nested() -> tuple[list[gs.Variable], gs.Variable]:
    x, w = gt.matrix("x"), gt.matrix("w")

    def step(row: Any, w: Any) -> Any:
        inner, _ = gs.scan(lambda s, v: s * 0.5 + v, None, [row @ w], [row], n_steps=5)
        return inner[-1]

    return [x, w], gs.scan(step, [x], None, [w])[0]


def test_a_loop_inside_is_part_of_the_kernel() -> None:
    inputs, out = nested()
    f = check(inputs, [out], normal(5, 3), normal(3, 3))
    assert [plan.team for plan in f.plans] == ["thread"]


def test_a_kernel_inside_a_loop_driven_from_the_host() -> None:
    inputs, out = nested()

    def refused(loop: Any) -> str | None:
        return "to see what is inside" if any(True for _ in loop.opened.body.loops) else None

    with pytest.MonkeyPatch.context() as patch:
        for module in ("strategies", "grids"):
            patch.setattr(f"gpuscan.cuda.{module}.refuse_any_team", refused)
        f = check(inputs, [out], normal(5, 3), normal(3, 3))
    assert [plan.team for plan in f.plans] == ["host", "thread"]


def test_a_scalar_from_the_device_is_an_argument_without_a_wait() -> None:
    x = gt.vector("x")
    scale = 1 / x.sum()
    out, _ = gs.scan(lambda v, c: v * c, [x], None, [scale])
    check([x], [out, out[-1]], normal(6))


def test_shapes_scalars_and_whole_array_operations() -> None:
    x, k = gt.matrix("x"), gt.iscalar("k")
    rows, columns = x.shape
    outputs = [
        gt.zeros((rows, 2)) + x[:, :2],
        x.reshape(columns, -1),
        gt.arange(rows) * 2 + k,
        x[k] + x[1:, ::-1].sum(0),
        gt.concatenate([x, gt.ones_like(x)], axis=1),
        gt.stack([x.sum(), x.mean(), gt.constant(1.0)]),
        x[0, 1:].set(0.5) + gt.eye(rows, columns)[0],
        x[gt.constant(np.array([0, 0, 1]))].inc(1.0),
        gt.switch(x > 0, x, k) * gt.outer(x[:, 0], x[0]),
        gt.tile(x, (2, 1)),
        k + 1,
        rows * columns,
    ]
    check([x, k], outputs, normal(3, 4), 1)


def test_vectors_of_numbers_from_the_host() -> None:
    x, n = gt.matrix("x"), gt.lscalar("n")
    sizes = gt.stack([n, x.shape[1]])
    wide = gt.broadcast_to(sizes, (3, 2))
    whole = [sizes * x[0, :2], gt.where(sizes > 2, x[1, :2], 0), x[:, sizes - 2], wide + x[:, :2], sizes, sizes[0]]
    written = [gt.set_subtensor(x[0, :2], sizes), gt.inc_subtensor(x[1, sizes - 2], 1), (sizes * 0.5) @ x[:2]]
    check([x, n], whole + written, normal(3, 3), 2)
    chosen = gs.ifelse(n > 1, sizes * x[0, :2], sizes + x[1, :2])
    check([x, n], [chosen, gt.random.normal(sizes, 1.0, rng=gt.random.default_rng(3))], normal(3, 3), 2)


@pytest.mark.parametrize("team", ["thread", "host"])
def test_a_loop_that_reads_a_vector_of_numbers_from_the_host(team: str) -> None:
    x, n = gt.matrix("x"), gt.lscalar("n")
    sizes = gt.stack([n, x.shape[0]])
    (s, h), _ = gs.scan(lambda s, h, k: (s + k[0], h * 0.5 + k), None, [sizes, x[0]], [sizes], n_steps=9)
    with gs.config.change_flags(strategy=team):
        assert check([x, n], [s, h], normal(4, 2), 3).plans[0].team == team


@pytest.mark.parametrize("steps", [1, 3, 12])
def test_steps_that_compute_with_numbers_on_the_host(steps: int) -> None:
    """Sizes, constants and numbers given to the loop: in stacks, as states, and where an array is asked for."""
    x, a = gt.matrix("x"), gt.scalar("a")

    def step(row: Any, s: Any, t: Any, a: Any) -> Any:
        size = gt.cast(row.shape[0], "float64")
        joined = gt.concatenate([s.dimshuffle("x"), t[:1], (a * size).dimshuffle("x")]) + row
        return size, joined, gt.sort((size + a).dimshuffle("x")), gt.constant(2.0)

    (s, t, found, twos), _ = gs.scan(step, x, [a, x[0], None, None], [a])
    with gs.config.change_flags(strategy="host"):
        f = check([x, a], [s, t, found, twos, s[-1], twos[-2:]], normal(steps, 3), 0.5)
    assert ("replayed as one CUDA graph" in str(f.explain("str"))) == (steps == 12)


def test_branches_calls_and_guards() -> None:
    x, n = gt.matrix("x"), gt.lscalar("n")
    scaled = gs.OpFromGraph([x, n], [x[n] * n, x.sum() + n], inline=False)
    sizes = gs.ifelse(n > 1, [n, x.shape[0]], [n * 2, n])
    outputs = [
        gs.ifelse(n > 0, x * n, x[::-1]),
        gs.ifelse(n > 5, x.sum(), n * 1.0),
        gt.ones((2,)) * sizes[0] + sizes[1],
        *scaled(x, n),
        gt.specify_shape(x, (None, 4))[n],
    ]
    f = check([x, n], outputs, normal(3, 4), 1)
    values = normal(3, 4), 2
    for value, expected in zip(f(*values), gs.function([x, n], outputs, device="cpu")(*values), strict=True):
        np.testing.assert_allclose(value, expected)


def test_branches_in_a_loop() -> None:
    x, n = gt.matrix("x"), gt.iscalar("n")
    out, _ = gs.scan(lambda row, s: gs.ifelse(n > 0, s + row * n, s - row), [x], [gt.zeros(3)])
    check([x, n], [out], normal(4, 3), 2)
    kept, _ = gs.scan(lambda row: gs.ifelse(row.sum() > 0, row, -row), [x])
    (plan,) = check([x], [kept], normal(4, 3)).plans
    assert plan.team == "thread"
    # Driven from the host, it reads a condition that is computed on the device.
    with gs.config.change_flags(strategy="host"), pytest.raises(TypeError, match="wait"):
        gs.function([x], kept, device="cuda")(normal(4, 3))


def test_until() -> None:
    x, limit = gt.vector("x"), gt.scalar("limit")
    out, _ = gs.scan(lambda s, limit: (s * 2, gs.until(s.sum() > limit)), None, [x], [limit], n_steps=50)
    (plan,) = check([x, limit], [out], np.ones(3), 20.0).plans
    assert plan.team == "thread"
    # Driven from the host, it reads whether to go on, the only read there is.
    with gs.config.change_flags(strategy="host"), pytest.raises(TypeError, match="wait"):
        gs.function([x, limit], out, device="cuda")(np.ones(3), 20.0)


def test_shared_variables_stay_on_the_device() -> None:
    total, count = gs.shared(np.zeros(3), "total"), gs.shared(0, "count")
    x = gt.vector("x")
    f = gs.function([x], total * 2, updates={total: total + x, count: count + 1}, device="cuda")
    for _ in range(3):
        doubled = f(np.arange(3.0))
    np.testing.assert_array_equal(doubled, [0, 4, 8])
    assert isinstance(total.storage, DeviceArray)
    np.testing.assert_array_equal(total.get_value(), [0, 3, 6])
    assert count.get_value() == 3


class TestPlacement:
    def compiled(self, placement: str = "auto") -> gs.Function:
        x = gt.vector("x")
        out, _ = gs.scan(lambda v, s: s + v, [x], [np.float64(0)])
        return gs.function([x], [out, out[-1]], device="cuda", placement=placement)

    def test_outputs_come_back_where_the_inputs_came_from(self) -> None:
        f = self.compiled()
        assert all(isinstance(v, np.ndarray) for v in f(np.arange(3.0)))
        assert all(isinstance(v, DeviceArray) for v in f(DeviceArray(np.arange(3.0))))

    def test_it_can_be_chosen(self) -> None:
        assert all(isinstance(v, np.ndarray) for v in self.compiled("host")(DeviceArray(np.arange(3.0))))
        assert all(isinstance(v, DeviceArray) for v in self.compiled("device")(np.arange(3.0)))

    def test_a_device_array_of_the_wrong_type_is_refused(self) -> None:
        with pytest.raises(gs.DtypeError, match="'x'"):
            self.compiled()(DeviceArray(np.arange(3.0) + 1j))
        with pytest.raises(gs.ShapeError, match="'x'"):
            self.compiled()(DeviceArray(np.ones((3, 3))))


def test_a_profile_waits_for_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    device = StandIn()
    monkeypatch.setattr("gpuscan.cuda.program.open_device", lambda name: device)
    x, w = gt.matrix("x"), gt.matrix("w")
    loops = [
        gs.scan(lambda row: row * 2, x, name="kernel")[0],
        gs.scan(lambda row, w: row @ w, x, None, w, name="host")[0],
    ]
    f = gs.function([x, w], loops, device="cuda", profile=True)
    f(normal(5, 3), normal(3, 3))
    assert sorted((p.title, p.calls, p.steps) for p in f.profile) == [("scan[host]", 1, 5), ("scan[kernel]", 1, 5)]
    assert device.waits == 2
    gs.function([x, w], loops, device="cuda")(normal(5, 3), normal(3, 3))
    assert device.waits == 2


def test_values_of_inputs_and_shared_variables_stay_on_the_device_and_travel() -> None:
    x, start = gt.vector("x"), gt.vector("start")
    count = gs.shared(0, name="count")
    out, updates = gs.scan(lambda row, s: (s + row, {count: count + 1}), x, start)
    f = gs.function([x, gs.In(start, value=np.zeros(2), update=out[-1])], out, updates=updates, device="cuda")
    f([1.0, 2.0])
    assert isinstance(f(np.array([1.0, 2.0])), np.ndarray)
    assert isinstance(count.storage, DeviceArray)
    for again in (pickle.loads(pickle.dumps(f)), copy.deepcopy(f), f.copy(swap={count: gs.shared(6)})):
        np.testing.assert_array_equal(again["start"], [6, 6])
        np.testing.assert_array_equal(again([1.0]), [[7, 7]])
        np.testing.assert_array_equal(f["start"], [6, 6])


def test_rows_that_are_kept() -> None:
    x = gt.vector("x")
    last, _ = gs.foldr(lambda a, b: a - b, x, np.float64(0))
    check([x], [gs.filter(lambda a: a > 0, x, go_backwards=True), last, gs.scan_steps(last)], normal(5))
