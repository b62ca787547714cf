"""A classifier that is ready to be asked: on this machine, in LiteRT, or on a board."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lotor.errors import LotorError
from lotor.graph import Graph
from lotor.ops.detection_postprocess import DetectionPostprocess
from lotor.preprocess import Image, ImageInput, image_input
from lotor.zoo import ModelFile

Array = npt.NDArray[Any]


class Classifier(Protocol):
    """What detection and evaluation need of a model."""

    labels: list[str]
    input: ImageInput

    def infer(self, tensor: Array) -> Array:
        """Return the model's raw output for its exact input: [1, labels], a second one behind."""
        ...

    def probabilities(self, output: Array) -> npt.NDArray[np.float64]:
        """Return a raw output as real numbers, [labels]."""
        ...

    def unlike(self, output: Array) -> float | None:
        """Return how unlike all that is known an input is; None for a model that cannot tell."""
        ...


@dataclass
class Answer:
    """What a board said to one input: its output, and the ticks that the run took."""

    output: Array
    ticks: int


class _Borders:
    """A classifier's input, labels and output, as its graph and its recipe describe them."""

    def __init__(self, model: ModelFile, graph: Graph) -> None:
        # The second output, which tells the unknown; see `train/finish.py`.
        self._tells_unknown = bool(model.recipe.get("ood", {}).get("directions"))
        self._detects = model.recipe.get("task") == "detect"
        more = 3 if self._detects else int(self._tells_unknown)
        if len(graph.inputs) != 1 or len(graph.outputs) != 1 + more:
            wanted = "a classifier has one of each"
            if more:
                wanted += ", and one more by its [ood]"
            if self._detects:
                wanted = 'a detector (task = "detect") has 1 and 4'
            raise LotorError(
                f"{model.name} has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; "
                f"{wanted}"
            )
        self.model = model
        self.input = image_input(graph.inputs[0], model.recipe)
        output = graph.outputs[0]
        self.labels = _labels(model, graph, output.elements)
        self._quants = [
            (t.quant.scale, t.quant.zero_point) if t.quant else (1.0, 0) for t in graph.outputs
        ]

    def probabilities(self, output: Array) -> npt.NDArray[np.float64]:
        """Return a raw output as real numbers, [labels].

        Raises:
            LotorError: the output is a heat map, which has them for every cell, or boxes.
        """
        if self._detects or (output.ndim == 4 and output.size != len(self.labels)):
            raise LotorError(
                f"{self.model.name} says where something is, not what a photograph shows; ask it "
                "with `lotor detect` or `lotor evaluate`"
            )
        scale, zero_point = self._quants[0]
        return (output.reshape(-1)[: len(self.labels)].astype(np.float64) - zero_point) * scale

    def unlike(self, output: Array) -> float | None:
        """Return the mean square of the second output, 1 for what is known; None without one."""
        if not self._tells_unknown:
            return None
        scale, zero_point = self._quants[1]
        steps = output.reshape(-1)[len(self.labels) :].astype(np.float64) - zero_point
        # In steps the sum is exact, as a device has it: see `ood.steps_within`.
        return float(np.square(steps).sum() * scale**2 / steps.size)


class HostClassifier(_Borders):
    """The generated C on this machine; `target`: see `lotor.host.load`."""

    def __init__(self, model: ModelFile, target: str = "host") -> None:
        from lotor.host import load

        self.host = load(model.path, target)
        super().__init__(model, self.host.compiled.graph)

    def infer(self, tensor: Array) -> Array:
        """Return the model's raw output for its exact input."""
        return _joined(self.host.run(tensor))


