"""The garden sentinel: from a camera's frames to decisions."""
