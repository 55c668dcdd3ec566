"""Questions to answers: one resolver protocol, several ways to obtain the answers."""
