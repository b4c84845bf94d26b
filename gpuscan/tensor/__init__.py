"""Symbolic arrays: inputs, arithmetic, reductions, products, shapes, indexing and creation, in NumPy's words."""

from gpuscan.tensor import linalg as linalg
from gpuscan.tensor import methods as _methods
from gpuscan.tensor import random as random
from gpuscan.tensor import special as special
from gpuscan.tensor.contraction import einsum
from gpuscan.tensor.convert import (
    as_tensor_variable,
    cast,
    constant,
)
from gpuscan.tensor.convolution import (
    convolve,
)
from gpuscan.tensor.creation import (
    alloc,
    arange,
    empty,
    empty_like,
    eye,
    full,
    full_like,
    identity,
    identity_like,
    ones,
    ones_like,
    zeros,
    zeros_like,
)
from gpuscan.tensor.cumulative import (
    cumprod,
    cumsum,
    diff,
)
from gpuscan.tensor.diagonals import (
    diag,
    diagonal,
    extract_diag,
    fill_diagonal,
    trace,
    tri,
    tril,
    tril_indices,
    triu,
    triu_indices,
)
from gpuscan.tensor.elementwise import (
    abs,
    absolute,
    add,
    and_,
    angle,
    arccos,
    arccosh,
    arcsin,
    arcsinh,
    arctan,
    arctan2,
    arctanh,
    betaln,
    bitwise_and,
    bitwise_or,
    bitwise_xor,
    cbrt,
    ceil,
    clip,
    conj,
    cos,
    cosh,
    deg2rad,
    digamma,
    divide,
    eq,
    erf,
    erfc,
    erfcx,
    erfinv,
    exp,
    exp2,
    expm1,
    floor,
    floor_div,
    fmax,
    fmin,
    gamma,
    gammainc,
    gammaincc,
    gammaln,
    ge,
    gt,
    hypot,
    i0,
    i1,
    imag,
    int_div,
    inv,
    invert,
    isclose,
    isfinite,
    isinf,
    isnan,
    le,
    left_shift,
    log,
    log1mexp,
    log1p,
    log2,
    log10,
    logaddexp,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    logit,
    lt,
    maximum,
    minimum,
    mod,
    mul,
    multiply,
    nan_to_num,
    ndtr,
    ndtri,
    neg,
    negative,
    neq,
    not_equal,
    or_,
    polygamma,
    pow,
    power,
    psi,
    rad2deg,
    real,
    reciprocal,
    relu,
    right_shift,
    rint,
    round,
    sgn,
    sigmoid,
    sign,
    sin,
    sinh,
    softplus,
    sqr,
    sqrt,
    square,
    sub,
    subtract,
    switch,
    tan,
    tanh,
    true_div,
    trunc,
    where,
    xor,
)
from gpuscan.tensor.grids import (
    geomspace,
    linspace,
    logspace,
    meshgrid,
)
from gpuscan.tensor.guards import (
    assert_op,
    specify_shape,
)
from gpuscan.tensor.indexing import (
    inc_subtensor,
    set_subtensor,
    take,
)
from gpuscan.tensor.inputs import (
    bcol,
    bmatrix,
    brow,
    bscalar,
    btensor3,
    btensor4,
    bvector,
    ccol,
    cmatrix,
    col,
    crow,
    cscalar,
    ctensor3,
    ctensor4,
    cvector,
    dcol,
    dmatrix,
    drow,
    dscalar,
    dtensor3,
    dtensor4,
    dvector,
    fcol,
    fmatrix,
    frow,
    fscalar,
    ftensor3,
    ftensor4,
    fvector,
    icol,
    imatrix,
    irow,
    iscalar,
    itensor3,
    itensor4,
    ivector,
    lcol,
    lmatrix,
    lrow,
    lscalar,
    ltensor3,
    ltensor4,
    lvector,
    matrix,
    row,
    scalar,
    shared,
    tensor,
    tensor3,
    tensor4,
    vector,
    wcol,
    wmatrix,
    wrow,
    wscalar,
    wtensor3,
    wtensor4,
    wvector,
    zcol,
    zmatrix,
    zrow,
    zscalar,
    ztensor3,
    ztensor4,
    zvector,
)
from gpuscan.tensor.joining import (
    concatenate,
    dstack,
    hstack,
    join,
    repeat,
    split,
    stack,
    tile,
    vstack,
)
from gpuscan.tensor.layout import (
    atleast_1d,
    atleast_2d,
    atleast_3d,
    broadcast_arrays,
    broadcast_to,
    dimshuffle,
    expand_dims,
    flatten,
    moveaxis,
    ravel,
    reshape,
    shape_padaxis,
    shape_padleft,
    shape_padright,
    squeeze,
    swapaxes,
    transpose,
)
from gpuscan.tensor.linalg import (
    matrix_power,
)
from gpuscan.tensor.logsums import (
    log_softmax,
    logdiffexp,
    logsumexp,
    softmax,
)
from gpuscan.tensor.moving import (
    flip,
    fliplr,
    flipud,
    roll,
)
from gpuscan.tensor.ordering import (
    argsort,
    searchsorted,
    sort,
)
from gpuscan.tensor.padding import (
    pad,
)
from gpuscan.tensor.products import (
    dot,
    kron,
    matmul,
    outer,
    tensordot,
)
from gpuscan.tensor.reduction import (
    all,
    allclose,
    amax,
    amin,
    any,
    argmax,
    argmin,
    count_nonzero,
    max,
    max_and_argmax,
    mean,
    min,
    prod,
    ptp,
    std,
    sum,
    var,
)
from gpuscan.tensor.selection import (
    argtopk,
    take_along_axis,
    topk,
)
from gpuscan.tensor.sizes import (
    shape,
    size,
)
from gpuscan.tensor.statistics import (
    cov,
    median,
)
from gpuscan.tensor.vectorizing import vectorize
from gpuscan.tensor.vectors import (
    batched_dot,
    cross,
    inner,
    matvec,
    vdot,
    vecdot,
    vecmat,
)

