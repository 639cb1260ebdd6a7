"""Wake-ups for task engines: the ledger's row is the truth, a message only says "look"."""
