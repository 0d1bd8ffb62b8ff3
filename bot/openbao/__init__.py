"""The OpenBao that `ona up` brings along, where no Vault is set."""
