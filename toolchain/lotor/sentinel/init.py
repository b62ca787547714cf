"""`lotor sentinel --init`: three questions, and a configuration that says what each key means."""

import dataclasses
import inspect
import json
import os
import re
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from lotor.errors import LotorError, reason
from lotor.files import write_files
from lotor.sentinel import config as schema
from lotor.sentinel.sources import check_source, is_missing, missing
from lotor.suggest import did_you_mean
from lotor.zoo import find_model, model_names

T = TypeVar("T")
Ask = Callable[[str], str]
"""Shows a question and returns the answer, "" for the default."""


@dataclass(frozen=True)
class Deed:
    """Something to do about a visitor.

    Attributes:
        word: to answer with.
        text: for people.
        kind: of the action; "" for none.
        options: that it needs, to be changed by hand where they are guesses.
        for_s: seconds that it is on.
    """

    word: str
    text: str
    kind: str = ""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    for_s: float = 5.0


DEEDS = (
    Deed("watch", "only watch and remember"),
    Deed("bark", "play a dog's bark on this machine's loudspeaker", "sound"),
    Deed("light", "switch a light on a pin of a Raspberry Pi", "gpio", {"pin": 17}, 20.0),
    Deed("sprinkler", "open a valve on a pin of a Raspberry Pi", "gpio", {"pin": 27}, 4.0),
    Deed(
        *("plug", "switch a plug on the network on and off (Shelly, Tasmota)", "http"),
        {
            "url_on": "http://192.168.1.50/relay/0?turn=on",
            "url_off": "http://192.168.1.50/relay/0?turn=off",
        },
        10.0,
    ),
)


def ask_all(
    ask: Ask, cameras: Sequence[str], folder: Path = Path(), wrong: Callable[[str], None] = print
) -> tuple[str, str, Deed]:
    """Ask for camera, model and deed; a wrong answer is told, and asked for again.

    Args:
        ask: how.
        cameras: sources that are there; the first one is the default.
        folder: of the configuration; files and folders are relative to it.
        wrong: gets what is wrong with an answer.
    """

    def right(question: str, take: Callable[[str], T]) -> T:
        while True:
            try:
                return take(ask(question))
            except LotorError as error:
                wrong(str(error))

    default = cameras[0] if cameras else "0"
    there = f" ({', '.join(cameras)} found)" if cameras else " (no webcam found)"
    source = right(
        f"Camera{there}: a device, an rtsp:// or http:// address, a video or a folder, or garden: "
        f"(made up) [{default}]: ",
        lambda answer: _source(answer or default, folder),
    )
    models = [name for name in model_names() if _watches(name)]
    model = right(
        f"Model ({', '.join(models)}) [{models[0]}]: ",
        lambda answer: _model(answer or models[0], models),
    )
    listed = "\n".join(f"  {deed.word:10} {deed.text}" for deed in DEEDS)
    return source, model, right(f"What to do:\n{listed}\n[watch]: ", find_deed)


def _source(answer: str, folder: Path) -> str:
    """Return a source that may be.

    Raises:
        LotorError: it makes no sense, or is the path of nothing, which is rather a slip.
    """
    check_source(answer)
    if is_missing(answer, folder):
        raise LotorError(missing(answer))
    return answer


def _model(answer: str, models: Sequence[str]) -> str:
    """Return a model that says what a part of a frame shows.

    Raises:
        LotorError: there is none of that name, or it says something else.
    """
    if answer in models:
        return answer
    if answer not in model_names() and answer.endswith(".tflite"):
        labels = find_model(answer).labels or ()
        if _target(answer) in labels:
            return answer
        raise LotorError(
            f"{answer} has no label '{_target(answer)}', which is looked for, in a labels.txt "
            "beside it"
        )
    raise LotorError(
        f"no model '{answer}' looks for visitors{did_you_mean(answer, models)}; one of "
        f"{', '.join(models)}, or the path of a .tflite"
    )


def _target(model: str) -> str:
    return str(find_model(model).recipe.get("target", "raccoon"))


def find_deed(word: str) -> Deed:
    """Return what a word of `DEEDS` stands for, "" for the first.

    Raises:
        LotorError: it stands for nothing.
    """
    words = [deed.word for deed in DEEDS]
    if word and word not in words:
        raise LotorError(
            f"there is nothing called '{word}' to do{did_you_mean(word, words)}; one of "
            f"{', '.join(words)}"
        )
    return DEEDS[words.index(word)] if word else DEEDS[0]


def write_config(path: Path, source: str, model: str, deed: Deed) -> None:
    """Write a configuration with these answers, everything else in comments.

    Raises:
        LotorError: the file is there already, or cannot be written; nothing has changed.
    """
    check_new(path)
    try:
        write_files({path: render(source, model, deed).encode()})
    except OSError as error:
        raise LotorError(f"cannot write {path}: {reason(error)}; {_ELSEWHERE}") from error


