"""NumPy's own functions on variables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special

import gpuscan.tensor as gt
from gpuscan.graph import Variable
from gpuscan.tensor.numpy_protocol import FUNCTIONS, UFUNCS
from tests.tensor.agree import agree

X = np.array([[0.5, -1.25, 2.0], [1.5, 0.25, -0.5]])
ROW = np.array([1.0, 2.0, 0.5])


@pytest.mark.parametrize("ufunc", UFUNCS, ids=lambda f: f.__name__)
def test_ufunc(ufunc: np.ufunc) -> None:
    whole = ufunc.__name__ in ("invert", "left_shift", "right_shift") or ufunc.__name__.startswith("bitwise")
    a, b = (np.array([[1, 2, 3]]), np.array([[2], [1]])) if whole else (np.abs(X) * 0.4, np.abs(ROW))
    if ufunc is np.arccosh:
        a = a + 1
    if ufunc.__name__ in ("matmul", "vecmat"):
        b = np.ones((3, 2))
    arguments = (a, b)[: ufunc.nin]
    agree(ufunc, lambda *args: ufunc(*args), *arguments)
    if ufunc.nin == 2:
        agree(lambda x: ufunc(x, b), ufunc(a, b), a)
        agree(lambda y: ufunc(a, y), ufunc(a, b), b)


CALLS: list[Callable[[Any], Any]] = [
    lambda x: np.shape(x), lambda x: np.size(x), lambda x: np.copy(x), lambda x: np.where(x > 0, x, 0.0),
    lambda x: np.clip(x, -1, 1), lambda x: np.clip(x, a_min=-1, a_max=None), lambda x: np.clip(x, min=-1, max=1),
    lambda x: np.round(x, 1), lambda x: np.around(x, decimals=1), lambda x: np.real(x), lambda x: np.imag(x),
    lambda x: np.angle(x), lambda x: np.isclose(x, 0.5, atol=1), lambda x: np.allclose(x, x),
    lambda x: np.sum(x, axis=0), lambda x: np.sum(x, 0, None, None, True), lambda x: np.sum(a=x, dtype="float32"),
    lambda x: np.prod(x, 1), lambda x: np.max(x, 1, keepdims=True), lambda x: np.amax(x), lambda x: np.min(x, axis=0),
    lambda x: np.amin(x), lambda x: np.any(x > 1, axis=1), lambda x: np.all(x > -9), lambda x: np.argmax(x, 0),
    lambda x: np.argmin(x), lambda x: np.mean(x, 0, "float32"), lambda x: np.mean(x, axis=1, keepdims=True),
    lambda x: np.var(x, 1, ddof=1), lambda x: np.var(x, 1, None, None, 1), lambda x: np.std(x, axis=0),
    lambda x: np.dot(x, ROW), lambda x: np.outer(x, ROW), lambda x: np.take(x, [0, 2], axis=1),
    lambda x: np.take(x, [0, 5]), lambda x: np.reshape(x, (3, 2)), lambda x: np.reshape(x, -1, order="C"),
    lambda x: np.ravel(x), lambda x: np.transpose(x), lambda x: np.transpose(x, (1, 0)),
    lambda x: np.transpose(x, axes=[1, 0]),
    lambda x: np.moveaxis(x, 0, 1), lambda x: np.swapaxes(x, 0, 1), lambda x: np.squeeze(x[:1], axis=0),
    lambda x: np.expand_dims(x, 1), lambda x: np.atleast_1d(x), lambda x: np.atleast_2d(x[0]),
    lambda x: np.broadcast_to(x, (2, 2, 3)), lambda x: np.broadcast_arrays(x, ROW)[1],
    lambda x: np.concatenate([x, x], axis=1),
    lambda x: np.concatenate((x, [ROW])), lambda x: np.concatenate([x, ROW], None), lambda x: np.stack([x, x], axis=-1),
    lambda x: np.stack([ROW, x[0]]), lambda x: np.split(x, 3, 1)[2], lambda x: np.split(x, [1], axis=1)[1],
    lambda x: np.split(x, [1, x.shape[0]])[1], lambda x: np.tile(x, 2), lambda x: np.repeat(x, 2, axis=1),
    lambda x: np.zeros_like(x), lambda x: np.ones_like(x, dtype="int8"), lambda x: np.empty_like(x) * 0,
    lambda x: np.full_like(x, 7), lambda x: np.linspace(0, 1, 3) * x, lambda x: np.float64(2) * x - ROW / x,
    lambda x: np.tanh(x) @ ROW, lambda x: np.ones(3) < x, lambda x: np.matmul(x, ROW), lambda x: np.max(x + np.ndim(x)),
    lambda x: np.kron(x, ROW), lambda x: np.tensordot(x, ROW, 1), lambda x: np.tensordot(x, x, axes=([0], [0])),
    lambda x: np.einsum("ij,j->i", x, ROW), lambda x: np.cumsum(x, axis=1), lambda x: np.cumprod(a=x, axis=0),
    lambda x: np.diff(x, axis=0), lambda x: np.diff(x, 2), lambda x: np.sort(x, axis=0),
    lambda x: np.sort(x, stable=True),
    lambda x: np.argsort(x, kind="stable"), lambda x: np.searchsorted(np.sort(ROW), x, side="right"),
    lambda x: np.diag(x, k=1), lambda x: np.diagonal(x, 1), lambda x: np.trace(x, offset=-1), lambda x: np.tril(x, -1),
    lambda x: np.triu(x, k=1), lambda x: np.linalg.inv(x @ x.T), lambda x: np.linalg.pinv(x),
    lambda x: np.linalg.solve(x @ x.T, x), lambda x: np.linalg.cholesky(x @ x.T),
    lambda x: np.linalg.cholesky(x @ x.T, upper=True), lambda x: np.linalg.det(x @ x.T),
    lambda x: np.linalg.slogdet(x @ x.T)[1], lambda x: np.linalg.eigh(x @ x.T)[0],
    lambda x: np.linalg.svd(x, compute_uv=False), lambda x: np.abs(np.linalg.qr(x)[1]),
    lambda x: np.linalg.norm(x, axis=1), lambda x: np.linalg.norm(x, ord=1),
    lambda x: np.linalg.matrix_power(x @ x.T, 3), lambda x: np.inner(x, ROW), lambda x: np.vdot(x, x),
    lambda x: np.cross(x, ROW, axisc=0), lambda x: np.convolve(x[0], ROW, mode="same"), lambda x: np.roll(x, 1, axis=1),
    lambda x: np.roll(a=x, shift=2), lambda x: np.flip(m=x, axis=0), lambda x: np.flipud(x), lambda x: np.fliplr(x),
    lambda x: np.pad(array=x, pad_width=1), lambda x: np.pad(x, ((1, 0), (2, 3)), mode="wrap"),
    lambda x: np.take_along_axis(arr=x, indices=np.argsort(x, axis=1), axis=1), lambda x: np.atleast_3d(x),
    lambda x: np.vstack([x, ROW]), lambda x: np.hstack((x, x)), lambda x: np.dstack(tup=[x, x]), lambda x: np.ptp(x, 1),
    lambda x: np.count_nonzero(x > 0, axis=0), lambda x: np.median(x, axis=1), lambda x: np.cov(m=x, ddof=0),
    lambda x: np.cov(x, ROW), lambda x: np.nan_to_num(x * np.inf, posinf=9.0), lambda x: np.linspace(x, ROW, 3),
    lambda x: np.logspace(0, x, num=3, base=2.0), lambda x: np.geomspace(x**2, 100.0, 4),
    lambda x: np.meshgrid(x[0], ROW, indexing="ij")[0], lambda x: np.fmax(x, ROW), lambda x: np.fmin(ROW, x),
    lambda x: np.vecdot(x, ROW),
]  # fmt: skip


@pytest.mark.parametrize("call", CALLS, ids=range(len(CALLS)))
def test_function(call: Callable[[Any], Any]) -> None:
    agree(call, np.asarray(call(X)), X)


def test_every_function_of_the_table_is_called() -> None:
    names = {name for call in CALLS for name in call.__code__.co_names}
    assert {f.__name__ for f in FUNCTIONS} <= names | {"amax", "amin"}


@pytest.mark.parametrize(
    "name", ["expit", "logit", "erf", "erfc", "gammaln", "digamma", "psi", "erfcx", "ndtr", "gamma"]
)
def test_special_functions_of_scipy(name: str) -> None:
    function = getattr(scipy.special, name)
    agree(function, function(np.abs(X)), np.abs(X))


def test_results_are_variables() -> None:
    x = gt.matrix()
    assert isinstance(np.tanh(x), Variable)
    assert isinstance(np.ones(3) * x, Variable)
    assert all(isinstance(part, Variable) for part in np.divmod(np.ones(3), x))
    assert np.ndim(x) == 2
    assert np.positive(x) is np.copy(x) is x


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda x: np.add.reduce(x), "numpy.add.reduce is not available for symbolic variables; see gpuscan.tensor"),
        (lambda x: np.multiply.outer(x, x), "numpy.multiply.outer is not available"),
        (lambda x: np.nextafter(x, x), "numpy.nextafter is not available for symbolic variables"),
        (lambda x: scipy.special.j0(x), "scipy.special.j0 is not available for symbolic variables"),
        (lambda x: np.linalg.cond(x), "numpy.linalg.cond is not available for symbolic variables"),
        (lambda x: np.add(x, 1, dtype="float32"), "numpy.add on a symbolic variable takes no options; found dtype"),
        (
            lambda x: np.add(np.ones(3), x, out=np.ones(3)),
            "numpy.add on a symbolic variable takes no options; found out",
        ),
        (lambda x: np.sum(x, where=np.ones(3, bool)), "numpy.sum on a symbolic variable: got an unexpected .*'where'"),
        (
            lambda x: np.sum(x, out=np.ones(3)),
            "numpy.sum on a symbolic variable: got an unexpected keyword argument 'out'",
        ),
        (lambda x: np.reshape(x, 6, order="F"), "numpy.reshape on a symbolic variable: got an unexpected .*'order'"),
        (lambda x: np.take(x, 1, mode="clip"), "numpy.take on a symbolic variable: got an unexpected .*'mode'"),
        (lambda x: np.where(x), r"switch\(\) takes 3 arguments, not 1"),
        (lambda x: np.asarray(x), r"<x: float64\[\?, \?\]> has no value while the graph is built; call .eval\(\)"),
        (lambda x: np.array([x, x]), "<x: .*> has no value while the graph is built"),
    ],
)
def test_messages(wrong: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        wrong(gt.matrix("x"))


def test_writing_into_an_array_is_refused() -> None:
    a = np.ones(3)
    with pytest.raises(TypeError, match=r"numpy\.add on a symbolic variable takes no options; found out"):
        a += gt.vector()
    assert a.tolist() == [1, 1, 1]
