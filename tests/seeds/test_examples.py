"""Programs of the seed documents, on every device: the documented results, equal everywhere.

Their line ends are restored; `theano`, `aesara` and `pytensor` are `gs`, their tensor modules `gt`.
"""

from __future__ import annotations

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt

floatX = gs.config.floatX


def one_launch(f: gs.Function) -> bool:
    """Whether the whole loop of a function was one kernel; on the CPU there is none."""
    return f.device == "cpu" or [plan.team != "host" for plan in f.plans] == [True]


# ---- Introduction to Scan: seeds 000 and 001 ----


def test_example_1_elementwise_product(device):
    vector1 = gt.vector("vector1")
    vector2 = gt.vector("vector2")
    output, updates = gs.scan(fn=lambda a, b: a * b, sequences=[vector1, vector2])
    f = gs.function(inputs=[vector1, vector2], outputs=output, updates=updates, device=device)
    vector1_value = np.arange(0, 5).astype(floatX)
    vector2_value = np.arange(1, 6).astype(floatX)
    np.testing.assert_array_equal(f(vector1_value, vector2_value), [0, 2, 6, 12, 20])
    np.testing.assert_array_equal(f(vector1_value, vector2_value[:4]), [0, 2, 6, 12])
    assert one_launch(f)


@pytest.mark.parametrize("product", [lambda v, W: gt.dot(v, W), lambda v, W: v @ W], ids=["dot", "@"])
def test_example_2_non_sequences(product, device):
    X = gt.matrix("X")  # Minibatch of data
    W = gt.matrix("W")  # Weights of the layer
    b = gt.vector("b")  # Biases of the layer

    def step(v, W, b):
        return product(v, W) + b

    output, updates = gs.scan(fn=step, sequences=[X], non_sequences=[W, b])
    assert updates == {}
    f = gs.function(inputs=[X, W, b], outputs=output, updates=updates, device=device)
    X_value = np.arange(-3, 3).reshape(3, 2).astype(floatX)
    W_value = np.eye(2).astype(floatX)
    b_value = np.arange(2).astype(floatX)
    np.testing.assert_array_equal(f(X_value, W_value, b_value), [[-3, -1], [-1, 1], [1, 3]])


def test_example_3_cumulative_sum(device):
    def step(m_row, cumulative_sum):
        return m_row + cumulative_sum

    M = gt.matrix("X")
    s = gt.vector("s")  # Initial value for the cumulative sum
    output, updates = gs.scan(fn=step, sequences=[M], outputs_info=[s])
    f = gs.function(inputs=[M, s], outputs=output, updates=updates, device=device)
    M_value = np.arange(9).reshape(3, 3).astype(floatX)
    s_value = np.zeros((3,), dtype=floatX)
    np.testing.assert_array_equal(f(M_value, s_value), [[0, 1, 2], [3, 5, 7], [9, 12, 15]])
    assert one_launch(f)


def test_example_4_fibonacci(device):
    def step(f_minus2, f_minus1):
        new_f = f_minus2 + f_minus1
        ratio = new_f / f_minus1
        return new_f, ratio

    f_init = gt.fvector()
    outputs_info = [{"initial": f_init, "taps": [-2, -1]}, None]
    output, updates = gs.scan(fn=step, outputs_info=outputs_info, n_steps=10)
    next_fibonacci_terms = output[0]
    ratios_between_terms = output[1]
    f = gs.function(
        inputs=[f_init], outputs=[next_fibonacci_terms, ratios_between_terms], updates=updates, device=device
    )
    out = f([1, 1])
    np.testing.assert_array_equal(out[0], [2, 3, 5, 8, 13, 21, 34, 55, 89, 144])
    documented = [2, 1.5, 1.6666666, 1.6, 1.625, 1.6153846, 1.6190476, 1.617647, 1.6181818, 1.6179775]
    np.testing.assert_allclose(out[1], documented, rtol=1e-6)
    assert [o.dtype for o in out] == ["float32", "float32"]
    assert one_launch(f)


