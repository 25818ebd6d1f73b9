"""The driver of the evidence: what it keeps, what it measures again, and what it writes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import evidence.__main__ as driver
import pytest

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


def test_a_claim_of_no_shipped_weights_is_kept_whatever_they_are(
    claims: Claims, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver.main(["prediction"])
    use_model(monkeypatch, "model@2")
    driver.main(["prediction"])
    assert claims.measured["prediction"] == 1


@pytest.mark.parametrize("name", list(driver.CLAIMS))
def test_what_other_code_measured_is_measured_anew(
    claims: Claims, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    driver.main([name])
    monkeypatch.setattr(driver, "code", lambda: "other")
    driver.main([name])
    assert claims.measured[name] == 2


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
    assert claims.sources["replay"] == work / "selection"
    assert claims.sources["tasks"] == tmp_path / "episodes"


def test_an_unknown_claim_is_refused(claims: Claims) -> None:
    with pytest.raises(SystemExit):
        driver.main(["taks"])
    assert not claims.measured
