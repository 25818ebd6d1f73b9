"""The model's parts: shapes, claims about them, and the checkpoint's round trip."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from vljepa_ros.errors import CheckpointError
from vljepa_ros.model import VLJEPA, VLJEPAConfig, load_checkpoint
from vljepa_ros.model.efficientnet import EfficientNet
from vljepa_ros.model.pretrained import efficientnet_lite0_weights
from vljepa_ros.model.transformer import Transformer
from vljepa_ros.model.vljepa import stack_window
from vljepa_ros.model.y_decoder import END, START, vocabulary_of
from vljepa_ros.runtime.testing import random_checkpoint


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_checkpoint(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def model(folder: Path) -> VLJEPA:
    return load_checkpoint(folder)


def test_a_frame_gives_the_same_tokens_alone_and_in_a_batch(model: VLJEPA) -> None:
    torch.manual_seed(0)
    frames = torch.randint(0, 256, (3, 3, 224, 224), dtype=torch.uint8)
    with torch.inference_mode():
        together = model.x_encoder.encode_frames(frames)
        alone = model.x_encoder.encode_frames(frames[1:2])
    assert together.shape == (3, 49, EfficientNet.token_dim)
    torch.testing.assert_close(together[1:2], alone, rtol=1e-3, atol=1e-3)


def test_the_batch_norms_are_folded_into_the_convolutions(model: VLJEPA) -> None:
    """The first layer, against PyTorch's own batch norm with the published numbers."""
    published = efficientnet_lite0_weights()
    x = torch.rand(1, 3, 224, 224)
    with torch.inference_mode():
        # "Same" padding of a stride of two puts the odd pixel at the end.
        padded = F.pad(x, (0, 1, 0, 1))
        y = F.conv2d(padded, published["_conv_stem.weight"], stride=2)
        norm = [published[f"_bn0.{n}"] for n in ("running_mean", "running_var", "weight", "bias")]
        expected = F.relu6(F.batch_norm(y, *norm, eps=1e-3))
        torch.testing.assert_close(model.x_encoder.stem(x), expected, rtol=1e-4, atol=1e-4)


