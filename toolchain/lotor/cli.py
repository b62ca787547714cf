"""Every command of `lotor`: arguments in, a result out; the work is done elsewhere.

A command is a pair: `_add_NAME(commands)` declares its arguments, `_NAME(args)` calls the module
that does the work and returns a `Result`. Modules are imported inside the command, so that
`lotor --help` and the light commands start fast and need no optional package.
"""

import argparse
import contextlib
import itertools
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from lotor import __version__
from lotor.errors import LotorError
from lotor.suggest import did_you_mean
from lotor.targets.preference import OPTIMIZE, Optimize, Preference, find_optimize


@dataclass(frozen=True)
class Result:
    """What a command found: `data` for `--json`, `text` for people, `ok` for the exit status.

    `data` is None when the command has printed all by itself, as it came.
    """

    data: dict[str, Any] | None
    text: str
    ok: bool = True


Handler = Callable[[argparse.Namespace], Result]

_LISTED = 8  # choices that still make a short line


class _Parser(argparse.ArgumentParser):
    """One line on a wrong argument, as for every other mistake, with the nearest right one."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse; what is left over is a mistake already in the parser that was given it."""
        self._given = list(sys.argv[1:] if args is None else args)
        found, left = super().parse_known_args(args, namespace)
        if left:
            self.error(f"'{left[0]}' is one argument too many")
        return found, left

    def error(self, message: str) -> NoReturn:
        """Exit with 2; an option that there is not is named whatever else it has led to."""
        self._exit(self._no_option(self._given) or message)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        # An option before it may be the mistake: what was to be its value is taken for this one.
        before = self._given[: self._given.index(value)] if value in self._given else []
        if wrong := self._no_option(before):
            self._exit(wrong)
        names = list(map(str, action.choices))
        listed = f"; one of {', '.join(names)}" if len(names) <= _LISTED else ""
        self._exit(f"`{self.prog}` has no '{value}'{did_you_mean(str(value), names)}{listed}")

    def _no_option(self, given: Sequence[str]) -> str:
        """Return what to say of the first option that there is not; nothing where all are right."""
        known = list(self._option_string_actions)
        words = [option[2:] for option in known if option.startswith("--")]
        for word in itertools.takewhile(lambda word: word != "--", given):
            name = word.partition("=")[0] if word.startswith("--") else word[:2]
            if name[:1] != "-" or name == "-" or name[1:].isdecimal():
                continue
            if not any(option.startswith(name) for option in known):
                hint = did_you_mean(name[2:], words).replace("'", "'--", 1)
                return f"`{self.prog}` has no option '{name}'{hint}"
        return ""

    def _exit(self, text: str) -> NoReturn:
        self.exit(2, f"lotor: {text}; see `{self.prog} --help`\n")


def _add_ram(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--ram",
        type=_count,
        metavar="BYTES",
        help="take less scratch memory, then run layers in stripes, until the arena is as small",
    )


def _add_optimize(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--optimize",
        metavar="|".join(OPTIMIZE),
        default="speed",
        type=_optimize,
        help="what kernels are chosen for: time (the default), the smallest arena, or flash",
    )


def _optimize(text: str) -> Optimize:
    try:
        return find_optimize(text)
    except LotorError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(
            f"'{text}' is no number of bytes; give a whole one such as 30000"
        )
    return int(text)


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
    for name in ("stdout", "stderr"):  # whoever closed them wants to read nothing
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    args = _parser().parse_args(argv)
    try:
        for option in ("board", "like"):
            if str(getattr(args, option, "")).endswith(".toml"):
                setattr(args, option, _board_file(getattr(args, option)))
        result: Result = args.run(args)
        if result.data is not None:
            _print(json.dumps(result.data, indent=2) if args.json else result.text)
    except LotorError as error:
        # One line, whatever is in the names of files that it speaks of.
        line = "".join(c if c.isprintable() else " " for c in str(error))
        print(f"lotor: {line}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read the result or the progress left
        return 1
    except FileNotFoundError:
        if _is_somewhere():
            raise
        print("lotor: the folder that you are in is gone; cd to one that is there", file=sys.stderr)
        return 2
    return 0 if result.ok else 1


def _is_somewhere() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def _board_file(text: str) -> str:
    from lotor.board import use_board_file

    return use_board_file(text)


def _print(text: str) -> None:
    try:
        # What the terminal has no letter for becomes a question mark.
        encoding = sys.stdout.encoding or "utf-8"
        print(text.encode(encoding, "replace").decode(encoding), flush=True)
    except OSError as error:
        # Python must not try to flush what is left when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise
        raise LotorError(f"cannot print the result: {error.strerror}") from error


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="lotor", description="From a vision model to proven firmware.")
    parser.add_argument("--version", action="version", version=f"lotor {__version__}")
    commands = _Commands(parser)
    for add in _COMMANDS:
        add(commands)
    return parser


# Each command: `_add_NAME` (arguments) and `_NAME` (call, result), in alphabetical order.


def _add_bench(commands: _Commands) -> None:
    parser = commands.add("bench", "time models here against LiteRT, side by side", _bench)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="default: raccoon")


def _bench(args: argparse.Namespace) -> Result:
    from lotor.bench import as_text, bench

    rows = [asdict(row) for row in bench(args.models or ["raccoon"])]
    return Result({"models": rows}, as_text(rows))


def _add_benchmark(commands: _Commands) -> None:
    parser = commands.add(
        "benchmark",
        "measure a model by its frozen benchmark, beside what it must beat",
        _benchmark,
    )
    parser.add_argument("model", help="a model with a recipe and a benchmark.toml, e.g. raccoon")
    parser.add_argument("--data", type=Path, help="a folder with manifest.csv; the benchmark's")
    parser.add_argument(
        "--split", help="train, val or test; the benchmark's. Uses of test are counted"
    )
    parser.add_argument(
        "--unfrozen", action="store_true", help="allow other data or another split, and say so"
    )
    parser.add_argument("--views", action="store_true", help="score nine crops of each as well")
    parser.add_argument("--board", help="infer on this board, too, compared byte by byte")
    parser.add_argument("--limit", type=int, help="photographs on the board at most, spread evenly")
    parser.add_argument("--results", type=Path, help="folder of all versions' results; the model's")
    parser.add_argument(
        "--check",
        action="store_true",
        help="fail where a figure became worse beyond its interval, or a baseline or the version "
        "before is not beaten",
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="PAGE", help="write tables and pictures to a page"
    )
    parser.add_argument(
        "--gallery",
        nargs="?",
        type=Path,
        const=True,
        metavar="DIR",
        help="write the worst mistakes, with photographs; default: out/benchmark/NAME",
    )


