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
from vljepa_ros.model.checkpoint import read_config, save_checkpoint, write_checkpoint
from vljepa_ros.model.efficientnet import EfficientNet
from vljepa_ros.model.pretrained import efficientnet_lite0_weights
from vljepa_ros.model.transformer import Transformer
from vljepa_ros.model.y_decoder import END, START, SmallDecoder, vocabulary_of


def test_a_frame_gives_the_same_tokens_alone_and_in_a_batch(model: VLJEPA) -> None:
    torch.manual_seed(0)
    frames = torch.randint(0, 256, (3, 3, 224, 224), dtype=torch.uint8)
    with torch.inference_mode():
        together = model.x_encoder.encode_frames(frames)
        alone = model.x_encoder.encode_frames(frames[1:2])
    assert together.shape == (3, 54, EfficientNet.token_dim)
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
        tokens = model.x_encoder.encode_frames(frames)[:, 3 * 7 + 3, 48 : 48 + 40 * 4]
    change = (tokens[1:] - tokens[:1]).abs().unflatten(1, (40, 4)).sum(1)
    assert change.argmax(1).tolist() == [0, 1, 2, 3]


def test_a_token_knows_the_colors_of_its_square(model: VLJEPA) -> None:
    """The first 48 channels are the mean colors of 4 by 4 little squares, channel by channel."""
    frame = torch.zeros(1, 3, 224, 224, dtype=torch.uint8)
    frame[0, 1, 8:16, 24:32] = 255  # green: second row and last column of the first token
    with torch.inference_mode():
        tokens = model.x_encoder.encode_frames(frame)[0, :49, :48]
    lit = (tokens > 0).nonzero().tolist()
    assert lit == [[0, 16 + 4 * 1 + 3]]


def test_class_tokens_are_the_names_of_what_the_head_sees(checkpoint: Path) -> None:
    """Against the published head on the whole frame, with names that are one-hot."""
    encoder = VLJEPA(read_config(checkpoint)).x_encoder
    encoder.load_pretrained()
    encoder.class_embeddings = torch.eye(1000)[:, :384]
    published = efficientnet_lite0_weights()
    torch.manual_seed(0)
    frame = torch.randint(0, 256, (1, 3, 224, 224), dtype=torch.uint8)
    with torch.inference_mode():
        x = (frame.float() / 255 - 0.5) / 0.5
        for stage in (encoder.stem, *encoder.stages):
            x = stage(x)
        x = F.conv2d(x, published["_conv_head.weight"])
        norm = [published[f"_bn1.{n}"] for n in ("running_mean", "running_var", "weight", "bias")]
        x = F.relu6(F.batch_norm(x, *norm, eps=1e-3))
        views = [x, x[..., :4, :4], x[..., :4, 3:], x[..., 3:, :4], x[..., 3:, 3:]]
        pooled = torch.cat([view.mean((2, 3)) for view in views])
        head = (published["_fc.weight"], published["_fc.bias"])
        expected = F.linear(pooled, *head).softmax(-1)[:, :384]
        tokens = encoder.encode_frames(frame)[0, 49:]
    torch.testing.assert_close(tokens[:, :384], expected, rtol=1e-3, atol=1e-5)
    assert not tokens[:, 384:].any()


