"""Run a small chain: transactions, TIP-20 tokens, the escrows of both session protocols, and JSON-RPC."""