def _benchmark(args: argparse.Namespace) -> Result:
    from lotor.benchmark import gallery, page
    from lotor.benchmark.run import benchmark
    from lotor.benchmark.text import as_text
    from lotor.zoo import find_model

    model = find_model(args.model)
    if args.output:
        page.check(args.output, model.name)
    shown = gallery.folder(model.name) if args.gallery is True else args.gallery
    if shown:
        gallery.check(shown)
    found = benchmark(
        model,
        args.data,
        args.split,
        args.unfrozen,
        args.views,
        args.board,
        args.limit,
        args.results,
    )
    data, texts = found.as_dict(), [as_text(found)]
    files = []
    if args.output:
        files += page.write(found, args.output, page.command(args.model, found, args.output))
    if shown:
        files += gallery.write(found, shown)
    data["files"] = [str(path) for path in files]
    ok = found.ok if args.check else not found.mismatches
    return Result(data, "\n".join([*texts, *data["files"]]), ok=ok)


def _add_boards(commands: _Commands) -> None:
    parser = commands.add("boards", "all boards, and what runs where", _boards)
    parser.add_argument("--check", action="store_true", help="check all board files instead")
    parser.add_argument("--board", help="this one alone; --check has them all, and this file")


def _boards(args: argparse.Namespace) -> Result:
    from lotor.board import check_boards, list_boards, load_board
    from lotor.device.inventory import as_text, inventory

    if args.check:
        mistakes = check_boards()
        names = list_boards()
        text = "\n".join(mistakes) or f"{len(names)} board files are right"
        return Result({"boards": names, "mistakes": mistakes}, text, ok=not mistakes)
    if args.board:
        load_board(args.board)
    entries = [entry for entry in inventory() if args.board in (None, entry.board.name)]
    return Result({"boards": [entry.as_dict() for entry in entries]}, as_text(entries))


def _add_build(commands: _Commands) -> None:
    parser = commands.add("build", "build a board's image without flashing it", _build)
    parser.add_argument("--board", help="the board's name (default: the default board)")
    parser.add_argument("--model", action="append", help="a model; again for more in one image")
    parser.add_argument("--target", help="compile for; default: the board's")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="copy its files there")
    _add_ram(parser)
    _add_optimize(parser)
    _add_key(parser)


def _build(args: argparse.Namespace) -> Result:
    from lotor.board import default_board, load_board
    from lotor.device.budget import check_image
    from lotor.device.ready import image_for
    from lotor.flash_content import FIRST_VERSION, with_boot_loader
    from lotor.image_report import as_dict, as_text, copied
    from lotor.progress import Progress
    from lotor.update_key import read_key

    board, models = load_board(args.board or default_board()), args.model or []
    with Progress(f"build {board.name}", 2 * len(models) + 1, "steps") as progress:
        image = image_for(
            board.name, models, args.target, args.ram, args.optimize, progress.advance
        )
    if board.emulated:
        check_image(board, image)
    image = with_boot_loader(board, image, read_key(args.key), args.image_version or FIRST_VERSION)
    if args.output:
        image = copied(image, args.output)
    return Result(as_dict(board, image), as_text(board, image))


def _add_compile(commands: _Commands) -> None:
    parser = commands.add("compile", "generate the C files of a model", _compile)
    parser.add_argument("model", help="a model's name, or a .tflite file")
    parser.add_argument("--target", default="portable", help="default: portable")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the files")
    parser.add_argument("--name", help="C identifier; default: from the file's name")
    parser.add_argument(
        "--flash",
        type=_count,
        metavar="BYTES",
        help="what constants may take: faster kernels spend what is left; default: none is spent",
    )
    _add_ram(parser)
    _add_optimize(parser)


def _compile(args: argparse.Namespace) -> Result:
    from lotor.compiler import compile_model, memory_saved
    from lotor.decision import read_chosen
    from lotor.device.ready import frame_views
    from lotor.sizes import code_bytes
    from lotor.zoo import find_model

    found = find_model(args.model)
    compiled = compile_model(
        found.path,
        args.target,
        args.name,
        found.labels or (),
        ram=args.ram,
        preference=Preference(args.optimize, args.flash),
        unknown=read_chosen(found).unknown,
        views=frame_views(found),
    )
    compiled.report["code_bytes"] = code_bytes(compiled)
    compiled.report["ram_saved"] = memory_saved(found.path, compiled)
    files = [str(path) for path in compiled.write(args.output)]
    keys = ("ram_bytes", "arena_bytes", "weights_bytes", "code_bytes", "macs")
    data = {"files": files, **{key: compiled.report[key] for key in keys}}
    sizes = ", ".join(
        f"{k.removesuffix('_bytes')} {data[k]:,}" for k in keys if data[k] is not None
    )
    data |= {key: compiled.report[key] for key in ("stripes", "extra_macs")}
    return Result(data, "\n".join([*files, sizes, *map(str, compiled.striped)]))


def _add_conformance(commands: _Commands) -> None:
    parser = commands.add("conformance", "compare every model of a folder", _conformance)
    parser.add_argument(
        "folders", nargs="+", type=Path, metavar="FOLDER", help="with .tflite files"
    )
    parser.add_argument("--samples", type=int, default=32, help="inputs at most (default: 32)")
    parser.add_argument("-o", "--output", type=Path, help="write a page in Markdown, too")


def _conformance(args: argparse.Namespace) -> Result:
    from lotor.conformance import DIFFERS, FAILED, as_page, as_text, conformance

    if args.output:  # before the long work
        _write_page(args.output, None)
    records = conformance(args.folders, args.samples)
    if args.output:
        folders = " ".join(map(str, args.folders))
        _write_page(args.output, as_page(records, args.samples, f"lotor conformance {folders}"))
    good = all(r.status not in (DIFFERS, FAILED) for r in records)
    return Result({"models": [asdict(r) for r in records]}, as_text(records), ok=good)


def _write_page(path: Path, page: str | None) -> None:
    """Write a page; None only sees whether that is possible, and leaves everything as it was."""
    try:
        if page is None:
            new = not path.exists()
            path.open("a").close()
            if new:
                path.unlink()
        else:
            path.write_text(page, "utf-8")
    except OSError as error:
        raise LotorError(
            f"cannot write {path}: {error.strerror}; give another file with -o"
        ) from error


