"""A benchmark as a page: tables and pictures between the markers of a Markdown file."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lotor.benchmark import gallery, pictures
from lotor.benchmark.frozen import PREVIOUS
from lotor.benchmark.metrics import METRICS
from lotor.benchmark.run import MAIN, Run, Variant
from lotor.benchmark.text import NOT_FROZEN, change, interval
from lotor.errors import LotorError
from lotor.files import write_files
from lotor.pictures import check_file

_ALT = {
    "precision-recall": "precision by recall, with intervals",
    "confusion": "confusion matrix",
    "scores": "histogram of scores, and how often they are right",
}


def markers(model: str) -> tuple[str, str]:
    """Return the lines between which a model's tables stand."""
    return (
        f"<!-- From here on, `lotor benchmark {model}` writes. -->",
        f"<!-- End of what `lotor benchmark {model}` writes. -->",
    )


def check(path: Path, model: str) -> None:
    """See that a page can be written, before the long work.

    Raises:
        LotorError: it has one marker without the other, cannot be read, or matplotlib is missing.
    """
    check_file(path.with_suffix(".svg"))
    _replaced(_read(path), model, "")


def write(run: Run, path: Path, command: str) -> list[Path]:
    """Write a model's tables into a page and its pictures beside it; return all files.

    What stands outside of the markers stays. Without markers a new section is put at the end;
    without a page there is one.
    """
    stem = f"{path.stem}-{run.model.name}"
    files = {name: path.with_name(f"{stem}-{name}.svg") for name in pictures.FIGURES}
    drawn = pictures.draw(run, files)
    text = _replaced(_read(path), run.model.name, section(run, files, command))
    try:
        write_files(drawn | {path: text.encode("utf-8")})
    except OSError as error:
        raise LotorError(
            f"cannot write {path}: {error.strerror}; give another file with -o"
        ) from error
    return [path, *files.values()]


def command(model: str, run: Run, path: Path) -> str:
    """Return what is typed to measure the same again, on the same data."""
    words = ["lotor benchmark", model]
    words += [] if run.opened.frozen else ["--unfrozen", f"--split {run.opened.split}"]
    if any(name.endswith("-views") for name in run.variants):
        words.append("--views")
    if board := run.variants.get("board"):
        words.append(f"--board {board.where.split()[-1]}")
        words += [f"--limit {len(board.rows)}"] if len(board.rows) < len(run.opened.photos) else []
    return " ".join([*words, f"-o {path}"])


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8") if path.exists() else "# Models, measured\n"
    except (OSError, UnicodeDecodeError) as error:
        raise LotorError(f"cannot read {path}: {error}; give another file with -o") from error


def _replaced(page: str, model: str, new: str) -> str:
    begin, end = markers(model)
    head, found, rest = page.partition(begin)
    _, ended, tail = rest.partition(end)
    if not found and end not in page:
        return f"{page.rstrip()}\n\n## {model}\n\n{begin}\n\n{new}\n\n{end}\n"
    if not (found and ended):
        raise LotorError(f"the page needs a line '{begin}' and after it a line '{end}', or neither")
    return f"{head}{begin}\n\n{new}\n\n{end}{tail}"


