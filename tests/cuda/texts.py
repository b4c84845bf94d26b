"""Kernel text without what is the same in every kernel."""

from __future__ import annotations

import gpuscan as gs


def own_text(f: gs.Function) -> str:
    """Return what was generated of a function's one kernel: its text without the spliced files."""
    text, _, _ = f.kernel_source().partition("\n// around the loops")
    head, _, rest = text.partition("// ---- kernels/base.cuh")
    return head + rest[rest.rindex("// ---- end of kernels/") :]
