"""Data sets: the manifest of a folder of photographs, and the sample photographs."""
