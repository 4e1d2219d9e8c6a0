"""The pinning of the knowledge: mutants of its tables (mutants, rules), how a datum is changed (change, change_facts,
change_codes), and who catches them (killers)."""
