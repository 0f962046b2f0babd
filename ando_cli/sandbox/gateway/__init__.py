"""Serve the gateway's routes: challenges, credentials, the accounts of the sessions, and the controls for tests."""
