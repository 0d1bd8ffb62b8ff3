"""Short-lived credentials: from HashiCorp Vault, OpenBao, and the code hosts behind them."""
