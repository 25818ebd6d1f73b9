"""What the evidence keeps, and what it writes into the documents."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import evidence.__main__ as driver
import pytest
from evidence import kept
from evidence.document import fill, table
from evidence.kept import code, nodes_code, statements
from evidence.paper import ROWS, beside, opening
from evidence.store import Store

from vljepa_ros.errors import InputError

ROOT = Path(__file__).parents[2]


def test_comments_and_docstrings_measure_nothing() -> None:
    plain = 'def f(x: int) -> int:\n    return x + 1\n\nclass A:\n    """Only this."""\n'
    told = '"""A module."""\n' + plain.replace("    return", '    """Adds."""  # one\n    return')
    assert statements(told) == statements(plain) != statements(plain.replace("1", "2"))
    assert code() != code("streaming") == code("streaming")


def test_what_is_asked_about_decides_what_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "_PACKAGE", tmp_path)
    (tmp_path / "training").mkdir()
    digests = set()
    for listed in ("[]", '["a mug"]'):
        (tmp_path / "training" / "photographs.json").write_text(listed)
        code.cache_clear()
        digests.add(code("training"))
    code.cache_clear()
    assert len(digests) == 2


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the repository whose code `kept` looks at."""
    unneeded = shutil.ignore_patterns("weights", "*.mp4", "__pycache__")
    for folder in ("vljepa_ros", "benchmarks", "scripts", "msg", "srv", "config"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=unneeded)
    monkeypatch.setattr(kept, "_ROOT", tmp_path)
    monkeypatch.setattr(kept, "_PACKAGE", tmp_path / "vljepa_ros")
    monkeypatch.setattr(kept, "_EVIDENCE", tmp_path / "benchmarks" / "evidence")
    yield tmp_path
    code.cache_clear()
    nodes_code.cache_clear()


def test_each_claim_is_kept_for_the_code_that_it_runs(copied: Path) -> None:
    def digests() -> tuple[str, str]:
        code.cache_clear()
        nodes_code.cache_clear()
        return code(), nodes_code()

    before = digests()
    for changed, everywhere, through_nodes in (
        ("vljepa_ros/tokenizer.py", True, False),
        ("vljepa_ros/training/tabletop/episode.py", True, False),
        ("vljepa_ros/training/paraphrases.json", True, False),
        ("benchmarks/evidence/streams.py", True, False),
        ("vljepa_ros/nodes/decoder.py", False, True),
        ("scripts/pipeline", False, True),
        ("msg/Description.msg", False, True),
        ("config/fastdds.xml", False, True),
        ("benchmarks/robot.py", False, True),
        ("benchmarks/evidence/selection_picture.py", False, False),
        ("vljepa_ros/cli.py", False, False),
    ):
        path = copied / changed
        whole = path.read_text("utf-8")
        path.write_text(whole + "\nchanged = 1\n", "utf-8")
        found = digests()
        differ = (found[0] != before[0], found[1] != before[1])
        assert differ == (everywhere, through_nodes), changed
        path.write_text(whole, "utf-8")
    (copied / "scripts" / "pipeline").open("a").write("\n# only a comment\n")
    assert digests() == before


def test_only_what_ran_through_the_nodes_is_kept_for_their_code(tmp_path: Path) -> None:
    one, other = (Store(tmp_path, "model@1", "defaults", "code", n, False) for n in ("a", "b"))
    differ = [name for name in driver.CLAIMS if one.path(name) != other.path(name)]
    assert differ == ["replay"]


def test_a_result_that_was_cut_off_while_it_was_written_does_not_count(tmp_path: Path) -> None:
    store = Store(tmp_path, "model@1", "defaults", "code", "nodes", False)
    store.save("tasks", {"result": 1})
    path = store.path("tasks")
    path.rename(path.with_name("tasks.json.part"))
    assert store.load("tasks") is None


def test_the_documents_have_each_block_once() -> None:
    page = (ROOT / "docs" / "evidence.md").read_text("utf-8")
    fill(page, dict.fromkeys((*driver.CLAIMS, "machine", "paper"), ""))
    fill((ROOT / "README.md").read_text("utf-8"), {"opening": ""})


def test_the_documents_say_what_the_figures_do() -> None:
    entries = json.loads((ROOT / "docs" / "evidence.json").read_text("utf-8"))
    page = (ROOT / "docs" / "evidence.md").read_text("utf-8")
    assert f"<!-- paper:begin -->\n{beside(entries)}\n<!-- paper:end -->" in page
    readme = (ROOT / "README.md").read_text("utf-8")
    assert f"{opening(entries['selection']['result'])}\n<!-- opening:end -->" in readme


