"""Every mistake in sentinel.toml is one line that names file, key, limit and mend."""

from pathlib import Path

import pytest

from lotor.errors import LotorError
from lotor.sentinel.config import Config, read_config

GOOD = """
[[camera]]
name = "garden"
source = "0"
[[camera.zone]]
name = "pond"
polygon = [[0, 0], [1, 0], [1, 1]]
[[target]]
label = "raccoon"
zones = ["pond"]
actions = ["bark"]
[[action]]
name = "bark"
kind = "sound"
"""


def read(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "sentinel.toml"
    path.write_text(text)
    return read_config(path)


def test_a_good_one(tmp_path: Path) -> None:
    config = read(tmp_path, GOOD)
    assert config.camera[0].zone[0].polygon == ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))
    assert config.veto.model == "person" and config.action[0].dry_run


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[[action]]", "[[acton]]", "'acton' is no key (did you mean 'action'?)"),
        ('kind = "sound"', 'kin = "sound"', "'action[1].kin' is no key (did you mean 'kind'?)"),
        ('kind = "sound"', "", "the key 'action[1].kind' is missing"),
        ('source = "0"', "source = 0", "'camera[1].source' must be a string, not 0"),
        ('source = "0"', 'source = ""', "'camera garden' has an empty source"),
        ('source = "0"', 'source = "0"\nrate = 0', "'camera garden.rate' is 0; it must be 0.01 to"),
        ('source = "0"', 'source = "0"\nrate = nan', "'camera[1].rate' must be a number, not nan"),
        ('source = "0"', 'source = "0"\nlight = "dusk"', "one of auto, day, night"),
        ('source = "0"', 'source = "0"\nlight = "nigt"', "(did you mean 'night'?)"),
        ("[1, 1]]", "[1, 2]]", "'camera garden.zone pond' is 2; it must be 0 to 1"),
        ("[1, 0], [1, 1]]", "[1, 0]]", "must be three corners [x, y] or more"),
        ("[1, 1]]", "[1]]", "must be three corners [x, y] or more"),
        ("[1, 1]]", '"x"]', "'camera[1].zone[1].polygon[3]' must be a list of numbers"),
        ('zones = ["pond"]', 'zones = ["pnd"]', "(did you mean 'pond'?); zones: pond"),
        ('actions = ["bark"]', 'actions = ["brk"]', "(did you mean 'bark'?); actions: bark"),
        ('label = "raccoon"', 'label = "person"', "nothing may be set off at a person"),
        ('label = "raccoon"', 'label = "unknown"', "nothing may be set off at a unknown"),
        ('name = "bark"', 'name = "Bark!"', "action name 'Bark!': up to 32 of a-z"),
        ('kind = "sound"', 'kind = "sound"\nmax_on_s = 9999', "it must be 0.1 to 600"),
        (
            'kind = "sound"',
            'kind = "sound"\nfor_s = 11',
            "'action bark.for_s' is 11; it must",
        ),
        ('kind = "sound"', 'kind = "sound"\n[deciding]\nvotes = 6', "'deciding.votes' is 6; it"),
        ('kind = "sound"', 'kind = "x"\n[deciding]\nquiet_hours = ["25:00-1"]', "as 22:00-07:00"),
        ('kind = "sound"', 'kind = "x"\n[mqtt]\nhost = "h"\nport = 0', "'mqtt.port' is 0; it must"),
        ('kind = "sound"', 'kind = "x"\n[notify]\n', "neither 'urls' nor 'urls_file'"),
        (
            'kind = "sound"',
            'kind = "x"\n[notify]\nurls = ["me"]\n',
            "'notify.urls': number 1 is no",
        ),
        ('kind = "sound"', 'kind = "x"\n[[webhook]]\nurl = "x"', "must begin with http:// or"),
        ('kind = "sound"', 'kind = "x"\n[[action]]\nname = "bark"\nkind = "x"', "two actions are"),
        ('kind = "sound"', 'kind = "x"\n[[target]]\nlabel = "raccoon"', "two targets are called"),
        ('kind = "sound"', 'kind = "x"\n[[model]]\nname = "m"\nwhen.months = [13]', "1 to 12"),
        ('kind = "sound"', 'kind = "x"\n[[model]]\nname = "m"\nwhen.cameras = ["x"]', "garden"),
        (
            'kind = "sound"',
            'kind = "x"\n[[camera]]\nname = "gate"\nsource = "1"\n'
            '[[model]]\nname = "m"\nwhen.cameras = ["gate"]\nwhen.zones = ["pond"]',
            "'model m.when.zones' names the zone 'pond'; zones: there is none",
        ),
        ('kind = "sound"', 'kind = "x', "cannot be read"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(LotorError) as caught:
        read(tmp_path, GOOD.replace(old, new))
    assert message in str(caught.value) and "sentinel.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_a_camera(tmp_path: Path) -> None:
    with pytest.raises(LotorError, match="'camera' is missing"):
        read(tmp_path, "")
    with pytest.raises(LotorError, match="--init"):
        read(tmp_path, "camera = []")