def _add_data(commands: _Commands) -> None:
    parser = commands.add("data", "data sets of photographs: versions, splits, checks", _data)
    kinds = parser.add_subparsers(dest="what", metavar="WHAT", required=True, parser_class=_Parser)

    def add(name: str, help_: str, folder: str | None = "of the data set") -> _Parser:
        kind: _Parser = kinds.add_parser(name, help=help_, description=help_)
        kind.add_argument("--json", action="store_true", help="print the result as JSON")
        if folder:
            kind.add_argument("folder", type=Path, help=folder)
        return kind

    samples = add("samples", "get a few free photographs through pip", None)
    samples.add_argument("--out", type=Path, help="copy them to this folder")
    for name, help_ in (
        ("stats", "count a data set and look for a size bias"),
        ("report", "look for biases, leaks and contradictions in a data set"),
    ):
        kind = add(name, help_, None)
        kind.add_argument("folder", nargs="?", type=Path, help="with manifest.csv; the garden data")
    kind.add_argument("--plot", type=Path, metavar="FILE", help="draw to a .png or .svg")
    taken = add("import", "add photographs to a data set, and make it where there is none", None)
    taken.add_argument("source", type=Path, help="a folder, or the file that lists the images")
    taken.add_argument("--into", type=Path, required=True, help="folder of the data set")
    taken.add_argument("--format", help="what the source is; found out when left out")
    taken.add_argument("--images", type=Path, help="folder of the images, if not beside the list")
    taken.add_argument("--name", help="prefix of its groups and places; its folder's name")
    taken.add_argument("--label", help="class of photographs that have none")
    taken.add_argument(
        "--class",
        dest="classes",
        action="append",
        default=[],
        metavar="OLD=NEW",
        help="call a class otherwise; OLD= leaves it out; may be given again",
    )
    taken.add_argument("--licence", default="", help="of photographs that say nothing of it")
    taken.add_argument(
        "--short-side", type=_pixels, metavar="PIXELS", help="shrink longer short sides to this"
    )
    taken.add_argument("--skip-bad", action="store_true", help="leave out what is damaged")
    public = add("pull", "download a public data set by its recipe and import it", None)
    public.add_argument("name", nargs="?", help="which one, or a recipe; all are listed without")
    public.add_argument("--into", type=Path, help="folder of the data set; only shown without")
    public.add_argument("--from", dest="mirror", metavar="URL", help="URL or folder of the files")
    public.add_argument("--short-side", type=_pixels, metavar="PIXELS", help="as for import")
    public.add_argument("--skip-bad", action="store_true", help="as for import")
    divide = add("split", "give new photographs a split, whole groups at a time")
    divide.add_argument("--shares", default="70,15,15", help="train,val,test; 70,15,15")
    divide.add_argument("--by", default="", help="also keep together: source,place,visit")
    divide.add_argument("--seed", type=int, default=0, help="of the order; 0")
    divide.add_argument("--anew", action="store_true", help="split everything again")
    twins = add("dedupe", "find near duplicates; --fix keeps them in one split")
    twins.add_argument("--bits", type=int, default=6, help="of 64 that differ at most; 6")
    twins.add_argument("--fix", action="store_true", help="one group each; drop leaks from train")
    page = add("label", "label photographs on a page of this machine, by keyboard")
    page.add_argument("--model", help="a classifier whose opinion is shown")
    page.add_argument("--classes", default="", help="to offer, with commas; the data set's")
    page.add_argument("--all", action="store_true", help="also those that have a label")
    page.add_argument("--port", type=int, default=0, help="TCP port; a free one")
    add("versions", "list the versions of a data set, the newest last")
    gone = add("forget", "remove photographs for good, from every version")
    gone.add_argument("ids", nargs="+", metavar="ID", help="start of a photograph's hash")
    gone.add_argument("--reason", default="", help="for the record")
    gone.add_argument("--models", type=Path, action="append", help="folders of models to look at")


def _pixels(text: str) -> int:
    if not text.isdecimal() or int(text) < 16:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of pixels from 16 on")
    return int(text)


def _data(args: argparse.Namespace) -> Result:
    try:
        return _DATA[args.what](args)
    except ModuleNotFoundError as error:
        raise LotorError(
            f"data sets need the package {error.name}: {sys.executable} -m pip install "
            "'lotor[data]'"
        ) from error


def _data_samples(args: argparse.Namespace) -> Result:
    from lotor.data.samples import get_samples

    samples = get_samples(args.out)
    rows = [{**asdict(sample), "path": str(sample.path)} for sample in samples]
    lines = [f"{row['path']}  ({row['kind']}; {row['licence']})" for row in rows]
    return Result({"samples": rows}, "\n".join(lines))


def _data_stats(args: argparse.Namespace) -> Result:
    from lotor.data.manifest import GARDEN, data_folder, read_manifest, stats, stats_text

    found = stats(read_manifest(data_folder(args.folder, GARDEN)))
    return Result(found, stats_text(found))


def _data_report(args: argparse.Namespace) -> Result:
    from lotor.data.manifest import GARDEN, data_folder, read_manifest
    from lotor.data.report import report, save
    from lotor.pictures import check_file

    if args.plot:
        check_file(args.plot)
    found = report(read_manifest(data_folder(args.folder, GARDEN)))
    if args.plot:
        save(found, args.plot)
    return Result(found.as_dict(), str(found))


def _data_import(args: argparse.Namespace) -> Result:
    from lotor.data.ingest import import_photos

    classes = {}
    for text in args.classes:
        old, equals, new = text.partition("=")
        if not old or not equals:
            raise LotorError(f"--class {text}: give OLD=NEW, for instance procyon_lotor=raccoon")
        classes[old] = new
    found = import_photos(
        args.source,
        args.into,
        args.format,
        images=args.images,
        name=args.name,
        label=args.label,
        classes=classes,
        licence=args.licence,
        short_side=args.short_side,
        skip_bad=args.skip_bad,
    )
    return Result(asdict(found), str(found))


def _data_pull(args: argparse.Namespace) -> Result:
    from lotor.data.pull import as_text, find_public, public_sets, pull

    if args.name is None or args.into is None:
        recipes = [find_public(args.name)] if args.name else public_sets()
        return Result({"sets": [asdict(r) for r in recipes]}, "\n".join(map(as_text, recipes)))
    recipe = find_public(args.name)
    found = pull(recipe, args.into, args.mirror, args.short_side, args.skip_bad)
    return Result(asdict(found), str(found))


def _data_split(args: argparse.Namespace) -> Result:
    from lotor.data.split import split

    try:
        shares = [float(text) for text in args.shares.split(",")]
    except ValueError:
        raise LotorError(f"--shares {args.shares}: give three numbers, such as 70,15,15") from None
    by = [key for key in args.by.split(",") if key]
    found = split(args.folder, shares, by, args.seed, args.anew)
    return Result(asdict(found), str(found))


