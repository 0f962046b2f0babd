"""Keys: the wallet, its keystore, the OS keyring, delegated keys, Virtual Keys."""
