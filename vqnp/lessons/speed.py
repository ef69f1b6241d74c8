"""Speed: rates of the versions of one search, their roofline, and where fast ones go wrong."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vqnp.plots import style
from vqnp.validation import Array


@style.styled
def rate_ladder(names: Sequence[str], rates: Sequence[float], peak: float) -> Any:
    """Draw ``rates`` (GFLOP/s) as bars with their factor over the first, and a line at ``peak``."""
    figure, ((panel,),) = style.new_figure(1, 1, 8, 0.6 + 0.42 * len(names))
    panel.barh(range(len(names)), rates, color=style.RECONSTRUCTION)
    panel.axvline(peak, color=style.TOKEN, linewidth=1.2)
    panel.annotate(
        "matrix product",
        (peak, -0.62),
        color=style.TOKEN,
        ha="right",
        va="bottom",
        annotation_clip=False,
    )
    for i, rate in enumerate(rates):
        panel.annotate(
            f" ×{factor(rate / rates[0])} ",
            (rate, i),
            va="center",
            color="white" if rate > peak / 20 else "black",
            ha="right" if rate > peak / 20 else "left",
        )
    panel.set(
        yticks=range(len(names)),
        yticklabels=names,
        xscale="log",
        xlabel="GFLOP/s",
        ylim=(len(names) - 0.5, -0.7),
    )
    return figure


def factor(value: float) -> str:
    """Return a factor to two digits, large ones with thousands set apart."""
    return f"{value:.2g}" if value < 100 else f"{float(f'{value:.2g}'):,.0f}"


@style.styled
def roofline(
    names: Sequence[str],
    intensities: Sequence[float],
    rates: Sequence[float],
    peak: float,
    bandwidth: float,
) -> Any:
    """Draw the versions as points under their roof, the lower of two bounds.

    They are ``peak``, in GFLOP/s as ``rates``, and intensity · ``bandwidth`` (GB/s).
    ``intensities`` are in FLOP a byte of main memory.
    """
    figure, ((panel,),) = style.new_figure(1, 1, 8, 4.2)
    x = np.geomspace(min(intensities) / 4, max(intensities) * 4, 400)
    roof = np.minimum(peak, bandwidth * x)
    panel.loglog(x, roof, color=style.INK, linewidth=1.5)
    panel.fill_between(x, roof, 10 * peak, color=style.DATA, alpha=0.15, linewidth=0)
    panel.plot(intensities, rates, "o", color=style.TOKEN, markersize=7)
    # Heights of the last label on either side, because the next one keeps its distance.
    heights = dict.fromkeys(("left", "right"), np.inf)
    for rate, intensity, name in sorted(zip(rates, intensities, names, strict=True), reverse=True):
        side = "right" if intensity > np.sqrt(x[0] * x[-1]) else "left"
        heights[side] = min(rate, heights[side] / 1.6)
        panel.annotate(
            name,
            (intensity, heights[side]),
            xytext=(8 if side == "left" else -8, 0),
            textcoords="offset points",
            ha=side,
            va="center",
            fontsize=8,
        )
    knee = peak / bandwidth
    slope, flat = np.sqrt(x[0] * knee), np.sqrt(knee * x[-1])  # middles of the roof's two sides
    ink: Any = {"textcoords": "offset points", "color": style.INK}
    panel.annotate("memory", (slope, bandwidth * slope), (-6, 6), ha="right", **ink)
    panel.annotate("arithmetic", (flat, peak), (0, 5), ha="center", **ink)
    panel.annotate(
        "out of reach", (0.02, 0.96), xycoords="axes fraction", va="top", color="#666666"
    )
    panel.set(
        xlim=(x[0], x[-1]), ylim=(min(rates) / 3, 4 * peak),
        xlabel="arithmetic intensity (FLOP a byte of main memory)", ylabel="GFLOP/s",
    )  # fmt: skip
    return figure


@style.styled
def wrong_tokens(offsets: Sequence[float], shares: dict[str, Array]) -> Any:
    """Draw the share of points with a wrong token against their distance from the origin."""
    figure, ((panel,),) = style.new_figure(1, 1, 6.5, 3)
    for name, share in shares.items():
        panel.plot(range(len(offsets)), 100 * np.asarray(share), "o-", label=name)
    panel.set(
        xlabel="distance of every coordinate from the origin",
        ylabel="points with a wrong token (%)",
        ylim=(-4, 104),
        xticks=range(len(offsets)),
        xticklabels=[f"{offset:,g}" for offset in offsets],
    )
    panel.legend()
    return figure
