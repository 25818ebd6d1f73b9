"""Training: data, objective and loop."""