def test_a_token_keeps_the_quarters_of_its_square_apart(model: VLJEPA) -> None:
    """A spot in one quarter of a token's square changes the channels of that quarter most."""
    frames = torch.zeros(5, 3, 224, 224, dtype=torch.uint8)
    for quarter in range(4):
        top, left = 96 + 16 * (quarter // 2) + 4, 96 + 16 * (quarter % 2) + 4
        frames[quarter + 1, 0, top : top + 8, left : left + 8] = 255
    with torch.inference_mode():
        # Of the token that all four spots are in, the early map's channels.
        tokens = model.x_encoder.encode_frames(frames)[:, 3 * 7 + 3, : 40 * 4]
    change = (tokens[1:] - tokens[:1]).abs().unflatten(1, (40, 4)).sum(1)
    assert change.argmax(1).tolist() == [0, 1, 2, 3]


def test_the_frozen_encoders_stay_as_they_are(folder: Path) -> None:
    model = load_checkpoint(folder).train()
    assert model.predictor.training
    assert not any(part.training for part in model.y_encoder.encoder.modules())
    trained = {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {"predictor", "y_encoder", "y_decoder"}


def test_padding_of_the_query_changes_nothing(model: VLJEPA) -> None:
    tokens = torch.randn(1, 4, 49, EfficientNet.token_dim)
    long = "is there a red mug on the table, or rather a blue one?"
    with torch.inference_mode():
        alone = model(tokens, ["what?"])
        padded = model(tokens, ["what?", long])[:1]
    torch.testing.assert_close(alone, padded, rtol=1e-4, atol=1e-5)


def test_the_query_and_the_order_of_frames_change_the_embedding(model: VLJEPA) -> None:
    torch.manual_seed(0)
    tokens = torch.randn(1, 4, 49, EfficientNet.token_dim)
    with torch.inference_mode():
        base = model(tokens, ["what happened?"])
        other = model(tokens, ["is the lamp on?"])
        reversed_ = model(tokens.flip(1), ["what happened?"])
    assert base.norm(dim=-1).item() == pytest.approx(1, abs=1e-5)
    assert float(base @ other.T) < 0.999
    assert float(base @ reversed_.T) < 0.9999


def test_fewer_frames_repeat_the_oldest() -> None:
    first, second = torch.zeros(49, 8), torch.ones(49, 8)
    window = stack_window([first, second], 4)
    assert window.shape == (1, 4, 49, 8)
    assert window[0, :, 0, 0].tolist() == [0, 0, 0, 1]


def test_sentence_vectors_are_those_of_minilm(model: VLJEPA) -> None:
    """Values of all-MiniLM-L6-v2: paraphrases near, a changed attribute farther."""
    with torch.inference_mode():
        a, b, c = model.y_encoder.sentence_vectors(
            ["the lamp is off", "the light is off", "a red ball"]
        )
    assert float(a @ b) > 0.7 > 0.4 > float(a @ c)


def test_causal_attention_never_sees_the_future() -> None:
    torch.manual_seed(0)
    network = Transformer(width=32, layers=2, heads=2, kv_heads=1, ffn_width=64).eval()
    x = torch.randn(1, 6, 32)
    changed = x.clone()
    changed[:, 4:] += 1
    torch.testing.assert_close(
        network(x, causal=True)[:, :4], network(changed, causal=True)[:, :4]
    )
    assert not torch.allclose(network(x)[:, :4], network(changed)[:, :4])


def test_blocks_equal_those_of_transformers_llama() -> None:
    from transformers import LlamaConfig, LlamaModel

    torch.manual_seed(0)
    theirs = LlamaModel(
        LlamaConfig(
            vocab_size=8,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            rms_norm_eps=1e-5,
            rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        )
    ).eval()
    ours = Transformer(width=32, layers=2, heads=4, kv_heads=2, ffn_width=64).eval()
    state = {k: v for k, v in theirs.state_dict().items() if not k.startswith("embed_tokens")}
    ours.load_state_dict(state, strict=True)
    x = torch.randn(2, 7, 32)
    with torch.inference_mode():
        expected = theirs(inputs_embeds=x).last_hidden_state
        torch.testing.assert_close(ours(x, causal=True), expected, rtol=1e-4, atol=1e-5)


def test_vocabulary_covers_its_texts(model: VLJEPA) -> None:
    vocabulary = vocabulary_of(model.y_encoder.tokenizer, ["a red ball", "the ball"]).tolist()
    assert vocabulary[:3] == [0, START, END]
    assert len(vocabulary) == len(set(vocabulary)) == 3 + 4


def test_generation_ends_and_has_no_special_tokens(model: VLJEPA) -> None:
    texts = model.decode(torch.eye(384)[:3])
    assert len(texts) == 3
    assert not any("[" in text for text in texts)


def test_checkpoint_round_trip_keeps_the_predictions(folder: Path, model: VLJEPA) -> None:
    again = load_checkpoint(folder)
    tokens = torch.randn(1, 4, 49, EfficientNet.token_dim)
    with torch.inference_mode():
        torch.testing.assert_close(model(tokens, ["what?"]), again(tokens, ["what?"]))


def test_a_checkpoint_that_does_not_fit_names_the_tensor(folder: Path, tmp_path: Path) -> None:
    state = load_file(folder / "model.safetensors")
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "config.json").write_text((folder / "config.json").read_text())
    for broken, match in (
        ({k: v for k, v in state.items() if k != "y_encoder.head.weight"}, "lacks.*head.weight"),
        ({**state, "extra": torch.zeros(1)}, "unknown.*extra"),
        ({**state, "y_encoder.head.weight": torch.zeros(2, 2)}, "head.weight has the shape"),
    ):
        save_file(broken, bad / "model.safetensors")
        with pytest.raises(CheckpointError, match=match):
            load_checkpoint(bad)


def test_missing_and_damaged_files_say_what_to_do(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json is missing"):
        load_checkpoint(tmp_path)
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(CheckpointError, match=r"model\.safetensors is missing"):
        load_checkpoint(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"nmae": "x"}, "unknown keys"),
        ({"window": {"frames": 3}}, "do not divide"),
        ({"embedding_dim": "384"}, "must be int"),
        ({"x_encoder": {"image_size": 100}}, "multiple of 32"),
    ],
)
def test_a_wrong_configuration_is_refused(change: dict[str, object], match: str) -> None:
    with pytest.raises(CheckpointError, match=match):
        VLJEPAConfig.from_dict(change)
    assert (
        VLJEPAConfig.from_dict(json.loads(json.dumps(VLJEPAConfig().to_dict()))) == VLJEPAConfig()
    )
