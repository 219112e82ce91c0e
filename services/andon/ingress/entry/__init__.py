"""Who may come in: addresses, certificates, tokens, rates."""