def check_new(path: Path) -> None:
    """See that a file may be written where there is none; writes nothing.

    Raises:
        LotorError: there is one, or its folder is none that can be written to.
    """
    if path.exists() or path.is_symlink():
        raise LotorError(f"{path} is there already; move it away, or {_ELSEWHERE}")
    folder = next(each for each in path.absolute().parents if each.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise LotorError(f"cannot write to {folder}; {_ELSEWHERE}")


_ELSEWHERE = "give another file by --config"


def render(source: str, model: str, deed: Deed) -> str:
    """Return the text of a configuration: the answers, and all other keys as comments."""
    set_off: dict[str, Any] = {"label": _target(model)}
    if deed.kind:
        set_off["actions"] = [deed.word]
    parts = [
        "# Lotor's garden sentinel. `lotor sentinel --check` explains what this file says.",
        "# A key in a comment has the value that holds without it, or an example of one.",
        "",
        *_keys(schema.Config, {}, {"camera", "model", "target", "action", "webhook"}),
        *_table("[[camera]]", schema.Camera, {"name": "garden", "source": source}, {"zone"}),
        *_comments(_table("[[camera.zone]]", schema.Zone, _EXAMPLES["zone"])),
        *_table("[[model]]", schema.Model, {"name": model}, {"when"}),
        *_comments(_table("[model.when]", schema.When, {})),
        *_table("[veto]", schema.Veto, {}),
        *_table("[[target]]", schema.Target, set_off),
        *_table("[deciding]", schema.Deciding, {}),
    ]
    action = _action(deed)
    parts += action if deed.kind else _comments(_action(DEEDS[1]))
    parts += [
        *_comments(_table("[[webhook]]", schema.Webhook, _EXAMPLES["webhook"])),
        *_comments(_table("[mqtt]", schema.Mqtt, _EXAMPLES["mqtt"])),
        *_comments(_table("[notify]", schema.Notify, _EXAMPLES["notify"])),
        *_table("[store]", schema.Store, {}),
        *_table("[page]", schema.Page, {}),
    ]
    return "\n".join(parts).rstrip() + "\n"


_EXAMPLES: dict[str, dict[str, Any]] = {
    "zone": {"name": "pond", "polygon": [[0.1, 0.5], [0.6, 0.5], [0.6, 1.0], [0.1, 1.0]]},
    "webhook": {"url": "http://192.168.1.20:8080/garden"},
    "mqtt": {"host": "192.168.1.10"},
    "notify": {"urls": ["ntfy://my-garden"]},
}


def _watches(name: str) -> bool:
    recipe = find_model(name).recipe
    return recipe.get("task") not in ("locate", "detect") and recipe.get("target") != "person"


def _action(deed: Deed) -> list[str]:
    given = {"name": deed.word, "kind": deed.kind, "for_s": deed.for_s, "dry_run": True}
    given["max_on_s"] = 2 * deed.for_s
    lines = _table("[[action]]", schema.Action, given, {"options"})
    if deed.options:
        lines[-1:] = [
            "[action.options]",
            *(f"{key} = {_toml(value)}" for key, value in deed.options.items()),
            "",
        ]
    return lines


def _table(
    header: str, table: type, given: Mapping[str, Any], without: set[str] | None = None
) -> list[str]:
    first = (inspect.getdoc(table) or "").partition("\n")[0]
    return [f"{header}  # {first}", *_keys(table, given, without or set())]


def _keys(table: type, given: Mapping[str, Any], without: set[str]) -> list[str]:
    """Return a line for each key: its value, or its default in a comment, and what it means."""
    told = attributes(table)
    hints = get_type_hints(table)
    lines = []
    for item in dataclasses.fields(table):
        if item.name in without or _is_table(hints[item.name]):
            continue
        lines += [f"# {line}" for line in _wrap(f"{item.name}: {told[item.name]}")]
        if item.name in given:
            lines.append(f"{item.name} = {_toml(given[item.name])}")
        else:
            default = _sample(hints[item.name]) if item.default is None else item.default
            lines.append(f"#{item.name} = {_toml(default)}")
    return [*lines, ""]


def attributes(table: type) -> dict[str, str]:
    """Return what the docstring of a dataclass says of each key."""
    text = (inspect.getdoc(table) or "").partition("Attributes:\n")[2]
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if match := re.fullmatch(r"    (\w+): (.*)", line):
            name, found[match[1]] = match[1], match[2]
        elif line.strip() and name:
            found[name] += " " + line.strip()
    return found


def _is_table(hint: Any) -> bool:
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(part for part in get_args(hint) if part is not type(None))
    return dataclasses.is_dataclass(hint)


def _comments(lines: Sequence[str]) -> list[str]:
    """Return lines as comments; those that are comments already stay."""
    return [line if not line or line.startswith("#") else f"#{line}" for line in lines]


def _wrap(text: str, width: int = 96) -> list[str]:
    lines = [""]
    for word in text.split(" "):
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return lines


def _sample(hint: Any) -> Any:
    """Return a value that a key without a default may have."""
    hint = next(part for part in get_args(hint) if part is not type(None))
    return get_args(hint)[0] if get_origin(hint) is Literal else 0.5


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(part) for part in value) + "]"
    return repr(value)
