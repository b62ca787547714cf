"""Every command of `lotor`: arguments in, a result out; the work is done elsewhere.

A command is a pair: `_add_NAME(commands)` declares its arguments, `_NAME(args)` calls the module
that does the work and returns a `Result`. Modules are imported inside the command, so that
`lotor --help` and the light commands start fast and need no optional package.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NoReturn

from lotor import __version__
from lotor.errors import LotorError


@dataclass(frozen=True)
class Result:
    """What a command found: `data` for `--json`, `text` for people, `ok` for the exit status."""

    data: dict[str, Any]
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


_COMMANDS: list[Callable[[_Commands], None]] = [
    _add_doctor,
]


if __name__ == "__main__":
    sys.exit(main())
