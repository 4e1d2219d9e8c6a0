"""FHIR R4 as it arrives: typed reading of a chart, and its facts. An error in a part of a resource that
is not read has no effect."""
