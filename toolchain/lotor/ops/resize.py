"""What resizing of images shares."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lotor.graph import Array, DType, Op, Tensor
from lotor.ops.convolution import constant
from lotor.ops.operator import Operator

_MAX_SIZE = (1 << 15) - 1  # positions in the generated C are int16


@dataclass(frozen=True)
class ResizeAttributes:
    """How positions of the output map to those of the input."""

    align_corners: bool
    half_pixel_centers: bool


class Resize(Operator):
    """Input [N,H,W,C] and the new height and width, a constant int32[2]."""

    inputs = 2

    def read(self, options: Any) -> ResizeAttributes:
        return ResizeAttributes(options.AlignCorners(), options.HalfPixelCenters())

    def problems(self, op: Op) -> list[str]:
        x, size, y = op.input(0), op.input(1), op.outputs[0]
        if len(x.shape) != 4 or len(y.shape) != 4:
            return [f"input {list(x.shape)} and output {list(y.shape)} must be [N, H, W, C]"]
        if size.data is None or size.dtype is not DType.INT32 or size.shape != (2,):
            return [f"size '{size.name}' must be a constant int32[2]"]
        found = []
        want = (x.shape[0], *size.data.tolist(), x.shape[3])
        if y.shape != want:
            found.append(f"output shape {list(y.shape)} does not follow from the size: {want}")
        if max(*x.shape[1:3], *y.shape[1:3]) > _MAX_SIZE:
            found.append(f"height or width exceeds {_MAX_SIZE}")
        return found

    def strided(self, op: Op) -> bool:
        return True


def resize_params(x: Tensor, y: Tensor) -> dict[str, int]:
    """Return the sizes of images [N,H,W,C] for the kernels' parameter structures."""
    batches, in_h, in_w, _ = x.shape
    return {
        "batches": batches,
        "in_h": in_h,
        "in_w": in_w,
        "out_h": y.shape[1],
        "out_w": y.shape[2],
    }


def nearest(size: int, new_size: int, attributes: ResizeAttributes) -> Array:
    """Return int16[new_size]: the nearest of `size` positions, in float32 as the reference does."""
    f = np.float32
    positions = np.arange(new_size, dtype=f)
    if attributes.half_pixel_centers:
        positions += f(0.5)
    if attributes.align_corners and new_size > 1:
        positions *= f(size - 1) / f(new_size - 1)
    else:
        positions *= f(size) / f(new_size)
    if attributes.align_corners:
        positions = np.floor(positions.astype(np.float64) + 0.5)  # half away from zero, exactly
    return np.minimum(np.floor(positions), size - 1).astype(np.int16)


def between(size: int, new_size: int, attributes: ResizeAttributes) -> tuple[Array, Array]:
    """Return int16[new_size, 2], float32[new_size]: neighbours, and the way from the first."""
    f = np.float32
    scale = f(size) / f(new_size)
    if attributes.align_corners and new_size > 1:
        scale = f(size - 1) / f(new_size - 1)
    positions = np.arange(new_size, dtype=f)
    if attributes.half_pixel_centers:
        positions = (positions + f(0.5)) * scale - f(0.5)
    else:
        positions = positions * scale
    low = np.maximum(np.floor(positions), 0)
    high = np.minimum(np.ceil(positions), size - 1)
    return np.stack([low, high], axis=1).astype(np.int16), positions - low


def between_fixed(size: int, new_size: int, attributes: ResizeAttributes) -> tuple[Array, Array]:
    """Return int16[new_size, 2], int16[new_size] in 1/1024: the same in fixed point.

    The first neighbour may lie outside, where the rounding of the scale adds up.
    """
    scale = (1024 * size + new_size // 2) // new_size
    if attributes.align_corners and new_size > 1:
        scale = (1024 * (size - 1) + (new_size - 1) // 2) // (new_size - 1)
    positions = np.arange(new_size, dtype=np.int64) * scale
    if attributes.half_pixel_centers:
        positions += scale // 2 - 512
    low = np.maximum(positions // 1024, 0)  # where a quotient would be negative, 0 is taken
    high = np.minimum((positions + 1023) // 1024, size - 1)
    return np.stack([low, high], axis=1).astype(np.int16), (positions - 1024 * low).astype(np.int16)


def new_size(op: Op) -> tuple[int, int]:
    """Return the output's height and width."""
    height, width = constant(op.input(1)).tolist()
    return height, width
