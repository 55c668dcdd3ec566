"""Output of a run: records, their schema, files and folders, tables."""
