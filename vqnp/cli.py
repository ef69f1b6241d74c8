"""The command line: ``vqnp reproduce``, ``vqnp diagnose`` and ``vqnp data``.

Each command imports its modules when it runs, so that ``vqnp --help`` answers at once.
"""

import argparse
import io
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from vqnp.experiments import FIGURES
from vqnp.experiments.workers import ENDINGS, as_ctrl_c

Options = dict[str, dict[str, Any]]  # the name of an option, and its settings in argparse


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    0 is success, 1 bad input, 2 a usage error, 3 a verdict that --fail-on names, 130 Ctrl-C, 143
    SIGTERM.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # not every encoding has → or ✓
    options = parser().parse_args(arguments)
    received: list[int] = []
    try:
        with endings_as_ctrl_c(received):
            return int(options.run(options))
    except KeyboardInterrupt:
        kept = " Finished runs are kept: give the same command with --resume."
        print(f"\nStopped.{kept if 'resume' in options else ''}", file=sys.stderr)
        return 128 + (received or [signal.SIGINT])[0]
    except (ValueError, TypeError, OSError, FloatingPointError) as error:
        print(f"vqnp: {error}", file=sys.stderr)
        return 1


@contextmanager
def endings_as_ctrl_c(received: list[int]) -> Iterator[None]:
    """Take SIGTERM and a closed terminal for Ctrl-C, and add to ``received`` which it was.

    After any of them nothing more is heard, so that the message is the last word. Outside the main
    thread nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def take(number: int, _: Any) -> None:
        received.append(number)
        as_ctrl_c()

    heard = [one for one in ENDINGS if signal.getsignal(one) is signal.SIG_DFL]  # nohup ignores one
    for ending in heard:
        signal.signal(ending, take)
    afterwards = signal.SIG_DFL
    try:
        yield
    except KeyboardInterrupt:
        heard, afterwards = [signal.SIGINT, *heard], signal.SIG_IGN
        raise
    finally:
        for ending in heard:
            signal.signal(ending, afterwards)


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; without a command it prints the help."""
    top = argparse.ArgumentParser(
        prog="vqnp",
        description="Vector quantization and its representation collapses, in NumPy and Numba.",
        epilog="Exit status: 0 success, 1 bad input, 2 usage error, 3 --fail-on, 130 Ctrl-C, "
        "143 SIGTERM.",
    )
    top.add_argument("--version", action="version", version=version("vqnp"))
    top.set_defaults(run=lambda options: print(top.format_help(), end="") or 0)
    commands = top.add_subparsers(metavar="command")
    for name, run, options, what in (
        (
            "reproduce",
            run_reproduce,
            to_reproduce(),
            "make the paper's figures, and a page with their claims",
        ),
        (
            "diagnose",
            run_diagnose,
            TO_DIAGNOSE,
            "check a codebook for collapse, from embeddings and tokens",
        ),
        ("data", run_data, TO_FETCH, "fetch CIFAR-10, 170 MB, for figures 4 and 6"),
    ):
        command = commands.add_parser(name, help=what)
        command.set_defaults(run=run)
        for option, settings in options.items():
            command.add_argument(option, **settings)
    return top


def named(beyond_paper: bool) -> list[str]:
    """Return the figures of the paper, or those beyond it."""
    return [name for name, figure in FIGURES.items() if figure.beyond_paper == beyond_paper]


def on_images() -> str:
    """Return the numbers of the figures on images, as a sentence has them."""
    *most, last = [
        name.removeprefix("fig") for name, figure in FIGURES.items() if figure.plan != "points"
    ]
    return f"{', '.join(most)} and {last}"


def positive(text: str) -> int:
    """Read an integer of at least 1 from the command line."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def comma_separated(text: str) -> tuple[str, ...]:
    """Read names that stand between commas."""
    return tuple(name.strip() for name in text.split(","))


def file_name(text: str) -> str:
    """Read a path as text, spelled in one way: it is part of a run's name."""
    return str(Path(text))


