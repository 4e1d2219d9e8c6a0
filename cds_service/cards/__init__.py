"""CDS Hooks cards of an evaluation: types and invariants (card), text (wording), selection and order (compose)."""
