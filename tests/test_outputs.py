"""Outputs of a board: on for no longer, off for no shorter than the board file says."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from lotor.board_camera import Camera, Output, Servo, check_outputs, hello_bytes
from lotor.build import WARNINGS
from lotor.errors import LotorError
from lotor.resources import resource
from lotor.watch_image import watch_files

TICKS = 7_812_500  # a second
OUTPUTS = {"lamp": Output(3, 500, 2000), "siren": Output(40, 100, 1, "low")}
SERVO = Servo(600, 2400, 1000, 2000)
WITH_SERVO = {"lamp": Output(3, 500, 2000), "arm": Output(18, 800, 300, servo=SERVO)}

CHIP = """
#include <stdio.h>
#include "hal/hal.h"
#include "lotor_camera.h"
#include "watch/outputs.h"
static uint64_t now;
uint64_t hal_ticks(void) { return now; }
static void say(const char *what, uint32_t pin, bool level) {
    printf("%s %u %d %llu\\n", what, (unsigned)pin, (int)level, (unsigned long long)now);
}
void hal_output_init(uint32_t pin, bool level) { say("init", pin, level); }
void hal_output_set(uint32_t pin, bool level) { say("set", pin, level); }
void hal_servo_init(uint32_t pin, uint32_t us) {
    printf("servo %u %u\\n", (unsigned)pin, (unsigned)us);
}
void hal_servo_set(uint32_t pin, uint32_t us) {
    printf("turn %u %u %llu\\n", (unsigned)pin, (unsigned)us, (unsigned long long)now);
}
int main(void) {
    outputs_init();
    char what;
    unsigned long long first, second;
    while (scanf(" %c %llu %llu", &what, &first, &second) == 3) {
        if (what == 't') now += first, outputs_poll();
        if (what == 'o') printf("on %d\\n", (int)outputs_on((uint8_t)first, (uint32_t)second));
        if (what == 'f') outputs_all_off();
        if (what == 'x') outputs_off((uint8_t)first);
        if (what == 'm') printf("left %u\\n", (unsigned)outputs_left_ms((uint8_t)first));
#ifdef LOTOR_SERVOS
        const uint16_t us = (uint16_t)second;
        if (what == 'p') printf("on %d\\n", (int)outputs_turn(1, (uint32_t)first, us));
        if (what == 'r') printf("reaches %d\\n", (int)outputs_reaches((uint8_t)first, us));
#endif
        if (what == 'l') printf("lit %u\\n", (unsigned)outputs_lit());
    }
    printf("longest %u\\n", (unsigned)outputs_longest_ms());
}
"""


@pytest.fixture(scope="module")
def chip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("outputs"), OUTPUTS)


@pytest.fixture(scope="module")
def arm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chip with a lamp and a servo."""
    return built(tmp_path_factory.mktemp("servo"), WITH_SERVO)


def built(folder: Path, outputs: dict[str, Output]) -> Path:
    firmware = resource("firmware")
    camera = Camera("synthetic", 16, 16, "grey")
    texts = watch_files([], camera, outputs, TICKS)
    # Without a model its table would be empty, which C does not have.
    texts["lotor_watch.c"] = texts["lotor_watch.c"].replace("{\n};", "{{.labels = 0}};", 1)
    for name, text in {**texts, "chip.c": CHIP}.items():
        (folder / name).write_text(text)
    sources = [folder / "chip.c", folder / "lotor_watch.c", firmware / "watch/outputs.c"]
    flags = [*WARNINGS, "-fsanitize=address,undefined", f"-I{folder}", f"-I{firmware}"]
    flags += [f"-I{firmware / 'include'}"]
    subprocess.run(["cc", *flags, *map(str, sources), "-o", folder / "chip"], check=True)
    return folder / "chip"


def run(chip: Path, *lines: str) -> list[list[str]]:
    done = subprocess.run(
        [chip], input="\n".join(lines), capture_output=True, text=True, check=True
    )
    return [line.split() for line in done.stdout.splitlines()]


