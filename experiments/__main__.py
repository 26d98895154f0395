"""Carry experiments out, and write what they found.

    python -m experiments [--quick] [--render] [--pdf FILE] [NAME …]

Each is measured in a process of its own; its data, chart and page are written as soon as it has ended, and the report,
``experiments/README.md``, after all of them. The exit code is 1 when a claim does not hold or an experiment failed.
"""

from __future__ import annotations

import argparse
import signal
import sys
import traceback
from pathlib import Path

from experiments.harness import NAMES, execute, keep, kept, load, measure_here
from experiments.pages import print_report, tables, write_pages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--quick", action="store_true", help="the short forms, under 15 minutes together")
    parser.add_argument("--render", action="store_true", help="measure nothing: write the pages from the data")
    parser.add_argument("--pdf", type=Path, metavar="FILE", help="also print the report")
    parser.add_argument("--measure", type=Path, metavar="FILE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    names: list[str] = options.names or list(NAMES)
    if options.measure:
        measure_here(names[0], options.measure, short=options.quick)
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what is being measured ends on the way out
    failed = False
    for name in [] if options.render else names:
        try:
            failed |= not _carried_out(name, short=options.quick)
        except Exception:  # the others are measured all the same
            traceback.print_exc()
            failed = True
    write_pages(names)
    if options.pdf:
        print_report(options.pdf)
    sys.exit(failed)


def _carried_out(name: str, *, short: bool) -> bool:
    """Whether every claim holds. What the experiment before found stays where this one fails."""
    print(f"\n{name} …", flush=True)
    try:
        data = execute(name, short=short)
    except SystemExit as err:
        print(err, file=sys.stderr)
        return False
    keep(name, data)
    again = kept(name)
    assert again is not None
    print("\n\n".join(tables(again.points)))
    claims = load(name).claims(again.points)
    print("\n".join(f"{'holds' if c.held else 'DOES NOT HOLD'}: {c.text}" for c in claims), flush=True)
    write_pages([name])
    return all(claim.held for claim in claims)


if __name__ == "__main__":
    main()
