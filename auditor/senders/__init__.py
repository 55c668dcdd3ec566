"""SPF turned round: which domains authorise an address, and through which terms."""
