"""What other engines need for the MLPerf Tiny models, to be quoted beside our own figures.

Nothing here is measured by `benchmarks/mcu.py`; every table says where its figures come from.
"""

from dataclasses import dataclass

# Columns of all tables, by the stem of the model's file.
MODELS = {
    "vww_96_int8": "VWW",
    "pretrainedResnet_quant": "IC",
    "kws_ref_model": "KWS",
    "ad01_int8": "AD",
}
Figures = tuple[float | None, float | None, float | None, float | None]


@dataclass(frozen=True)
class Peer:
    """One engine on one core.

    Attributes:
        core: a target of Lotor, or another core of the family.
        engine: its name, and the chip where it is silicon.
        figures: in the order of `MODELS`; None where it has none.
        exact: whether it gives the bytes of LiteRT's reference kernels.
        pruned: whether it ran the file without its constant channels.
    """

    core: str
    engine: str
    figures: Figures
    exact: bool = True
    pruned: bool = False

    def of(self, model: str) -> float | None:
        """Return the figure for a model's file stem."""
        return dict(zip(MODELS, self.figures, strict=True)).get(model)


TFLM = "TFLite Micro + CMSIS-NN"
# Instructions of one inference, counted once with an exact instruction counter in QEMU: same model
# files, second inference, gcc 12.2 -O3, every figure twice and the same.
INSTRUCTIONS = (
    Peer("cortex-m0plus", TFLM, (86.88, 97.57, 29.01, 1.763)),
    Peer("cortex-m3", TFLM, (32.08, 41.76, 10.55, 0.956)),
    Peer("cortex-m4", TFLM, (24.72, 29.87, 7.85, 0.582)),
    Peer("cortex-m4", TFLM, (17.5, None, None, None), pruned=True),
    Peer("cortex-m4", "TinyEngine", (12.7, None, None, None), exact=False, pruned=True),
    Peer("cortex-m4", "microTVM + CMSIS-NN", (24.88, 31.80, 8.74, 0.604)),
    Peer("cortex-m4", "TinyEngine, float requantization", (19.71, None, None, 0.772), False),
    Peer("cortex-m4", "TinyEngine, integer requantization", (24.45, None, None, 0.802), False),
    Peer("cortex-m7", TFLM, (24.48, 29.94, 7.76, 0.583)),
    Peer("cortex-m55", TFLM, (6.43, 4.81, 1.79, 0.150)),
)
# Estimated cycles of the same inferences, from counts of every instruction and the timings that our
# estimate has, too (docs/performance.md).
ESTIMATES = (
    Peer("cortex-m4", TFLM, (30.05, 36.73, 9.41, 0.725)),
    Peer("cortex-m4", "TinyEngine, float requantization", (25.5, None, None, None), False),
)
# Cycles on silicon, MLPerf Tiny's closed division (https://mlcommons.org/benchmarks/inference-tiny/):
# published latency times clock. Closed source, exactness not stated.
PUBLISHED = (
    Peer("cortex-m0plus", "Bosch HALE, STM32G0B1", (90.5, 97.4, 30.4, 2.62)),
    Peer("cortex-m4", "ST X-CUBE-AI 9.0, STM32L4R5", (10.67, 19.8, 5.18, 0.631)),
    Peer("cortex-m4", "Plumerai v1.1, STM32L4R5", (11.85, 20.1, 5.73, 0.486)),
    Peer("cortex-m4", "Bosch HALE, STM32L4R5", (21.7, 21.7, 7.22, 0.567)),
    Peer("cortex-m7", "ST, STM32H7A3", (6.67, 11.4, 3.17, 0.343)),
    Peer("cortex-m33", "ST, STM32U575", (9.48, 17.8, 4.65, 0.549)),
    Peer("cortex-m33", "Plumerai, STM32U575", (9.52, 16.7, 4.81, 0.588)),
    Peer("cortex-m85", "RA8D1", (6.43, 4.07, 1.66, 0.255)),
)
# Bytes of RAM on a Cortex-M4: what the engine needs beside its stack.
RAM = (
    Peer("cortex-m4", TFLM, (100_708, 54_996, 22_820, 2_580)),
    Peer("cortex-m4", "microTVM + CMSIS-NN", (92_450, 69_194, 17_734, None)),
    Peer("cortex-m4", "TinyEngine", (60_728, None, None, None), False),
)
# Bytes of code without weights on a Cortex-M4, whatever the model.
CODE = {
    "TFLite Micro + CMSIS-NN, only the operators needed, int8 only": "45,700 (-Os) to 59,600 (-O3)",
    "TFLite Micro + CMSIS-NN as it comes": "73,000 to 91,000",
    "TinyEngine": "12,800",
}
