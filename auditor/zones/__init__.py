"""Zone facts: who delegates and serves zones, what is wrong with them, who can fix it."""
