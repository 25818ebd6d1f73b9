"""A checkpoint of open-vljepa's layout becomes one of ours and computes the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from vljepa_ros.errors import CheckpointError, InputError
from vljepa_ros.model import VLJEPAConfig, load_checkpoint
from vljepa_ros.model.config import NoDecoderConfig
from vljepa_ros.model.importing import OPEN_VLJEPA, import_open_vljepa
from vljepa_ros.model.info import describe
from vljepa_ros.runtime import Engine


@pytest.fixture(scope="module")
def config(small_copy: VLJEPAConfig) -> VLJEPAConfig:
    return replace(small_copy, name="imported", y_decoder=NoDecoderConfig())


@pytest.fixture(scope="module")
def theirs(published: dict[str, tuple[Path, Any]]) -> dict[str, torch.Tensor]:
    """Their state dictionary: parts of the published weights under their names, and new heads."""
    torch.manual_seed(1)
    llama = published["llama"][1].model
    state = {"predictor.embed_tokens.weight": llama.embed_tokens.weight}
    state |= {f"predictor.layers.{k}": v for k, v in llama.layers[2:].state_dict().items()}
    state["predictor.norm.weight"] = llama.norm.weight
    state |= {f"y_encoder.model.{k}": v for k, v in published["gemma"][1].state_dict().items()}
    for head, (outputs, inputs) in {
        "predictor.vis_proj": (32, 48),
        "predictor.out_proj": (24, 32),
        "y_encoder.projector": (24, 32),
    }.items():
        state[f"{head}.weight"] = torch.randn(outputs, inputs)
        state[f"{head}.bias"] = torch.randn(outputs)
    return {name: tensor.detach() for name, tensor in state.items()}


def save(state: dict[str, torch.Tensor], file: Path) -> Path:
    torch.save({"epoch": 3, "model_state_dict": state, "loss": 1.0, "config": {"a": [1]}}, file)
    return file


def test_the_import_computes_what_theirs_computes(
    config: VLJEPAConfig,
    theirs: dict[str, torch.Tensor],
    published: dict[str, tuple[Path, Any]],
    tmp_path: Path,
) -> None:
    import_open_vljepa(save(theirs, tmp_path / "best.pt"), tmp_path / "ours", config)
    model = load_checkpoint(tmp_path / "ours")
    tokens = torch.randn(1, 2, 4, 48)
    llama = published["llama"][1].model
    ids = torch.tensor([[0, 5, 6, 7]])  # "what is this", begun as Llama's tokenizer does
    with torch.inference_mode():
        x = F.linear(
            tokens.flatten(1, 2),
            theirs["predictor.vis_proj.weight"],
            theirs["predictor.vis_proj.bias"],
        )
        x = torch.cat([x, llama.embed_tokens(ids)], dim=1)
        positions = torch.arange(x.shape[1])[None]
        rotary = llama.rotary_emb(x, positions)
        all_seen = torch.zeros(1, 1, x.shape[1], x.shape[1])
        for layer in llama.layers[2:]:
            x = layer(
                x, attention_mask=all_seen, position_ids=positions, position_embeddings=rotary
            )
        expected = F.linear(
            llama.norm(x).mean(1),
            theirs["predictor.out_proj.weight"],
            theirs["predictor.out_proj.bias"],
        )
        query, mask = model.query(["what is this"])
        ours = model.predictor(tokens, query, mask)
        text = published["gemma"][1](input_ids=ids).last_hidden_state.mean(1)
        vectors = model.encode_text(["what is this"])
    # Written in bf16, which keeps three digits.
    assert F.cosine_similarity(ours, expected).item() > 0.999
    head = theirs["y_encoder.projector.weight"], theirs["y_encoder.projector.bias"]
    assert F.cosine_similarity(vectors, F.linear(text, *head)).item() > 0.999


def test_without_a_decoder_it_ranks_but_does_not_write(
    config: VLJEPAConfig, theirs: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    import_open_vljepa(save(theirs, tmp_path / "best.pt"), tmp_path / "ours", config)
    engine = Engine.load(str(tmp_path / "ours"))
    assert engine.info.conditioned and not engine.info.decodes
    row = engine.encode_text(["a red ball"])
    assert engine.rank(row[0], ["a red ball", "what"]).best == 0
    with pytest.raises(InputError, match="no Y-Decoder"):
        engine.decode(row)


def test_another_layout_is_refused(
    config: VLJEPAConfig, theirs: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    name = "predictor.norm.weight"
    for state, match in (
        ({k: v for k, v in theirs.items() if k != name}, "lacks.*norm.weight"),
        ({**theirs, "extra": torch.zeros(1)}, "unknown.*extra"),
    ):
        with pytest.raises(CheckpointError, match=match):
            import_open_vljepa(save(state, tmp_path / "best.pt"), tmp_path / "ours", config)
    with pytest.raises(CheckpointError, match="there is no file"):
        import_open_vljepa(tmp_path / "nothing.pt", tmp_path / "ours", config)
    for text in ("no pickle", ""):
        (tmp_path / "text.pt").write_text(text)
        with pytest.raises(CheckpointError, match="no checkpoint of open-vljepa"):
            import_open_vljepa(tmp_path / "text.pt", tmp_path / "ours", config)


def test_nothing_in_the_pickle_is_executed(config: VLJEPAConfig, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "touched",))

    torch.save({"model_state_dict": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(CheckpointError, match="no checkpoint of open-vljepa") as refused:
        import_open_vljepa(tmp_path / "evil.pt", tmp_path / "ours", config)
    assert "weights_only" not in str(refused.value)  # torch advises to read it without
    assert not (tmp_path / "touched").exists()


def test_its_sizes_are_those_of_the_paper() -> None:
    trained = {part.name: part.trained / 1e6 for part in describe(OPEN_VLJEPA)}
    assert trained["predictor"] == pytest.approx(490, abs=7)
    assert trained["y_decoder"] == 0