def to_reproduce() -> Options:
    """Return the options of ``vqnp reproduce``; they name the figures that there are."""
    return {
        "figures": {
            "nargs": "*",
            "metavar": "figure",
            "help": f"{', '.join(named(False))}; these are the default. "
            f"Beyond the paper: {', '.join(named(True))}",
        },
        "--seeds": {
            "type": positive,
            "default": 3,
            "metavar": "N",
            "help": "the number of seeds, from 0 (default 3, as in the paper)",
        },
        "--scale": {
            "choices": ["quick", "laptop", "paper"],
            "default": "quick",
            "help": "the work on images: minutes; with --data cifar10 also a day or weeks; figures "
            "on points always have the paper's settings",
        },
        "--jobs": {
            "type": positive,
            "metavar": "N",
            "help": "processes at a time (default: one for each core)",
        },
        "--out": {
            "type": Path,
            "default": Path("reproduction"),
            "metavar": "DIR",
            "help": "where to write; figures that are there are kept (default: reproduction)",
        },
        "--resume": {
            "action": "store_true",
            "help": "keep the runs that are in DIR, and finish the others",
        },
        "--data": {
            "metavar": "FILE.npy|cifar10",
            "help": "your own points (N, D), as one more row of Figure 3; or the word cifar10, to "
            f"make figures {on_images()} on CIFAR-10 and not on patches of two photographs",
        },
        "--data-dir": {
            "type": file_name,
            "metavar": "DIR",
            "help": "where CIFAR-10 is (default: your cache folder)",
        },
        "--data-name": {
            "metavar": "NAME",
            "help": "the name of your copy of CIFAR-10 in the report",
        },
        "--labels": {
            "type": file_name,
            "metavar": "FILE.npy",
            "help": "integer labels (N,) of your own points",
        },
        "--token-size": {
            "type": positive,
            "metavar": "D",
            "help": "dimensions of a token for your own points",
        },
        "--methods": {
            "type": comma_separated,
            "default": (),
            "metavar": "NAME,...",
            "help": "rows of the table, such as ema,fsq,simvq (default: all)",
        },
    }


def run_reproduce(options: argparse.Namespace) -> int:
    """Make the figures, print the claims as a table and say where the page is."""
    import joblib

    from vqnp.experiments.plans import PointsPlan
    from vqnp.experiments.reproduce import reproduce
    from vqnp.experiments.table_plan import TablePlan

    figures = list(dict.fromkeys(options.figures)) or named(beyond_paper=False)
    seeds = tuple(range(options.seeds))
    points = PointsPlan(
        seeds, user_points=own_points(options, figures), user_token_dim=options.token_size
    )
    images = images_plan(options, figures, seeds)
    if options.methods and "table" not in figures:
        raise ValueError("--methods are rows of the table: name table among the figures")
    made = reproduce(
        figures,
        options.out,
        points=points,
        images=images,
        table=TablePlan.at_scale(options.scale, points, images, options.methods),
        scale=options.scale,
        jobs=options.jobs or joblib.cpu_count(),
        resume=options.resume,
        progress=True,
    )
    print(claims_table(made.claims))
    held = sum(claim.holds for claim in made.claims)
    kept = f" It keeps {', '.join(made.kept)} as before." if made.kept else ""
    print(
        f"\n{held} of {len(made.claims)} claims hold for every seed. The page: {made.report}{kept}"
    )
    return 0


def own_points(options: argparse.Namespace, figures: Sequence[str]) -> Any:
    """Return the user's own points, or ``None``; raises ``ValueError`` for options that clash."""
    from vqnp.data import OwnPoints

    if options.data in (None, "cifar10"):
        if options.labels or options.token_size:
            raise ValueError("--labels and --token-size describe your points: give --data FILE.npy")
        return None
    if "fig3" not in figures:
        raise ValueError("--data FILE.npy adds a row to Figure 3: name fig3 among the figures")
    if not Path(options.data).is_file():
        raise ValueError(
            f"--data must be a file of points, or the word cifar10; there is no file {options.data}"
        )
    return OwnPoints(options.data, options.labels)


def images_plan(options: argparse.Namespace, figures: Sequence[str], seeds: tuple[int, ...]) -> Any:
    """Return the plan of the runs on images; raises ``ValueError`` for options that clash."""
    from vqnp.data import Cifar10, Patches
    from vqnp.experiments.plans import SIZES, ImagesPlan

    sizes = SIZES[options.scale]
    if options.data != "cifar10":
        if options.data_dir or options.data_name:
            raise ValueError("--data-dir and --data-name describe CIFAR-10: give --data cifar10")
        if options.scale != "quick":
            raise ValueError(
                f"--scale {options.scale} is for CIFAR-10: give --data cifar10, "
                "after `vqnp data cifar10` has fetched it"
            )
        return ImagesPlan.at_scale(options.scale, Patches(*sizes), seeds)
    if all(FIGURES[name].plan == "points" for name in figures if name in FIGURES):
        raise ValueError(f"--data cifar10 is for figures {on_images()}: name one of them")
    return ImagesPlan.at_scale(
        options.scale, Cifar10(*sizes, options.data_name, options.data_dir), seeds
    )


