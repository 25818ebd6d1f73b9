"""The demonstration: a video becomes a camera, and the pipeline tells what it means."""
