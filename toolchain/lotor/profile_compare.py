"""What changed from one profile to another, layer by layer."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lotor.errors import LotorError
from lotor.graph import short_name
from lotor.profiling import LayerTime, Profile


@dataclass(frozen=True)
class Change:
    """One layer then and now; all `old_` are None for a new layer, the others for a removed one."""

    name: str
    kernel: str | None
    old_kernel: str | None
    ticks: int | None
    old_ticks: int | None
    cycles_estimate: int | None
    old_cycles_estimate: int | None

    @property
    def state(self) -> str:
        """What happened to it: new, removed, changed or same."""
        if self.ticks is None:
            return "removed"
        if self.old_ticks is None:
            return "new"
        pairs = (
            (self.kernel, self.old_kernel),
            (self.ticks, self.old_ticks),
            (self.cycles_estimate, self.old_cycles_estimate),
        )
        return "changed" if any(now != old for now, old in pairs) else "same"


@dataclass(frozen=True)
class Comparison:
    """Two profiles of a model.

    Attributes:
        old: the file of the older one.
        old_board: where that was measured.
        old_ticks: all of them.
        old_cycles_estimate: None where cycles were not estimated.
        layers: those of the new profile in order, then those that are gone.
    """

    old: str
    old_board: str
    old_ticks: int
    old_cycles_estimate: int | None
    layers: list[Change]

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` prints of it."""
        layers = [asdict(layer) | {"state": layer.state} for layer in self.layers]
        return asdict(self) | {"layers": layers}


def read(path: Path) -> dict[str, Any]:
    """Read a profile that `lotor profile --json` has printed.

    Raises:
        LotorError: the file cannot be read, or is something else.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LotorError(f"cannot read {path}: {error.strerror}; {_HOW}") from error
    except ValueError as error:
        raise LotorError(f"{path} is not JSON: {error}; {_HOW}") from error
    if not _is_profile(data):
        raise LotorError(f"{path} is not a profile; {_HOW}")
    found: dict[str, Any] = data
    return found


_HOW = "give what `lotor profile MODEL --board B --json` printed"


def _is_profile(data: Any) -> bool:
    kinds = {"model": str, "board": str, "tick_unit": str, "ticks": int, "layers": list}
    layer_kinds = {"name": str, "kernel": str, "ticks": int}
    return _has(data, kinds) and all(_has(layer, layer_kinds) for layer in data["layers"])


def _has(data: Any, kinds: Mapping[str, type]) -> bool:
    if not isinstance(data, dict):
        return False
    estimate = data.get("cycles_estimate")
    return all(type(data.get(key)) is kind for key, kind in kinds.items()) and (
        estimate is None or type(estimate) is int
    )


def compare(old: Mapping[str, Any], path: Path, new: Profile) -> Comparison:
    """Compare a new profile with an old one, from a file; layers are matched by their names.

    Raises:
        LotorError: the old one is of another model, or counts something else.
    """
    if old["model"] != new.model:
        raise LotorError(
            f"{path} is a profile of {old['model']}, not of {new.model}: give one of {new.model}"
        )
    if old["tick_unit"] != new.tick_unit:
        raise LotorError(
            f"{path} counts {old['tick_unit']} on {old['board']}, {new.board} counts "
            f"{new.tick_unit}: give one of {new.board}"
        )
    before = dict(_numbered((layer["name"], layer) for layer in old["layers"]))
    now = dict(_numbered((layer.name, layer) for layer in new.layers))
    changes = [_change(key[0], layer, before.get(key)) for key, layer in now.items()]
    changes += [_change(key[0], None, layer) for key, layer in before.items() if key not in now]
    return Comparison(str(path), old["board"], old["ticks"], old.get("cycles_estimate"), changes)


def _numbered(pairs: Iterable[tuple[str, Any]]) -> Iterable[tuple[tuple[str, int], Any]]:
    """Tell layers of one name apart: the parts of a layer that runs in stripes."""
    seen = Counter[str]()
    for name, value in pairs:
        yield (name, seen[name]), value
        seen[name] += 1


def _change(name: str, now: LayerTime | None, old: Mapping[str, Any] | None) -> Change:
    return Change(
        name,
        now.kernel if now else None,
        old["kernel"] if old else None,
        now.ticks if now else None,
        old["ticks"] if old else None,
        now.cycles_estimate if now else None,
        old.get("cycles_estimate") if old else None,
    )


def as_text(found: Comparison, new: Profile) -> str:
    """Return the layers that changed as a table, and the totals."""
    changed = [layer for layer in found.layers if layer.state != "same"]
    cycles = new.cycles_estimate is not None and found.old_cycles_estimate is not None
    lines = [f"compared with {found.old}:"]
    if found.old_board != new.board:
        lines[0] = f"compared with {found.old}, measured on {found.old_board}:"
    if changed:
        head = f"{'kernel':<24} {_head(new.tick_unit)}"
        lines.append(f"{head} {_head('est. cycles')}  layer" if cycles else f"{head}  layer")
    for layer in changed:
        row = f"{layer.kernel or layer.old_kernel:<24.24} {_cells(layer.old_ticks, layer.ticks)}"
        if cycles:
            row += f" {_cells(layer.old_cycles_estimate, layer.cycles_estimate)}"
        was = ""
        if layer.old_kernel and layer.kernel and layer.old_kernel != layer.kernel:
            was = f" (was {layer.old_kernel})"
        elif layer.state in ("new", "removed"):
            was = f" ({layer.state})"
        lines.append(f"{row}  {short_name(layer.name)}{was}")
    same = len(found.layers) - len(changed)
    if same:
        lines.append(f"{same} layer{'s' if same > 1 else ''} as before")
    row = f"{'all layers':<24} {_cells(found.old_ticks, new.ticks)}"
    if cycles:
        row += f" {_cells(found.old_cycles_estimate, new.cycles_estimate)}"
    return "\n".join([*lines, row])


def _head(unit: str) -> str:
    return f"{'old':>12} {unit:>12} {'change':>7}"


def _cells(old: int | None, new: int | None) -> str:
    change = f"{new / old - 1:+.1%}" if old and new is not None else ""
    texts = ["" if value is None else f"{value:,}" for value in (old, new)]
    return f"{texts[0]:>12} {texts[1]:>12} {change:>7}"
