"""Trains the new layers of a grown model."""
