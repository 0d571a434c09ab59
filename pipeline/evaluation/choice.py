"""The picture of how a model was chosen: the quadrant of the data, and the learning curve."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.evaluation.plots import BLUE, GREY, ORANGE

CORNERS = {             # quadrant -> left and bottom of its square, and the usual advice
    "few and alike": (0, 0, "train a head"), "few and unlike": (1, 0, "a head on all levels,\nor the top blocks"),
    "many and alike": (0, 1, "train the top blocks"), "many and unlike": (1, 1, "train most layers,\nor all"),
}


def draw_choice(choice: dict) -> Figure:
    """Draw the content of choice.json, see `tasks.choose`."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    quadrant, curve = figure.subplots(1, 2)
    _draw_quadrant(quadrant, choice["quadrant"])
    _draw_curve(curve, choice["curve"], choice["twice"]["all"])
    return figure


def _draw_quadrant(axes: Axes, name: str) -> None:
    for corner, (left, bottom, advice) in CORNERS.items():
        is_here = corner == name
        axes.fill_between([left, left + 1], bottom, bottom + 1, color=BLUE if is_here else "#eceef1", linewidth=0)
        axes.text(left + 0.5, bottom + 0.5, f"{corner}\n{advice}", ha="center", va="center", fontsize=8,
                  color="white" if is_here else GREY, weight="bold" if is_here else "normal")
    axes.axhline(1, color="white", linewidth=3)
    axes.axvline(1, color="white", linewidth=3)
    axes.set(xlim=(0, 2), ylim=(0, 2), xticks=[0.5, 1.5], yticks=[0.5, 1.5], xticklabels=["alike", "unlike"],
             yticklabels=["few", "many"], xlabel="the backbone's own images", ylabel="images",
             title="where these images stand")
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def _draw_curve(axes: Axes, curve: dict, twice: dict) -> None:
    images, accuracies = curve["images"], curve["accuracy"]
    axes.plot(images, accuracies, color=BLUE, marker="o")
    axes.plot([images[-1], 2 * images[-1]], [accuracies[-1], twice["value"]], color=ORANGE, linestyle="--")
    errors = [[twice["value"] - twice["low"]], [twice["high"] - twice["value"]]]
    axes.errorbar([2 * images[-1]], [twice["value"]], yerr=errors, color=ORANGE, marker="o", capsize=3)
    ticks = [*images, 2 * images[-1]]
    axes.set(xscale="log", xticks=ticks, xticklabels=[f"{tick:,}" for tick in ticks], xlabel="images learnt from",
             ylabel="accuracy on others", title="what more images bring, with a 90 % interval")
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")
    axes.minorticks_off()
