"""Every command of `lotor`: arguments in, a result out; the work is done elsewhere.

A command is a pair: `_add_NAME(commands)` declares its arguments, `_NAME(args)` calls the module
that does the work and returns a `Result`. Modules are imported inside the command, so that
`lotor --help` and the light commands start fast and need no optional package.
"""

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from lotor import __version__
from lotor.errors import LotorError


@dataclass(frozen=True)
class Result:
    """What a command found: `data` for `--json`, `text` for people, `ok` for the exit status.

    `data` is None when the command has printed all by itself, as it came.
    """

    data: dict[str, Any] | None
    text: str
    ok: bool = True


Handler = Callable[[argparse.Namespace], Result]


class _Parser(argparse.ArgumentParser):
    """One line on a wrong argument, as for every other mistake."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"lotor: {message}; see `{self.prog} --help`\n")


class _Commands:
    """The commands of `lotor`, each with `--json`."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._sub = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)

    def add(self, name: str, help_: str, handler: Handler) -> argparse.ArgumentParser:
        """Add one command; the caller declares its arguments on what is returned."""
        parser = self._sub.add_parser(name, help=help_, description=help_)
        parser.add_argument("--json", action="store_true", help="print the result as JSON")
        parser.set_defaults(run=handler)
        return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return 0 on success, 1 on a failed check, 2 on a user's mistake."""
    args = _parser().parse_args(argv)
    try:
        result: Result = args.run(args)
    except LotorError as error:
        print(f"lotor: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    if result.data is not None:
        print(json.dumps(result.data, indent=2) if args.json else result.text)
    return 0 if result.ok else 1


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="lotor", description="From a vision model to proven firmware.")
    parser.add_argument("--version", action="version", version=f"lotor {__version__}")
    commands = _Commands(parser)
    for add in _COMMANDS:
        add(commands)
    return parser


# Each command: `_add_NAME` (arguments) and `_NAME` (call, result), in alphabetical order.


def _add_doctor(commands: _Commands) -> None:
    parser = commands.add("doctor", "what is installed, what is missing, how to get it", _doctor)
    parser.add_argument("--board", help="also require what this board takes")


def _doctor(args: argparse.Namespace) -> Result:
    from lotor.doctor import describe, examine

    checks = examine(args.board)
    data = {"checks": [asdict(check) for check in checks]}
    return Result(data, describe(checks), ok=all(c.ok for c in checks if c.needed))


def _add_hil(commands: _Commands) -> None:
    parser = commands.add("hil", "test a board over its serial line", _hil)
    parser.add_argument("--board", required=True, help="the board's name")
    parser.add_argument("--model", help="the model to flash and test (default: raccoon)")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="where the JUnit report goes")
    parser.add_argument("-m", dest="marker", help='only these tests, e.g. "smoke"')
    parser.add_argument("--keep", action="store_true", help="leave an emulated board running")


def _hil(args: argparse.Namespace) -> Result:
    from lotor.device.hil import run_hil

    report = run_hil(args.board, args.model, args.junit, args.marker, args.keep)
    data = asdict(report) | {"failed": len(report.failures), "outcome": report.outcome}
    return Result(data, str(report), ok=report.outcome == "passed")


def _add_monitor(commands: _Commands) -> None:
    parser = commands.add("monitor", "show a board's log, resets and faults as they come", _monitor)
    parser.add_argument("--board", required=True, help="the board's name, or its port")
    parser.add_argument("--seconds", type=float, help="how long (default: until Ctrl-C)")


def _monitor(args: argparse.Namespace) -> Result:
    from lotor.device.monitor import watch

    with contextlib.suppress(KeyboardInterrupt):  # the usual way to end it
        for event in watch(args.board, args.seconds):
            print(json.dumps(asdict(event)) if args.json else str(event), flush=True)
    return Result(None, "")


_COMMANDS: list[Callable[[_Commands], None]] = [
    _add_doctor,
    _add_hil,
    _add_monitor,
]


if __name__ == "__main__":
    sys.exit(main())
