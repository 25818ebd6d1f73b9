"""The four parts of VL-JEPA (arXiv 2512.10942, section 2) in torch; knows nothing of ROS."""

from vljepa_ros.model.checkpoint import load_checkpoint, save_checkpoint
from vljepa_ros.model.config import VLJEPAConfig
from vljepa_ros.model.vljepa import VLJEPA

__all__ = ["VLJEPA", "VLJEPAConfig", "load_checkpoint", "save_checkpoint"]
