"""A plug-in for tests, installed as any other is: a package and its entry points."""

from pathlib import Path

LAMP = '''
import os, time
from dataclasses import dataclass
from pathlib import Path

@dataclass(frozen=True)
class Options:
    log: str
    brightness: int = 3

class Lamp:
    """Writes into a file what it does; files beside it let it fail or hang."""

    Options = Options

    def __init__(self, name, options, folder):
        self.log = folder / options.log

    def write(self, text):
        with self.log.open("a") as file:
            file.write(f"{text} {os.getpid()}\\n")

    def stop_at(self, what):
        if (self.log.parent / f"hang-{what}").exists():
            self.write(f"hangs-{what}")
            while (self.log.parent / f"hang-{what}").exists():
                time.sleep(0.05)
        if (self.log.parent / f"fail-{what}").exists():
            self.write(f"fails-{what}")
            raise OSError(f"no {what}")

    def describe(self):
        return "shine"

    def on(self, cause, seconds):
        print('{"id": 2, "error": "what a plug-in prints does no harm"}', flush=True)
        time.sleep(0.1)
        self.stop_at("on")
        self.write("on")

    def off(self):
        self.stop_at("off")
        self.write("off")

    def close(self):
        self.write("close")

class Bare:
    Options = Options
'''

PINS = '''
import os
from gpiozero.pins.mock import MockFactory, MockPin

class LoggedPin(MockPin):
    """Writes every change of a pin into a file."""

    def _change_state(self, value):
        changed = super()._change_state(value)
        with open(os.environ["PIN_LOG"], "a") as file:
            file.write(f"{int(self.state)} {os.getpid()}\\n")
        return changed

class LoggedFactory(MockFactory):
    def __init__(self):
        super().__init__(pin_class=LoggedPin)
'''

POINTS = """
[lotor.actions]
lamp = lotor_lamp:Lamp
bare = lotor_lamp:Bare
broken = lotor_lamp:Nothing

[gpiozero_pin_factories]
logged = lotor_lamp_pins:LoggedFactory
"""


def install(folder: Path) -> Path:
    """Install the package in a folder, to be put on `sys.path` or PYTHONPATH; return it."""
    info = folder / "lotor_lamp-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lotor-lamp\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS)
    (folder / "lotor_lamp.py").write_text(LAMP)
    (folder / "lotor_lamp_pins.py").write_text(PINS)
    return folder
