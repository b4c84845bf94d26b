"""Linear algebra inside loops, on every device, and with arrays that are in a GPU's memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.linalg import LinAlgError

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.tensor import linalg
from tests.cuda.stand_in import StandIn

DEVICES = ["cpu", "eager", "emulator", "stand-in", pytest.param("cuda", marks=pytest.mark.cuda)]


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each device; ``stand-in`` has arrays that refuse what CuPy's refuse, ``eager`` is the CPU without compiling."""
    if request.param == "eager":
        monkeypatch.setitem(vars(gs.config), "compile", False)
        return "cpu"
    if request.param != "stand-in":
        return str(request.param)
    monkeypatch.setattr("gpuscan.cuda.program.open_device", lambda name: StandIn())
    monkeypatch.setattr("gpuscan.cuda.launch.gpu_count", lambda: 1)
    return "cuda"


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def definite(*stack: int) -> np.ndarray:
    a = normal(*stack, 3, 3)
    result: np.ndarray = a @ a.swapaxes(-1, -2) + np.eye(3)
    return result


def factors(a: Any) -> list[Any]:
    """What does not depend on the signs of vectors."""
    values, vectors = linalg.eigh(a)
    u, s, vh = linalg.svd(a, full_matrices=False)
    q, r = linalg.qr(a)
    return [values, abs(vectors), (u * s[..., None, :]) @ vh, abs(r), q @ r, *linalg.slogdet(a), linalg.det(a)]


PARTS: dict[str, Callable[[Any, Any], list[Any]]] = {
    "factors": lambda a, b: factors(a),
    "solutions": lambda a, b: [
        linalg.inv(a), linalg.solve(a, b), linalg.cholesky(a), linalg.cholesky(a, lower=False), linalg.pinv(a),
        linalg.solve_triangular(a, b), linalg.solve_triangular(a, b, lower=True, trans="T", unit_diagonal=True),
    ],
    "norms": lambda a, b: [linalg.norm(a), linalg.norm(b, 1, axis=-1), linalg.norm(a, "nuc", axis=(-2, -1))],
    "order": lambda a, b: [
        gt.sort(a), gt.argsort(b, 0), gt.searchsorted(gt.sort(b.ravel()), a), gt.cumsum(a, 0), gt.cumprod(b),
        gt.diff(a), gt.sort(a.shape), gt.cumsum(b.shape),
    ],
    "diagonals": lambda a, b: [
        gt.diagonal(a, 0, -2, -1), gt.diag(b[..., 0].ravel(), 1), gt.tril(a), gt.triu(a, 1), gt.kron(a, b),
        gt.trace(a, axis1=-1, axis2=-2),
    ],
    "sums": lambda a, b: [
        gt.einsum("...ij,...jk->...ki", a, b), gt.einsum("...ii", a), gt.tensordot(a, b, 0), gt.logsumexp(a, -1),
        gt.softmax(b, 0), gt.log_softmax(a),
    ],
    "special": lambda a, b: [
        gt.gammainc(b**2, 0.5), gt.betaln(b**2, 1), gt.log1mexp(-(b**2)), gt.i0(a), gt.ndtri(gt.ndtr(a)),
        gt.erfinv(0.5) * a,
    ],
}  # fmt: skip


@pytest.mark.parametrize("stack", [(), (2,)])
@pytest.mark.parametrize("part", PARTS)
def test_on_every_device(part: str, stack: tuple[int, ...], device: str) -> None:
    values = definite(*stack), normal(*stack, 3, 2)
    inputs = [gt.tensor(name, shape=(None,) * v.ndim) for name, v in zip("ab", values, strict=True)]
    outputs = PARTS[part](*inputs)
    expected = gs.function(inputs, outputs, device="cpu", on_unused_input="ignore")(*values)
    found = gs.function(inputs, outputs, device=device, on_unused_input="ignore")(*values)
    for e, v in zip(expected, found, strict=True):
        assert (e.dtype, e.shape) == (v.dtype, v.shape)
        np.testing.assert_allclose(v, e, rtol=1e-9, atol=1e-12)