def _data_dedupe(args: argparse.Namespace) -> Result:
    from lotor.data.dedupe import Found, dedupe, find_duplicates
    from lotor.data.manifest import read_manifest

    if args.fix:
        found = dedupe(args.folder, args.bits)
        return Result(found.as_dict(), str(found))
    found = Found(find_duplicates(read_manifest(args.folder).photos, args.bits), args.bits)
    return Result(found.as_dict(), str(found), ok=not any(pair.leaks for pair in found.pairs))


def _data_label(args: argparse.Namespace) -> Result:
    from lotor.data.label import label

    def ready(url: str) -> None:
        print(f"open {url} in a browser; Ctrl-C ends and keeps the labels", file=sys.stderr)

    kinds = [kind for kind in args.classes.split(",") if kind]
    found = label(args.folder, args.model, kinds, args.all, args.port, ready)
    return Result(asdict(found), str(found))


def _data_versions(args: argparse.Namespace) -> Result:
    from lotor.data.store import open_store, read_version, versions

    now = open_store(args.folder).manifest_hash
    counts = {name: len(read_version(args.folder, name).photos) for name in versions(args.folder)}
    rows = [{"version": name, "photos": n, "now": name == now} for name, n in counts.items()]
    lines = [
        f"{name}  {n:>7} photographs{'  (now)' if name == now else ''}"
        for name, n in counts.items()
    ]
    return Result({"versions": rows}, "\n".join(lines))


def _data_forget(args: argparse.Namespace) -> Result:
    from lotor.data.forget import forget

    found = forget(args.folder, args.ids, args.reason, args.models)
    return Result(asdict(found), str(found))


_DATA: dict[str, Handler] = {
    "samples": _data_samples,
    "stats": _data_stats,
    "report": _data_report,
    "import": _data_import,
    "pull": _data_pull,
    "split": _data_split,
    "dedupe": _data_dedupe,
    "label": _data_label,
    "versions": _data_versions,
    "forget": _data_forget,
}


def _add_demo(commands: _Commands) -> None:
    parser = commands.add("demo", "photographs over the serial line: what a board sees", _demo)
    parser.add_argument("--board", default="netduinoplus2", help="default: netduinoplus2")
    parser.add_argument("--model", default="raccoon", help="a classifier; default: raccoon")
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="default: out/demo")


def _demo(args: argparse.Namespace) -> Result:
    from lotor.demo import as_text, demo

    found = demo(args.board, args.model, args.out)
    return Result(found, as_text(found), ok=found["ok"])


def _add_detect(commands: _Commands) -> None:
    parser = commands.add("detect", "say what is on photographs", _detect)
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE|FOLDER")
    parser.add_argument("--model", required=True, help="a model's name, or a .tflite file")
    parser.add_argument("--views", action="store_true", help="score nine crops of each as well")
    parser.add_argument("--board", help="infer on this board instead of this machine")
    parser.add_argument(
        "--draw", type=Path, help="folder for copies with boxes, of a locating model"
    )


def _detect(args: argparse.Namespace) -> Result:
    from lotor.classifier import open_classifier
    from lotor.decision import read_chosen
    from lotor.detect import as_text, detect, find_images, target_index
    from lotor.locate import TASKS, ask
    from lotor.locate import as_text as places_text
    from lotor.zoo import find_model

    model, paths = find_model(args.model), find_images(args.images)
    if model.recipe.get("task") in TASKS:
        images = ask(model, paths, args.views, args.board, args.draw)
        return Result({"model": model.name, "images": images}, places_text(images))
    if args.draw:
        raise LotorError(f"{model.name} does not locate, it has no box to draw: leave out --draw")
    chosen = read_chosen(model, args.views)
    with open_classifier(model, args.board) as classifier:
        wanted = args.views or chosen.alarm is not None
        target = target_index(classifier, model.recipe) if wanted else None
        images = detect(classifier, paths, target if args.views else None, chosen, target)
    return Result({"model": model.name, "images": images}, as_text(images))


def _add_doctor(commands: _Commands) -> None:
    parser = commands.add("doctor", "what is installed, what is missing, how to get it", _doctor)
    parser.add_argument("--board", help="also require what this board takes, and go to the board")
    parser.add_argument(
        "--write-rule",
        type=Path,
        metavar="FILE",
        help="write the udev rule that lets users open the board",
    )


def _doctor(args: argparse.Namespace) -> Result:
    from lotor.board import load_board
    from lotor.device import udev
    from lotor.device.walk import walk
    from lotor.doctor import describe, examine

    if args.write_rule:
        if not args.board:
            raise LotorError("--write-rule needs `--board BOARD`: whose rule")
        command = udev.write(load_board(args.board), args.write_rule)
        rule = {"file": str(args.write_rule), "install": command}
        return Result(rule, f"{args.write_rule} is written; now\n  {command}")
    checks = examine(args.board)
    data, text = {"checks": [asdict(check) for check in checks]}, describe(checks)
    ok = all(c.ok for c in checks if c.needed)
    if args.board:
        steps = walk(args.board)
        data["steps"] = [asdict(step) for step in steps]
        text += "\n\n" + "\n".join(map(str, steps))
        ok = ok and all(step.state != "failed" for step in steps)
    return Result(data, text, ok=ok)


def _add_evaluate(commands: _Commands) -> None:
    parser = commands.add("evaluate", "measure a model on photographs it has not seen", _evaluate)
    parser.add_argument("model", help="a model with a recipe, e.g. raccoon")
    parser.add_argument("--data", type=Path, help="a folder with manifest.csv; the recipe's")
    parser.add_argument(
        "--split",
        default="val",
        help="train, val (the default) or test, which is for a release: its uses are counted",
    )
    parser.add_argument("--float", action="store_true", help="the float model instead, in LiteRT")
    parser.add_argument("--views", action="store_true", help="score nine crops of each as well")
    parser.add_argument("--board", help="infer on this board, compared byte by byte with the host")
    parser.add_argument("--limit", type=int, help="at most so many photographs, spread evenly")
    parser.add_argument("--png", type=Path, help="draw the confusion table to this file")


def _evaluate(args: argparse.Namespace) -> Result:
    from lotor.evaluate import as_text, draw_confusion, evaluate
    from lotor.zoo import find_model

    found = evaluate(
        find_model(args.model),
        args.data,
        args.split,
        args.float,
        args.views,
        args.board,
        args.limit,
    )
    if args.png and "located" in found:
        raise LotorError(f"{args.model} locates, there is no confusion to draw: leave out --png")
    if args.png:
        draw_confusion(found["all"]["confusion"], found["labels"], args.png)
    return Result(found, as_text(found), ok=not found.get("mismatches"))


