"""Power cuts of updates, counted: the boards' own code on flash in RAM, cut at every operation.

    .venv/bin/python benchmarks/power_cuts.py

For units of writing of 4, 8 and 256 bytes; updates that are confirmed, that fail their self-test
and that crash on trial; cuts before each operation and in three random ways into it, and the same
again in every recovery. After each cut the board must run the old or the new image, whole, and
then take another update. `tests/test_update.py` does it with the real image of an emulated board.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from power_cuts import CRASHES, FAILS_SELF_TEST, GOOD, Count, cut_everywhere, flash_of


def main() -> int:
    """Print a line for each kind of flash; return 1 if a board did not come back."""
    print("unit   page  update                 cuts  nested  bricks  wrong  failed updates")
    whole = Count()
    kinds = {"confirmed": GOOD, "self-test fails": FAILS_SELF_TEST, "crashes": CRASHES}
    for unit, page in ((4, 256), (8, 2048), (256, 4096)):
        for name, behaviour in kinds.items():
            flash = flash_of(unit, page)
            flash.start()
            count = sum(cut_everywhere(flash, behaviour), Count())
            whole += count
            print(_line(f"{unit:4}  {page:5}  {name:17}", count))
    print(_line("all                          ", whole))
    return 0 if whole.good else 1


def _line(head: str, count: Count) -> str:
    numbers = (count.cuts, count.nested, count.bricks, count.wrong, count.failed_updates)
    return head + "".join(f"{n:>{w},}" for n, w in zip(numbers, (10, 8, 8, 7, 16), strict=True))


if __name__ == "__main__":
    raise SystemExit(main())
