"""What `lotor sentinel` does, by its arguments."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lotor.errors import LotorError

if TYPE_CHECKING:
    from lotor.sentinel.config import Config

Done = tuple[dict[str, Any], str, bool]
"""Data for `--json`, text, and whether all is well."""


def for_what(args: argparse.Namespace) -> Callable[[argparse.Namespace], Done]:
    """Return what to do.

    Raises:
        LotorError: there are options that what is to be done takes no notice of.
    """
    whats = [f"--{name}" for name in ("init", "check") if getattr(args, name)]
    whats += [args.what] * bool(args.what)
    if len(whats) > 1:
        raise LotorError(f"{' and '.join(whats)} are two things to do; give one of them")
    what = whats[0] if whats else ""
    watches = {"source", "model", "once", "stay", "no_page"}
    idle = watches if what not in ("", "--check") else {"once", "stay"} if what else set()
    for name in sorted(idle):
        if getattr(args, name) not in (None, False):
            raise LotorError(f"--{name.replace('_', '-')} means nothing with {what}; leave it out")
    if args.stay and not args.once:
        raise LotorError(
            "--stay leaves the page up at the end of --once; without that it is up as long as the "
            "sentinel runs: leave --stay out, or give both"
        )
    if args.stay and args.no_page:
        raise LotorError("--stay leaves the page up, and --no-page does without; give one of them")
    return {
        "": _run,
        "--init": _init,
        "--check": _check,
        "forget": _forget,
        "export": _export,
        "test": _test,
    }[what]


def _run(args: argparse.Namespace) -> Done:
    from lotor.sentinel import run

    run.log_to_stderr(args.verbose)
    config, folder = _configuration(args)
    alone = args.source is not None and args.config is None
    if args.once:
        config = run.rehearsal(config, apart=not alone)
    if args.once or alone:
        run.check_tried(config)
    data, text = run.run(config, folder, once=args.once, stay=args.stay)
    return data, text, not (args.once and data["lost"])


def _check(args: argparse.Namespace) -> Done:
    from lotor.sentinel.explain import explain

    found = explain(*_configuration(args))
    return asdict(found), str(found), not found.errors


def _configuration(args: argparse.Namespace) -> "tuple[Config, Path]":
    from lotor.sentinel import run

    config, folder = run.configuration(args.config, args.source, args.model)
    if args.no_page:
        config = replace(config, page=replace(config.page, on=False))
    return config, folder


def _init(args: argparse.Namespace) -> Done:
    from lotor.sentinel.config import FILE
    from lotor.sentinel.init import ask_all, check_new, write_config

    path = args.config or Path(FILE)
    check_new(path)

    def say(text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()

    def ask(question: str) -> str:
        say(question)
        line = sys.stdin.readline() if sys.stdin else ""  # None: it was closed
        if not line:
            say("\n")
            raise EOFError
        return line.strip()

    cameras = sorted(str(path) for path in Path("/dev").glob("video*"))
    try:
        source, model, deed = ask_all(
            ask, cameras, path.parent, lambda text: say(f"lotor: {text}\n")
        )
    except EOFError:
        raise LotorError(
            f"{path} is not written: --init asks three questions; answer each with a line, empty "
            "or not"
        ) from None
    except KeyboardInterrupt:
        say(f"\n{path} is not written\n")
        raise
    write_config(path, source, model, deed)
    given = f" --config {path}" if args.config else ""
    text = (
        f"{path} is written; `lotor sentinel --check{given}` explains it, "
        f"`lotor sentinel{given}` starts it."
    )
    if deed.kind:
        text += "\nWhat it does is a dry run, which only says so, until you set dry_run = false."
    return {"path": str(path), "source": source, "model": model, "do": deed.word}, text, True


def _forget(args: argparse.Namespace) -> Done:
    from lotor.sentinel import run
    from lotor.sentinel.forget import forget, moment

    config = run.configuration(args.config, None, None)[0]
    found = forget(config, moment(args.begin), moment(args.end, end=True), args.data)
    return asdict(found), str(found), not found.left


def _export(args: argparse.Namespace) -> Done:
    from lotor.sentinel import run
    from lotor.sentinel.forget import export, moment

    config = run.configuration(args.config, None, None)[0]
    found = export(config, moment(args.begin), moment(args.end, end=True), args.output)
    return asdict(found), str(found), True


def _test(args: argparse.Namespace) -> Done:
    from lotor.sentinel import run

    run.log_to_stderr(args.verbose)
    config, folder = run.configuration(args.config, None, None)
    act = run.try_action(config, folder, args.action)
    return (
        asdict(act),
        f"{act.action}: {act.result}{f' ({act.why})' if act.why else ''}",
        (act.result in ("done", "dry run")),
    )