def _add_networks(commands: _Commands) -> None:
    parser = commands.add("networks", "what the networks that a recipe names cost", _networks)
    parser.add_argument("--side", type=int, default=96, help="pixels of the image; 96")
    parser.add_argument("--labels", type=int, default=4, help="classes; 4")


def _networks(args: argparse.Namespace) -> Result:
    from lotor.train.quiet import loading

    with loading():
        from lotor.train.networks.sizes import as_dicts, as_text, sizes
    found = sizes(args.side, args.labels)
    return Result({"networks": as_dicts(found)}, as_text(found, args.side))


def _add_quantize(commands: _Commands) -> None:
    parser = commands.add("quantize", "a float model to integers, and what they cost", _quantize)
    parser.add_argument("model", help="a float .tflite, or a model with NAME_float.tflite beside")
    parser.add_argument("--data", type=Path, help="photographs: with manifest.csv, or any folder")
    parser.add_argument("-o", "--out", type=Path, help="default: out/NAME_int8.tflite")
    parser.add_argument("--samples", type=int, default=400, help="photographs to look at; 400")
    parser.add_argument(
        "--estimator",
        default="best",
        help="of ranges: min-max, average, percentile, mse, entropy, or the best of all (default)",
    )
    parser.add_argument("--equalize", action="store_true", help="even out channels between layers")
    parser.add_argument(
        "--saturated",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="of values that may reach 6 for --equalize to make a ReLU of a ReLU6; 0",
    )
    parser.add_argument("--correct-bias", action="store_true", help="take shifted means out")
    parser.add_argument("--repair", action="store_true", help="better ranges for the worst layers")
    parser.add_argument(
        "--weights", type=int, default=8, help="bits of convolutions' weights: 8, 4"
    )
    parser.add_argument(
        "--weight-bytes",
        type=int,
        default=0,
        metavar="N",
        help="4 bits for the largest convolutions until all weights take N bytes of flash",
    )
    parser.add_argument(
        "--activations",
        default="8",
        help="bits of activations: 8, 16, or mixed: 16 where it helps the scores much",
    )
    parser.add_argument("--report", action="store_true", help="float beside integers, on val")
    parser.add_argument("--board", help="in the report: on this board too, byte by byte")
    parser.add_argument("--limit", type=int, help="photographs of the report; all")
    parser.add_argument("--plot", type=Path, help="draw the layers' noise to this SVG or PNG")


def _quantize(args: argparse.Namespace) -> Result:
    from lotor.board import load_board
    from lotor.data.manifest import GARDEN, data_folder
    from lotor.pictures import check_file
    from lotor.side_by_side import as_text, compare_files, find_photographs
    from lotor.train.quiet import loading
    from lotor.zoo import find_model

    model = find_model(args.model)
    folder = data_folder(args.data, str(model.recipe.get("data", {}).get("folder", GARDEN)))
    out = args.out or Path("out") / f"{model.name}_int8.tflite"
    if args.samples < 2:
        raise LotorError(f"--samples {args.samples}: at least 2 photographs are needed")
    if args.board:
        load_board(args.board)  # a wrong name is said before the long work
    reported = find_photographs(model, folder, args.limit) if args.report or args.board else None
    with loading():
        from lotor.train.quantize import Choice, quantize_file
        from lotor.train.sqnr_plot import save
    choice = Choice(
        args.estimator,
        args.equalize,
        args.correct_bias,
        args.repair,
        args.weights,
        args.activations,
        args.weight_bytes,
        args.saturated,
    )
    if args.plot:
        check_file(args.plot)
    found = quantize_file(model, folder, out, choice, args.samples)
    data, text = {**found.as_dict(), "file": str(out)}, str(found)
    if args.plot:
        save(found.noise, f"{model.name}: what its layers lose as integers", args.plot)
    if reported:
        data["report"] = compare_files(model, out, reported, args.board)
        text += "\n" + as_text(data["report"])
    return Result(data, text, ok=not data.get("report", {}).get("mismatches"))


def _add_flash(commands: _Commands) -> None:
    parser = commands.add("flash", "build an image, put it on a board, wait for it", _flash)
    parser.add_argument("--board", help="the board's name (default: the default board)")
    parser.add_argument("--model", action="append", help="a model; again for more in one image")
    parser.add_argument("--target", help="compile for; default: the board's")
    _add_ram(parser)
    _add_optimize(parser)
    parser.add_argument("--method", help="one of the board file's methods; default: its first")
    parser.add_argument("--stop", action="store_true", help="stop an emulated board instead")
    _add_key(parser)


def _add_key(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--key", metavar="FILE", help="signs updates (default: what LOTOR_UPDATE_KEY names)"
    )
    parser.add_argument(
        "--image-version", type=_count, metavar="N", help="of the image, for boards with updates"
    )


def _flash(args: argparse.Namespace) -> Result:
    from lotor.board import default_board, load_board
    from lotor.device.emulator import stop
    from lotor.device.flash import flash
    from lotor.flash_content import FIRST_VERSION
    from lotor.update_key import read_key

    board = load_board(args.board or default_board())
    if args.stop:
        if not board.emulated:
            raise LotorError(f"board {board.name} is not emulated: only an emulator can be stopped")
        stopped = stop(board.name)
        text = f"{board.name} is stopped" if stopped else f"{board.name} was not running"
        return Result({"board": board.name, "stopped": stopped}, text)
    key, version = read_key(args.key), args.image_version or FIRST_VERSION
    names, method = args.model or [], args.method
    done = flash(board.name, names, args.target, args.ram, args.optimize, method, key, version)
    return Result(done.as_dict(), str(done))


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


def _add_inspect(commands: _Commands) -> None:
    parser = commands.add("inspect", "layers, memory and cost of a model", _inspect)
    parser.add_argument("model", help="a model's name, or a .tflite file")
    parser.add_argument("--target", help="default: the board's, else portable")
    parser.add_argument("--board", help="also say whether it fits this board")
    parser.add_argument("--passes", action="store_true", help="what every rewrite did and saved")
    _add_ram(parser)
    _add_optimize(parser)
    parser.add_argument(
        "--plot",
        nargs="?",
        const="",
        metavar="FILE",
        help="draw the memory map: to a .png or .svg file, or without FILE in the terminal",
    )


