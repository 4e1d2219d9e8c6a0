"""Facts, stage and verdicts from a clinical picture and the knowledge; `evaluation` is the entry. All pure."""