def claims_table(claims: Sequence) -> str:
    """Return a line a claim: whether it holds, for how many seeds, and its statement."""
    from tabulate import tabulate

    rows = [
        ("holds" if c.holds else "not shown", f"{c.agreeing}/{len(c.seeds)}", c.id, c.statement)
        for c in claims
    ]
    return str(
        tabulate(rows, ["", "seeds", "claim", "statement"], maxcolwidths=[None, None, None, 78])
    )


TO_FETCH: Options = {
    "name": {"choices": ["cifar10"], "help": "the data set"},
    "--data-dir": {
        "type": Path,
        "metavar": "DIR",
        "help": "where to put it (default: your cache folder for vqnp)",
    },
    "--layout": {
        "choices": ["python", "binary"],
        "default": "python",
        "help": "one of the two published archives",
    },
}


def run_data(options: argparse.Namespace) -> int:
    """Fetch the archive unless it is there, and say where it is."""
    from vqnp.data import fetch_cifar10

    print(f"CIFAR-10 is at {fetch_cifar10(options.data_dir, options.layout)}")
    return 0


def verdicts(text: str) -> list[str]:
    """Read verdicts from the command line, where a hyphen stands for a space."""
    from vqnp.diagnostics.verdict import VERDICTS_BY_WEIGHT as KNOWN

    named = [name.strip().replace("-", " ") for name in text.split(",")]
    if not set(named) <= set(KNOWN):
        known = ", ".join(name.replace(" ", "-") for name in KNOWN)
        raise argparse.ArgumentTypeError(f"must be some of {known}, got {text}")
    return named


TO_DIAGNOSE: Options = {
    "--embeddings": {
        "nargs": "+",
        "default": [],
        "metavar": "E",
        "help": "outputs of the encoder (..., D): .npy, .npz, .safetensors or .pt; FILE:KEY names "
        "an array in it. One file for all codebooks, or one for each",
    },
    "--tokens": {
        "nargs": "+",
        "default": [],
        "metavar": "T",
        "help": "codebook (K, D), or several of one quantizer (Q, K, D); more files are compared",
    },
    "--labels": {"metavar": "L", "help": "integer class (N,) of each embedding"},
    "--codes": {"metavar": "C", "help": "codes alone, integers of any shape, for their usage"},
    "--histogram": {"metavar": "H", "help": "the number of embeddings of each token (K,), alone"},
    "--n-tokens": {"type": positive, "metavar": "K", "help": "tokens in the codebook of --codes"},
    "--metric": {
        "choices": ["euclidean", "cosine"],
        "default": "euclidean",
        "help": "cosine scales embeddings and tokens to length 1 first",
    },
    "--json": {"action": "store_true", "help": "print the numbers and the verdict as JSON"},
    "--fail-on": {
        "type": verdicts,
        "default": [],
        "metavar": "V,...",
        "help": "exit with 3 on these verdicts: collapsed, bad-fit, cannot-tell, healthy",
    },
    "--out": {
        "type": Path,
        "default": Path("diagnosis"),
        "metavar": "DIR",
        "help": "where to write (default: diagnosis)",
    },
}


def run_diagnose(options: argparse.Namespace) -> int:
    """Measure, print the table or JSON and say where the page is."""
    from vqnp.experiments.diagnosis_page import compared, to_json, write_cases

    cases = cases_of(options)
    report = write_cases(cases, options.out)
    if options.json:
        print(to_json(cases))
    else:
        several = "\n".join(f"{case.name}: {case.answer}" for case in cases)
        print(cases[0].found if len(cases) == 1 else f"{several}\n\n{compared(cases)}")
        print(f"\nThe page: {report}")
    return 3 if any(case.found.verdict in options.fail_on for case in cases) else 0


def cases_of(options: argparse.Namespace) -> list[Any]:
    """Return what was found in each of the files; raises ``ValueError`` for options that clash."""
    from vqnp.experiments.diagnosis_page import of_codes, of_files

    alone = options.codes or options.histogram
    if alone:
        if options.embeddings or options.tokens or (options.codes and options.histogram):
            raise ValueError("--codes and --histogram each stand alone")
        return [of_codes(alone, "codes", options.n_tokens, histogram=not options.codes)]
    clouds, books = options.embeddings, options.tokens
    if not (clouds and books and len(clouds) in (1, len(books))):
        raise ValueError(
            "give --embeddings and --tokens, one file of embeddings or as many as of tokens; "
            "or --codes, or --histogram"
        )
    clouds = clouds * len(books) if len(clouds) == 1 else clouds
    names = [Path(book).stem for book in books]
    if len(set(names)) < len(names):
        names = [f"{name} {i + 1}" for i, name in enumerate(names)]
    return [
        of_files(
            cloud, book, options.labels, name, metric=options.metric, progress=not options.json
        )
        for cloud, book, name in zip(clouds, books, names, strict=True)
    ]