def section(run: Run, files: Mapping[str, Path], command: str) -> str:
    """Return the tables and pictures of one model in Markdown.

    Args:
        run: what was found.
        files: pictures that lie beside the page, by what they show.
        command: what was typed.
    """
    opened, target = run.opened, run.labels[run.target]
    parts = [
        f"Version `{run.model_sha256[:12]}` on split {opened.split} (manifest "
        f"`{opened.data.manifest_hash[:12]}`, photographs `{opened.photos_sha256[:12]}`): "
        f"{len(opened.photos)} photographs, {int(run.positive.sum())} of them {target}. "
        f"`{command}` writes this."
    ]
    parts += [] if opened.frozen else [f"**{NOT_FROZEN}.**"]
    parts += [_regressions(run), _variants(run)]
    for name in (MAIN, f"{MAIN}-views"):
        if name in run.variants:
            parts.append(_subsets(run, run.variants[name]))
    parts += [_rules(run), _baselines(run), _versions(run)]
    parts += [f"![{_ALT[name]}]({path.name})" for name, path in files.items()]
    parts.append(
        f"The worst mistakes: `lotor benchmark {run.model.name} --gallery` writes "
        f"`{gallery.FILE}` and `{gallery.SHEET}` to `{gallery.folder(run.model.name)}/`. They show "
        "photographs of the data set, whose rights are not ours: they are for your eyes, and git "
        "ignores them."
    )
    return "\n\n".join(part for part in parts if part)


def _variants(run: Run) -> str:
    heads = ["the whole split", *(metric.title for metric in METRICS.values()), "outputs"]
    rows = []
    for variant in run.variants.values():
        proof = f"{variant.mismatches} of {variant.runs} differ" if variant.runs else ""
        rows.append([variant.where, *_cells(run, variant, "all"), proof])
    return _table(heads, rows)


def _subsets(run: Run, variant: Variant) -> str:
    target = run.labels[run.target]
    heads = [variant.where, "photographs", target, *(m.title for m in METRICS.values())]
    rows = []
    for part in run.subsets:
        counts = [int(part.member.sum()), int((part.member & run.positive).sum())]
        rows.append([part.name, *map(str, counts), *_cells(run, variant, part.name)])
    return _table(heads, rows)


def _cells(run: Run, variant: Variant, part: str) -> list[str]:
    figures = variant.parts.get(part)
    if figures is None:
        return [run.why_not(variant, part), *[""] * (len(METRICS) - 1)]
    return [interval(figures.interval(name)) if name in figures.values else "" for name in METRICS]


def _rules(run: Run) -> str:
    rules = "\n".join(f"- `{part.name}`: {part.rule}" for part in run.subsets)
    return f"Who is in which subset:\n\n{rules}"


def _baselines(run: Run) -> str:
    target = run.labels[run.target]
    heads = ["baseline", "subset", f"its average precision for {target}", f"{MAIN} has more by", ""]
    rows = [
        [name, part, f"{one.before:.3f}", change(one.change), one.verdict]
        for name, table in run.against.items()
        for part, one in table.items()
    ]
    return _table(heads, rows) if rows else ""


def _versions(run: Run) -> str:
    """Return every version that was measured on these photographs."""
    heads = ["version", "variant", "average precision", "recall at 1 %", "recall at 5 %"]
    rows = []
    for kept in run.versions:
        for variant, parts in kept.figures.items():
            table = parts.get("all", {})
            if kept.photos_sha256 == run.opened.photos_sha256 and table:
                cells = (table.get(name) for name in ("average_precision", "recall_1", "recall_5"))
                texts = (
                    f"{one['value']:.3f} [{one['low']:.3f}, {one['high']:.3f}]" if one else ""
                    for one in cells
                )
                rows.append([f"{kept.number}, `{kept.name}`", variant, *texts])
    return _table(heads, rows) if rows else ""


def _regressions(run: Run) -> str:
    if run.previous is None:
        return ""
    name = run.previous.name
    parts = []
    if run.gain:
        gain = f"{change(run.gain.change)} in average precision"
        word = "**NOT beaten**" if PREVIOUS in run.unbeaten else run.word.capitalize()
        parts.append(f"{word}: the version before, `{name}` ({gain}).")
    if run.regressions:
        rows = "\n".join(f"- {one}" for one in run.regressions)
        parts.append(f"**Worse than in version `{name}`**:\n\n{rows}")
    else:
        parts.append(
            f"No watched figure became worse than in version `{name}` beyond its interval."
        )
    return "\n\n".join(parts)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join([_line(heads), _line(["---"] * len(heads)), *map(_line, rows)])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"
