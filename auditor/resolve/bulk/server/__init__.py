"""One name server: its sockets, congestion window, round-trip times and health."""
