"""VL-JEPA for ROS 2: semantic embeddings, shifts of meaning, descriptions and answers."""

from pkgutil import extend_path

# The generated msg and srv modules are installed beside these sources.
__path__ = extend_path(__path__, __name__)
