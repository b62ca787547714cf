"""Planned graphs to C."""
