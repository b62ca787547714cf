"""Labelling photographs on a page: what the page asks for, and that no label is lost."""

import json
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from garden import make_garden
from interrupts import heed_ctrl_c
from lotor.data.ingest import import_photos
from lotor.data.label import JOURNAL, Labelling, model_suggestions, serve
from lotor.data.manifest import Box
from lotor.data.store import commit, open_store, versions
from lotor.errors import LotorError
from lotor.frontend.tflite import read_model
from lotor.oracle import Oracle
from lotor.preprocess import image_input, read_image
from lotor.zoo import find_model
from test_data_import import photo


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Three photographs without a label, one of a cat."""
    for number in range(3):
        photo(tmp_path / "new" / f"{number}.jpg")
    photo(tmp_path / "old/cat/a.jpg")
    import_photos(tmp_path / "new", tmp_path / "set", label="unlabelled")
    import_photos(tmp_path / "old", tmp_path / "set")
    return tmp_path / "set"


class Page:
    """What the page's script does."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, path: str, said: Any = None, **headers: str) -> Any:
        body = None if said is None else json.dumps(said).encode()
        headers = {"Content-Type": "application/json", **headers}
        request = urllib.request.Request(self.url + path, body, headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())

    def status(self, path: str, said: Any = None, **headers: str) -> int:
        with pytest.raises(urllib.error.HTTPError) as caught:
            self.ask(path, said, **headers)
        return caught.value.code


@pytest.fixture
def page(store: Path) -> Iterator[tuple[Page, Labelling]]:
    labelling = Labelling(store, lambda path: ("cat", 0.75), ["cat", "raccoon"])
    with serve(labelling) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield Page(f"http://127.0.0.1:{server.server_address[1]}/"), labelling
        server.shutdown()


def test_labels_become_one_version(page: tuple[Page, Labelling], store: Path) -> None:
    asked, labelling = page
    before = versions(store)
    state = asked.ask("state")
    assert (state["total"], state["done"], state["kinds"]) == (3, 0, ["cat", "raccoon"])
    assert (state["suggestion"], state["score"]) == ("cat", 0.75)
    first, second = state["id"], state["next"]
    with urllib.request.urlopen(f"{asked.url}photo/{first}") as answer:
        assert answer.read() == (store / "photos" / f"{first}.jpg").read_bytes()
        assert answer.headers["Content-Type"] == "image/jpeg"
    state = asked.ask("label", {"id": first, "kind": "raccoon"})
    assert (state["id"], state["done"]) == (second, 1)
    state = asked.ask("skip", {"id": second})
    assert state["next"] == second
    state = asked.ask("label", {"id": state["id"], "kind": "skunk"})
    assert "skunk" in state["kinds"]
    state = asked.ask("undo", {})
    state = asked.ask("label", {"id": state["id"], "kind": "cat"})
    state = asked.ask("label", {"id": second, "kind": "cat"})
    assert (state["id"], state["done"]) == (None, 3)
    done = labelling.finish()
    assert (done.labelled, done.left) == (3, 0)
    assert {p.id: p.kind for p in open_store(store).photos}[first] == "raccoon"
    assert sorted(p.kind for p in open_store(store).photos) == ["cat", "cat", "cat", "raccoon"]
    assert versions(store) == [*before, done.version]
    assert not (store / JOURNAL).exists()


def test_what_a_power_cut_left_is_taken_up(page: tuple[Page, Labelling], store: Path) -> None:
    asked, _ = page
    first = asked.ask("state")["id"]
    asked.ask("label", {"id": first, "kind": "raccoon"})
    with (store / JOURNAL).open("a") as journal:
        journal.write('{"id": "cut o')
    again = Labelling(store)
    assert again.state()["done"] == 1
    second = again.state()["id"]
    assert second != first
    again.label(second, "cat")  # not on the line that was cut off, which would lose it
    third = Labelling(store)
    assert third.state()["done"] == 2
    third.finish()
    kinds = {p.id: p.kind for p in open_store(store).photos}
    assert (kinds[first], kinds[second]) == ("raccoon", "cat")


def test_a_label_taken_back_whose_line_was_lost(store: Path) -> None:
    number = Labelling(store).state()["id"]
    (store / JOURNAL).write_text(json.dumps({"id": number, "kind": None}) + "\n")
    found = Labelling(store).state()
    assert (found["id"], found["done"], found["last"]) == (number, 0, None)


def test_a_photograph_whose_file_is_gone(page: tuple[Page, Labelling]) -> None:
    asked, labelling = page
    number = asked.ask("state")["id"]
    labelling.photos[number].path.unlink()
    assert asked.status(f"photo/{number}") == 404


