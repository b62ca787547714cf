"""Cases of TFLite_Detection_PostProcess."""

from typing import Any

import numpy as np
from flatbuffers import flexbuffers  # type: ignore[import-untyped]
from hypothesis import strategies as st

from cases import case, edge, random_models
from cases.strategies import Draw, builder
from tflite_builder import ModelBuilder, Quant, Tensor

KIND = "CUSTOM:TFLite_Detection_PostProcess"


def options(**changed: Any) -> bytes:
    """The bytes of the operator's options."""
    fields = {
        "max_detections": 5,
        "max_classes_per_detection": 1,
        "nms_score_threshold": -1e9,
        "nms_iou_threshold": 1.0,
        "num_classes": 3,
        "y_scale": 10.0,
        "x_scale": 10.0,
        "h_scale": 5.0,
        "w_scale": 5.0,
    } | changed
    return bytes(flexbuffers.Dumps(fields))


def detections(
    m: ModelBuilder, inputs: tuple[Tensor, Tensor], /, **changed: Any
) -> tuple[Tensor, ...]:
    """The layer after raw boxes and scores; not `known`, the shapes of outputs are left open."""
    boxes, scores = inputs
    known = changed.pop("known", True)
    count = boxes.shape[1]
    corners = m.rng.uniform(0.0, 1.0, (count, 4)) * (1, 1, 0.5, 0.5)
    if "anchors" in changed:  # the same for every box
        corners = np.tile(changed.pop("anchors"), (count, 1))
    if boxes.dtype == "float32":
        anchors = m.constant(corners, None, "float32")
    else:
        anchors = m.constant((corners * 255 - 128).astype(np.int8), Quant(1 / 255, -128))
    slots = changed.get("max_detections", 5) * changed.get("max_classes_per_detection", 1)
    shapes: list[tuple[int, ...]] = [(1, slots, 4), (1, slots), (1, slots), (1,)]
    outputs = [m.tensor(shape if known else (), None, "float32") for shape in shapes]
    m.operator(KIND, [boxes, scores, anchors], outputs, "custom", 1, custom=options(**changed))
    return tuple(outputs)


def raw(m: ModelBuilder, boxes: int, columns: int, dtype: str) -> tuple[Tensor, Tensor]:
    """Inputs of the layer."""
    if dtype == "float32":
        return m.input((1, boxes, 4), None, dtype), m.input((1, boxes, columns), None, dtype)
    encoded = m.input((1, boxes, 4), Quant(0.05, 3))
    return encoded, m.input((1, boxes, columns), Quant(1 / 256, -128))


@case
def detection_postprocess(m: ModelBuilder) -> None:
    m.output(*detections(m, raw(m, 30, 4, "int8"), use_regular_nms=True, nms_iou_threshold=0.4))
    m.output(*detections(m, raw(m, 20, 3, "int8"), known=False))
    m.to_uint8(0)


@case
def detection_postprocess_float(m: ModelBuilder) -> None:
    m.output(*detections(m, raw(m, 20, 4, "float32"), h_scale=200.0, w_scale=300.0))


@edge
def detection_postprocess_thresholds(m: ModelBuilder) -> None:
    for boxes, threshold, overlap, most in ((40, 0.5, 0.2, 10), (20, 0.0, 0.3, 70)):
        inputs = raw(m, boxes, 5, "int8")
        for per_class in (3, 50):
            fields = {"nms_score_threshold": threshold, "nms_iou_threshold": overlap}
            fields |= {"detections_per_class": per_class, "max_detections": most}
            m.output(*detections(m, inputs, **fields, num_classes=4, use_regular_nms=True))
    m.to_uint8(0)


@edge
def detection_postprocess_at_the_limits(m: ModelBuilder) -> None:
    # Scores equal to the threshold count; equal boxes overlap by 1, which is not above 1.
    inputs = raw(m, 20, 3, "int8")
    fields = {"nms_score_threshold": 0.0, "anchors": [0.5, 0.25, 0.5, 0.5], "max_detections": 20}
    m.output(*detections(m, inputs, **fields))
    m.output(*detections(m, inputs, **fields, use_regular_nms=True))
    m.to_uint8(0)


@edge
def detection_postprocess_many_floats(m: ModelBuilder) -> None:
    m.output(*detections(m, raw(m, 400, 3, "float32"), max_detections=400))


@edge
def detection_postprocess_several_classes(m: ModelBuilder) -> None:
    for columns, wanted in ((9, 2), (9, 5), (8, 8), (8, 11)):
        inputs = raw(m, 30, columns, "int8")
        fields = {"max_classes_per_detection": wanted, "num_classes": 8}
        if wanted <= 8:
            m.output(*detections(m, inputs, **fields))
    m.to_uint8(0)


@edge
def detection_postprocess_float_with_background(m: ModelBuilder) -> None:
    inputs = raw(m, 25, 7, "float32")
    m.output(*detections(m, inputs, num_classes=6, max_classes_per_detection=3))
    fields = {"nms_iou_threshold": 0.3, "detections_per_class": 4, "num_classes": 6}
    m.output(*detections(m, inputs, **fields, use_regular_nms=True))


@random_models
def random_detections(draw: Draw) -> ModelBuilder:
    m = builder(draw)
    classes, background = draw(st.integers(1, 12)), draw(st.integers(0, 1))
    boxes = draw(st.integers(4, 30))
    dtype = draw(st.sampled_from(["int8", "float32"]))
    inputs = raw(m, boxes, classes + background, dtype)
    for _ in range(2):
        scales = draw(st.sampled_from([2.5, 5.0, 11.0])), draw(st.sampled_from([2.0, 10.0]))
        fields = dict(zip(("h_scale", "w_scale", "y_scale", "x_scale"), scales * 2, strict=True))
        fields |= {"num_classes": classes, "max_detections": draw(st.integers(1, boxes))}
        if draw(st.booleans()):
            fields |= {
                "use_regular_nms": True,
                "nms_iou_threshold": draw(st.floats(0.05, 1.0)),
                "nms_score_threshold": draw(st.floats(-1.0, 1.0)),
                "detections_per_class": draw(st.integers(1, 40)),
            }
        else:  # whose outputs beyond the count are undefined, so that every slot is used
            fields["max_classes_per_detection"] = draw(st.integers(1, classes))
        m.output(*detections(m, inputs, **fields))
    if dtype == "int8":
        m.to_uint8(0)
    return m
