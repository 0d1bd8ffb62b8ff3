"""Words and forms that every surface shares: amounts, events, sentences, plain text; pure."""
