"""What a run leaves behind: records, their schema, the files they go to."""
