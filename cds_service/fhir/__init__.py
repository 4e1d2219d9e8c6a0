"""FHIR R4 as it arrives: typed reading of a chart, and its facts. Lenient in: what is not read cannot be wrong."""
