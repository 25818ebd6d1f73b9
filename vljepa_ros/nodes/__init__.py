"""The ROS 2 nodes. Importing them needs no torch; loading a model does."""
