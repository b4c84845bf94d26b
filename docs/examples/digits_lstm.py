"""A recurrent network written with `scan` and trained: an LSTM that reads handwritten digits row by row.

    pip install '.[examples]'
    python docs/examples/digits_lstm.py --picture digits.png

Scikit-learn's digits are 1797 images of 8 rows of 8 pixels. To the network an image is a sequence of 8 rows; after
the last one it says which digit it saw. `gs.grad` differentiates the loop over the rows, and Adam's rule is written
as updates of shared variables, so that one call does all of a training step: forward, backward, and new weights.

A quarter of the images, drawn at random, is held out and never trained on.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import gpuscan as gs
import gpuscan.tensor as gt

DIGITS = 10


@dataclass(frozen=True)
class Training:
    """How it went: the mean loss of each epoch, the held-out accuracy after it, and how long all of it took."""

    losses: list[float]
    accuracies: list[float]
    seconds: float


def load(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return training images, training labels, held-out images, held-out labels; images as (row, image, pixel)."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(seed).permutation(len(digits.target))
    images = (digits.images[order] / 16).transpose(1, 0, 2).astype("float32")
    labels = digits.target[order]
    held_out = len(labels) // 4
    return images[:, held_out:], labels[held_out:], images[:, :held_out], labels[:held_out]


def make_weights(hidden: int, seed: int) -> dict[str, gs.SharedVariable]:
    """Return weights drawn at random. The four gates' weights are side by side: one product computes all four."""
    rng = np.random.default_rng(seed)

    def drawn(rows: int, columns: int) -> np.ndarray:
        return rng.normal(scale=rows**-0.5, size=(rows, columns)).astype("float32")

    gates = np.zeros(4 * hidden, "float32")
    gates[hidden : 2 * hidden] = 1  # the forget gates begin open
    values = {
        "from_row": drawn(8, 4 * hidden),
        "from_hidden": drawn(hidden, 4 * hidden),
        "gates": gates,
        "to_digit": drawn(hidden, DIGITS),
        "digit": np.zeros(DIGITS, "float32"),
    }
    return {name: gs.shared(value, name) for name, value in values.items()}


def lstm(row: Any, hidden: Any, cell: Any, from_row: Any, from_hidden: Any, gates: Any) -> tuple[Any, Any]:
    """One row of each image: what the network remembers after it."""
    size = from_hidden.shape[0]
    z = gt.dot(row, from_row) + gt.dot(hidden, from_hidden) + gates
    enter, keep, show = (gt.sigmoid(z[:, i * size : (i + 1) * size]) for i in range(3))
    cell = keep * cell + enter * gt.tanh(z[:, 3 * size :])
    return show * gt.tanh(cell), cell


def log_probabilities(images: Any, weights: dict[str, Any]) -> Any:
    """Return the logarithm of each digit's probability for each image."""
    nothing = gt.zeros((images.shape[1], weights["from_hidden"].shape[0]), images.dtype)
    (hidden, _), _ = gs.scan(
        lstm,
        sequences=[images],
        outputs_info=[nothing, nothing],
        non_sequences=[weights["from_row"], weights["from_hidden"], weights["gates"]],
        strict=True,
        name="lstm",
    )
    scores = gt.dot(hidden[-1], weights["to_digit"]) + weights["digit"]
    scores = scores - scores.max(axis=1, keepdims=True)  # so that no exponential overflows
    return scores - gt.log(gt.exp(scores).sum(axis=1, keepdims=True))


