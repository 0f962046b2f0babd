"""Payment sessions (channels): the planner, the policy, the store and the lifecycle."""
