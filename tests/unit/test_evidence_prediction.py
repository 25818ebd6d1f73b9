"""Claim 1: the token-space VLM computes what it says, and a comparison that was ended goes on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from evidence import comparison, prediction, token_model
from evidence.arms import (
    EmbeddingArm,
    TextSampler,
    TokenArm,
    base_config,
    find_token_model,
    load_token_model,
)
from evidence.comparison import Comparison, Settings
from evidence.kept import Kept
from evidence.questions import right_choices
from evidence.token_model import TokenModel, TokenStep
from rich.progress import Progress
from torch import Tensor

from vljepa_ros.errors import DivergedError, InputError
from vljepa_ros.model import VLJEPA
from vljepa_ros.model.config import PredictorConfig, YDecoderConfig
from vljepa_ros.model.efficientnet import EfficientNet
from vljepa_ros.model.y_decoder import vocabulary_of
from vljepa_ros.training import loop
from vljepa_ros.training.dataset import KIND_WEIGHTS, Sampler
from vljepa_ros.training.features import Episode, load_episodes
from vljepa_ros.training.language import Sample

_TEXTS = ["a red mug", "the blue ball moves to the left", "nothing"]
_QUERIES = ["What is it?", "What do you see in this rather long question?", "Say!"]
_PREDICTOR = PredictorConfig(width=32, layers=2, heads=2, kv_heads=2, ffn_width=64)
_DECODER = YDecoderConfig(width=32, layers=1, heads=2, ffn_width=64, max_tokens=12)
TINY = Settings(
    predictor=replace(_PREDICTOR, layers=1),
    decoder=_DECODER,
    episodes=(("composites", 4),),
    held_out=(("val", 4), ("test", 4)),
    steps=4,
    batch_size=4,
    warmup_steps=1,
    seeds=(0, 1),
    rates=(1e-2, 1e-3),
    trial_steps=1,
    decoder_steps=2,
    questions=8,
    rounds=1,
)


@pytest.fixture(scope="module")
def base() -> VLJEPA:
    torch.manual_seed(0)
    return VLJEPA(base_config(_PREDICTOR, _DECODER)).eval()


@pytest.fixture(scope="module")
def model(base: VLJEPA) -> TokenModel:
    """With weights so large that its words depend on what it reads."""
    torch.manual_seed(1)
    made = TokenModel(_PREDICTOR, base, vocabulary_of(base.query.tokenizer, _TEXTS))
    with torch.no_grad():
        made.query.embedding.weight.normal_()
        for weight in made.body.parameters():
            if weight.ndim > 1:
                weight.normal_(std=weight.shape[-1] ** -0.5)
    return made.eval()


@pytest.fixture(scope="module")
def windows() -> Tensor:
    return torch.randn(3, 4, 54, 976, generator=torch.Generator().manual_seed(2))


@torch.no_grad()
def test_text_sees_its_past_alone_and_the_prefix_sees_all_of_itself(
    model: TokenModel, windows: Tensor
) -> None:
    text, _ = model.tokenize(_TEXTS)
    logits = model(windows, _QUERIES, text)
    changed = text.clone()
    changed[:, 3] = int(model.words[4])
    others = model(windows, _QUERIES, changed)
    torch.testing.assert_close(others[:, :3], logits[:, :3])
    assert (others[:, 3] - logits[:, 3]).abs().max() > 0.1
    # In the second layer, visual tokens know the query that comes after them.
    first, second = (
        model.read(windows[:1], [query]).past[1][..., :54, :] for query in ("Who?", "Why?")
    )
    assert (first - second).abs().max() > 1e-3


@torch.no_grad()
def test_words_one_by_one_are_those_of_the_whole_forward(
    model: TokenModel, windows: Tensor
) -> None:
    told = model.generate(windows, _QUERIES)
    assert len(set(told)) > 1
    for row, query in enumerate(_QUERIES):  # alone, so without the batch's padding
        text = torch.tensor([[token_model.START]])
        for _ in range(token_model._MAX_TOKENS - 1):
            best = model(windows[row : row + 1], [query], text)[0, -1].argmax()
            if model.words[best] == token_model.END:
                break
            text = torch.cat([text, model.words[best].long().reshape(1, 1)], dim=1)
        (expected,) = model.query.tokenizer.texts(text[:, 1:].tolist())
        assert told[row] == expected
        assert model.caption(windows[row].numpy(), query) == expected


@torch.no_grad()
@pytest.mark.parametrize("packed", [4, 1000])
def test_the_ranking_is_that_of_the_whole_forward(
    packed: int, model: TokenModel, windows: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_model, "_PACKED", packed)
    scores = model.rank(windows, _QUERIES, _TEXTS)
    for place, candidate in enumerate(_TEXTS):
        text, _ = model.tokenize([candidate] * 3)
        likely = model(windows, _QUERIES, text[:, :-1]).log_softmax(-1)
        right = torch.searchsorted(model.words, text[:, 1:].int())
        expected = likely.gather(-1, right[..., None]).mean((1, 2))
        torch.testing.assert_close(scores[:, place], expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_candidate_of_unknown_words_is_ranked_by_all_of_them(
    model: TokenModel, windows: Tensor
) -> None:
    scores = model.rank(windows, _QUERIES, ["a red mug", "a red zebra", "a red violin"])
    assert torch.isfinite(scores).all()
    assert (scores[:, 1] - scores[:, 2]).abs().min() > 1e-4


def test_a_step_teaches_the_answers(model: TokenModel, windows: Tensor, base: VLJEPA) -> None:
    samples = [Sample("what", q, (t,), t) for q, t in zip(_QUERIES, _TEXTS, strict=True)]
    batch: Any = type("Batch", (), {"samples": samples, "texts": _TEXTS, "frames": windows.half()})
    torch.manual_seed(3)
    learner = TokenModel(_PREDICTOR, base, model.words)
    step = TokenStep(learner)
    optimizer = torch.optim.AdamW(learner.body.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        step(batch).backward()
        optimizer.step()
    assert learner.generate(windows, _QUERIES) == _TEXTS
    assert learner.rank(windows, _QUERIES, _TEXTS).argmax(1).tolist() == [0, 1, 2]


def test_the_vlm_trains_twice_as_many_parameters() -> None:
    settings = Settings()
    base = VLJEPA(base_config(settings.predictor, settings.decoder))
    ours, theirs = (
        sum(p.numel() for p in arm.step.parameters() if p.requires_grad)
        for arm in (EmbeddingArm(base, 0, {}), TokenArm(base, 0))
    )
    assert 1.8 < theirs / ours < 2.2


def test_the_best_choice_counts_whatever_the_order() -> None:
    places = {"left": 0, "right": 1}
    drawn: Any = [
        (Sample("where", query, (answer,), answer, choices), Episode({}, Frames()), [0])
        for query, answer, choices in (
            ("left", "left", ("left", "right")),
            ("right", "right", ("right", "left")),
            ("left", "right", ("left", "right")),
            ("right", "right", ("left", "right")),
        )
    ]

    def scores(windows: Tensor, queries: Sequence[str], candidates: Sequence[str]) -> Tensor:
        """Whoever asks for a side gets it."""
        wanted = torch.tensor([places[query] for query in queries])
        sides = torch.tensor([places[candidate] for candidate in candidates])
        return (wanted[:, None] == sides).float()

    assert right_choices(scores, drawn).tolist() == [True, True, False, True]


class Frames:
    """Frames of no content."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, numbers: list[int]) -> np.ndarray:
        return np.zeros((len(numbers), 54, 976), np.float16)