@pytest.mark.parametrize(
    "text",
    [
        "no mark at all",
        "<!-- a:begin --> but no end",
        "<!-- a:end --> before <!-- a:begin -->",
        2 * "<!-- a:begin --><!-- a:end -->",
    ],
)
def test_a_block_that_is_missing_or_there_twice_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="a:begin"):
        fill(text, {"a": "new"})


def test_only_what_is_between_the_marks_changes() -> None:
    text = "x\n<!-- a:begin -->\nold\n<!-- a:end -->\ny <!-- b:begin -->z<!-- b:end -->"
    filled = fill(text, {"a": r"new \1 {b}"})
    assert filled == text.replace("old", r"new \1 {b}")
    assert fill(filled, {"a": r"new \1 {b}"}) == filled


def test_a_table_is_markdown() -> None:
    assert table(("a", "b"), [(1, "x")]) == "| a | b |\n| --- | --- |\n| 1 | x |"


def test_the_papers_table_shows_what_is_not_measured_as_empty() -> None:
    lines = beside({}).splitlines()
    assert len(lines) == 2 + len(ROWS)
    assert all(line.split("|")[4].strip() == "" for line in lines[2:])
    assert {row.claim for row in ROWS} <= driver.CLAIMS.keys()


def test_ours_stand_beside_the_papers() -> None:
    """On results as the claims give them, with numbers of no meaning."""
    gate = {"name": "our gate", "saving": 3.5, "saving_95": [3.0, 4.25], "interval": 4.2}
    ward = {"name": "Ward clustering", "saving": 2.0, "saving_95": [1.5, 2.5], "interval": 4.0}
    selection = {
        "streams": {"counts": {"test": 60}, "seconds": 180.0, "seconds_per_annotation": 6.25},
        "ways": [
            *(ward, {**ward, "name": "Ward clustering, averaged"}),
            *(gate, {**gate, "name": "our gate and decoder", "saving": 5.0}),
        ],
        "saving_with_recall_on_both": {"saving": 1.25, "saving_95": None},
    }
    scores = {"cider": 20.0, "top5": 0.5}
    curve = [{"tabletop": scores, "composites": {"cider": 10.0, "top5": 0.1}}] * 2
    prediction = {
        "parameters": {"vl-jepa": 3e6, "vlm": 6e6},
        "samples": [10, 32768],
        "curves": {"vl-jepa": [curve, curve], "vlm": [[{"tabletop": scores}] * 2]},
        "costs": {
            "ms": {
                "vl-jepa: query": 1.0,
                "vl-jepa: x-encoder": 20.0,
                "vl-jepa: predictor": 5.0,
                "vl-jepa: decoding": 10.0,
                "vlm: x-encoder": 20.0,
                "vlm: language model": 40.0,
            }
        },
    }
    tasks = {
        "rows": [
            {"task": "tabletop: naming, 10 names", "systems": {"shipped": {"right": [0.9]}}},
            {"task": "photographs: naming, 10 names", "systems": {"shipped": {"right": [0.6]}}},
        ]
    }
    results = {"prediction": prediction, "selection": selection, "tasks": tasks}
    lines = beside({name: {"result": result} for name, result in results.items()}).splitlines()
    cells = [tuple(cell.strip() for cell in line.split("|")[1:-1]) for line in lines[2:]]
    ours = {(claim, what): found for claim, what, _, found, _ in cells}
    assert ours["prediction", "CIDEr at the end, VL-JEPA / token VLM"] == "15.0 / 20.0"
    assert ours["prediction", "top-5 at the end, VL-JEPA / token VLM, %"] == "30.0 / 50.0"
    assert ours["prediction", "parameters trained, VL-JEPA / token VLM"] == "3.0 M / 6.0 M"
    assert ours["prediction", "a caption, token VLM"] == "60 ms"
    assert ours["prediction", "a caption, VL-JEPA"] == "36 ms"
    assert ours["prediction", "an embedding without text"] == "26 ms"
    assert ours["selection", "decodes saved at equal CIDEr, live"] == "3.50x (3.00 to 4.25)"
    once = ours["selection", "decodes saved at equal CIDEr, live, each meaning decoded once"]
    assert once == "5.00x (3.00 to 4.25)"
    fair = "the same, if even intervals decode each meaning once too"
    assert ours["selection", fair] == "1.25x"
    for told in ("**3.50x (3.00 to 4.25)**", "**1.25x**"):
        assert told in opening(selection)
    assert ours["selection", "seconds between decodes / between annotations"] == "4.20 / 6.2"
    assert ours["tasks", "naming, top-1, %"] == "tabletop 90.0, photographs 60.0"
    assert "60 held-out streams of 180 s" in opening(selection)