def components_of(coefficients, x):
    """The components of the polynomial: what Exercise 1 starts from, and the second example of seeds 002 and 003."""
    full_range = gt.arange(10000)
    return gs.scan(
        fn=lambda coeff, power, free_var: coeff * free_var**power,
        outputs_info=None,
        sequences=[coefficients, full_range],
        non_sequences=x,
    )


def test_exercise_1_as_given(device):
    coefficients = gt.vector("coefficients")
    x = gt.scalar("x")
    components, updates = components_of(coefficients, x)
    f = gs.function(inputs=[coefficients, x], outputs=components.sum(), updates=updates, device=device)
    assert f(np.asarray([1, 0, 2], dtype=floatX), 3) == 19.0
    assert one_launch(f)


def test_exercise_1_with_the_sum_in_the_loop(device):
    coefficients = gt.vector("coefficients")
    x = gt.scalar("x")

    def step(coeff, power, prior_value, free_var):
        return prior_value + (coeff * free_var**power)

    full_range = gt.arange(10000)
    outputs_info = gt.zeros((), dtype=floatX)
    results, updates = gs.scan(
        fn=step, sequences=[coefficients, full_range], outputs_info=outputs_info, non_sequences=x
    )
    f = gs.function(inputs=[coefficients, x], outputs=results[-1], updates=updates, device=device)
    assert f(np.asarray([1, 0, 2], dtype=floatX), 3) == 19.0
    assert one_launch(f)


# ---- Looping: seeds 002 and 003 ----


def test_power(device):
    k = gt.iscalar("k")
    A = gt.vector("A")
    result, updates = gs.scan(
        fn=lambda prior_result, A: prior_result * A, outputs_info=gt.ones_like(A), non_sequences=A, n_steps=k
    )
    final_result = result[-1]
    power = gs.function(inputs=[A, k], outputs=final_result, updates=updates, device=device)
    np.testing.assert_array_equal(power(range(10), 2), np.arange(10.0) ** 2)
    np.testing.assert_array_equal(power(range(10), 4), np.arange(10.0) ** 4)
    assert "history" not in gs.debugprint(power, file="str")  # only the last value is kept
    assert one_launch(power)


def test_polynomial(device):
    coefficients = gt.vector("coefficients")
    x = gt.scalar("x")
    components, updates = components_of(coefficients, x)
    polynomial = components.sum()
    calculate_polynomial = gs.function(inputs=[coefficients, x], outputs=polynomial, updates=updates, device=device)
    test_coefficients = np.asarray([1, 0, 2], dtype=np.float32)
    assert calculate_polynomial(test_coefficients, 3) == 1.0 * (3**0) + 0.0 * (3**1) + 2.0 * (3**2)


def accumulate_by_adding(arange_val, sum_to_date):
    return sum_to_date + arange_val