def adam(cost: Any, weights: list[Any], rate: float, keep: float = 0.9, keep_squares: float = 0.999) -> dict[Any, Any]:
    """Return the updates of one step of Adam (Kingma and Ba, 2015, algorithm 1)."""
    count = gs.shared(np.float32(0), "count")
    updates = {count: count + 1}
    for w, g in zip(weights, gs.grad(cost, weights), strict=True):
        mean, square = (gs.shared(np.zeros_like(w.get_value()), f"{w.name} {what}") for what in ("mean", "square"))
        updates[mean] = keep * mean + (1 - keep) * g
        updates[square] = keep_squares * square + (1 - keep_squares) * g * g
        unbiased_mean = updates[mean] / (1 - keep ** updates[count])
        unbiased_square = updates[square] / (1 - keep_squares ** updates[count])
        updates[w] = w - rate * unbiased_mean / (gt.sqrt(unbiased_square) + 1e-8)
    return updates


def batches(count: int, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield the numbers below `count` in random order, `size` at a time; what is left over waits for another epoch."""
    order = rng.permutation(count)
    for start in range(0, count - size + 1, size):
        yield order[start : start + size]


def draw(path: str, training: Training) -> None:
    """Write a picture of the loss and of the error on the held-out images."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    epochs = np.arange(1, len(training.losses) + 1)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    left.semilogy(epochs, training.losses, color="C0", linewidth=2)
    left.set_title("training loss: mean cross-entropy of an epoch", loc="left", fontsize=10)
    accuracy = 100 * np.array(training.accuracies)
    right.plot(epochs, accuracy, color="C1", linewidth=2)
    right.axhline(95, color="0.6", linewidth=1, linestyle="--")
    for height, text, color in ((95, "95 %", "0.4"), (accuracy[-1], f"{accuracy[-1]:.1f} %", "C1")):
        right.annotate(text, (epochs[-1], height), (5, 0), textcoords="offset points", va="center", color=color)
    right.set(ylim=(min(80, accuracy.max() - 5), 100.5))
    right.set_title("held-out images read correctly / %", loc="left", fontsize=10)
    for axes in (left, right):
        axes.set(xlabel="epoch", xlim=(1, epochs[-1]))
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(
    epochs: int = 30,
    hidden: int = 64,
    batch: int = 32,
    rate: float = 0.01,
    seed: int = 1,
    device: str = "auto",
    picture: str = "",
) -> Training:
    """Train, print the loss and the accuracy as they change, and draw them if `picture` names a file."""
    from threadpoolctl import threadpool_limits

    began = time.perf_counter()
    images, labels, held_images, held_labels = load(seed)
    weights = make_weights(hidden, seed)

    # The training images stay where the device is; a call passes the numbers of those it takes.
    all_images, all_labels = gs.shared(images, "images"), gs.shared(labels, "labels")
    chosen, shown = gt.lvector("chosen"), gt.tensor3("shown", dtype="float32")
    log_p = log_probabilities(all_images[:, chosen], weights)
    loss = -log_p[gt.arange(chosen.shape[0]), all_labels[chosen]].mean()
    train = gs.function([chosen], loss, updates=adam(loss, list(weights.values()), rate), device=device)
    read = gs.function([shown], log_probabilities(shown, weights).argmax(axis=1), device=device)

    rng = np.random.default_rng(seed)
    losses, accuracies = [], []
    # On the CPU the products are so small that threads of BLAS would mostly wait for each other.
    with threadpool_limits(1):
        for epoch in range(epochs):
            losses.append(float(np.mean([train(numbers) for numbers in batches(len(labels), batch, rng)])))
            accuracies.append(float((read(held_images) == held_labels).mean()))
            if epoch + 1 in (1, 2, 5, epochs) or (epoch + 1) % 10 == 0:
                print(
                    f"epoch {epoch + 1:3}: loss {losses[-1]:.4f}, {accuracies[-1]:.2%} of {len(held_labels)} held out"
                )
    training = Training(losses, accuracies, time.perf_counter() - began)
    print(f"{training.seconds:.1f} s in all")
    if picture:
        draw(picture, training)
        print(f"drawn: {picture}")
    return training


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--hidden", type=int, default=64, help="size of what the network remembers")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or emulator")
    parser.add_argument("--picture", default="", help="file to draw loss and accuracy to")
    main(**vars(parser.parse_args()))
