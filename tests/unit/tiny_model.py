"""A model small enough to be trained in a test."""

from vljepa_ros.model.config import MiniLMConfig, PredictorConfig, VLJEPAConfig, YDecoderConfig

TINY = VLJEPAConfig(
    name="made-up",
    predictor=PredictorConfig(width=32, layers=1, heads=2, kv_heads=2, ffn_width=64),
    y_encoder=MiniLMConfig(trained_layers=1),
    y_decoder=YDecoderConfig(width=32, layers=1, heads=2, ffn_width=64, max_tokens=12),
)
