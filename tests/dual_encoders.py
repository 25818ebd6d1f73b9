"""Small CLIP and SigLIP models with random weights, in the format of the published ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

WORDS = ("<pad>", "<bos>", "<eos>", "a", "mug", "ball")
TEXT = {"vocab_size": 6, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
TEXT |= {"num_attention_heads": 2, "max_position_embeddings": 8, "pad_token_id": 0}
TEXT |= {"bos_token_id": 1, "eos_token_id": 2}
IMAGE = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
IMAGE |= {"num_attention_heads": 2, "image_size": 32, "patch_size": 16}


def write(kind: str, folder: Path) -> Any:
    """Write a folder as the hub has it; returns transformers' own module."""
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import CLIPConfig, CLIPModel, SiglipConfig, SiglipModel

    torch.manual_seed(0)
    if kind == "clip":
        made: Any = CLIPModel(CLIPConfig(text_config=TEXT, vision_config=IMAGE, projection_dim=24))
    else:
        made = SiglipModel(SiglipConfig(text_config=TEXT, vision_config=IMAGE))
    made.eval().save_pretrained(folder)
    pixels = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]}
    (folder / "preprocessor_config.json").write_text(json.dumps(pixels))
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": "<pad>"}))
    tokenizer = Tokenizer(WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="a"))
    tokenizer.pre_tokenizer = Whitespace()
    special = [("<bos>", 1), ("<eos>", 2)]
    template = "<bos> $A <eos>" if kind == "clip" else "$A <eos>"
    tokenizer.post_processor = TemplateProcessing(single=template, special_tokens=special)
    tokenizer.save(str(folder / "tokenizer.json"))
    return made
