"""What one invocation of ``ando`` works with: its context, and the parts put together."""
