"""The context of one invocation of ``ando``, and the wiring of its parts."""
