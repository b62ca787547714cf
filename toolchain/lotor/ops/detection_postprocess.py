"""TFLite_Detection_PostProcess: decodes the boxes of a detector and suppresses overlaps."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from flatbuffers import flexbuffers  # type: ignore[import-untyped]

from lotor.graph import Array, DType, Op, Tensor
from lotor.ops.convolution import constant
from lotor.ops.operator import KernelCall, Operator
from lotor.ops.typed import typed_problems

_PER_CLASS = 100  # where the model does not say it
_NEEDED = (
    *("max_detections", "max_classes_per_detection", "nms_score_threshold", "nms_iou_threshold"),
    *("num_classes", "y_scale", "x_scale", "h_scale", "w_scale"),
)
_BYTES = np.arange(-128, 128)


@dataclass(frozen=True)
class DetectionAttributes:
    """The options of the operator, under their names in the model.

    `scales` are y_scale, x_scale, h_scale and w_scale.
    """

    max_detections: int
    max_classes_per_detection: int
    detections_per_class: int
    use_regular_nms: bool
    nms_score_threshold: float
    nms_iou_threshold: float
    num_classes: int
    scales: tuple[float, float, float, float]


class DetectionPostprocess(Operator):
    """From boxes [1,N,4 or more], scores [1,N,C] and constant anchors [N,4] to detections.

    The inputs are all int8 (or uint8) or all float32. The outputs are float32: boxes [1,D,4],
    classes [1,D], scores [1,D] and how many there are; entries beyond that count are 0, where the
    reference's fast suppression leaves them undefined. Equal scores are ordered as the reference
    does. Boxes are exact for int8 inputs; for float32 inputs the exponential is the kernel's own,
    with an error of about two last places of a double before the box is rounded to float32.

    Source: LiteRT's `detection_postprocess.cc`.
    """

    kind = "CUSTOM:TFLite_Detection_PostProcess"
    inputs = 3
    outputs = 4

    def read(self, options: Any) -> DetectionAttributes:
        fields = _fields(options)
        missing = [name for name in _NEEDED if name not in fields]
        if missing:
            raise ValueError(f"the options lack {', '.join(missing)}")
        y, x, h, w = (_float(fields[f"{name}_scale"]) for name in "yxhw")
        return DetectionAttributes(
            int(fields["max_detections"]),
            int(fields["max_classes_per_detection"]),
            int(fields.get("detections_per_class", _PER_CLASS)),
            bool(fields.get("use_regular_nms", False)),
            _float(fields["nms_score_threshold"]),
            _float(fields["nms_iou_threshold"]),
            int(fields["num_classes"]),
            (y, x, h, w),
        )

    def shapes(self, op: Op) -> list[tuple[int, ...]]:
        detections = op.attrs.max_detections * op.attrs.max_classes_per_detection
        return [(1, detections, 4), (1, detections), (1, detections), (1,)]

    def problems(self, op: Op) -> list[str]:
        boxes, scores, anchors = (op.input(i) for i in range(3))
        found = typed_problems([boxes, scores, anchors], DType.INT8, DType.FLOAT32)
        for tensor, shape in zip(op.outputs, self.shapes(op), strict=True):
            if tensor.dtype is not DType.FLOAT32 or tensor.shape != shape:
                found.append(f"output '{tensor.name}' must be float32{list(shape)}")
        found += _option_problems(op.attrs) + _shape_problems(op)
        if anchors.data is None:
            found.append(f"anchors '{anchors.name}' must be a constant")
        if found:
            return found
        if np.any(_real(anchors)[:, 2:] < 0):
            found.append(f"anchors '{anchors.name}' have a negative height or width")
        if boxes.dtype is DType.INT8 and not np.all(np.isfinite(_tables(op))):
            found.append(f"sizes in '{boxes.name}' are too large for an exponential")
        return found

    def lower(self, op: Op) -> list[KernelCall]:
        a, boxes, scores = op.attrs, op.input(0), op.input(1)
        count = boxes.shape[1]
        decoded = _scratch(op, "decoded", (count, 4))
        regular = a.use_regular_nms
        params = {
            "boxes": count,
            "classes": a.num_classes,
            "columns": scores.shape[2],
            "most": a.max_detections,
            "slots": a.max_classes_per_detection,
            "per_class" if regular else "per_box": min(a.detections_per_class, a.max_detections)
            if regular
            else min(a.max_classes_per_detection, a.num_classes),
            "quantized": int(scores.dtype is DType.INT8),
            "score_threshold": a.nms_score_threshold,
            "overlap_threshold": a.nms_iou_threshold,
        }
        table = np.zeros(1, np.float32)  # not read where scores are float32
        if scores.dtype is DType.INT8:
            table = _dequantized(_BYTES, scores)
        scratch = [
            _scratch(op, "best", (count,)),
            _scratch(op, "active", (count,), DType.UINT8),
            _scratch(op, "order", (a.max_detections if regular else a.num_classes,), DType.INT32),
        ]
        detect = KernelCall(
            "detection_postprocess",
            "detect_regular" if regular else "detect_fast",
            [scores, decoded],
            [*op.outputs, *scratch],
            params,
            {"table": table},
        )
        return [_decode(op, decoded), detect]


def _fields(options: bytes) -> dict[str, Any]:
    """Return the numbers of a flexbuffer map by name; what else is in it is left alone."""
    fields = flexbuffers.GetRoot(options).AsMap
    names = (key.AsKey for key in fields.Keys)
    found = {str(name): fields[str(name)] for name in names}
    return {name: value.Value for name, value in found.items() if value.IsNumeric or value.IsBool}


def _float(value: float) -> float:
    """Return the float32 nearest to a number."""
    with np.errstate(over="ignore"):
        return float(np.float32(value))


def _scratch(op: Op, name: str, shape: tuple[int, ...], dtype: DType = DType.FLOAT32) -> Tensor:
    return Tensor(f"{op.name} {name}", shape, dtype)


def _option_problems(a: DetectionAttributes) -> list[str]:
    found = []
    counts = (a.max_detections, a.max_classes_per_detection, a.num_classes)
    if min(*counts, a.detections_per_class) < 1:
        found.append("detections, classes and classes of a detection must be at least 1")
    if not 0 < a.nms_iou_threshold <= 1 or not math.isfinite(a.nms_score_threshold):
        found.append(
            f"nms_iou_threshold {a.nms_iou_threshold:g} must be above 0 and at most 1, "
            f"nms_score_threshold {a.nms_score_threshold:g} finite"
        )
    if not all(map(math.isfinite, a.scales)) or 0.0 in a.scales:
        found.append(f"scales {a.scales} of the boxes must be finite and not 0")
    return found


def _shape_problems(op: Op) -> list[str]:
    boxes, scores, anchors = (op.input(i).shape for i in range(3))
    if len(boxes) != 3 or len(scores) != 3 or boxes[0] != 1 or boxes[2] < 4:
        return [f"boxes {list(boxes)} must be [1, N, 4 or more] and scores [1, N, classes]"]
    found = []
    if scores[:2] != boxes[:2] or scores[2] - op.attrs.num_classes not in (0, 1):
        found.append(
            f"scores {list(scores)} must be [1, {boxes[1]}, {op.attrs.num_classes}], "
            "or one more with a background class"
        )
    if anchors != (boxes[1], 4):
        found.append(f"anchors {list(anchors)} must be [{boxes[1]}, 4]")
    return found


def _dequantized(values: Array, tensor: Tensor) -> Array:
    """Return float32 of quantized values, by a subtraction and a multiplication in float32."""
    distance = values.astype(np.float32) - np.float32(tensor.q.zero_point)
    return np.asarray(distance * np.float32(tensor.q.scale))


def _real(tensor: Tensor) -> Array:
    """Return the real values of a constant."""
    data = constant(tensor)
    return data if tensor.dtype is DType.FLOAT32 else _dequantized(data, tensor)


def _tables(op: Op) -> Array:
    """Return float64[4, 256]: centres over their scales, halves of exponentials of sizes."""
    real = _dequantized(_BYTES, op.input(0)).astype(np.float64)
    with np.errstate(over="ignore"):
        y, x, h, w = (real / scale for scale in op.attrs.scales)
        sizes = [np.array([0.5 * _exp(v) for v in size.tolist()]) for size in (h, w)]
    return np.stack([y, x, *sizes])


def _exp(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def _decode(op: Op, decoded: Tensor) -> KernelCall:
    """Return the call that turns encoded boxes into corners."""
    boxes, anchors = op.input(0), op.input(2)
    params: dict[str, int | float] = {"boxes": boxes.shape[1], "coordinates": boxes.shape[2]}
    if boxes.dtype is DType.FLOAT32:
        names = ("y_scale", "x_scale", "h_scale", "w_scale")
        params |= dict(zip(names, op.attrs.scales, strict=True))
        function, constants = "decode_boxes_float", {}
    else:
        params["anchor_zero_point"] = float(anchors.q.zero_point)
        params["anchor_scale"] = anchors.q.scale
        ys, xs, heights, widths = _shared(_tables(op))
        constants = {"ys": ys, "xs": xs, "heights": heights, "widths": widths}
        function = "decode_boxes"
    return KernelCall(
        "detection_postprocess", function, [boxes, anchors], [decoded], params, constants
    )


def _shared(tables: Array) -> list[Array]:
    """Return the tables, equal ones as the same array, which is then written once."""
    known: dict[bytes, Array] = {}
    return [known.setdefault(table.tobytes(), table) for table in tables]
