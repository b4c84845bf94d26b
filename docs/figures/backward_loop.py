"""Draws the worked example of docs/loops.md: a loop with two lags, and the loop that goes back over it.

python docs/figures/backward_loop.py            # writes backward_loop.svg beside this file
python docs/figures/backward_loop.py other.png
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

VALUES, ROWS = [1, 2, 3, 5, 17], [1, -1, 2]  # s[-2] to s[2]; x[0] to x[2]
FORWARD, BACKWARD, OWED = 4.6, 2.0, 0.35  # heights of the figure's three rows
LAG_1, LAG_2, DIRECT, GREY = "C0", "C1", "C2", "0.45"


def undo() -> tuple[list[int], list[int], list[int], list[tuple[int, int]]]:
    """Go back over the loop: what comes in for each s, what each step hands to lag 1 and lag 2, and the owed pairs."""
    direct = {0: 1, 2: 1}  # the cost is s[0] + s[2]
    owed, pairs = (0, 0), [(0, 0)]
    comes_in, to_lag_1, to_lag_2 = [], [], []
    for k in (2, 1, 0):
        d = direct.get(k, 0) + owed[0]
        comes_in.append(d)
        to_lag_1.append(d * VALUES[k])  # a = 1, and VALUES[k] is s[k - 2]
        to_lag_2.append(d * VALUES[k + 1])
        owed = (owed[1] + to_lag_1[-1], to_lag_2[-1])
        pairs.append(owed)
    return [owed[1], owed[0], *comes_in[::-1]], to_lag_1[::-1], to_lag_2[::-1], pairs[::-1]


def node(axes: Any, x: float, y: float, text: str, label: str, known: bool) -> None:
    """Draw a value in a circle, its name beside it."""
    face = "0.93" if known else "white"
    axes.text(x, y, text, ha="center", va="center", fontsize=12,
              bbox={"boxstyle": "circle,pad=0.42", "facecolor": face, "edgecolor": "0.2"})  # fmt: skip
    axes.text(x, y - 0.48, label, ha="center", va="center", fontsize=10, color="0.2")


def arrow(axes: Any, start: tuple[float, float], end: tuple[float, float], color: str, bend: float = 0.0) -> None:
    """Draw an arrow that stops short of the circles at its ends."""
    style = {"arrowstyle": "-|>", "color": color, "linewidth": 1.5, "shrinkA": 17, "shrinkB": 17}
    axes.annotate("", end, start, arrowprops={**style, "connectionstyle": f"arc3,rad={bend}"})


def draw(path: Path) -> None:
    """Draw the figure to `path`."""
    comes_in, to_lag_1, to_lag_2, pairs = undo()
    mpl.rcParams["svg.hashsalt"] = "backward loop"  # the same file at each run
    figure, axes = plt.subplots(figsize=(9.2, 5.6), layout="constrained")
    width = 2.0  # between neighbours
    at = [width * i for i in range(5)]

    for i, value in enumerate(VALUES):
        node(axes, at[i], FORWARD, str(value), f"s[{i - 2}]", known=i < 2)
        node(axes, at[i], BACKWARD, str(comes_in[i]), f"D[{i - 2}]", known=False)
    for k in range(3):
        i = k + 2
        arrow(axes, (at[i - 1], FORWARD), (at[i], FORWARD), LAG_1)
        arrow(axes, (at[i - 2], FORWARD), (at[i], FORWARD), LAG_2, bend=-0.38)
        arrow(axes, (at[i], BACKWARD), (at[i - 1], BACKWARD), LAG_1)
        arrow(axes, (at[i], BACKWARD), (at[i - 2], BACKWARD), LAG_2, bend=0.38)
        axes.text(at[i] - width / 2, BACKWARD - 0.07, str(to_lag_1[k]), color=LAG_1, ha="center", va="top", fontsize=11)
        axes.text(at[i - 1], BACKWARD + 0.68, str(to_lag_2[k]), color=LAG_2, ha="center", va="bottom", fontsize=11)
        axes.annotate(f"x[{k}] = {ROWS[k]}", (at[i], FORWARD - 0.64), (at[i], FORWARD - 1.0), ha="center", va="top",
                      fontsize=9, color=GREY, arrowprops={"arrowstyle": "-|>", "color": GREY})  # fmt: skip
    for i in (2, 4):
        axes.annotate("1", (at[i] + 0.2, BACKWARD + 0.2), (at[i] + 0.62, BACKWARD + 0.62), color=DIRECT, fontsize=11,
                      arrowprops={"arrowstyle": "-|>", "color": DIRECT, "linewidth": 1.5})  # fmt: skip

    # What is carried: two values before each backward step and after the last.
    for step, (first, second) in enumerate(pairs):
        x = at[step + 1]
        axes.text(x, OWED, f"{first} | {second}", ha="center", va="center", fontsize=11,
                  bbox={"boxstyle": "round,pad=0.4", "facecolor": "white", "edgecolor": "0.2"})  # fmt: skip
        when = "after step 0" if step == 0 else f"before step {step - 1}"
        axes.text(x, OWED - 0.42, when, ha="center", va="center", fontsize=9, color=GREY)
        if step:
            axes.annotate(
                "", (at[step] + 0.55, OWED), (x - 0.55, OWED), arrowprops={"arrowstyle": "-|>", "color": "0.2"}
            )

    left = -3.1
    for y, title, text in (
        (FORWARD, "the loop", "s[k] = a s[k-1] s[k-2] + x[k]\nwith a = 1"),
        (BACKWARD, "the loop backwards", "D[k]: the cost's derivative\nby s[k]; cost s[0] + s[2]"),
        (OWED, "what it carries", "owed[0] | owed[1]"),
    ):
        axes.text(left, y + 0.12, title, fontsize=11, fontweight="bold", va="bottom")
        axes.text(left, y + 0.02, text, fontsize=9, va="top", color="0.3")
    for x, color, text in ((0.0, LAG_1, "lag 1"), (1.1, LAG_2, "lag 2"), (2.2, DIRECT, "from the cost directly")):
        axes.text(left + x, FORWARD + 1.15, text, color=color, fontsize=10, fontweight="bold")
    axes.set(xlim=(left - 0.1, at[4] + 0.9), ylim=(OWED - 0.65, FORWARD + 1.4))
    axes.axis("off")
    figure.savefig(path, dpi=110, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".svg"))
