"""The driver of the evidence: what it keeps, what it measures again, and what it writes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import evidence.__main__ as driver
import pytest
from evidence.document import fill, table
from evidence.paper import ROWS, beside, opening
from evidence.store import Store

from vljepa_ros.errors import InputError
from vljepa_ros.streaming import GateConfig

ROOT = Path(__file__).parents[2]


class Claims:
    """Claims that take no time; `broken` ones fail."""

    def __init__(self) -> None:
        self.measured: Counter[str] = Counter()
        self.sources: dict[str, Path] = {}
        self.broken: set[str] = set()

    def module(self, path: str) -> SimpleNamespace:
        name = path.removeprefix("evidence.")

        def run(source: Path, work: Path, quick: bool, progress: Any) -> dict[str, Any]:
            assert work.is_dir()
            self.measured[name] += 1
            self.sources[name] = source
            progress.add_task("a bar of the claim", total=3)
            if name in self.broken:
                raise RuntimeError("no luck")
            return {"value": self.measured[name], "quick": quick}

        module = SimpleNamespace(run=run, markdown=lambda r: f"{name} has {r['value']}")
        if name != "replay":
            module.draw = lambda result, path: path.write_text(str(result["value"]))
        return module


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Claims:
    """The driver with such claims, in a folder that stands for the repository."""
    made = Claims()
    for document in driver.DOCUMENTS:
        (tmp_path / document).parent.mkdir(exist_ok=True)
        (tmp_path / document).write_text((ROOT / document).read_text("utf-8"))
    monkeypatch.setattr(driver, "ROOT", tmp_path)
    monkeypatch.setattr(driver, "import_module", made.module)
    monkeypatch.setattr(driver, "opening", lambda result: f"saved {result['value']}x")
    monkeypatch.setattr(driver, "beside", lambda entries: f"rows of {len(entries)}")
    use_model(monkeypatch, "model@1")
    monkeypatch.chdir(tmp_path)
    return made


def use_model(monkeypatch: pytest.MonkeyPatch, model_id: str) -> None:
    engine = SimpleNamespace(
        info=SimpleNamespace(model_id=model_id, backend="onnx", precision="int8")
    )
    monkeypatch.setattr(driver.Engine, "load", lambda **_: engine)


def block(text: str, name: str) -> str:
    return text.partition(f"<!-- {name}:begin -->\n")[2].partition(f"\n<!-- {name}:end -->")[0]


def test_a_run_fills_the_documents_and_writes_the_figures(claims: Claims, tmp_path: Path) -> None:
    assert driver.main([]) == 0
    assert claims.measured == dict.fromkeys(driver.CLAIMS, 1)
    page = (tmp_path / "docs" / "evidence.md").read_text()
    assert "Not measured" not in page
    assert block(page, "tasks").endswith("(evidence-tasks.png)\n\ntasks has 1")
    assert block(page, "replay") == "replay has 1"
    assert block(page, "paper") == f"rows of {len(driver.CLAIMS)}"
    ran = [line for line in block(page, "machine").splitlines() if "`model@1-onnx-int8`" in line]
    others = [t for n, t in driver.CLAIMS.items() if n != "prediction"]  # which trains its own
    assert [line.split(" | ")[0].removeprefix("| ") for line in ran] == others
    assert "trained for it" in block(page, "machine")
    assert (tmp_path / "docs" / "evidence-selection.png").is_file()
    opening = block((tmp_path / "README.md").read_text(), "opening")
    assert "(docs/evidence-selection.png)" in opening and opening.endswith("saved 1x")
    figures = json.loads((tmp_path / "docs" / "evidence.json").read_text())
    assert list(figures) == list(driver.CLAIMS)
    assert figures["tasks"]["result"] == {"value": 1, "quick": False}
    assert figures["tasks"]["date"]


def test_what_is_measured_is_kept_for_its_weights_and_its_size(
    claims: Claims, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        assert driver.main(["tasks"]) == 0
    assert claims.measured["tasks"] == 1
    driver.main(["tasks", "--quick"])
    assert claims.measured["tasks"] == 2
    use_model(monkeypatch, "model@2")
    driver.main(["tasks"])
    assert claims.measured["tasks"] == 3
    use_model(monkeypatch, "model@1")
    driver.main(["tasks"])
    assert claims.measured["tasks"] == 3


@pytest.mark.parametrize(
    ("name", "changed"),
    [("GateConfig", lambda: GateConfig(threshold=0.3)), ("RECALL_WITHIN", 0.2)],
)
def test_a_changed_default_of_the_nodes_is_measured_anew(
    claims: Claims, monkeypatch: pytest.MonkeyPatch, name: str, changed: Any
) -> None:
    driver.main(["selection"])
    monkeypatch.setattr(driver, name, changed)
    driver.main(["selection"])
    assert claims.measured["selection"] == 2


def test_a_claim_that_fails_ends_no_other(claims: Claims, tmp_path: Path) -> None:
    claims.broken = {"selection"}
    assert driver.main([]) == 1
    assert claims.measured == dict.fromkeys(driver.CLAIMS, 1)
    page = (tmp_path / "docs" / "evidence.md").read_text()
    assert block(page, "selection") == "Not measured yet."
    assert block(page, "paraphrases").endswith("paraphrases has 1")
    assert block((tmp_path / "README.md").read_text(), "opening") == "Not measured yet."
    claims.broken = set()
    assert driver.main([]) == 0
    assert claims.measured == {**dict.fromkeys(driver.CLAIMS, 1), "selection": 2}


def test_the_time_of_a_claim_is_that_of_all_its_runs(
    claims: Claims, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock = iter(range(0, 100_000, 600))  # s, ten minutes each time that somebody looks
    monkeypatch.setattr(driver, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    claims.broken = {"tasks"}
    driver.main(["tasks"])
    claims.broken = set()
    driver.main(["tasks"])
    figures = json.loads((tmp_path / "docs" / "evidence.json").read_text())
    assert figures["tasks"]["minutes"] == 20
    (row,) = [
        r
        for r in block((tmp_path / "docs" / "evidence.md").read_text(), "machine").splitlines()
        if "many tasks" in r
    ]
    assert row.endswith("| 20 |")


def test_a_run_of_one_claim_leaves_the_others_as_they_are(claims: Claims, tmp_path: Path) -> None:
    driver.main([])
    page = tmp_path / "docs" / "evidence.md"
    before = page.read_text()
    (tmp_path / "runs").rename(tmp_path / "elsewhere")
    claims.measured["tasks"] = 6
    assert driver.main(["tasks"]) == 0
    assert page.read_text() == before.replace("tasks has 1", "tasks has 7")


def test_a_quick_run_leaves_the_documents_alone(claims: Claims, tmp_path: Path) -> None:
    before = {d: (tmp_path / d).read_text() for d in driver.DOCUMENTS}
    assert driver.main(["--quick", "--work", "away"]) == 0
    assert {d: (tmp_path / d).read_text() for d in driver.DOCUMENTS} == before
    assert not list((tmp_path / "docs").glob("*.png"))
    assert "tasks has 1" in (tmp_path / "away" / "quick" / "docs" / "evidence.md").read_text()
    assert (tmp_path / "away" / "quick" / "docs" / "evidence-tasks.png").is_file()


def test_the_nodes_replay_the_streams_of_selection(claims: Claims, tmp_path: Path) -> None:
    driver.main(["--data", "episodes"])
    work = tmp_path / "runs" / "evidence" / "full"
    assert claims.sources["replay"] == work / "selection" / "streams"
    assert claims.sources["tasks"] == tmp_path / "episodes"


def test_an_unknown_claim_is_refused(claims: Claims) -> None:
    with pytest.raises(SystemExit):
        driver.main(["taks"])
    assert not claims.measured


def test_a_result_that_was_cut_off_while_it_was_written_does_not_count(tmp_path: Path) -> None:
    store = Store(tmp_path, "model@1", "defaults", False)
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
    assert block(page, "paper") == beside(entries)
    readme = (ROOT / "README.md").read_text("utf-8")
    assert block(readme, "opening").endswith(opening(entries["selection"]["result"]))


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
