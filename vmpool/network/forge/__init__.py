"""git on its way through the gateway: what a push wants is read before it is passed on; pure."""
