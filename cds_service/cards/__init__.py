"""Assessment → CDS Hooks cards: shapes and invariants (card), what to say (wording), which and in what order (compose)."""
