"""Boards: the serial link, sessions, flashing, emulators."""