def _inspect(args: argparse.Namespace) -> Result:
    from lotor.inspection import as_text, inspect, summary
    from lotor.memory_map import for_terminal, save
    from lotor.optimize.report import as_text as passes_as_text
    from lotor.pictures import check_file

    file = Path(args.plot) if args.plot else None
    if file:
        check_file(file)
    data = inspect(args.model, args.target, args.board, args.passes, args.ram, args.optimize)
    drawn = args.plot is not None and not data["unsupported"]
    if drawn and file:
        save(data, file, Path(args.model).stem)
        data["plot"] = str(file)
    texts = [passes_as_text(data["passes"])] if args.passes else []
    texts += [for_terminal(data), summary(data)] if drawn and not file else [as_text(data)]
    texts += [f"memory map: {file}"] if drawn and file else []
    return Result(data, "\n".join(texts), ok=not data["unsupported"] and data.get("fits", True))


def _add_monitor(commands: _Commands) -> None:
    parser = commands.add("monitor", "show a board's log, resets and faults as they come", _monitor)
    parser.add_argument("--board", required=True, help="the board's name, or its port")
    parser.add_argument("--seconds", type=float, help="how long (default: until Ctrl-C)")


def _monitor(args: argparse.Namespace) -> Result:
    from lotor.device.monitor import watch

    with contextlib.suppress(KeyboardInterrupt):  # the usual way to end it
        for event in watch(args.board, args.seconds):
            _print(json.dumps(asdict(event)) if args.json else str(event))
    return Result(None, "")


def _add_new_board(commands: _Commands) -> None:
    parser = commands.add("new-board", "begin a board file, with what each key means", _new_board)
    parser.add_argument("name", help="of the board, and of its file")
    parser.add_argument(
        "--from", dest="like", metavar="BOARD", help="take the values of a board, or of a file"
    )
    parser.add_argument("--family", help="take what boards of this chip family share")
    parser.add_argument("--chip", help="its name")
    parser.add_argument("--target", help="the core, e.g. cortex-m4")
    parser.add_argument("--clock-hz", type=_number, metavar="HZ", help="of the core")
    parser.add_argument("--uart-clock-hz", type=_number, metavar="HZ", help="of the UART's divider")
    parser.add_argument("--flash", type=_region, metavar="ORIGIN:BYTES", help="for the program")
    parser.add_argument("--ram", type=_region, metavar="ORIGIN:BYTES", help="one block")
    parser.add_argument("--irqs", type=_number, help="interrupts in the vector table")
    parser.add_argument("--usb", action="append", metavar="VID:PID", help="of the link's port")
    parser.add_argument("--machine", help="what QEMU calls it, as `-machine help` lists them")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="default: boards/ of the checkout, else ."
    )


