"""Facts, stage and verdicts from a clinical picture and the knowledge. The entry point is `evaluation`. All pure."""
