"""The command line: ``vqnp reproduce`` makes the paper's figures, ``vqnp diagnose`` looks at anyone's codebook, ``vqnp data``
fetches images.

What a command needs is imported when it runs, so that ``vqnp --help`` answers at once.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FIGURES = ("fig2", "fig3", "fig4", "fig5", "fig6")
BEYOND = ("fig4b",)  # beyond the paper: made when they are named
SCALES = ("quick", "laptop", "paper")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status: 0 done, 1 what was asked cannot be done, 2 it cannot be understood, 130 Ctrl-C."""
    options = parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        print(
            "\nStopped. What is done is kept: the same command with --resume goes on from there.",
            file=sys.stderr,
        )
        return 130
    except (ValueError, TypeError, OSError) as error:
        print(f"vqnp: {error}", file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = argparse.ArgumentParser(
        prog="vqnp",
        description="Vector quantization and its representation collapses, in NumPy and Numba.",
    )
    commands = top.add_subparsers(required=True, metavar="command")
    add_reproduce(
        commands.add_parser(
            "reproduce",
            help="make the paper's figures, their numbers and claims, and one page that shows them",
        )
    )
    add_diagnose(
        commands.add_parser(
            "diagnose", help="tell whether a codebook is collapsing, from its embeddings and tokens"
        )
    )
    add_data(commands.add_parser("data", help="fetch CIFAR-10, 170 MB, for figures 4 and 6"))
    return top


def add_reproduce(command: argparse.ArgumentParser) -> None:
    """Declare the options of ``vqnp reproduce``."""
    command.add_argument(
        "figures",
        nargs="*",
        metavar="figure",
        help=f"which figures: {', '.join(FIGURES)} (none means all of these), {', '.join(BEYOND)}",
    )
    command.add_argument(
        "--seeds",
        type=positive,
        default=3,
        metavar="N",
        help="how many seeds, from 0 (default 3, the paper's)",
    )
    command.add_argument(
        "--scale",
        choices=SCALES,
        default="quick",
        help="how much work on images (minutes, hours, days); the synthetic figures are the paper's own at every scale",
    )
    command.add_argument(
        "--jobs",
        type=positive,
        default=None,
        metavar="N",
        help="processes at once (default: one a core)",
    )
    command.add_argument(
        "--out",
        type=Path,
        default=Path("reproduction"),
        metavar="DIR",
        help="where to write (default: reproduction)",
    )
    command.add_argument(
        "--resume",
        action="store_true",
        help="keep the runs that are already in DIR, and finish the others",
    )
    command.add_argument(
        "--data",
        metavar="FILE.npy|cifar10",
        help="your own points (N, D): one more row of Figure 3; or the word cifar10: figures 4, 4b and 6 on CIFAR-10, "
        "instead of on patches of two photographs",
    )
    command.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="where CIFAR-10 is (default: where `vqnp data cifar10` puts it)",
    )
    command.add_argument(
        "--data-name", metavar="NAME", help="what the report shall call your copy of CIFAR-10"
    )
    command.add_argument(
        "--labels", type=Path, metavar="FILE.npy", help="integer labels (N,) of your own points"
    )
    command.add_argument(
        "--token-size",
        type=positive,
        metavar="D",
        help="dimensions of the tokens for your own points",
    )
    command.set_defaults(run=run_reproduce)


def run_reproduce(options: argparse.Namespace) -> int:
    """Make the figures, print the claims as a table and say where the page is."""
    import joblib

    from vqnp.experiments.plans import Plan
    from vqnp.experiments.reproduce import reproduce

    figures = list(dict.fromkeys(options.figures)) or list(FIGURES)
    seeds = tuple(range(options.seeds))
    made = reproduce(
        figures,
        Plan(seeds=seeds, own=own_points(options, figures), own_token_dim=options.token_size),
        options.out,
        images=image_plan(options, figures, seeds),
        scale=options.scale,
        jobs=options.jobs or joblib.cpu_count(),
        resume=options.resume,
        progress=True,
    )
    print(claims_table(made.claims))
    held = sum(claim.holds for claim in made.claims)
    print(
        f"\n{held} of {len(made.claims)} claims hold for every seed they were tried with. The page: {made.report}"
    )
    return 0


