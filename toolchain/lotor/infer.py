"""One inference from files: an input in, the output as .npy."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lotor.compiler import Compiled
from lotor.device.session import Session
from lotor.errors import LotorError
from lotor.graph import Array, Tensor
from lotor.host import check_inputs, load
from lotor.zoo import ModelFile, find_model


@dataclass(frozen=True)
class Inference:
    """What one inference gave.

    Attributes:
        outputs: one array for each output of the model.
        ticks: what it took on a board; None on this machine.
        tick_unit: what a tick is.
    """

    outputs: list[Array]
    ticks: int | None = None
    tick_unit: str | None = None


def run_files(
    model: str, inputs: Sequence[Path], output: Path, target: str = "host", board: str | None = None
) -> Inference:
    """Run a model once and write its outputs.

    Args:
        model: name or path of the model.
        inputs: a file for each input: .npy (the exact tensor) or an image.
        output: the .npy to write; later outputs get `_1`, `_2` ... before the suffix.
        target: what to compile for when it runs on this machine.
        board: run there instead.

    Raises:
        LotorError: a wrong file, shape, type or name, or the board's trouble.
    """
    found = find_model(model)
    if output.suffix != ".npy":
        raise LotorError(f"output {output} must end in .npy")
    if board is None:
        host = load(str(found.path), target)
        arrays = read_inputs(found, host.compiled, inputs)
        done = Inference(as_list(host.run(*arrays)))
    else:
        from lotor.device.ready import compile_for, open_with_model

        compiled = compile_for(board, model)
        arrays = read_inputs(found, compiled, inputs)
        with open_with_model(board, model, compiled) as session:
            session.progress = True
            done = infer_on(session, compiled, arrays)
    for index, array in enumerate(done.outputs):
        _save(output.with_stem(f"{output.stem}_{index}") if index else output, array)
    return done


def infer_on(session: Session, compiled: Compiled, inputs: Sequence[Array]) -> Inference:
    """Run one inference on a board that has the model selected.

    Raises:
        LotorError: an input of a wrong shape or type, or the board's trouble.
    """
    for index, array in enumerate(check_inputs(compiled.graph.inputs, inputs)):
        session.load(index, array)
    result = session.run()
    outputs = [
        np.frombuffer(session.read(index), tensor.np_dtype).reshape(tensor.shape)
        for index, tensor in enumerate(compiled.graph.outputs)
    ]
    return Inference(outputs, int(result.ticks), session.greeting.tick_unit)


def read_inputs(model: ModelFile, compiled: Compiled, files: Sequence[Path]) -> list[Array]:
    """Return the input tensors that files hold.

    Raises:
        LotorError: wrong number of files, an unreadable one, or a wrong shape or type.
    """
    tensors = compiled.graph.inputs
    if len(files) != len(tensors):
        raise LotorError(f"{model.name} has {len(tensors)} input(s); {len(files)} given")
    arrays = [_read(model, t, f) for t, f in zip(tensors, files, strict=True)]
    return check_inputs(tensors, arrays)


def as_list(outputs: Array | tuple[Array, ...]) -> list[Array]:
    """Return the outputs of an inference as a list, however many there are."""
    return list(outputs) if isinstance(outputs, tuple) else [outputs]


def _read(model: ModelFile, tensor: Tensor, file: Path) -> Array:
    if file.suffix != ".npy":
        from lotor.preprocess import image_input, read_image

        return image_input(tensor, model.recipe).tensor(read_image(file))
    try:
        with file.open("rb") as stream:
            array: Array = np.lib.format.read_array(stream, allow_pickle=False)
    except OSError as error:
        raise LotorError(f"cannot read input {file}: {error.strerror or error}") from error
    except (ValueError, EOFError, MemoryError) as error:
        raise LotorError(f"input {file} is no .npy file of numbers; save it with numpy") from error
    return array


def _save(path: Path, array: Array) -> None:
    try:
        np.save(path, array)
    except OSError as error:
        raise LotorError(f"cannot write {path}: {error.strerror}; give another --output") from error
