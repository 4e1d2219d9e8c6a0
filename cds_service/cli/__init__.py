"""The commands, and what only a command prints."""