def own_points(options: argparse.Namespace, figures: Sequence[str]) -> Any:
    """Return the user's own points, or ``None``; raises ``ValueError`` for options that make no sense together."""
    from vqnp.experiments.spec import Own

    own = None if options.data == "cifar10" else options.data
    if own is None and (options.labels or options.token_size):
        raise ValueError(
            "--labels and --token-size describe your own points: give them with --data FILE.npy"
        )
    if own is not None and "fig3" not in figures:
        raise ValueError("--data FILE.npy adds a row to Figure 3: name fig3 among the figures")
    return (
        None if own is None else Own(own, None if options.labels is None else str(options.labels))
    )


def image_plan(options: argparse.Namespace, figures: Sequence[str], seeds: tuple[int, ...]) -> Any:
    """Return what is run on which images; raises ``ValueError`` for options that make no sense together."""
    from vqnp.experiments.image_setting import Cifar10, Patches
    from vqnp.experiments.images import SIZES, ImagePlan

    sizes = SIZES[options.scale]
    if options.data != "cifar10":
        if options.data_dir or options.data_name:
            raise ValueError(
                "--data-dir and --data-name describe CIFAR-10: give them with --data cifar10"
            )
        return ImagePlan.at_scale(options.scale, Patches(*sizes), seeds)
    if not {"fig4", "fig4b", "fig6"} & set(figures):
        raise ValueError("--data cifar10 is for figures 4, 4b and 6: name one of them")
    directory = None if options.data_dir is None else str(options.data_dir)
    return ImagePlan.at_scale(options.scale, Cifar10(*sizes, options.data_name, directory), seeds)


def claims_table(claims: Sequence) -> str:
    """Return a line a claim: whether it holds, for how many seeds, and its statement."""
    from tabulate import tabulate

    rows = [
        ("holds" if c.holds else "not shown", f"{c.agreeing}/{len(c.seeds)}", c.id, c.statement)
        for c in claims
    ]
    return str(
        tabulate(
            rows, headers=["", "seeds", "claim", "statement"], maxcolwidths=[None, None, None, 78]
        )
    )


def add_data(command: argparse.ArgumentParser) -> None:
    """Declare the options of ``vqnp data``."""
    command.add_argument("name", choices=["cifar10"], help="which data")
    command.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="where to put it (default: your cache folder for vqnp)",
    )
    command.add_argument(
        "--layout",
        choices=["python", "binary"],
        default="python",
        help="which of the two published archives",
    )
    command.set_defaults(run=run_data)


def run_data(options: argparse.Namespace) -> int:
    """Fetch the archive unless it is there, and say where it is."""
    from vqnp.data import fetch_cifar10

    print(f"CIFAR-10 is at {fetch_cifar10(options.data_dir, options.layout)}")
    return 0


def add_diagnose(command: argparse.ArgumentParser) -> None:
    """Declare the options of ``vqnp diagnose``."""
    command.add_argument(
        "--embeddings",
        type=Path,
        required=True,
        metavar="E.npy",
        help="encoder outputs (N, D), float32 or float64",
    )
    command.add_argument(
        "--tokens",
        type=Path,
        required=True,
        metavar="T.npy",
        help="codebook (K, D), float32 or float64",
    )
    command.add_argument(
        "--labels", type=Path, metavar="L.npy", help="integer class (N,) of each embedding"
    )
    command.add_argument(
        "--out",
        type=Path,
        default=Path("diagnosis"),
        metavar="DIR",
        help="where to write (default: diagnosis)",
    )
    command.set_defaults(run=run_diagnose)


def run_diagnose(options: argparse.Namespace) -> int:
    """Measure, print the table and say where the page is."""
    from vqnp.experiments.diagnosis_page import write_diagnosis

    diagnosis, report = write_diagnosis(
        options.embeddings, options.tokens, options.labels, options.out, progress=True
    )
    print(diagnosis)
    print(f"\nThe page: {report}")
    return 0


def positive(text: str) -> int:
    """Read an integer of at least 1 from the command line."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value
