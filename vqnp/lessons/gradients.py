"""The worth of a gradient: its check by differences, its promise, and where it leads."""

from typing import Any

from vqnp.plots import style
from vqnp.validation import Array


@style.styled
def difference_errors(steps: Array, errors: dict[str, Array]) -> Any:
    """Draw the error of each kind of differences against the step h, both ``(n,)``."""
    figure, ((axes,),) = style.new_figure(1, 1, 6.5, 3.4)
    for name, error in errors.items():
        axes.loglog(steps, error, ".-", linewidth=1, markersize=4, label=name)
    axes.set(
        xlabel="step h",
        ylabel="error of the derivative",
        title="A smaller step is better, until rounding is divided by it",
    )
    axes.legend()
    return figure


@style.styled
def along_the_gradient(lengths: Array, losses: Array, loss: float, slope: float) -> Any:
    """Draw the ``losses`` ``(n,)`` after steps of ``lengths`` ``(n,)`` against the gradient.

    The line through ``loss`` with ``slope`` is the gradient's promise.
    """
    figure, ((axes,),) = style.new_figure(1, 1, 6.5, 3.2)
    axes.plot(lengths, losses, color=style.RECONSTRUCTION, label="loss after the step")
    axes.plot(
        lengths, loss + slope * lengths, "--", color=style.DATA, label="what the gradient promises"
    )
    axes.plot(0, loss, "o", color=style.RECONSTRUCTION, markersize=5)
    axes.set(
        xlabel="step length η",
        ylabel="loss",
        ylim=style.span(losses),
        title="The gradient is the slope here, and only here",
    )
    axes.legend()
    return figure


@style.styled
def curves_through_data(data: Array, snapshots: list[tuple[str, Array]]) -> Any:
    """Draw ``data`` ``(N, 2)`` and in each panel a titled curve ``(n, 2)`` of reconstructions."""
    count = len(snapshots)
    figure, (panels,) = style.new_figure(1, count, 2.1 * count, 2.5, sharex=True, sharey=True)
    for axes, (title, curve) in zip(panels, snapshots, strict=True):
        style.cloud(axes, data, style.DATA, "data", alpha=0.35)
        axes.plot(*curve.T, color=style.RECONSTRUCTION, linewidth=1.6, label="reconstructions")
        axes.set(title=title, xlabel="coordinate 1", aspect="equal")
    panels[0].set(ylabel="coordinate 2", xlim=style.span(data[:, 0]), ylim=style.span(data[:, 1]))
    style.legend_below(figure, markerscale=4)
    return figure