class BoardClassifier(HostClassifier):
    """The same C on a board, over its serial line; the host's copy stays at hand to compare."""

    def __init__(self, model: ModelFile, session: Any) -> None:
        super().__init__(model)
        self.session = session
        self._index = session.require_model(self.host.compiled)

    def beside(self, model: ModelFile) -> bool:
        """Return whether the board's image holds another model as well."""
        from lotor.host import load

        wanted = load(model.path).compiled.model_hash
        return any(held.hash == wanted for held in self.session.greeting.models)

    def ask(self, tensor: Array) -> Answer:
        """Send an input, run, and return the output with the ticks that it took."""
        if self.session.model.index != self._index:  # another one's turn was before
            self.session.select(self._index)
        self.session.load(0, tensor)
        result = self.session.run()
        read = [
            np.frombuffer(self.session.read(index), expected.np_dtype).reshape(expected.shape)
            for index, expected in enumerate(self.host.compiled.graph.outputs)
        ]
        return Answer(_joined(tuple(read)), int(result.ticks))

    def expect(self, tensor: Array) -> Array:
        """Return this machine's raw output for an input, which the board's must equal."""
        return super().infer(tensor)

    def infer(self, tensor: Array) -> Array:
        """Return the board's raw output for its exact input."""
        return self.ask(tensor).output


class LiteRtClassifier(_Borders):
    """Any `.tflite` in LiteRT, float ones too; needs ai-edge-litert. `fast`: see `Oracle`."""

    def __init__(self, model: ModelFile, fast: bool = False) -> None:
        from lotor.compiler import read_content
        from lotor.frontend.tflite import read_model
        from lotor.oracle import Oracle

        super().__init__(model, read_model(read_content(model.path)[0], model.name))
        self._oracle = Oracle(model.path, fast)
        self.version = self._oracle.version

    def infer(self, tensor: Array) -> Array:
        """Return the model's raw output for its exact input."""
        return _joined(self._oracle.run(tensor))

    def named_outputs(self, tensor: Array) -> dict[str, Array]:
        """Return every output by itself: `output`, and `output_1` where there is a second one."""
        found = self._oracle.run(tensor)
        each = found if isinstance(found, tuple) else (found,)
        return {f"output_{i}" if i else "output": np.asarray(a) for i, a in enumerate(each)}


def _joined(outputs: Any) -> Array:
    """Return one output as it is, and several as one row."""
    if isinstance(outputs, tuple) and len(outputs) > 1:
        return np.concatenate([np.asarray(output).reshape(1, -1) for output in outputs], axis=1)
    return np.asarray(outputs[0] if isinstance(outputs, tuple) else outputs)


def _labels(model: ModelFile, graph: Graph, count: int) -> list[str]:
    labels = model.labels
    if model.recipe.get("task") == "locate":  # each cell has them all
        count = graph.outputs[0].shape[-1]
    if model.recipe.get("task") == "detect":  # the last layer has all but the background
        last = next((op for op in graph.ops if op.kind == DetectionPostprocess.kind), None)
        if last is None:
            raise LotorError(
                f'{model.name}: the recipe says task = "detect", but there is no '
                f"layer {DetectionPostprocess.kind}"
            )
        count = last.attrs.num_classes + 1
    if not labels:  # what the file itself holds may belong to another kind of output
        inside = len(graph.labels) == count
        labels = list(graph.labels) if inside else [f"class {index}" for index in range(count)]
    if len(labels) != count:
        raise LotorError(
            f"{model.name} has {count} outputs but its labels.txt has {len(labels)} lines"
        )
    return labels


@contextmanager
def open_classifier(model: ModelFile, board: str | None = None) -> Iterator[HostClassifier]:
    """Yield a classifier on this machine, or on a board whose port is closed at the end.

    An emulated board that does not run the model is flashed with it.
    """
    if board is None:
        yield HostClassifier(model)
        return
    from lotor.device.ready import compile_for, open_with_model

    path = str(model.path)
    with open_with_model(board, path, compile_for(board, path)) as session:
        yield BoardClassifier(model, session)


def classify(classifier: Classifier, image: Image) -> npt.NDArray[np.float64]:
    """Return the probability of each label for a BGR image, float64 [labels]."""
    return classifier.probabilities(classifier.infer(classifier.input.tensor(image)))
