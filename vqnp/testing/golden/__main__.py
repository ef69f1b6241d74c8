"""The command that makes the golden cases anew."""

import argparse
import sys

from vqnp.testing.golden import GROUPS, differences, write


def main(arguments: list[str] | None = None) -> int:
    """Compare the cases with those stored, or store them; returns 1 when one differs."""
    parser = argparse.ArgumentParser(
        prog="python -m vqnp.testing.golden", description="Make the golden cases anew."
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--check", action="store_true", help="and compare them with those stored")
    what.add_argument("--write", action="store_true", help="and store them")
    if parser.parse_args(arguments).write:
        write()
        return 0
    found = differences()
    print("\n".join(found) or f"all cases of {len(GROUPS)} groups are what they were")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
