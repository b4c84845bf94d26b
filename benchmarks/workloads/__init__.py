"""Computations that people run, each as a program, a reference, a floor on one H200, and peers to measure against."""

from benchmarks.workloads import (
    diffusions,
    dtw,
    elementwise,
    gibbs,
    gru,
    hmm,
    implicit_euler,
    kalman,
    linear_recurrence,
    lorenz,
    lstm,
    lstm_heads,
    rnn,
    truncated,
    until,
)
from benchmarks.workloads.workload import Workload

WORKLOADS: tuple[Workload, ...] = (
    elementwise.WORKLOAD,
    linear_recurrence.FORWARD,
    linear_recurrence.GRADIENT,
    gibbs.WORKLOAD,
    diffusions.GBM,
    diffusions.HESTON,
    lorenz.WORKLOAD,
    lstm_heads.WORKLOAD,
    lstm.FORWARD,
    lstm.GRADIENT,
    gru.WORKLOAD,
    rnn.WORKLOAD,
    kalman.WORKLOAD,
    hmm.WORKLOAD,
    until.MANDELBROT_SET,
    until.NEWTON,
    implicit_euler.WORKLOAD,
    dtw.DIAGONALS,
    dtw.NESTED,
    truncated.WORKLOAD,
)