def _number(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number") from None


def _region(text: str) -> Any:
    from lotor.board import Region

    origin, _, size = text.partition(":")
    return Region(_number(origin), _number(size))


def _new_board(args: argparse.Namespace) -> Result:
    from lotor.new_board import new_board, own_boards

    options = {
        "chip": args.chip,
        "target": args.target,
        "clock_hz": args.clock_hz,
        "memory.flash": args.flash,
        "memory.ram": args.ram,
        "hal.irqs": args.irqs,
        "hal.uart_clock_hz": args.uart_clock_hz,
        "serial.usb": args.usb and tuple(args.usb),
    }
    given = {key: value for key, value in options.items() if value is not None}
    folder = args.output or own_boards()
    made = new_board(args.name, args.like, args.family, given, folder, args.machine)
    return Result(asdict(made) | {"file": str(made.file)}, str(made))


def _add_operators(commands: _Commands) -> None:
    parser = commands.add("operators", "every operator that can be compiled", _operators)
    parser.add_argument("--markdown", action="store_true", help="print the table of the docs")


def _operators(args: argparse.Namespace) -> Result:
    from lotor.operator_list import as_markdown, as_text, operator_list

    rows = operator_list()
    return Result({"operators": rows}, (as_markdown if args.markdown else as_text)(rows))


def _add_profile(commands: _Commands) -> None:
    parser = commands.add("profile", "what every layer takes on a board", _profile)
    parser.add_argument("model", help="a model's name, or a .tflite file")
    parser.add_argument("--board", required=True, help="where to measure")
    _add_ram(parser)
    _add_optimize(parser)
    parser.add_argument(
        "--plot",
        nargs="?",
        const="",
        metavar="FILE",
        help="draw bars: to a .png or .svg file, or without FILE in the terminal",
    )
    parser.add_argument(
        "--compare", type=Path, metavar="OLD.json", help="what changed since a profile's --json"
    )
    parser.add_argument(
        "--hot",
        nargs="?",
        const=3,
        type=_layers,
        metavar="N",
        help="disassemble the hottest loop of the N hottest layers; default: 3",
    )


def _layers(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of layers; give 1 or more")
    return int(text)


def _profile(args: argparse.Namespace) -> Result:
    from lotor.pictures import check_file
    from lotor.profile_compare import as_text as compared_as_text
    from lotor.profile_compare import compare, read
    from lotor.profile_plot import for_terminal, save
    from lotor.profiling import hot_as_text, over_budget, profile, summary

    file = Path(args.plot) if args.plot else None
    if file:
        check_file(file)
    old = read(args.compare) if args.compare else None
    found = profile(args.model, args.board, ram=args.ram, optimize=args.optimize, hot=args.hot)
    data = asdict(found)
    texts = [str(found)]
    if file:
        save(found, file)
        data["plot"] = str(file)
        texts.append(f"bars: {file}")
    elif args.plot is not None:
        texts = [for_terminal(found), summary(found)]
    if old is not None:
        compared = compare(old, args.compare, found)
        data["compare"] = compared.as_dict()
        texts.append(compared_as_text(compared, found))
    if args.hot:
        texts.append(hot_as_text(found))
    data["over_budget"] = over = over_budget(found)
    texts += over
    return Result(data, "\n\n".join(texts) if len(texts) > 1 else texts[0], ok=not over)


def _add_tune(commands: _Commands) -> None:
    parser = commands.add("tune", "measure kernels on a board, for the choice between them", _tune)
    parser.add_argument("model", help="a model's name, or a .tflite file")
    parser.add_argument("--board", required=True, help="where to measure; it is flashed for that")


def _tune(args: argparse.Namespace) -> Result:
    from lotor.tune import tune

    found = tune(args.model, args.board)
    return Result(asdict(found), str(found))


def _add_run(commands: _Commands) -> None:
    parser = commands.add("run", "run one inference, here or on a board", _run)
    parser.add_argument("model", help="a model's name, or a .tflite file")
    parser.add_argument("--input", type=Path, required=True, action="append", help=".npy or image")
    parser.add_argument("--output", type=Path, required=True, help="the .npy to write")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--target", default="host", help="compile for; default: host")
    where.add_argument("--board", help="run on this board instead, compiled for its target")


def _run(args: argparse.Namespace) -> Result:
    from lotor.infer import run_files

    done = run_files(args.model, args.input, args.output, args.target, args.board)
    outputs = [{"shape": list(a.shape), "dtype": str(a.dtype)} for a in done.outputs]
    data = {
        "output": str(args.output),
        "outputs": outputs,
        "ticks": done.ticks,
        "tick_unit": done.tick_unit,
    }
    text = "\n".join(f"{o['dtype']} {o['shape']} -> {args.output}" for o in outputs)
    took = f" in {done.ticks:,} {done.tick_unit}" if done.ticks is not None else ""
    return Result(data, text + took)


def _add_train(commands: _Commands) -> None:
    parser = commands.add("train", "train a model by its recipe, to an int8 .tflite", _train)
    parser.add_argument("model", help="a model with a recipe, e.g. raccoon; or a recipe.toml")
    parser.add_argument("--data", type=Path, help="a folder with manifest.csv; the recipe's")
    parser.add_argument("--steps", type=int, help="optimisation steps; the recipe's")
    parser.add_argument("--seed", type=int, help="the recipe's")
    parser.add_argument("--out", type=Path, help="where to write; the model's own folder")
    parser.add_argument(
        "--preview",
        type=Path,
        metavar="PNG",
        help="only draw what augmentation makes of photographs",
    )
    parser.add_argument("--version", metavar="HASH", help="of the data set; what it is now")
    parser.add_argument("--anew", action="store_true", help="do not go on with what was broken off")
    parser.add_argument(
        "--test",
        action="store_true",
        help="measure on test, too: for a model that is going to ship, once; uses are counted. "
        "Choose on val, which is measured always",
    )
    parser.add_argument(
        "--ood-only",
        action="store_true",
        help="train nothing: give the trained model the second output of its recipe's [ood]",
    )


def _train(args: argparse.Namespace) -> Result:
    if args.ood_only:
        from lotor.train import add_unlike

        for option in ("steps", "seed", "version", "anew", "test", "preview"):
            if getattr(args, option) not in (None, False):
                raise LotorError(f"--ood-only trains nothing: leave out --{option}")
        added = add_unlike.add_unlike(args.model, args.data, args.out)
        return Result(added, add_unlike.as_text(added))
    if args.preview:
        from lotor.train import preview

        drawn = preview.preview(args.model, args.preview, args.data, args.seed)
        return Result(drawn, preview.as_text(drawn))
    from lotor.train.pipeline import as_text, train

    found = train(
        args.model,
        args.data,
        args.steps,
        args.seed,
        args.out,
        args.version,
        args.anew,
        args.test,
    )
    return Result(found, as_text(found))


def _add_update(commands: _Commands) -> None:
    parser = commands.add("update", "give a board a new image over its serial line", _update)
    parser.add_argument("--board", help="the board's name (default: the default board)")
    parser.add_argument("--model", action="append", help="a model; again for more in one image")
    parser.add_argument("--target", help="compile for; default: the board's")
    _add_ram(parser)
    _add_optimize(parser)
    _add_key(parser)
    parser.add_argument(
        "--allow-older", action="store_true", help="boards that run a newer version take it, too"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("-o", "--output", type=Path, metavar="FILE", help="only write the package")
    where.add_argument("--package", type=Path, metavar="FILE", help="send a package")


def _update(args: argparse.Namespace) -> Result:
    from lotor.board import default_board, load_board
    from lotor.device.ready import image_for
    from lotor.device.update import next_version, package_of, update
    from lotor.progress import Progress
    from lotor.update_key import read_key
    from lotor.update_package import Package

    board = load_board(args.board or default_board())
    if args.package:
        if args.model or args.target or args.key or args.image_version or args.allow_older:
            raise LotorError("a package is sent as it is: give `--package FILE` and `--board` only")
        done = update(board.name, Package.read(args.package))
        return Result(done.as_dict(), str(done), ok=done.confirmed)
    if not args.model:
        raise LotorError("no model for the update: name one with `--model MODEL`")
    if args.output and not args.image_version:
        raise LotorError("a package needs a version, higher than the boards': `--image-version N`")
    key = read_key(args.key)
    version = args.image_version or next_version(board.name)
    with Progress(f"build for {board.name}", 2 * len(args.model) + 1, "steps") as progress:
        image = image_for(
            board.name, args.model, args.target, args.ram, args.optimize, progress.advance
        )
    package = package_of(board, image, version, args.allow_older, key)
    if args.output:
        package.write(args.output)
        data = {"package": str(args.output), "board": board.name, "version": version}
        data |= {"signed": package.signed, "build_id": image.build_id.hex()}
        kind = "signed" if package.signed else "unsigned"
        return Result(data, f"{args.output}: version {version} for {board.name}, {kind}")
    done = update(board.name, package, image)
    return Result(done.as_dict(), str(done), ok=done.confirmed)


def _add_update_key(commands: _Commands) -> None:
    parser = commands.add("update-key", "make a key that signs updates", _update_key)
    parser.add_argument("file", type=Path, help="where to write it; it must not exist")


def _update_key(args: argparse.Namespace) -> Result:
    from lotor.update_key import key_id, make_key

    public = make_key(args.file).public
    data = {"file": str(args.file), "public": public.hex(), "id": key_id(public)}
    return Result(data, f"{args.file}: key {data['id']}; keep it safe, and out of any repository")


def _add_verify(commands: _Commands) -> None:
    parser = commands.add("verify", "compare with LiteRT's reference, byte by byte", _verify)
    parser.add_argument("model", help="a model's name, or a .tflite file")
    parser.add_argument("--board", help="compare what this board computes")
    parser.add_argument("--samples", type=int, default=20, help="random inputs; default: 20")
    parser.add_argument("--seed", type=int, default=0, help="decides the inputs; default: 0")
    _add_ram(parser)
    _add_optimize(parser)


def _verify(args: argparse.Namespace) -> Result:
    from lotor.verify import verify

    found = verify(args.model, args.samples, args.seed, args.board, args.ram, args.optimize)
    return Result(asdict(found), str(found), ok=found.ok)


def _add_visits(commands: _Commands) -> None:
    parser = commands.add("visits", "visits a camera would see, and its false alarms", _visits)
    parser.add_argument("model", help="a model with a recipe, e.g. raccoon")
    parser.add_argument("sequences", nargs="?", type=Path, help="a folder with frames.csv")
    parser.add_argument("--views", action="store_true", help="score nine crops of each frame too")
    parser.add_argument("--threshold", type=float, help="0..1; default: those chosen on val")
    parser.add_argument("--votes", default="3/5", help="of the last frames; default: 3/5")
    parser.add_argument("--rate", type=float, default=1.0, help="frames a second; default: 1")
    parser.add_argument("--veto", metavar="MODEL", help="nothing alarms while it sees a person")
    parser.add_argument("--veto-threshold", type=float, help="0..1; default: by its own decision")
    parser.add_argument("--board", help="infer on this board, compared byte by byte with the host")


def _visits(args: argparse.Namespace) -> Result:
    from lotor.visits import Options, as_text, watch
    from lotor.zoo import find_model

    options = Options(args.views, args.rate, args.votes)
    model, veto = find_model(args.model), find_model(args.veto) if args.veto else None
    thresholds = {"threshold": args.threshold, "veto_from": args.veto_threshold}
    found = watch(model, args.sequences, args.board, options=options, veto=veto, **thresholds)
    wrong = found.get("mismatches") or found.get("veto", {}).get("mismatches")
    return Result(found, as_text(found), ok=not wrong)


def _add_watch(commands: _Commands) -> None:
    parser = commands.add("watch", "let a board with a camera watch; its events", _watch)
    parser.add_argument("--board", required=True, help="a board with a camera")
    parser.add_argument(
        "--model", action="append", required=True, help="that votes; again: one that forbids alarms"
    )
    parser.add_argument(
        "--source", action="append", type=Path, default=[], metavar="FILE|FOLDER",
        help="photographs, a folder, sequences or a video, for a synthetic camera; again for more",
    )  # fmt: skip
    parser.add_argument("--views", action="store_true", help="score nine crops of each frame too")
    parser.add_argument("--threshold", type=float, help="0..1; default: chosen on val")
    parser.add_argument("--votes", default="3/5", help="of the last frames; default: 3/5")
    parser.add_argument("--rate", type=float, default=1.0, help="frames a second; default: 1")
    parser.add_argument("--cooldown", type=float, default=60.0, help="seconds; default: 60")
    parser.add_argument("--output", metavar="NAME", help="what an alarm switches on")
    parser.add_argument("--on-ms", type=int, default=1000, help="for how long; default: 1000")
    parser.add_argument("--limit", type=int, help="frames; default: all")
    parser.add_argument("--every", action="store_true", help="also show frames without an alarm")


def _watch(args: argparse.Namespace) -> Result:
    from lotor.device.watch import Event, Kind
    from lotor.visits import Options
    from lotor.watch import Wish, describe, summary, watch

    def told(clip: str, event: Event) -> None:
        if args.json:
            _print(json.dumps({"clip": clip, **event.as_dict()}))
        elif args.every or event.kind is not Kind.FRAME:
            _print(f"{clip}: {describe(event)}" if clip else describe(event))

    options = Options(args.views, args.rate, args.votes, args.cooldown)
    wish = Wish(args.threshold, args.output, args.on_ms, args.limit)
    found = watch(args.board, args.model, args.source, options, wish, told)
    wrong = found.get("mismatches") or found["missed"]
    if args.json:  # a line for each event, and the last one for all
        _print(json.dumps({"summary": found}))
        return Result(None, "", ok=not wrong)
    return Result(found, summary(found), ok=not wrong)


def _add_sentinel(commands: _Commands) -> None:
    parser = commands.add("sentinel", "guard a garden with a camera", _sentinel)
    parser.add_argument(
        "--source", help="a camera, address, video, folder, or garden:; no file needed"
    )
    where = "default: sentinel.toml here, or in ~/.config/lotor"
    parser.add_argument("--config", type=Path, help=where)
    parser.add_argument("--model", help="in place of the configuration's, e.g. raccoon")
    parser.add_argument(
        "--once", action="store_true",
        help="read the source to its end, and stop: a rehearsal, which is kept in out/sentinel, "
        "switches nothing on and tells nobody",
    )  # fmt: skip
    parser.add_argument("--stay", action="store_true", help="with --once: leave the page up")
    parser.add_argument("--init", action="store_true", help="ask three questions, write a file")
    parser.add_argument("--check", action="store_true", help="explain the configuration")
    parser.add_argument("--no-page", action="store_true", help="do without the page")
    parser.add_argument("--verbose", action="store_true", help="log more")
    kinds = parser.add_subparsers(dest="what", metavar="WHAT", parser_class=_Parser)
    forget = kinds.add_parser(
        "forget", help="delete what was seen in a time, everywhere",
        description="Delete events, decisions, pictures and clips of a time from the store, and "
        "what went from it into data sets; name the models that were trained on it.",
    )  # fmt: skip
    export = kinds.add_parser(
        "export",
        help="copy what was seen in a time",
        description="Copy events, decisions, pictures and clips of a time into a folder or a .zip.",
    )
    for part in (forget, export):
        part.add_argument("--from", dest="begin", required=True, help="local, 2026-09-01T22:00")
        part.add_argument("--to", dest="end", required=True, help="local, 2026-09-02T06:00")
    forget.add_argument(
        "--data", action="append", type=Path, default=[], metavar="FOLDER",
        help="a data set that pictures may have gone into; again for more",
    )  # fmt: skip
    export.add_argument("-o", "--output", type=Path, required=True, help="a folder, or a .zip")
    test = kinds.add_parser(
        "test", help="try an action for a moment",
        description="Try an action for a moment, without cameras; a dry run only says so.",
    )  # fmt: skip
    test.add_argument("action", help="its name in the configuration")
    for part in (forget, export, test):
        part.add_argument("--config", type=Path, default=argparse.SUPPRESS, help=where)
        part.add_argument("--json", action="store_true", default=argparse.SUPPRESS)


def _sentinel(args: argparse.Namespace) -> Result:
    from lotor.sentinel import command

    do = command.for_what(args)
    data, text, ok = do(args)
    return Result(data, text, ok)


_COMMANDS: list[Callable[[_Commands], None]] = [
    _add_bench,
    _add_benchmark,
    _add_boards,
    _add_build,
    _add_compile,
    _add_conformance,
    _add_data,
    _add_demo,
    _add_detect,
    _add_doctor,
    _add_evaluate,
    _add_flash,
    _add_hil,
    _add_inspect,
    _add_monitor,
    _add_networks,
    _add_new_board,
    _add_operators,
    _add_profile,
    _add_quantize,
    _add_run,
    _add_sentinel,
    _add_train,
    _add_tune,
    _add_update,
    _add_update_key,
    _add_verify,
    _add_visits,
    _add_watch,
]


if __name__ == "__main__":
    sys.exit(main())
