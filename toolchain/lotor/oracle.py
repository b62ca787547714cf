"""The reference: LiteRT with its reference kernels (`BUILTIN_REF`)."""

import os
from pathlib import Path
from typing import Any

from lotor.compiler import read_content
from lotor.errors import LotorError
from lotor.graph import Array
from lotor.train.quiet import quiet


class Oracle:
    """A model in LiteRT's interpreter, with reference kernels and no delegate.

    Args:
        model: the file, or its bytes.
        fast: take the optimized kernels in their place, on one thread: many times faster, and no
            reference, as sums of floats are rounded in another order.

    Attributes:
        version: the version of LiteRT.

    Raises:
        LotorError: LiteRT is not installed or refuses the model.
    """

    def __init__(self, model: Path | bytes, fast: bool = False) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        try:
            import ai_edge_litert
        except ImportError as error:
            raise LotorError(
                "LiteRT, the reference, is not installed; pip install 'lotor[verify]'"
            ) from error
        self._content, name = read_content(model)
        self._fast = fast
        try:
            self.reset()
        except (ValueError, RuntimeError) as error:
            raise LotorError(f"{name}: LiteRT refuses the model: {error}") from error
        self.version: str = ai_edge_litert.__version__

    def run(self, *inputs: Array) -> Any:
        """Run one inference; arrays in, the output array (a tuple where there are several) out."""
        details = self._interpreter.get_input_details()
        for detail, array in zip(details, inputs, strict=True):
            self._interpreter.set_tensor(detail["index"], array)
        self._interpreter.invoke()
        outputs = [self.tensor(d["index"]) for d in self._interpreter.get_output_details()]
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def reset(self) -> None:
        """Forget what the model keeps from one run to the next."""
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        # A new interpreter: `reset_all_variables` leaves resource variables as they are.
        if self._fast:
            with quiet():  # LiteRT announces its delegate
                self._interpreter: Any = Interpreter(model_content=self._content, num_threads=1)
                self._interpreter.allocate_tensors()
            return
        self._interpreter = Interpreter(
            model_content=self._content,
            experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
            experimental_preserve_all_tensors=True,
        )
        self._interpreter.allocate_tensors()

    def tensor(self, index: int) -> Array:
        """Return a tensor of the last inference by its index in the model file."""
        value: Array = self._interpreter.get_tensor(index)
        return value