def ms(milliseconds: float) -> int:
    return round(milliseconds * TICKS / 1000)


def test_an_output_goes_off_by_itself(chip: Path) -> None:
    said = run(
        chip, f"t {ms(2000)} 0", "o 0 200", f"t {ms(199)} 0", "l 0 0", f"t {ms(1)} 0", "l 0 0"
    )
    assert said == [
        ["init", "3", "0", "0"],
        ["init", "40", "1", "0"],
        ["set", "3", "1", str(ms(2000))],
        ["on", "1"],
        ["lit", "1"],
        ["set", "3", "0", str(ms(2200))],
        ["lit", "0"],
        ["longest", "200"],
    ]


def test_no_longer_than_its_board_says(chip: Path) -> None:
    said = run(chip, f"t {ms(2000)} 0", "o 0 4294967295", f"t {ms(500)} 0", "l 0 0")
    assert said[-3:] == [["set", "3", "0", str(ms(2500))], ["lit", "0"], ["longest", "500"]]


def test_it_rests_after_a_start_and_after_it_was_on(chip: Path) -> None:
    lines = ["o 0 100", f"t {ms(1999)} 0", "o 0 100", f"t {ms(1)} 0", "o 0 100", "o 0 100"]
    lines += [f"t {ms(100)} 0", "o 0 100", f"t {ms(1999)} 0", "o 0 100", f"t {ms(1)} 0", "o 0 100"]
    answers = [line[1] for line in run(chip, *lines) if line[0] == "on"]
    assert answers == ["0", "0", "1", "0", "0", "0", "1"]


def test_switching_off_early_is_no_way_around_the_rest(chip: Path) -> None:
    lines = [f"t {ms(2000)} 0", "o 0 400", f"t {ms(10)} 0", "f 0 0", "o 0 400", f"t {ms(1999)} 0"]
    answers = [line[1] for line in run(chip, *lines, "o 0 400") if line[0] == "on"]
    assert answers == ["1", "0", "0"]


def test_one_is_switched_off_by_itself(chip: Path) -> None:
    lines = [f"t {ms(2000)} 0", "o 0 400", "o 1 90", "x 1 0", "l 0 0", "x 0 0", "l 0 0", "x 0 0"]
    said = run(chip, *lines, "x 9 0", "o 0 400", f"t {ms(2000)} 0", "o 0 400")
    assert [line[1] for line in said if line[0] == "lit"] == ["1", "0"]
    assert [line[1] for line in said if line[0] == "on"] == ["1", "1", "0", "1"]


def test_how_long_it_is_still_on(chip: Path) -> None:
    lines = [f"t {ms(2000)} 0", "m 0 0", "o 0 9999", "m 0 0", f"t {ms(200)} 0", "m 0 0"]
    lines += [f"t {ms(299)} 0", "m 0 0", f"t {ms(0.5)} 0", "m 0 0", f"t {ms(0.5)} 0", "m 0 0"]
    left = [line[1] for line in run(chip, *lines, "m 7 0") if line[0] == "left"]
    assert left == ["0", "500", "300", "1", "1", "0", "0"]


def test_a_servo_turns_and_returns_by_itself(arm: Path) -> None:
    said = run(
        arm, f"t {ms(2000)} 0", "o 1 9999", f"t {ms(799)} 0", f"t {ms(1)} 0", "o 0 5", "f 0 0"
    )
    assert said[:4] == [
        ["init", "3", "0", "0"],
        ["servo", "18", "1000"],
        ["turn", "18", "2000", str(ms(2000))],
        ["on", "1"],
    ]
    assert said[4] == ["turn", "18", "1000", str(ms(2800))]  # no longer than its file says
    assert said[5:] == [
        ["set", "3", "1", str(ms(2800))],
        ["on", "1"],
        ["set", "3", "0", str(ms(2800))],
        ["longest", "800"],
    ]


