"""The commands, and the output that only commands print."""