def test_stacks_broadcast(device: str) -> None:
    a, b = gt.tensor3("a"), gt.matrix("b")
    values = definite(4), normal(3, 2)
    f = gs.function([a, b], [linalg.solve(a, b), linalg.solve_triangular(a, b)], device=device)
    found = f(*values)
    np.testing.assert_allclose(found[0], np.linalg.solve(*values), rtol=1e-9)
    np.testing.assert_allclose(found[1], np.linalg.solve(np.triu(values[0]), values[1]), rtol=1e-9)


def kalman(observed: Any, mean: Any, covariance: Any, transition: Any) -> tuple[Any, Any, Any]:
    """One step of a Kalman filter that sees the first two of three numbers."""
    mean = transition @ mean
    covariance = transition @ covariance @ transition.T + 0.1 * gt.eye(3)
    seen = covariance[:2, :2] + 0.5 * gt.eye(2)
    error = observed - mean[:2]
    gain = linalg.solve(seen, covariance[:2]).T
    _, log_det = linalg.slogdet(seen)
    factor = linalg.cholesky(seen)
    scaled = linalg.solve_triangular(factor, error, lower=True)
    return mean + gain @ error, covariance - gain @ covariance[:2], -0.5 * (log_det + scaled @ scaled)


def test_in_a_loop(device: str) -> None:
    rows, transition = gt.matrix("rows"), gt.matrix("transition")
    init = [gt.zeros(3), gt.eye(3), None]
    (means, covariances, likelihoods), _ = gs.scan(kalman, [rows], init, [transition])
    values = normal(6, 2), 0.5 * normal(3, 3)
    f = gs.function([rows, transition], [means, covariances[-1], likelihoods.sum()], device=device)
    found = f(*values)
    mean, covariance, total = np.zeros(3), np.eye(3), 0.0
    for row in values[0]:
        step = kalman(*map(gt.constant, (row, mean, covariance, values[1])))
        mean, covariance, likelihood = gs.function([], list(step), device="cpu")()
        total += likelihood
    np.testing.assert_allclose(found[0][-1], mean, rtol=1e-9)
    np.testing.assert_allclose(found[1], covariance, rtol=1e-9)
    np.testing.assert_allclose(found[2], total, rtol=1e-9)
    if device == "emulator":
        assert "one kernel launch" in (f.explain("str") or "")


def test_eigenvalues_and_order_in_a_loop(device: str) -> None:
    a = gt.matrix("a")

    def step(s: Any) -> tuple[Any, Any]:
        values, vectors = linalg.eigh(s)
        return 0.5 * (vectors * gt.sort(values)) @ vectors.T, gt.argsort(-values)

    (states, orders), _ = gs.scan(step, None, [a, None], n_steps=3)
    value = definite()
    found = gs.function([a], [states[-1], orders], device=device)(value)
    np.testing.assert_allclose(found[0], value / 8, rtol=1e-9, atol=1e-12)
    assert found[1].tolist() == [[2, 1, 0]] * 3


@pytest.mark.parametrize(
    "build",
    [
        lambda a: linalg.inv(a),
        lambda a: linalg.solve(a, gt.ones((2, 1))),
        lambda a: linalg.solve_triangular(a, gt.ones(2)),
        lambda a: linalg.cholesky(a),
    ],
)
def test_a_singular_matrix_raises_and_changes_nothing(build: Callable[[Any], Any], device: str) -> None:
    a, count = gt.matrix("a"), gs.shared(np.float64(0), "count")
    f = gs.function([a], build(a).sum(), updates={count: count + 1}, device=device)
    f(np.array([[2.0, 1], [1, 2]]))
    with pytest.raises(LinAlgError):
        f(np.zeros((2, 2)))
    assert count.get_value() == 1


def test_a_singular_matrix_in_a_kernel_gives_nan(device: str) -> None:
    a = gt.tensor3("a")
    inverses, _ = gs.scan(lambda m: linalg.inv(m), [a], name="inverting")
    values = np.stack([np.eye(2), 2 * np.eye(2), np.zeros((2, 2)), np.eye(2)])
    with pytest.raises(LinAlgError, match=r"inverting.*step 2: .*Singular"), gs.config.change_flags(strategy="host"):
        gs.function([a], inverses, device=device)(values)
    if device in ("cpu", "eager"):
        return
    found = gs.function([a], inverses, device=device)(values)
    assert np.isnan(found[2]).all()
    np.testing.assert_array_equal(found[[0, 1, 3]], np.linalg.inv(values[[0, 1, 3]]))
