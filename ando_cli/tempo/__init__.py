"""The Tempo chain: networks, channel identity, vouchers, transactions, RPC reads."""
