"""What every command of `lotor` promises: help, JSON, and one clear line for each mistake."""

import argparse
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lotor.cli import _parser, main
from lotor.device.ports import Port
from lotor.errors import LotorError
from lotor.zoo import find_model, model_names
from tflite_builder import ModelBuilder, Quant

Lotor = Callable[..., subprocess.CompletedProcess[str]]

PROMISED = {
    "boards",
    "compile",
    "data",
    "demo",
    "detect",
    "doctor",
    "evaluate",
    "flash",
    "hil",
    "inspect",
    "monitor",
    "profile",
    "run",
    "train",
    "tune",
    "verify",
}


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


COMMANDS = _commands(_parser())


def _small_model() -> bytes:
    m = ModelBuilder(seed=3)
    x = m.input((1, 8, 8, 3), Quant(1 / 128, 0))
    y = m.conv2d(x, channels=4, kernel=(3, 3), activation="RELU")
    m.output(m.softmax(m.fully_connected(m.mean(y, (1, 2)), units=3)))
    return m.build()


SMALL = _small_model()


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.tflite"
    path.write_bytes(SMALL)
    return path


def test_every_promised_command_is_there() -> None:
    assert set(COMMANDS) >= PROMISED


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert stop.value.code == 0
    assert f"usage: lotor {name}" in capsys.readouterr().out


def _leaves(parser: argparse.ArgumentParser, name: str) -> Iterator[tuple[str, str]]:
    below = _commands(parser)
    if not below:
        yield name, parser.format_help()
    for key, child in below.items():
        yield from _leaves(child, f"{name} {key}")


@pytest.mark.parametrize(("name", "help_"), list(_leaves(_parser(), "lotor")))
def test_every_command_takes_json(name: str, help_: str) -> None:
    assert "--json" in help_


