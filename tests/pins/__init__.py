"""The pinning of the knowledge: its mutants (mutants, rules), how a datum is changed (change, change_facts, change_codes), and
which vignette or chart catches them (killers)."""