def test_a_servo_goes_where_it_is_asked_to_once(arm: Path) -> None:
    lines = ["p 500 2400", f"t {ms(300)} 0", "p 500 2400", "p 500 700", f"t {ms(500)} 0"]
    lines += ["p 500 2300", f"t {ms(300)} 0", "p 100 2401", "p 100 599", "o 1 100", "x 1 0"]
    said = [line[:3] for line in run(arm, *lines)]
    assert said[2:] == [
        ["on", "0"],  # it rests after a start
        ["turn", "18", "2400"],
        ["on", "1"],
        ["on", "0"],  # it is on
        ["turn", "18", "1000"],
        ["on", "0"],  # it rests
        ["on", "0"],
        ["on", "0"],  # out of its reach
        ["turn", "18", "2000"],  # as its file says: what was asked for before is forgotten
        ["on", "1"],
        ["turn", "18", "1000"],
        ["longest", "500"],
    ]
    asked = ["r 1 600", "r 1 2400", "r 1 599", "r 1 2401", "r 1 0", "r 0 1000", "r 2 1000"]
    reached = [line[1] for line in run(arm, *asked) if line[0] == "reaches"]
    assert reached == ["1", "1", "0", "0", "0", "0", "0"]


def test_files_without_a_servo_have_nothing_of_one() -> None:
    camera = Camera("synthetic", 16, 16, "grey")
    texts = watch_files([], camera, OUTPUTS, TICKS)
    assert "SERVO" not in texts["lotor_camera.h"] and "servo" not in texts["lotor_watch.c"]
    assert hello_bytes(camera, WITH_SERVO) == hello_bytes(camera, OUTPUTS) - len("siren") + 3 + 12


@pytest.mark.parametrize(
    ("family", "pin", "servo", "said"),
    [
        ("cmsdk", 1, SERVO, "family cmsdk turns no servo yet; rp2 does"),
        ("nrf5x", 1, SERVO, "family nrf5x turns no servo yet"),
        ("rp2", 1, SERVO, "may be 2 to 29"),
        ("rp2", 30, SERVO, "may be 2 to 29"),
        ("rp2", 2, Servo(299, 2000, 1000, 1000), "pulses of 299 to 2000 us; they may be 300 to"),
        ("rp2", 2, Servo(500, 3001, 1000, 1000), "they may be 300 to 3000"),
        ("rp2", 2, Servo(1500, 1500, 1500, 1500), "pulses of 1500 to 1500"),
        ("rp2", 2, Servo(600, 2400, 599, 1000), "servo.rest_us' is 599; it may be 600 to 2400"),
        ("rp2", 2, Servo(600, 2400, 600, 2401), "servo.act_us' is 2401"),
        ("rp2", 19, SERVO, "on one channel of the PWM"),
    ],
)
def test_servos_that_make_no_sense_are_refused(
    family: str, pin: int, servo: Servo, said: str
) -> None:
    outputs = {"arm": Output(pin, 100, 100, servo=servo)}
    if family == "rp2":
        outputs["other"] = Output(3, 100, 100, servo=SERVO)
    with pytest.raises(LotorError, match=said):
        check_outputs(outputs, family, "the file")
    check_outputs({"arm": Output(2, 100, 100, servo=SERVO)}, "rp2", "the file")
    with pytest.raises(LotorError, match="pulses are high"):
        check_outputs({"arm": Output(2, 100, 100, "low", SERVO)}, "rp2", "the file")


