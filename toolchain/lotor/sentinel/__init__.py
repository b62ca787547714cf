"""The garden sentinel: it watches, decides, acts, remembers, and can say why."""