@pytest.fixture(scope="module")
def data(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = shutil.copytree(shards, tmp_path_factory.mktemp("evidence") / "data")
    shutil.copytree(root / "composites" / "test", root / "composites" / "val")
    return root


def compare(data: Path, work: Path) -> Comparison:
    return Comparison(data, work, TINY, Progress(disable=True))


class KilledError(Exception):
    pass


def test_a_killed_comparison_goes_on_to_the_same_result(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "_CHECKPOINTS", (0.5, 1.0))
    monkeypatch.setattr(loop, "_VOCABULARY_DRAWS", 50)
    monkeypatch.setattr(EfficientNet, "learn_classes", lambda *_: None)  # a thousand texts
    first = compare(data, tmp_path / "whole")
    whole = first.run()
    score, left = comparison.score, [5]

    def killed(*arguments: Any) -> dict[str, float]:
        left[0] -= 1
        if not left[0]:
            raise KilledError
        return score(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(comparison, "score", killed)
        with pytest.raises(KilledError):
            compare(data, tmp_path / "parts").run()
    parts = compare(data, tmp_path / "parts").run()
    for result in (whole, parts):
        costs = result.pop("costs")["ms"]
        assert costs.keys() >= {"vl-jepa: decoding", "vlm: language model"}
        assert min(costs.values()) > 0
    assert parts == whole
    assert whole["samples"] == [8, 16]
    assert [len(curve) for curve in whole["curves"]["vlm"]] == [2, 2]
    assert any(one != other for one, other in whole["curves"].values()), "seeds differ"
    told, arm = load_token_model(find_token_model(tmp_path / "whole")), first.final("vlm")
    window = load_episodes(data, ("composites",), "test", (54, 976))[0].frames[[0, 1, 2, 3]]
    tokens = window.astype(np.float32)
    (expected,) = arm.captions(torch.from_numpy(tokens)[None], ["What?"])
    assert told.caption(tokens, "What?") == expected

    picture, result = tmp_path / "picture.png", first.run()
    prediction.draw(result, picture)
    assert picture.stat().st_size > 10_000
    text = prediction.markdown(result)
    assert f"{whole['parameters']['vlm']:,}" in text
    assert "nan" not in text


def test_only_a_rate_by_which_training_diverges_has_no_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = Comparison.__new__(Comparison)
    tried.settings, tried.kept = TINY, Kept(tmp_path)
    errors: dict[float, Exception] = {1e-2: DivergedError("fast"), 1e-3: InputError("damaged")}

    def fail(name: str, seed: int, rate: float, steps: int) -> None:
        raise errors[rate]

    monkeypatch.setattr(tried, "_train", fail)
    with pytest.raises(InputError, match="damaged"):
        tried._rates("vlm")
    errors[1e-3] = DivergedError("still too fast")
    assert tried._rates("vlm")["scores"] == {"0.01": 0.0, "0.001": 0.0}


def test_a_token_model_that_was_not_trained_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="make evidence"):
        find_token_model(tmp_path)


def test_the_newest_token_model_of_the_most_steps_is_taken(tmp_path: Path) -> None:
    for age, run in enumerate(("64-c", "1024-b", "1024-d", "1024-a")):
        config = tmp_path / run / "vlm" / "config.json"
        config.parent.mkdir(parents=True)
        config.touch()
        os.utime(config, (0, 100 - age))
    assert find_token_model(tmp_path) == tmp_path / "1024-b" / "vlm"
    os.utime(tmp_path / "1024-d" / "vlm" / "config.json", (0, 1000))
    assert find_token_model(tmp_path) == tmp_path / "1024-d" / "vlm"


def test_texts_alone_are_those_of_a_sampler(data: Path) -> None:
    episodes = load_episodes(data, ("composites",), "train", (54, 976))
    window = base_config(_PREDICTOR, _DECODER).window
    whole = Sampler(episodes, window, KIND_WEIGHTS, 5, negatives=0).batch(3, 8)
    texts = TextSampler(episodes, window, KIND_WEIGHTS, 5)
    assert texts.batch(3, 8).samples == whole.samples
    assert texts.batch(3, 8, 1, 2).samples == whole.samples[4:]
    assert whole.negatives == [[]] * 8
