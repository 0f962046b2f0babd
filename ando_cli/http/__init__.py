"""The HTTP client: bounded reads, deadlines, proxies, certificates."""
