"""One stage a file: facts in, facts out; no socket, no printing."""
