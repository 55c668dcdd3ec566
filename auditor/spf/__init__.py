"""RFC 7208: what a policy says about an address, from answers that others fetch."""