as_tensor = as_tensor_variable

_methods.install()  # variables get their operators

__all__ = [
    # from numbers and arrays
    "as_tensor", "as_tensor_variable", "cast", "constant",
    # inputs and shared variables
    "tensor", "scalar", "vector", "row", "col", "matrix", "tensor3", "tensor4", "shared",
    # inputs of a fixed dtype
    "bscalar", "bvector", "brow", "bcol", "bmatrix", "btensor3", "btensor4",
    "wscalar", "wvector", "wrow", "wcol", "wmatrix", "wtensor3", "wtensor4",
    "iscalar", "ivector", "irow", "icol", "imatrix", "itensor3", "itensor4",
    "lscalar", "lvector", "lrow", "lcol", "lmatrix", "ltensor3", "ltensor4",
    "fscalar", "fvector", "frow", "fcol", "fmatrix", "ftensor3", "ftensor4",
    "dscalar", "dvector", "drow", "dcol", "dmatrix", "dtensor3", "dtensor4",
    "cscalar", "cvector", "crow", "ccol", "cmatrix", "ctensor3", "ctensor4",
    "zscalar", "zvector", "zrow", "zcol", "zmatrix", "ztensor3", "ztensor4",
    # new arrays
    "alloc", "arange", "empty", "empty_like", "eye", "full", "full_like", "geomspace", "identity", "identity_like",
    "linspace", "logspace", "meshgrid", "ones", "ones_like", "tril_indices", "triu_indices", "zeros", "zeros_like",
    # arithmetic
    "add", "sub", "mul", "true_div", "floor_div", "mod", "power", "neg", "abs", "sign", "sqr", "sqrt", "cbrt",
    "reciprocal", "hypot", "maximum", "minimum", "fmax", "fmin", "clip", "nan_to_num", "relu",
    # comparison
    "eq", "neq", "lt", "le", "gt", "ge", "isclose", "isfinite", "isinf", "isnan",
    # logic and bits
    "logical_and", "logical_or", "logical_xor", "logical_not", "switch", "where", "bitwise_and", "bitwise_or",
    "bitwise_xor", "invert", "left_shift", "right_shift",
    # rounding
    "ceil", "floor", "rint", "round", "trunc",
    # exponentials and logarithms
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "logaddexp",
    # trigonometric and hyperbolic
    "sin", "cos", "tan", "arcsin", "arccos", "arctan", "arctan2", "sinh", "cosh", "tanh", "arcsinh", "arccosh",
    "arctanh", "deg2rad", "rad2deg",
    # special functions
    "sigmoid", "softplus", "erf", "erfc", "erfcx", "erfinv", "ndtr", "ndtri", "gamma", "gammaln", "gammainc",
    "gammaincc", "digamma", "polygamma", "betaln", "i0", "i1", "log1mexp", "logdiffexp", "logit", "logsumexp",
    "softmax", "log_softmax",
    # complex numbers
    "real", "imag", "conj", "angle",
    # other names of the above
    "absolute", "amax", "amin", "and_", "divide", "int_div", "inv", "multiply", "negative", "not_equal", "or_", "pow",
    "psi", "sgn", "square", "subtract", "xor",
    # reductions
    "all", "allclose", "any", "argmax", "argmin", "count_nonzero", "cov", "max", "max_and_argmax", "mean", "median",
    "min", "prod", "ptp", "std", "sum", "var",
    # products
    "batched_dot", "convolve", "cross", "dot", "einsum", "inner", "kron", "matmul", "matrix_power", "matvec", "outer",
    "tensordot", "vdot", "vecdot", "vecmat",
    # running sums, order, diagonals and triangles
    "cumprod", "cumsum", "diff", "argsort", "argtopk", "searchsorted", "sort", "topk", "diag", "diagonal",
    "extract_diag", "fill_diagonal", "trace", "tri", "tril", "triu",
    # shapes and axes
    "shape", "size", "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_arrays", "broadcast_to", "dimshuffle",
    "expand_dims", "flatten", "moveaxis", "ravel", "reshape", "shape_padaxis", "shape_padleft", "shape_padright",
    "squeeze", "swapaxes", "transpose",
    # joining, repeating and padding
    "concatenate", "dstack", "hstack", "join", "pad", "repeat", "split", "stack", "tile", "vstack",
    # elements moved along axes
    "flip", "fliplr", "flipud", "roll",
    # parts of arrays
    "inc_subtensor", "set_subtensor", "take", "take_along_axis",
    # checked while they run
    "assert_op", "specify_shape",
    # functions of one element of a batch
    "vectorize",
]  # fmt: skip