def test_no_opinion_on_what_a_model_cannot_read(store: Path) -> None:
    def refuse(path: Path) -> tuple[str, float]:
        raise LotorError(f"{path} is no image")

    found = Labelling(store, refuse).state()
    assert (found["suggestion"], found["score"]) == (None, 0.0)


def test_the_model_that_ships_suggests(tmp_path: Path) -> None:
    """What `--model raccoon` shows is what the reference says of the same picture."""
    suggest, model = model_suggestions("raccoon"), find_model("raccoon")
    assert model.labels
    paths = sorted(make_garden(tmp_path / "garden", each=1).glob("*/*.png"))[::3]
    sample = np.load(model.path.parent / "golden" / "raccoon.npz")  # a photograph, less 128
    rgb = (sample["input"][0].astype(np.int16) + 128).astype(np.uint8)
    paths.append(tmp_path / "raccoon.png")
    cv2.imwrite(str(paths[-1]), rgb[:, :, ::-1])
    graph = read_model(model.path.read_bytes(), "raccoon")
    into, oracle = image_input(graph.inputs[0], model.recipe), Oracle(model.path)
    scores = []
    for path in paths:
        said = (oracle.run(into.tensor(read_image(path)))[0].astype(int) + 128) / 256
        kind, score = suggest(path)
        assert kind == model.labels[said.argmax()]
        assert score == pytest.approx(said.max())
        scores.append(score)
    assert (kind, score > 0.9) == ("raccoon", True)
    assert len(set(scores)) > 2
    import_photos(tmp_path / "garden/cat", tmp_path / "set", label="unlabelled")
    state = Labelling(tmp_path / "set", suggest, model.labels).state()
    assert state["suggestion"] in model.labels
    assert 0 < state["score"] <= 1


def test_boxes_get_the_name(store: Path) -> None:
    number = next(p.id for p in open_store(store).photos if p.kind == "unlabelled")
    boxes = (Box(1, 2, 9, 9, "unlabelled"), Box(3, 4, 9, 9, "person"))
    commit(
        store,
        [replace(p, boxes=boxes) if p.id == number else p for p in open_store(store).photos],
    )
    labelling = Labelling(store)
    labelling.label(number, "raccoon")
    labelling.finish()
    (found,) = (p for p in open_store(store).photos if p.id == number)
    assert [box.kind for box in found.boxes] == ["raccoon", "person"]


def test_what_is_refused(page: tuple[Page, Labelling]) -> None:
    asked, labelling = page
    number = asked.ask("state")["id"]
    assert asked.status("label", {"id": "0000", "kind": "cat"}) == 400
    assert asked.status("label", {"id": number, "kind": ""}) == 400
    assert asked.status("label", {"id": number, "kind": "x" * 65}) == 400
    assert asked.status("label", {"id": number}) == 400
    assert asked.status("label", ["no object"]) == 400
    assert asked.status("label", {"id": number, "kind": "y" * 5000}) == 413
    assert asked.status("nothing") == 404
    assert asked.status("nothing", {}) == 404
    assert asked.status("photo/../manifest.csv") == 404
    assert asked.status("state", Host="evil.example:80") == 403
    assert asked.status("undo", {}, **{"Content-Type": "text/plain"}) == 415
    assert labelling.said == {}


def test_only_what_has_no_label_is_shown_unless_asked(store: Path) -> None:
    assert Labelling(store).state()["total"] == 3
    assert Labelling(store, again=True).state()["total"] == 4
    with pytest.raises(LotorError, match="no data set in"):
        Labelling(store / "photos")


def test_a_taken_port(page: tuple[Page, Labelling], store: Path) -> None:
    port = int(page[0].url.rstrip("/").rpartition(":")[2])
    with pytest.raises(LotorError, match=rf"cannot listen on port {port}"):
        serve(Labelling(store), port)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_the_command_ends_with_ctrl_c_and_keeps_the_labels(
    store: Path, end: signal.Signals
) -> None:
    command = [sys.executable, "-m", "lotor", "data", "label", str(store), "--json"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stderr=pipe, stdout=pipe, text=True, preexec_fn=heed_ctrl_c
    ) as run:
        try:
            assert run.stderr is not None
            line = run.stderr.readline()
            asked = Page(line.split()[1])
            number = asked.ask("state")["id"]
            asked.ask("label", {"id": number, "kind": "raccoon"})
            run.send_signal(end)
            out, err = run.communicate(timeout=30)
        finally:
            run.kill()  # nothing, where it has ended
    assert run.returncode == 0, err
    assert json.loads(out)["labelled"] == 1
    assert {p.id: p.kind for p in open_store(store).photos}[number] == "raccoon"