def test_commands_are_listed_in_alphabetical_order() -> None:
    assert list(COMMANDS) == sorted(COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        (
            ["inspect", "{small}"],
            "ops macs ram_bytes arena_bytes ram_lower_bound weights_bytes unsupported",
        ),
        (
            ["compile", "{small}", "--target", "cortex-m4", "-o", "{tmp}/out"],
            "files ram_bytes arena_bytes weights_bytes code_bytes macs",
        ),
        (
            ["verify", "{small}", "--samples", "3", "--seed", "1"],
            "samples mismatches max_abs_diff first_bad_layer",
        ),
        (["boards"], "boards"),
        (["doctor"], "checks"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_json_keys(
    arguments: list[str],
    keys: str,
    small: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    filled = [argument.format(small=small, tmp=tmp_path) for argument in arguments]
    assert main([*filled, "--json"]) == 0
    assert set(keys.split()) <= json.loads(capsys.readouterr().out).keys()


def test_run_writes_the_output_tensor(small: Path, tmp_path: Path, lotor: Lotor) -> None:
    x, y = tmp_path / "x.npy", tmp_path / "y.npy"
    np.save(x, np.arange(192, dtype=np.int64).astype(np.int8).reshape(1, 8, 8, 3))
    done = lotor("run", small, "--input", x, "--output", y, "--json")
    assert done.returncode == 0, done.stderr
    json.loads(done.stdout)
    answer = np.load(y)
    assert (answer.dtype, answer.shape) == (np.int8, (1, 3))
    assert abs(int(answer.astype(int).sum()) + 3 * 128 - 256) <= 3  # probabilities: they sum to one


def test_a_reader_that_leaves_is_no_error() -> None:
    command = f"{sys.executable} -m lotor boards --json | true"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""


def test_a_result_that_cannot_be_printed() -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "lotor", "boards"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    _one_line(done.returncode, done.stderr, "no space left")


@pytest.mark.parametrize("stream", ["1", "2"])
def test_a_closed_stream(stream: str, small: Path) -> None:
    command = f"{sys.executable} -m lotor inspect {small} --plot {stream}>&-"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert bool(done.stdout) == (stream == "2")


def test_a_model_without_a_layer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    m = ModelBuilder()
    m.output(m.reshape(m.input((1, 4), Quant(0.1, 0)), (4,)))
    (tmp_path / "flat.tflite").write_bytes(m.build())
    assert main(["inspect", str(tmp_path / "flat.tflite")]) == 0
    assert "RAM 4 bytes" in capsys.readouterr().out
    assert main(["inspect", str(tmp_path / "flat.tflite"), "--ram", "3"]) == 2
    assert "give --ram 4 or more" in capsys.readouterr().err


def test_weights_without_an_element(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    m = ModelBuilder()
    x, empty = m.input((1, 4), Quant(0.1, 0)), m.input((4, 0), Quant(0.1, 0))
    y = m.tensor((1, 4), Quant(0.1, 0))
    m.output(m.operator("FULLY_CONNECTED", [x, empty, None], [y], "FullyConnectedOptions"))
    (tmp_path / "empty.tflite").write_bytes(m.build())
    assert main(["inspect", str(tmp_path / "empty.tflite"), "--json"]) == 1
    assert "without elements" in json.loads(capsys.readouterr().out)["unsupported"][0]["reason"]


def test_a_name_is_listed_once(lotor: Lotor) -> None:
    names = model_names()
    assert "raccoon" in names and len(set(names)) == len(names)
    assert lotor("inspect", "nothing").stderr.rstrip().endswith(f"one of: {', '.join(names)}")


def test_a_recipe_whose_model_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models" / "fox").mkdir(parents=True)
    (tmp_path / "models" / "fox" / "recipe.toml").touch()
    monkeypatch.setattr("lotor.zoo.resource", lambda *parts: tmp_path.joinpath(*parts))
    with pytest.raises(LotorError, match="not trained yet: `lotor train fox` makes it"):
        find_model("fox")


@pytest.mark.parametrize(
    ("name", "content"),
    [("recipe.toml", b"a = ["), ("recipe.toml", b"\xff"), ("labels.txt", b"\xff\n")],
)
def test_files_beside_a_model_that_cannot_be_read(
    name: str, content: bytes, small: Path, lotor: Lotor
) -> None:
    small.with_name(name).write_bytes(content)
    done = lotor("inspect", small)
    _one_line(done.returncode, done.stderr, name)


def test_a_file_name_of_two_lines(tmp_path: Path, lotor: Lotor) -> None:
    done = lotor("inspect", tmp_path / "two\nlines.tflite")
    _one_line(done.returncode, done.stderr, "two lines.tflite")


# A mistake each: what is typed, and what the one line must name.


def _unsupported_model() -> bytes:
    m = ModelBuilder(seed=5)
    x = m.input((1, 4, 4, 2), Quant(0.1, 0))
    first = m.rename(m.unary("FLOOR", x), "first/floor")
    m.output(m.rename(m.unary("SIN", first), "second/sin"))
    return m.build()


def _huge_model() -> bytes:
    m = ModelBuilder(seed=6)
    x = m.input((1, 400, 400, 3), Quant(0.1, 0))
    m.output(m.max_pool2d(x, (2, 2), (2, 2)))
    return m.build()


BAD_MODELS: dict[str, Callable[[], bytes]] = {
    "garbage": lambda: bytes(range(256)) * 8,
    "empty": lambda: b"",
    "truncated": lambda: SMALL[: len(SMALL) // 2],
    "text": lambda: b"TFL3 is not enough\n" * 40,
}


def _one_line(done_or_code: int, err: str, *words: str) -> None:
    lines = [line for line in err.splitlines() if line.strip()]
    assert done_or_code == 2, err
    assert len(lines) == 1, err
    assert lines[0].startswith("lotor: ")
    assert "Traceback" not in err
    for word in words:
        assert word.lower() in lines[0].lower(), (word, lines[0])


@pytest.mark.parametrize("command", ["inspect", "compile", "run", "verify", "profile", "flash"])
@pytest.mark.parametrize("kind", sorted(BAD_MODELS))
def test_no_model(command: str, kind: str, tmp_path: Path, lotor: Lotor) -> None:
    path = tmp_path / f"{kind}.tflite"
    path.write_bytes(BAD_MODELS[kind]())
    np.save(tmp_path / "x.npy", np.zeros((1, 8, 8, 3), np.int8))
    rest: dict[str, list[object]] = {
        "compile": ["--target", "portable", "-o", tmp_path / "out"],
        "run": ["--input", tmp_path / "x.npy", "--output", tmp_path / "y.npy"],
        "profile": ["--board", "netduinoplus2"],
    }
    if command == "flash":
        done = lotor("flash", "--board", "netduinoplus2", "--model", path)
    else:
        done = lotor(command, path, *rest.get(command, []))
    _one_line(done.returncode, done.stderr, kind)
    assert done.stdout == ""


@pytest.mark.parametrize("command", ["inspect", "compile", "verify"])
@pytest.mark.parametrize(
    ("head", "words"), [(b"\0" * 8, "not a TensorFlow Lite model"), (b"\x1c\0\0\0TFL3", "at most")]
)
def test_a_file_larger_than_the_memory(
    command: str, head: bytes, words: str, tmp_path: Path, lotor: Lotor
) -> None:
    path = tmp_path / "giant.tflite"
    with path.open("wb") as file:
        file.write(head)
        file.truncate(1 << 39)
    rest = ["-o", tmp_path / "out"] if command == "compile" else []
    done = lotor(command, path, *rest)
    _one_line(done.returncode, done.stderr, "giant", words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["inspect", "racoon"], ["did you mean", "raccoon"]),
        (["inspect", "{tmp}/absent.tflite"], ["absent.tflite"]),
        (["inspect", "{small}", "--target", "cortex-m44"], ["cortex-m44", "did you mean"]),
        (["inspect", "{small}", "--board", "netduinplus2"], ["did you mean", "netduinoplus2"]),
        (["flash", "--board", "netduinoplus", "--model", "raccoon"], ["did you mean"]),
        (["profile", "raccoon", "--board", "mps2-an385x"], ["did you mean"]),
        (["hil", "--board", "netduinoplus"], ["did you mean"]),
        (["run", "{small}", "--input", "{tmp}/no.npy", "--output", "{tmp}/y.npy"], ["no.npy"]),
        (["run", "{small}", "--input", "{tmp}/text.png", "--output", "{tmp}/y.npy"], ["text.png"]),
        (["run", "{small}", "--input", "{tmp}/shape.npy", "--output", "{tmp}/y.npy"], ["8", "9"]),
        (["run", "{small}", "--input", "{tmp}/dtype.npy", "--output", "{tmp}/y.npy"], ["float32"]),
        (["run", "{small}", "--input", "{tmp}/text.npy", "--output", "{tmp}/y.npy"], ["text.npy"]),
        (["detect", "{tmp}/text.png", "--model", "raccoon"], ["text.png"]),
        (["detect", "{tmp}/absent.jpg", "--model", "raccoon"], ["absent.jpg"]),
        (["verify", "{small}", "--samples", "0"], ["samples"]),
        (["verify", "{small}", "--samples", "-3"], ["samples"]),
        (["verify", "{small}", "--seed", "-1"], ["--seed -1"]),
        (["train", "raccoon", "--seed", "-1", "--out", "{tmp}/o"], ["--seed -1"]),
        (["run", "{small}", "--input", "{tmp}/zip.npy", "--output", "{tmp}/y.npy"], ["zip.npy"]),
        (["run", "{small}", "--input", "{tmp}/huge.npy", "--output", "{tmp}/y.npy"], ["huge.npy"]),
        (["compile", "{small}", "--target", "portable", "-o", "{small}"], ["small.tflite"]),
        (
            ["compile", "{small}", "--target", "portable", "-o", "{tmp}/o", "--name", "x" * 300],
            ["300 letters"],
        ),
        (
            ["compile", "{small}", "--target", "portable", "-o", "{tmp}/o", "--name", "1 x"],
            ["1 x"],
        ),
        (["inspect", "{small}", "--ram", "30k"], ["30k", "30000"]),
        (["compile", "{small}", "-o", "{tmp}/o", "--flash=-5"], ["'-5'", "30000"]),
        (["compile", "{small}", "-o", "{tmp}/o", "--optimize", "sped"], ["'sped'", "speed"]),
        (["tune", "{small}", "--board", "netduinplus2"], ["did you mean", "netduinoplus2"]),
        (["no-such-command"], ["no-such-command"]),
        (["setinel", "--source", "0"], ["no 'setinel'", "did you mean 'sentinel'", "lotor --help"]),
        (["--verson"], ["`lotor` has no option '--verson'", "did you mean '--version'"]),
        (["inspect", "{small}", "--bord=x"], ["no option '--bord'", "did you mean '--board'"]),
        (["inspect", "{small}", "-x"], ["`lotor inspect` has no option '-x'; see"]),
        (["inspect", "{small}", "again"], ["'again' is one argument too many"]),
        # What looks like a value of what there is not, or like a command, is not the mistake.
        (["sentinel", "--sorce", "0"], ["no option '--sorce'", "did you mean '--source'"]),
        (["sentinel", "--source", "--onec"], ["no option '--onec'", "did you mean '--once'"]),
        (
            ["sentinel", "tst", "--confg", "x"],
            ["no 'tst'", "'test'", "forget, export"],
        ),
        (["sentinel", "test", "--jsn", "x"], ["`lotor sentinel test` has no option '--jsn'"]),
        (["data", "stas"], ["did you mean 'stats'", "lotor data --help"]),
        (["inspect"], ["model"]),
    ],
    ids=lambda value: " ".join(value[:3]) if isinstance(value, list) else None,
)
def test_mistakes(
    arguments: list[str], words: list[str], small: Path, tmp_path: Path, lotor: Lotor
) -> None:
    (tmp_path / "text.png").write_text("no image\n")
    (tmp_path / "text.npy").write_text("no array\n")
    with (tmp_path / "zip.npy").open("wb") as file:
        np.savez(file, x=np.zeros((1, 8, 8, 3), np.int8))
    with (tmp_path / "huge.npy").open("wb") as file:
        header = {"descr": "|i1", "fortran_order": False, "shape": (10**15,)}
        np.lib.format.write_array_header_1_0(file, header)
    np.save(tmp_path / "shape.npy", np.zeros((1, 9, 8, 3), np.int8))
    np.save(tmp_path / "dtype.npy", np.zeros((1, 8, 8, 3), np.float32))
    done = lotor(*(argument.format(small=small, tmp=tmp_path) for argument in arguments))
    _one_line(done.returncode, done.stderr, *words)


def test_every_unsupported_operator_is_named_at_once(tmp_path: Path, lotor: Lotor) -> None:
    path = tmp_path / "strange.tflite"
    path.write_bytes(_unsupported_model())
    done = lotor("compile", path, "--target", "portable", "-o", tmp_path / "out")
    words = ("FLOOR", "first/floor", "SIN", "second/sin")
    _one_line(done.returncode, done.stderr, *words)
    report = json.loads(lotor("inspect", path, "--json").stdout)
    assert len(report["unsupported"]) == 2


def test_model_too_large_for_the_board(tmp_path: Path, lotor: Lotor) -> None:
    path = tmp_path / "huge.tflite"
    path.write_bytes(_huge_model())
    done = lotor("flash", "--board", "netduinoplus2", "--model", path)
    _one_line(done.returncode, done.stderr, "RAM", "131072", "480000", "netduinoplus2", "--ram")
    boards = json.loads(lotor("boards", "--json").stdout)["boards"]
    # Other tests may run something there at the same time.
    assert not [
        board for board in boards if "huge" in (board.get("running") or {}).get("models", [])
    ]


def test_busy_port(lotor: Lotor) -> None:
    _, ours = os.openpty()
    name = os.ttyname(ours)
    with contextlib.closing(Port(name, 115200)):
        done = lotor("monitor", "--board", name)
    _one_line(done.returncode, done.stderr, name, "busy")


def test_board_that_does_not_run(lotor: Lotor) -> None:
    done = lotor("monitor", "--board", "mps2-an386")
    _one_line(done.returncode, done.stderr, "not running", "lotor flash --board mps2-an386")


@settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_damaged_models_never_give_a_traceback(
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A damaged file is refused in one line, or it is still a model."""
    damaged = bytearray(SMALL)
    for _ in range(data.draw(st.integers(0, 6), "flips")):
        at = data.draw(st.integers(0, len(SMALL) - 1), "at")
        damaged[at] = data.draw(st.integers(0, 255), "byte")
    length = data.draw(st.just(len(SMALL)) | st.integers(0, len(SMALL)), "length")
    path = tmp_path_factory.getbasetemp() / "damaged.tflite"
    path.write_bytes(damaged[:length])
    capsys.readouterr()
    code = main(["inspect", str(path), "--json"])
    out, err = capsys.readouterr()
    if code in (0, 1):
        report = json.loads(out)
        assert bool(report["unsupported"]) == bool(code)
    else:
        _one_line(code, err, "damaged")
