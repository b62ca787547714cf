"""Cases of RESIZE_BILINEAR."""

from cases import case, edge
from cases.resize_nearest_neighbor import resize
from tflite_builder import ModelBuilder, Quant

FLAGS = ((False, False), (True, False), (False, True))


@case
def resize_bilinear(m: ModelBuilder) -> None:
    x = m.input((2, 3, 4, 5), Quant(0.1, 3))
    m.output(resize(m, "RESIZE_BILINEAR", x, (5, 9), half_pixel_centers=True))
    y = m.input((1, 4, 3, 2), dtype="float32")
    m.output(resize(m, "RESIZE_BILINEAR", y, (3, 7), align_corners=True))
    z = m.input((1, 4, 3, 2), Quant(0.1, 0), "int16")
    m.output(resize(m, "RESIZE_BILINEAR", z, (6, 6)))


@edge
def resize_bilinear_uint8(m: ModelBuilder) -> None:
    x = m.input((1, 5, 6, 3), Quant(0.1, 3))
    for size in ((11, 13), (3, 4), (10, 12)):
        for flags in FLAGS:
            m.output(resize(m, "RESIZE_BILINEAR", x, size, *flags))
    m.to_uint8()


@edge
def resize_bilinear_sizes(m: ModelBuilder) -> None:
    for x in (
        m.input((1, 13, 7, 1), Quant(0.1, 3)),
        m.input((1, 7, 9, 1), Quant(0.1, 0), "int16"),
        m.input((1, 11, 5, 1), dtype="float32"),
    ):
        for size in ((1, 1), (2, 29), (26, 3), (40, 33)):
            for flags in FLAGS:
                m.output(resize(m, "RESIZE_BILINEAR", x, size, *flags))


@edge
def resize_parts_of_larger_tensors(m: ModelBuilder) -> None:
    for dtype, quant in (("int8", Quant(0.1, 3)), ("int16", Quant(0.1, 0)), ("float32", None)):
        x = m.input((2, 3, 2, 5), quant, dtype)
        parts = [m.tensor((2, 3, 2, n), quant, dtype) for n in (2, 3)]
        sizes = m.constant([2, 3], None, "int32"), m.constant(3, None, "int32")
        m.operator("SPLIT_V", [x, *sizes], parts, "SplitVOptions", 1, NumSplits=2)
        a = resize(m, "RESIZE_BILINEAR", parts[0], (4, 5))
        b = resize(m, "RESIZE_NEAREST_NEIGHBOR", parts[1], (4, 5))
        joined = m.tensor((2, 4, 5, 5), quant, dtype)
        m.operator("CONCATENATION", [a, b], [joined], "ConcatenationOptions", 2, Axis=3)
        m.output(joined)
