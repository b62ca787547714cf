"""Two small models in C, written by hand after the contract of the generated files.

They let the tests of firmware, link and emulators run in seconds and without a compiler of models.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lotor.targets import Target, find_target

INPUT_BYTES = 2600  # three loads
OUTPUT_BYTES = 300


@dataclass
class TinyModel:
    """What the firmware build needs of a compiled model."""

    name: str
    arena_bytes: int = 4096
    delta: int = 3
    input_bytes: int = INPUT_BYTES

    @property
    def output_at(self) -> int:
        return -(-self.input_bytes // 640) * 640

    @property
    def target(self) -> Target:
        return find_target("portable")

    @property
    def model_hash(self) -> str:
        return hashlib.sha256(f"{self.name} {self.delta}".encode()).hexdigest()

    @property
    def report(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "arena_bytes": self.arena_bytes,
            "weights_bytes": 256,
            "inputs": [{"offset": 0, "bytes": self.input_bytes, "dtype": "int8"}],
            "outputs": [{"offset": self.output_at, "bytes": OUTPUT_BYTES, "dtype": "int8"}],
            "layers": [{"name": "add"}, {"name": "fold"}],
        }

    @property
    def header(self) -> str:
        upper = self.name.upper()
        return f"""#ifndef {upper}_H
#define {upper}_H
#include <stddef.h>
#include <stdint.h>
#define {upper}_ARENA_BYTES {self.arena_bytes}
int {self.name}_run(void *arena, const int8_t *input, int8_t *output);
#ifdef LOTOR_PROFILE
void lotor_layer_done(int layer, const void *output, size_t bytes);
#endif
#endif
"""

    @property
    def source(self) -> str:
        weights = ", ".join(str((7 * i + 1) % 127) for i in range(256))
        return f"""#include "{self.name}.h"
#include <string.h>
#ifndef LOTOR_PROFILE
#define lotor_layer_done(layer, output, bytes) ((void)0)
#endif
static const int8_t weights[256] = {{{weights}}};
int {self.name}_run(void *arena, const int8_t *input, int8_t *output) {{
    uint8_t *memory = arena;
    uint8_t *x = memory, *y = memory + {self.output_at};
    if (input)
        memcpy(x, input, {self.input_bytes});
    lotor_layer_done(-1, NULL, 0);
    for (int i = 0; i < {self.input_bytes}; i++)
        x[i] = (uint8_t)(x[i] + {self.delta} * weights[i % 256]);
    lotor_layer_done(0, x, {self.input_bytes});
    memset(y, 0, {OUTPUT_BYTES});
    for (int i = 0; i < {self.input_bytes}; i++)
        y[i % {OUTPUT_BYTES}] = (uint8_t)(y[i % {OUTPUT_BYTES}] + x[i]);
    lotor_layer_done(1, y, {OUTPUT_BYTES});
    if (output)
        memcpy(output, y, {OUTPUT_BYTES});
    return 0;
}}
"""

    def write(self, directory: Path) -> list[Path]:
        directory.mkdir(parents=True, exist_ok=True)
        files = {f"{self.name}.c": self.source, f"{self.name}.h": self.header}
        for name, text in files.items():
            (directory / name).write_text(text)
        return [directory / name for name in files]

    def expected(self, data: bytes) -> bytes:
        """The output for an input, computed apart from the C."""
        layer = [(b + self.delta * ((7 * (i % 256) + 1) % 127)) % 256 for i, b in enumerate(data)]
        return bytes(sum(layer[i::OUTPUT_BYTES]) % 256 for i in range(OUTPUT_BYTES))