TALK = """
#include <stdio.h>
#include "hal/hal.h"
#include "src/log.h"
#include "src/profile.h"
#include "src/server.h"
#include "watch/outputs.h"
#include "watch/requests_watch.h"
#include "watch/watch.h"
#define STUB(name) link_error name(const request *r, writer *a) { (void)r; (void)a; return 0; }
STUB(hello_request) STUB(select_request) STUB(load_request) STUB(run_request) STUB(read_request)
STUB(self_test_request) STUB(profile_request) STUB(statistics_request) STUB(log_level_request)
STUB(reset_request) STUB(echo_request) STUB(camera_frame_request) STUB(camera_data_request)
STUB(watch_request) STUB(events_request) STUB(output_request) STUB(frame_request)
void put_camera(writer *answer) { (void)answer; }
void device_after_answer(void) {}
void model_select(uint8_t index, bool paint) { (void)index; (void)paint; }
void profile_calibrate(void) {}
void log_text(uint8_t level, const char *text) { (void)level; (void)text; }
const char lotor_version[] = "1";
bool watch_running(void) { return false; }
void watch_poll(void) {}
void hal_uart_write(const uint8_t *data, size_t bytes) { (void)data; (void)bytes; }
void hal_output_init(uint32_t pin, bool level) { (void)pin; (void)level; }
void hal_output_set(uint32_t pin, bool level) { (void)pin; (void)level; }
static uint64_t now;
uint64_t hal_ticks(void) { return now; }
static long left = 200000;
int hal_uart_read(void) { now += 678; return left-- > 0 ? 0x55 : -1; } /* 115200 baud */
int main(void) {
    outputs_init();
    now += 10u * LOTOR_TICKS;
    const bool on = outputs_on(0, 500);
    server_poll();
    printf("%d %u %u\\n", (int)on, (unsigned)outputs_lit(), (unsigned)outputs_longest_ms());
}
"""


def test_a_host_that_never_stops_talking_keeps_nothing_on(chip: Path) -> None:
    """Bytes that are no frame, without a gap, for 17 seconds."""
    folder, firmware = chip.parent, resource("firmware")
    (folder / "lotor_config.h").write_text("#define LOTOR_DATA_BYTES 1024\n")
    (folder / "talk.c").write_text(TALK.replace("LOTOR_TICKS", str(TICKS)))
    sources = ["src/server.c", "src/frame.c", "src/crc32.c", "watch/outputs.c"]
    flags = [*WARNINGS, "-DLOTOR_CAMERA", f"-I{folder}", f"-I{firmware}"]
    flags += [f"-I{firmware / 'include'}", f"-I{firmware / 'src'}"]
    paths = [folder / "talk.c", folder / "lotor_watch.c", *(firmware / name for name in sources)]
    subprocess.run(["cc", *flags, *map(str, paths), "-o", folder / "talk"], check=True)
    said = subprocess.run([folder / "talk"], capture_output=True, text=True, check=True).stdout
    assert said == "1 0 500\n"


def test_an_output_that_is_on_at_low(chip: Path) -> None:
    said = run(chip, f"t {ms(10)} 0", "o 1 50", f"t {ms(50)} 0", "o 2 50", "o 7 50", "o 1 0")
    levels = [line[2] for line in said if line[:2] in (["set", "40"], ["init", "40"])]
    assert levels == ["1", "0", "1"]
    assert [line for line in said if line[0] == "on"] == [["on", "1"], *[["on", "0"]] * 3]


def test_whatever_is_asked_of_it(chip: Path) -> None:
    """Random requests at random times: no time on too long, no rest too short."""
    rng, step = np.random.default_rng(2), ms(7)
    lines = []
    for _ in range(4000):
        what = rng.random()
        if what < 0.7:
            lines.append(f"t {int(rng.integers(1, step))} 0")
        elif what < 0.98:
            lines.append(f"o {int(rng.integers(4))} {int(rng.choice([0, 1, 30, 600, 2**32 - 1]))}")
        else:
            lines.append("f 0 0")
    said = [line for line in run(chip, *lines) if line[0] in ("set", "init")]
    for output in OUTPUTS.values():
        own = [(level, int(at)) for _, pin, level, at in said if int(pin) == output.pin]
        high = output.active == "high"
        lit, off, times = None, 0, 0
        for level, at in own[1:]:
            if (level == "1") == high:
                assert lit is None and at - off >= ms(output.rest_ms)
                lit, times = at, times + 1
            else:
                assert lit is not None and at - lit < ms(output.max_on_ms) + step
                lit, off = None, at
        assert times > 2
