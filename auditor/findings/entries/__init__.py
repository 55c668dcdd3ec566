"""The catalogue's lines, a file a topic: data only. `findings.catalogue` puts them together."""