def test_triangular_numbers(device):
    up_to = gt.iscalar("up_to")
    seq = gt.arange(up_to)
    outputs_info = gt.as_tensor_variable(np.asarray(0, seq.dtype))
    scan_result, _ = gs.scan(fn=accumulate_by_adding, outputs_info=outputs_info, sequences=seq)
    triangular_sequence = gs.function(inputs=[up_to], outputs=scan_result, device=device)
    some_num = 15
    np.testing.assert_array_equal(triangular_sequence(some_num), [n * (n + 1) // 2 for n in range(some_num)])
    assert one_launch(triangular_sequence)


def test_triangular_numbers_that_would_be_downcast():
    seq = gt.arange(gt.iscalar("up_to"))
    with pytest.raises(gs.LoopError, match=r"state .sum_to_date. enters a step as int8\[\] but leaves it as int64\[\]"):
        gs.scan(fn=accumulate_by_adding, outputs_info=gt.as_tensor_variable(0), sequences=seq)


def test_set_value_at_position(device):
    location = gt.imatrix("location")
    values = gt.vector("values")
    output_model = gt.matrix("output_model")

    def set_value_at_position(a_location, a_value, output_model):
        zeros = gt.zeros_like(output_model)
        zeros_subtensor = zeros[a_location[0], a_location[1]]
        return gt.set_subtensor(zeros_subtensor, a_value)

    result, _ = gs.scan(
        fn=set_value_at_position, outputs_info=None, sequences=[location, values], non_sequences=output_model
    )
    assign_values_at_positions = gs.function(inputs=[location, values, output_model], outputs=result, device=device)
    test_locations = np.asarray([[1, 1], [2, 3]], dtype=np.int32)
    test_values = np.asarray([42, 50], dtype=np.float32)
    test_output_model = np.zeros((5, 5), dtype=np.float32)
    expected = np.zeros((2, 5, 5))
    expected[0, 1, 1], expected[1, 2, 3] = 42, 50
    np.testing.assert_array_equal(assign_values_at_positions(test_locations, test_values, test_output_model), expected)


def test_a_shared_variable_updated_by_a_loop(device):
    a = gs.shared(1)
    _, updates = gs.scan(lambda: {a: a + 1}, n_steps=10)
    b = a + 1
    c = updates[a] + 1
    f = gs.function([], [b, c], updates=updates, device=device)
    assert f() == [2, 12]
    assert a.get_value() == 11
    assert f() == [12, 22]
    assert a.get_value() == 21


def test_powers_of_two_until(device):
    def power_of_2(previous_power, max_value):
        return previous_power * 2, gs.until(previous_power * 2 > max_value)

    max_value = gt.scalar()
    values, _ = gs.scan(power_of_2, outputs_info=gt.constant(1.0), non_sequences=max_value, n_steps=1024)
    f = gs.function([max_value], values, device=device)
    np.testing.assert_array_equal(f(45), [2, 4, 8, 16, 32, 64])


def test_recurrent_network_with_taps(device):
    def oneStep(u_tm4, u_t, x_tm3, x_tm1, y_tm1, W, W_in_1, W_in_2, W_feedback, W_out):
        x_t = gt.tanh(gt.dot(x_tm1, W) + gt.dot(u_t, W_in_1) + gt.dot(u_tm4, W_in_2) + gt.dot(y_tm1, W_feedback))
        y_t = gt.dot(x_tm3, W_out)
        return [x_t, y_t]

    matrices = W, W_in_1, W_in_2, W_feedback, W_out = [gt.matrix() for _ in range(5)]
    u = gt.matrix()  # it is a sequence of vectors
    x0 = gt.matrix()  # initial state of x has to be a matrix, since it has to cover x[-3]
    y0 = gt.vector()  # y0 is just a vector since scan has only to provide y[-1]
    ([x_vals, y_vals], updates) = gs.scan(
        fn=oneStep,
        sequences={"input": u, "taps": [-4, -0]},
        outputs_info=[{"initial": x0, "taps": [-3, -1]}, y0],
        non_sequences=[W, W_in_1, W_in_2, W_feedback, W_out],
        strict=True,
    )
    f = gs.function([u, x0, y0, *matrices], [x_vals, y_vals], updates=updates, device=device)
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=shape) for shape in [(3, 3), (2, 3), (2, 3), (1, 3), (3, 1)]]
    u_value, x_value, y_value = rng.normal(size=(9, 2)), rng.normal(size=(3, 3)), rng.normal(size=1)
    found = f(u_value, x_value, y_value, *weights)
    xs, ys = list(x_value), [y_value]
    for n in range(4, 9):  # uvals[0] is u[-4]: the loop starts at uvals[4]
        x_n = np.tanh(xs[-1] @ weights[0] + u_value[n] @ weights[1] + u_value[n - 4] @ weights[2] + ys[-1] @ weights[3])
        ys.append(xs[-3] @ weights[4])
        xs.append(x_n)
    np.testing.assert_allclose(found[0], xs[3:], rtol=1e-12)
    np.testing.assert_allclose(found[1], ys[1:], rtol=1e-12)
