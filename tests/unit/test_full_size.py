"""The full-size model: its numbers, its parts against transformers' own, a step of training."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from vljepa_ros.errors import CheckpointError
from vljepa_ros.model import VLJEPA, VLJEPAConfig, load_checkpoint, save_checkpoint
from vljepa_ros.model.importing import OPEN_VLJEPA
from vljepa_ros.model.info import describe, published_weights
from vljepa_ros.training.config import read_yaml
from vljepa_ros.training.objective import InfoNCE
from vljepa_ros.training.steps import AlignmentStep

CONFIG = Path(__file__).parents[2] / "config" / "models" / "vljepa-1.6b.yaml"
WORDS = 8  # of the small copies' tokenizer


@pytest.fixture(scope="module")
def model(small_copy: VLJEPAConfig) -> VLJEPA:
    made = VLJEPA(small_copy)
    made.load_pretrained()
    return made.eval()


def assert_same(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    assert ours.shape == theirs.shape
    assert F.cosine_similarity(ours.flatten(), theirs.flatten(), dim=0).item() > 0.9999
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_the_numbers_are_those_of_the_paper() -> None:
    """Section 3.1: 304M frozen, 490M trained, 300M trained slowly."""
    parts = {
        part.name: part
        for part in describe(VLJEPAConfig.from_dict(yaml.safe_load(CONFIG.read_text())["model"]))
    }
    millions = {name: part.parameters / 1e6 for name, part in parts.items()}
    assert millions["x_encoder"] == pytest.approx(304, abs=1)
    assert millions["predictor"] == pytest.approx(490, abs=7)
    assert millions["y_encoder"] == pytest.approx(300, abs=5)
    assert parts["x_encoder"].trained == parts["query"].trained == 0
    assert parts["predictor"].trained == parts["predictor"].parameters
    assert parts["y_encoder"].trained == parts["y_encoder"].parameters


def test_the_x_encoder_is_that_of_transformers(
    model: VLJEPA, published: dict[str, tuple[Path, Any]]
) -> None:
    frames = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.inference_mode():
        tokens = model.x_encoder(model.x_encoder.encode_frames(frames).unsqueeze(0))
        clip = ((frames / 255 - mean) / std).unsqueeze(0)
        theirs = published["vjepa2"][1].get_vision_features(clip)
    assert tokens.shape == (1, 2, 4, 48)
    assert_same(tokens.flatten(1, 2), theirs)


def test_the_predictor_begins_as_the_last_layers_of_llama(
    model: VLJEPA, published: dict[str, tuple[Path, Any]]
) -> None:
    """With the causal mask put back, which Llama cannot do without."""
    backbone = published["llama"][1].model
    # Long enough for the stretched wavelengths to tell.
    x = torch.randn(1, 300, 32)
    positions = torch.arange(300)[None]
    with torch.inference_mode():
        rotary = backbone.rotary_emb(x, positions)
        mask = torch.full((300, 300), float("-inf")).triu(1)[None, None]
        theirs = x
        for layer in backbone.layers[2:]:
            theirs = layer(
                theirs,
                attention_mask=mask,
                position_ids=positions,
                position_embeddings=rotary,
            )
        theirs = backbone.norm(theirs)
        assert_same(model.predictor.transformer(x, causal=True), theirs)


def test_the_query_reaches_llamas_layers_as_llama_embeds_it(
    model: VLJEPA, small_copy: VLJEPAConfig
) -> None:
    x = torch.randn(2, 32)
    torch.testing.assert_close(model.predictor.query_projection(x), x)
    # Layers that are trained from nothing know no embedding.
    new = VLJEPA(replace(small_copy, predictor=replace(small_copy.predictor, weights="")))
    new.load_pretrained()
    assert not torch.allclose(new.predictor.query_projection(x), x, atol=0.1)


@pytest.mark.parametrize("joined", [1, 2])
def test_the_predictor_counts_what_the_x_encoder_has_joined(
    small_copy: VLJEPAConfig, joined: int
) -> None:
    """Four frames are two tokens in time, which have a learned time each, or one of both."""
    config = replace(
        small_copy,
        window=replace(small_copy.window, tubelet=joined),
        predictor=replace(small_copy.predictor, adapt_tokens=True),
    )
    model = VLJEPA(config).eval()
    pictures = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    with torch.inference_mode():
        tokens = model.encode_window(model.encode_frames(pictures).unsqueeze(0))
        assert tokens.shape == (1, 2, 4, 48)
        assert model.predictor.visual(tokens).shape == (1, 2 // joined * 4, 32)
        assert model.predict(tokens, ["what", "a ball"]).shape == (2, 24)
    assert model.predictor.time_embedding.shape == (2 // joined, 1, 32)


def test_the_query_has_llamas_tokens(
    model: VLJEPA, published: dict[str, tuple[Path, Any]]
) -> None:
    embedded, mask = model.query(["what is this", "what"])
    table = published["llama"][1].get_input_embeddings().weight
    assert_same(embedded[0], table[[0, 5, 6, 7]])
    assert mask.tolist() == [[True] * 4, [True, True, False, False]]


def test_the_y_encoder_is_the_mean_of_transformers(
    model: VLJEPA, published: dict[str, tuple[Path, Any]]
) -> None:
    # One longer than its sliding window of 33 tokens reaches, beside one that it leaves behind.
    texts = ["a red ball", "a", "a red ball " * 20]
    with torch.inference_mode():
        ours = model.y_encoder.pool(*model.y_encoder.encoder_states(texts))
        long = [0, *[2, 3, 4] * 20]
        for row, ids in zip(ours, ([0, 2, 3, 4], [0, 2], long), strict=True):
            hidden = published["gemma"][1](input_ids=torch.tensor([ids])).last_hidden_state
            assert_same(row, hidden.mean(1)[0])


def test_the_y_decoder_reads_the_embedding_and_ends(model: VLJEPA) -> None:
    embeddings = F.normalize(torch.randn(2, 24), dim=-1)
    tokens, _ = model.y_decoder.tokenize(["a red ball", "a"])
    assert tokens[0].tolist() == [0, 2, 3, 4, 1]
    logits = model.y_decoder(embeddings, tokens)
    assert logits.shape == (2, 5, WORDS)
    assert not torch.allclose(logits[0], model.y_decoder(embeddings.flip(0), tokens)[0])
    texts, probabilities = model.decode(embeddings)
    assert len(texts) == 2 and all(len(text.split()) <= 5 for text in texts)
    assert probabilities.shape == (2,) and ((probabilities > 0) & (probabilities <= 1)).all()


def test_the_y_decoder_is_llama_behind_its_prefix(
    model: VLJEPA, published: dict[str, tuple[Path, Any]]
) -> None:
    """All at once, and token by token with the keys and values kept."""
    llama, decoder = published["llama"][1], model.y_decoder
    embeddings = F.normalize(torch.randn(2, 24), dim=-1)
    tokens = torch.tensor([[0, 2, 3, 4], [0, 5, 6, 7]])
    with torch.inference_mode():
        words = llama.get_input_embeddings()(tokens)
        theirs = llama(inputs_embeds=torch.cat([decoder.read(embeddings), words], 1)).logits
        assert_same(decoder(embeddings, tokens), theirs[:, decoder.prefix_tokens :])
        past, x = decoder.transformer.no_past(2), decoder.read(embeddings)
        for place in range(4):
            word = words[:, place : place + 1]
            logits, past = decoder.step(word if place else torch.cat([x, word], 1), past)
            assert_same(logits, theirs[:, decoder.prefix_tokens + place])


def test_a_missing_or_extra_tensor_is_named(
    small_copy: VLJEPAConfig, published: dict[str, tuple[Path, Any]], tmp_path: Path
) -> None:
    state = load_file(published["gemma"][0] / "model.safetensors")
    broken = replace(small_copy, y_encoder=replace(small_copy.y_encoder, weights=str(tmp_path)))
    name = next(name for name in state if "layers.1" in name)
    for tensors, match in (
        ({k: v for k, v in state.items() if k != name}, f"lacks.*{name}"),
        ({**state, "extra": torch.zeros(1)}, "unknown.*extra"),
        ({**state, name: torch.zeros(2, 2)}, f"{name} has the shape"),
    ):
        save_file(tensors, tmp_path / "model.safetensors")
        with pytest.raises(CheckpointError, match=match):
            VLJEPA(broken).y_encoder.load_pretrained()


def test_a_predictor_of_layers_that_are_not_there_is_refused(small_copy: VLJEPAConfig) -> None:
    beyond = replace(small_copy, predictor=replace(small_copy.predictor, first_layer=3))
    with pytest.raises(CheckpointError, match=r"lacks.*layers\.1"):
        VLJEPA(beyond).predictor.load_pretrained()


def test_the_full_size_names_weights_that_cannot_change() -> None:
    config = VLJEPAConfig.from_dict(read_yaml(CONFIG)["model"])
    assert config == replace(OPEN_VLJEPA, name=config.name, y_decoder=config.y_decoder)
    for weights in published_weights(config):
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", weights)


def test_one_step_of_training_changes_only_what_is_trained(small_copy: VLJEPAConfig) -> None:
    torch.manual_seed(0)
    model = VLJEPA(small_copy)
    model.load_pretrained()
    model.train()
    before = {name: p.clone() for name, p in model.named_parameters()}
    frames = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    window = model.x_encoder.encode_frames(frames).unsqueeze(0)
    AlignmentStep(model, InfoNCE())  # freezes what this stage does not train
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-3)
    predicted = model(window, ["what is this", "what"])
    loss = 1 - (predicted * model.encode_text(["a red ball", "a ball"])).sum(-1).mean()
    loss.backward()
    optimizer.step()
    changed = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    assert {name.split(".")[0] for name in changed} == {"predictor", "y_encoder"}
    assert {"predictor.transformer.layers.0.self_attn.q_proj.weight"} <= changed


def test_what_embedding_gemma_learns_fits_its_file(
    small_copy: VLJEPAConfig, tmp_path: Path
) -> None:
    model = VLJEPA(small_copy)
    model.load_pretrained()
    with torch.no_grad():
        model.y_encoder.encoder.norm.weight[0] = 1e5  # fp16 ends at 65,504
    save_checkpoint(model, tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    assert {tensor.dtype for tensor in state.values()} == {torch.bfloat16}
    assert state["y_encoder.encoder.norm.weight"][0].item() == pytest.approx(1e5, rel=0.01)


def test_a_checkpoint_holds_what_is_trained_and_finds_the_rest(
    small_copy: VLJEPAConfig, tmp_path: Path
) -> None:
    model = VLJEPA(small_copy)
    model.load_pretrained()
    torch.nn.init.normal_(model.predictor.output_projection.weight)
    save_checkpoint(model, tmp_path, torch.float32)
    names = load_file(tmp_path / "model.safetensors").keys()
    parts = {name.split(".")[0] for name in names}
    assert parts == {"predictor", "y_encoder", "y_decoder"}
    decoder = {name for name in names if name.startswith("y_decoder")}
    assert decoder == {"y_decoder.prefix.weight", "y_decoder.prefix.bias"}  # not the frozen Llama
    again = load_checkpoint(tmp_path)
    window = torch.randn(1, 4, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(model.eval()(window, ["what"]), again(window, ["what"]))
        torch.testing.assert_close(model.encode_text(["a"]), again.encode_text(["a"]))