def test_the_frozen_encoders_stay_as_they_are(checkpoint: Path) -> None:
    model = load_checkpoint(checkpoint).train()
    assert model.predictor.training
    assert not any(part.training for part in model.y_encoder.encoder.modules())
    trained = {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {"predictor", "y_encoder", "y_decoder"}


def test_padding_of_the_query_changes_nothing(model: VLJEPA) -> None:
    tokens = torch.randn(1, 4, 54, EfficientNet.token_dim)
    long = "is there a red mug on the table, or rather a blue one?"
    with torch.inference_mode():
        alone = model(tokens, ["what?"])
        padded = model(tokens, ["what?", long])[:1]
    torch.testing.assert_close(alone, padded, rtol=1e-4, atol=1e-5)


def test_the_query_and_the_order_of_frames_change_the_embedding(model: VLJEPA) -> None:
    torch.manual_seed(0)
    tokens = torch.randn(1, 4, 54, EfficientNet.token_dim)
    with torch.inference_mode():
        base = model(tokens, ["what happened?"])
        other = model(tokens, ["is the lamp on?"])
        reversed_ = model(tokens.flip(1), ["what happened?"])
    assert base.norm(dim=-1).item() == pytest.approx(1, abs=1e-5)
    assert float(base @ other.T) < 0.999
    assert float(base @ reversed_.T) < 0.9999


def test_pooled_texts_are_those_of_minilm(model: VLJEPA) -> None:
    """Values of all-MiniLM-L6-v2: paraphrases near, a changed attribute farther."""
    with torch.inference_mode():
        texts = ["the lamp is off", "the light is off", "a red ball"]
        a, b, c = model.y_encoder.pool(*model.y_encoder.encoder_states(texts))
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
    texts, _ = model.decode(torch.eye(384)[:3])
    assert len(texts) == 3
    assert not any("[" in text for text in texts)


def test_the_confidence_is_the_probability_of_the_tokens(
    model: VLJEPA, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two texts, of one and of two words, whose tokens have known probabilities."""
    shares = {2: [(3, 0.8), (4, 0.6)], 3: [(2, 0.5), (5, 0.9)], 4: [(6, 0.1), (2, 0.7)]}

    def step(
        self: SmallDecoder, x: torch.Tensor, past: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        logits = torch.zeros(2, self.config.vocabulary)
        for row, (token, share) in enumerate(shares[past.shape[4] + 2]):
            others = torch.tensor((1 - share) / (self.config.vocabulary - 1))
            logits[row] = others.log()
            logits[row, token] = torch.tensor(share).log()
        return logits, torch.cat([past, past.new_zeros(*past.shape[:4], 1, past.shape[5])], 4)

    monkeypatch.setattr(SmallDecoder, "step", step)
    _, probabilities = model.decode(torch.eye(384)[:2])
    assert probabilities.tolist() == pytest.approx([0.8 * 0.5, 0.6 * 0.9 * 0.7])


def test_checkpoint_round_trip_keeps_the_predictions(tmp_path: Path, model: VLJEPA) -> None:
    save_checkpoint(model, tmp_path)
    again = load_checkpoint(tmp_path)
    tokens = torch.randn(1, 4, 54, EfficientNet.token_dim)
    with torch.inference_mode():
        torch.testing.assert_close(model(tokens, ["what?"]), again(tokens, ["what?"]))
    state = load_file(tmp_path / "model.safetensors").values()
    assert {tensor.dtype for tensor in state} == {torch.float16, torch.int32}


def test_a_number_that_a_type_cannot_hold_is_named(tmp_path: Path) -> None:
    state = {"a.bias": torch.tensor([1.0, torch.inf]), "a.weight": torch.tensor([-1e5, 1.0])}
    with pytest.raises(CheckpointError, match=r"a\.weight has numbers up to 1e\+05.*float16"):
        write_checkpoint(VLJEPAConfig(), state, tmp_path / "made", torch.float16)
    assert not (tmp_path / "made").exists()
    write_checkpoint(VLJEPAConfig(), state, tmp_path / "made", torch.bfloat16)
    assert load_file(tmp_path / "made" / "model.safetensors")["a.weight"][0] < -9e4


def test_a_checkpoint_that_does_not_fit_names_the_tensor(checkpoint: Path, tmp_path: Path) -> None:
    state = load_file(checkpoint / "model.safetensors")
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "config.json").write_text((checkpoint / "config.json").read_text())
    for broken, match in (
        ({k: v for k, v in state.items() if k != "y_encoder.head.weight"}, "lacks.*head.weight"),
        ({**state, "extra": torch.zeros(1)}, "unknown.*extra"),
        ({**state, "y_encoder.head.weight": torch.zeros(2, 2)}, "head.weight has the shape"),
    ):
        save_file(broken, bad / "model.safetensors")
        with pytest.raises(CheckpointError, match=match):
            load_checkpoint(bad)


def test_missing_and_damaged_files_say_what_to_do(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json is missing"):
        load_checkpoint(tmp_path)
    (tmp_path / "config.json").write_text((checkpoint / "config.json").read_text())
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
        ({"predictor": {"heads": 4, "kv_heads": 3}}, r"predictor.*kv_heads 3 do not divide"),
        ({"predictor": {"width": 100, "heads": 4}}, "4 heads of even width"),
        ({"y_encoder": {"kind": "embedding-gemma", "kv_heads": 2}}, r"y_encoder.*kv_heads 2"),
        ({"y_encoder": {"trained_layers": 7}}, "MiniLM has 6 layers"),
        ({"y_decoder": {"kind": "llama", "kv_heads": 0}}, r"y_decoder.*kv_heads 0"),
        ({"y_decoder": {"heads": 3}}, "3 heads of even width"),
        ({"temperature": 0}, "temperature is 0"),
        ({"temperature": float("inf")}, "temperature is inf"),
        ({"embedding_dim": 0}, "embedding_dim is 0"),
        ({"query": {"max_tokens": 0}}, r"query\.max_tokens is 0; give at least 2"),
        ({"query": {"kind": ["llama"]}}, r"query\.kind must be one of"),
        ({"predictor": {"layers": 0}}, "layers is 0"),
        ({"predictor": {"width": -256}}, "width is -256"),
        ({"predictor": {"dropout": 1.5}}, "dropout is 1.5"),
        ({"y_encoder": {"max_tokens": 1}}, r"y_encoder\.max_tokens is 1"),
        ({"y_decoder": {"max_tokens": 1}}, r"y_decoder\.max_tokens is 1"),
        ({"y_decoder": {"kind": "llama", "prefix_tokens": 0}}, "prefix_tokens is 0"),
        ({"window": {"frames": 0}}, "frames is 0; give at least 1"),
        ({"window": {"tubelet": 0}}, "tubelet is 0"),
        ({"window": {"period": 0}}, "period is 0"),
        ({"x_encoder": {"kind": "vjepa2", "patch": 0}}, "patch is 0"),
        (
            {"x_encoder": {"kind": "vjepa2"}, "y_encoder": {"kind": "embedding-gemma"}},
            "y_decoder.kind is small, which says words of MiniLM's",
        ),
    ],
)
def test_a_wrong_configuration_is_refused(change: dict[str, object], match: str) -> None:
    with pytest.raises(CheckpointError, match=match):
        VLJEPAConfig.from_dict(change)
    assert (
        VLJEPAConfig.from_dict(json.loads(json.dumps(VLJEPAConfig().to_dict()))) == VLJEPAConfig()
    )
