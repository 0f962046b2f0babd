"""Answer the account-owned routes in the shapes of OpenAI's API, paid for by a Virtual Key."""
